//! A run that ends at an update whose numbers are not finite, and one that goes on from there.

use pliant_core::{
    clock::Clock,
    error::{Error, Result},
    metrics::Metrics,
    not_finite::NotFinite,
    state::StateDict,
    tch::Tensor,
};
use pliant_envs::vector::Batch;

use super::{Runner, owed::Owed};
use crate::{
    failed_update,
    failure::{Failure, Outcome},
};

/// No parameter of a network that learns is so large.
const ABSURD: f64 = 1e6;

/// A decision that the environments have carried out, but whose updates are not all made: what a run stands
/// at between an update that failed and the next step.
pub(super) struct Unfinished {
    before: Clock,
    actions: Vec<usize>,
    batch: Batch,
}

impl Runner {
    /// Writes down an update that went wrong: its dump, and a checkpoint from before it, from which the run
    /// would draw the same transitions again. Other errors stay what they are.
    pub(super) fn failed(
        &mut self,
        error: Error,
        before: Clock,
        actions: Vec<usize>,
        metrics: &Metrics,
    ) -> Failure {
        match error {
            Error::NotFinite(found) => {
                let kept = self.envs.recv().cloned().map_err(Failure::from).and_then(|batch| {
                    self.keep_failed_update(Unfinished { before, actions, batch }, metrics)
                });
                self.tell(&found, kept)
            }
            other => other.into(),
        }
    }

    fn tell(&self, found: &NotFinite, kept: Outcome<String>) -> Failure {
        let run = self.directory.path().display();
        Failure::Run(match kept {
            Err(error) => {
                format!("{found}; and not all that belongs to it could be written down: {error}")
            }
            Ok(dump) => format!(
                "{found}. It was taken back: a checkpoint from before it is in {run}/checkpoints, the update in \
                 {dump} (`pliant retry {run}` makes it once more). `pliant resume {run}` would meet it again; {}",
                self.advice()
            ),
        })
    }

    /// What can be done where the learner is as it was before the update.
    fn advice(&self) -> String {
        let agent = &self.experiment.agent;
        let largest = |(_, parameter): (&str, &Tensor)| parameter.abs().max().double_value(&[]);
        let parameters = agent.learner().online.variables().parameters();
        let largest = parameters.map(largest).fold(0.0, f64::max);
        if largest > ABSURD {
            return format!(
                "parameters had grown to {largest:.0e} before it, which another setting does not mend: start anew, with a \
                 smaller agent.optimizer.learning_rate perhaps"
            );
        }
        let another = "go on with another setting, such as --set agent.optimizer.learning_rate=..";
        let settings = &self.experiment.config.agent.settings;
        match settings.get("non_finite").and_then(|answer| answer.as_str()) {
            Some("skip") => format!(
                "as many before it were left out as agent.max_skipped_in_a_row allows; {another}"
            ),
            _ => format!("{another}, or leave such updates out with --set agent.non_finite=skip"),
        }
    }

    fn keep_failed_update(&mut self, unfinished: Unfinished, metrics: &Metrics) -> Outcome<String> {
        self.write_metrics(metrics)?;
        if self.experiment.config.checkpoint.replay {
            self.unfinished = Some(unfinished);
        } else {
            // A run that goes on fills its replay anew: it cannot draw the same again.
            self.experiment.agent.observe(&unfinished.actions, &unfinished.batch);
            self.count(&unfinished.batch.steps, &mut Metrics::default());
            self.owed = Owed::since(&unfinished.before, &self.clock, &self.experiment.config);
        }
        self.write_checkpoint()?;
        self.checkpoints.wait().map_err(Failure::Run)?;
        let mut before = StateDict::default();
        let agent = self.experiment.agent.as_ref();
        before.put_part("agent", agent);
        before.put_part("interventions", &self.experiment.interventions);
        let failed = agent.failed_update();
        let failed = failed.ok_or_else(|| Failure::Run("the agent has not kept it".to_owned()))?;
        let wall_s = self.wall_s();
        let dump = failed_update::write(&self.directory, self.clock, wall_s, before, failed)?;
        Ok(dump.display().to_string())
    }

    /// Makes the updates that a run owed when it ended, then goes on as if it had not.
    pub(super) fn finish_step(&mut self) -> Outcome {
        let Some(Unfinished { before, actions, batch }) = self.unfinished.take() else {
            return Ok(());
        };
        let mut metrics = Metrics::default();
        let (agent, interventions) =
            (self.experiment.agent.as_mut(), &mut self.experiment.interventions);
        match agent.learn(&mut self.clock, interventions, &mut metrics) {
            Ok(()) => {
                agent.observe(&actions, &batch);
                self.count(&batch.steps, &mut metrics);
                self.do_what_is_due(&before, &metrics)
            }
            Err(Error::NotFinite(found)) => {
                let kept = self.keep_failed_update(Unfinished { before, actions, batch }, &metrics);
                Err(self.tell(&found, kept))
            }
            Err(other) => Err(other.into()),
        }
    }
}

impl Unfinished {
    /// Without the frames, which are the environments' own.
    pub(super) fn save(&self, state: &mut StateDict) {
        state.put("unfinished/before", &self.before);
        state.put("unfinished/actions", &self.actions);
        state.put("unfinished/steps", &self.batch.steps);
        state.put_tensor("unfinished/final_frames", &Tensor::from_slice(&self.batch.final_frames));
    }

    /// `None` if the run was not in the middle of a step. `now`: what the environments show.
    pub(super) fn load(state: &StateDict, now: &Batch) -> Result<Option<Self>> {
        if !state.values().contains_key("unfinished/actions") {
            return Ok(None);
        }
        let final_frames = Vec::<u8>::try_from(state.tensor("unfinished/final_frames")?)?;
        let (actions, steps): (Vec<usize>, Vec<_>) =
            (state.get("unfinished/actions")?, state.get("unfinished/steps")?);
        let fits = actions.len() == now.steps.len()
            && steps.len() == now.steps.len()
            && final_frames.len() == now.final_frames.len();
        if !fits {
            return Err(Error::State("an unfinished step of other environments".to_owned()));
        }
        let batch = Batch { frames: now.frames.clone(), final_frames, steps };
        Ok(Some(Self { before: state.get("unfinished/before")?, actions, batch }))
    }
}
