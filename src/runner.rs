//! The loop: act, step, learn, observe, measure. One direction, fixed order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use pliant_core::{
    clock::{Clock, Every},
    metrics::Metrics,
    sink::Sink,
    state::StateDict,
};
use pliant_envs::{
    env::{Role, Step},
    vector::VectorEnv,
};

use crate::{
    checkpoint, device,
    episodes::Episodes,
    evaluation::{Evaluation, Evaluator},
    experiment::Experiment,
    failure::{self, Failure, Outcome},
    run_dir::{RunDirectory, State, Status, unix_seconds},
    sinks::{self, tensorboard},
    tasks::PresentTask,
};

mod evaluating;
mod failing;
mod measuring;
mod outputs;
mod owed;
mod phases;

use failing::Unfinished;
pub use outputs::{Outputs, Position};
use owed::Owed;
use phases::{Phase, Phases};

/// The name of the last evaluation.
pub const AFTER_TRAINING: &str = "after training";

/// Where a checkpoint keeps the [`Position`] of the outputs.
const POSITION: &str = "outputs";

/// Where it keeps what is [`Owed`].
const OWED: &str = "owed";

/// Where it keeps the evaluations to compare, so that a run that goes on compares the same.
const EVALUATIONS: &str = "evaluations";

/// What a run came to.
#[derive(Debug)]
pub struct Summary {
    /// Finished, or stopped by a signal.
    pub state: State,
    /// The evaluations to compare, by name.
    pub evaluations: Vec<(String, Evaluation)>,
    /// What their score is: `return`, `accuracy`, ..
    pub score_name: &'static str,
    /// Seconds it ran, over all its sessions.
    pub wall_s: f64,
    /// Frames it ran: the last step may go past the budget.
    pub frames: u64,
}

/// A run under way.
pub struct Runner {
    experiment: Experiment,
    directory: RunDirectory,
    outputs: Outputs,
    envs: VectorEnv,
    evaluator: Evaluator,
    episodes: Episodes,
    task: PresentTask,
    clock: Clock,
    wall_before_s: f64,
    started: Instant,
    last_log: (Clock, f64),
    phases: Phases,
    checkpoints: checkpoint::Writer,
    last_checkpoint: Option<Clock>,
    last_checkpoint_at: Instant,
    loss: Option<f64>,
    reward: Option<f64>,
    is_restored: bool,
    /// Where an update failed.
    unfinished: Option<Unfinished>,
    /// Where a stop came.
    owed: Owed,
    /// To compare at the end, by name.
    evaluations: Vec<(String, Evaluation)>,
    stop: Arc<AtomicBool>,
}

impl Runner {
    /// A run at its first frame. `stop` ends it in order when it becomes true.
    pub fn new(
        experiment: Experiment,
        directory: RunDirectory,
        stop: Arc<AtomicBool>,
    ) -> Outcome<Self> {
        let run = &experiment.config.run;
        let wanted = match run.env_threads {
            0 => device::cores_for_envs(experiment.device),
            chosen => chosen,
        };
        let threads = wanted.min(run.num_envs);
        let factory = &experiment.factory;
        let envs = VectorEnv::new(Arc::clone(factory), Role::Training, run.num_envs, threads)?;
        let evaluator =
            Evaluator::new(factory, &experiment.config.eval, wanted, Arc::clone(&stop))?;
        let keep = experiment.config.checkpoint.keep;
        let checkpoints = checkpoint::Writer::of_run(&directory, keep);
        Ok(Self {
            envs,
            evaluator,
            episodes: Episodes::new(run.num_envs),
            task: PresentTask::first_of(&factory.spec().tasks),
            experiment,
            directory,
            outputs: Outputs::none(),
            clock: Clock::default(),
            wall_before_s: 0.0,
            started: Instant::now(),
            last_log: (Clock::default(), 0.0),
            phases: Phases::new(),
            checkpoints,
            last_checkpoint: None,
            last_checkpoint_at: Instant::now(),
            loss: None,
            reward: None,
            is_restored: false,
            unfinished: None,
            owed: Owed::default(),
            evaluations: Vec::new(),
            stop,
        })
    }

    /// Trains to the budget: from the first frame, or from where [`Self::restore`] left it.
    pub fn train(mut self, outputs: Outputs) -> Outcome<Summary> {
        self.outputs = outputs;
        let result = failure::catch(|| {
            if self.is_restored {
                self.take_over()?;
            }
            self.write_status(State::Running, None)?;
            // Without a checkpoint a run that is stopped while it begins will begin again.
            let has_begun = self.is_restored || self.begin()?;
            if has_begun { self.train_on() } else { Ok(self.summary(State::Stopped)) }
        });
        self.close(result)
    }

    /// Does what follows from a checkpoint that a run goes on from, before it says that it does.
    fn take_over(&mut self) -> Outcome {
        self.checkpoints.tidy();
        if self.outputs.are_ahead() {
            self.write_checkpoint()?; // says so
            self.checkpoints.wait().map_err(Failure::Run)?;
        }
        Ok(())
    }

    /// `false` if a stop cut the first evaluation short.
    fn begin(&mut self) -> Outcome<bool> {
        let seeds = self.experiment.seeds;
        let count = self.experiment.config.run.num_envs;
        let env_seeds: Vec<u64> = (0..count).map(|i| seeds.seed(&format!("env/{i}"))).collect();
        self.experiment.agent.begin(self.envs.reset(&env_seeds)?);
        let mut metrics = Metrics::default();
        metrics.text("run/interventions", self.experiment.config.interventions_as_markdown());
        self.task.record_name(&self.experiment.factory.spec().tasks, &mut metrics);
        self.write_metrics(&metrics)?;
        if !self.experiment.config.eval.before_training {
            return Ok(true);
        }
        self.outputs.progress.println("evaluating a random policy and the untrained agent");
        let random = ("random policy".to_owned(), self.evaluate_random()?);
        let Some(before) = self.evaluate()? else { return Ok(false) };
        self.evaluations.push(random);
        self.evaluations.extend(before.rows("before training"));
        Ok(true)
    }

    fn train_on(&mut self) -> Outcome<Summary> {
        if self.is_restored {
            // Probes that the run did not have yet, too.
            self.owed.measure_since.get_or_insert(self.clock);
        }
        self.settle()?;
        self.finish_step()?;
        while self.clock.frames < self.experiment.config.run.budget_frames && !self.is_stopped() {
            self.step()?;
        }
        let is_at_end = self.clock.frames >= self.experiment.config.run.budget_frames;
        // What was gathered since the last log goes into the checkpoint of a stopped run: a row now would be one
        // that the run which never stopped does not have.
        if is_at_end && self.last_log.0 != self.clock {
            self.owed.log = true;
            self.settle()?;
        }
        let is_finished = is_at_end && self.owed.is_nothing();
        let mut state = if is_finished { State::Finished } else { State::Stopped };
        if self.last_checkpoint != Some(self.clock) {
            self.write_checkpoint()?;
        }
        self.checkpoints.wait().map_err(Failure::Run)?;
        if state == State::Finished && self.experiment.config.eval.after_training {
            self.outputs.progress.println("evaluating the trained agent");
            match self.evaluate()? {
                None => state = State::Stopped, // it is made when the run goes on
                Some(after) => self.evaluations.extend(after.rows(AFTER_TRAINING)),
            }
        }
        Ok(self.summary(state))
    }

    fn summary(&self, state: State) -> Summary {
        Summary {
            state,
            evaluations: self.evaluations.clone(),
            score_name: self.evaluator.score_name(),
            wall_s: self.wall_s(),
            frames: self.clock.frames,
        }
    }

    /// One decision of every environment.
    fn step(&mut self) -> Outcome {
        let before = self.clock;
        let agent = self.experiment.agent.as_mut();
        self.phases.end(Phase::Rest);
        let actions = agent.act(&self.clock);
        self.phases.end(Phase::Acting);
        self.envs.send(&actions)?;
        let mut metrics = Metrics::default();
        let learned =
            agent.learn(&mut self.clock, &mut self.experiment.interventions, &mut metrics);
        if let Err(error) = learned {
            return Err(self.failed(error, before, actions, &metrics));
        }
        self.phases.end(Phase::Learning);
        let batch = self.envs.recv()?;
        self.phases.end(Phase::Waiting);
        agent.observe(&actions, batch);
        let steps = batch.steps.clone();
        self.count(&steps, &mut metrics);
        self.do_what_is_due(&before, &metrics)
    }

    fn count(&mut self, steps: &[Step], metrics: &mut Metrics) {
        self.clock.agent_steps += steps.len() as u64;
        self.clock.frames += steps.iter().map(|step| u64::from(step.frames)).sum::<u64>();
        self.clock.episodes += self.episodes.observe(steps);
        self.task.observe(steps, &self.experiment.factory.spec().tasks, metrics);
    }

    fn do_what_is_due(&mut self, before: &Clock, metrics: &Metrics) -> Outcome {
        let every = Every::Frames(self.experiment.config.checkpoint.every_frames);
        let save = every.is_due(before, &self.clock) || self.is_checkpoint_late();
        self.owed = Owed::since(before, &self.clock, &self.experiment.config);
        self.write_metrics(metrics)?;
        self.settle()?;
        if save {
            self.write_checkpoint()?;
        }
        let status = self.shown();
        self.outputs.progress.update(&self.clock, &status);
        Ok(())
    }

    fn shown(&self) -> sinks::Status {
        sinks::Status {
            mean_return: self.episodes.recent_return(),
            mean_reward: self.reward.filter(|_| self.experiment.factory.spec().continuing),
            loss: self.loss,
            epsilon: Some(self.experiment.agent.exploration(&self.clock)),
        }
    }

    /// Averages since the last log.
    fn log(&mut self) -> Outcome {
        let mut metrics = Metrics::default();
        let tasks = &self.experiment.factory.spec().tasks;
        self.episodes.drain(tasks, &mut metrics);
        self.task.record_index(tasks, &mut metrics);
        self.experiment.agent.drain_metrics(&mut metrics);
        metrics.scalar("train/epsilon", self.experiment.agent.exploration(&self.clock));
        self.loss = metrics.get_scalar("train/loss").or(self.loss);
        self.reward = metrics.get_scalar("train/reward_per_step");
        self.write_metrics(&metrics)?;
        self.log_speed()?;
        self.write_status(State::Running, None)
    }

    fn log_speed(&mut self) -> Outcome {
        let wall_s = self.wall_s();
        let (before, then_s) = std::mem::replace(&mut self.last_log, (self.clock, wall_s));
        let per_second = |count: u64| count as f64 / (wall_s - then_s).max(1e-9);
        let mut metrics = Metrics::default();
        metrics.scalar("speed/frames_per_s", per_second(self.clock.frames - before.frames));
        metrics.scalar("speed/updates_per_s", per_second(self.clock.updates - before.updates));
        self.phases.record(&mut metrics);
        if let Some(sink) = &mut self.outputs.tensorboard {
            sink.write(&self.clock, wall_s, &metrics)?;
        }
        self.outputs.flush()
    }

    fn write_metrics(&mut self, metrics: &Metrics) -> Outcome {
        let wall_s = self.wall_s();
        self.outputs.write(&self.clock, wall_s, metrics)
    }

    fn is_checkpoint_late(&self) -> bool {
        let minutes = self.experiment.config.checkpoint.every_minutes;
        minutes > 0.0 && self.last_checkpoint_at.elapsed().as_secs_f64() >= 60.0 * minutes
    }

    fn write_checkpoint(&mut self) -> Outcome {
        self.outputs.flush()?;
        let mut state = StateDict::default();
        self.save(&mut state);
        state.put(POSITION, &self.outputs.position(&self.clock));
        state.put(OWED, &self.owed);
        state.put(EVALUATIONS, &self.evaluations);
        state.check()?;
        let agent = self.experiment.agent.as_ref();
        let section = &self.experiment.config.checkpoint;
        let write_replay: Box<checkpoint::WriteReplay<'_>> =
            Box::new(|out| agent.save_replay(out).map_err(|error| error.to_string()));
        let contents = checkpoint::Contents {
            clock: self.clock,
            wall_s: self.wall_s(),
            state,
            envs: self.envs.save_state()?,
            replay: section.replay.then_some(write_replay),
        };
        self.checkpoints.write(&contents).map_err(Failure::Run)?;
        self.last_checkpoint = Some(self.clock);
        self.last_checkpoint_at = Instant::now();
        Ok(())
    }

    fn save(&self, state: &mut StateDict) {
        state.put_part("agent", self.experiment.agent.as_ref());
        state.put_part("interventions", &self.experiment.interventions);
        state.put_part("probes", &self.experiment.probes);
        state.put_part("train", &self.episodes);
        state.put_part("tasks", &self.task);
        if let Some(unfinished) = &self.unfinished {
            unfinished.save(state);
        }
    }

    /// Takes up a checkpoint. Nothing in the run directory is changed.
    pub fn restore(&mut self, loaded: &checkpoint::Loaded) -> Outcome {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Input(format!("checkpoint {}: {error}", loaded.path.display()))
        };
        let (state, experiment) = (&loaded.state, &mut self.experiment);
        let batch = self.envs.load_state(&loaded.envs).map_err(|error| failed(&error))?;
        let unfinished = Unfinished::load(state, batch).map_err(|error| failed(&error))?;
        experiment.agent.begin(batch); // what a replay that was not saved begins with
        state
            .load_part("agent", experiment.agent.as_mut())
            .and_then(|()| state.load_part("interventions", &mut experiment.interventions))
            .and_then(|()| state.load_part("probes", &mut experiment.probes))
            .and_then(|()| state.load_part("train", &mut self.episodes))
            .and_then(|()| state.load_part("tasks", &mut self.task))
            .map_err(|error| failed(&error))?;
        self.owed = state.get(OWED).map_err(|error| failed(&error))?;
        if state.values().contains_key(EVALUATIONS) {
            self.evaluations = state.get(EVALUATIONS).map_err(|error| failed(&error))?;
        }
        let (made, counted) = (experiment.agent.learner().updates, loaded.clock.updates);
        if made != counted {
            return Err(failed(&format!("its clock has {counted} updates, its agent {made}")));
        }
        if let Some(mut replay) =
            checkpoint::replay(&loaded.path).map_err(|error| failed(&error))?
        {
            experiment.agent.load_replay(&mut replay).map_err(|error| failed(&error))?;
            self.unfinished = unfinished;
        }
        self.clock = loaded.clock;
        self.last_checkpoint = Some(loaded.clock);
        self.wall_before_s = loaded.wall_s;
        self.last_log = (loaded.clock, loaded.wall_s);
        self.is_restored = true;
        Ok(())
    }

    fn close(mut self, result: Outcome<Summary>) -> Outcome<Summary> {
        let status = self.shown();
        self.outputs.progress.finish(&self.clock, &status);
        let flushed = self.write_outcome(&result).and_then(|()| self.outputs.flush());
        let (state, error) = match &result {
            Ok(summary) => (summary.state, None),
            Err(error) => (State::Failed, Some(error.to_string())),
        };
        let written = self.write_status(state, error);
        result.and_then(|summary| flushed.and(written).map(|()| summary))
    }

    /// A stopped run has come to none yet.
    fn write_outcome(&mut self, result: &Outcome<Summary>) -> Outcome {
        let outcome = match result {
            Ok(Summary { state: State::Finished, .. }) => tensorboard::Outcome::Done,
            Ok(_) => return Ok(()),
            Err(_) => tensorboard::Outcome::Failed,
        };
        if let Some(sink) = &mut self.outputs.tensorboard {
            sink.write_outcome(&self.clock, outcome)?;
        }
        Ok(())
    }

    /// Where the outputs stood when a checkpoint was written.
    pub fn position(loaded: &checkpoint::Loaded) -> Outcome<Position> {
        loaded.state.get(POSITION).map_err(|error| {
            Failure::Input(format!("checkpoint {}: {error}", loaded.path.display()))
        })
    }

    fn write_status(&self, state: State, error: Option<String>) -> Outcome {
        self.directory.write_status(&Status {
            state,
            clock: self.clock,
            budget_frames: self.experiment.config.run.budget_frames,
            wall_s: self.wall_s(),
            updated_unix_s: unix_seconds(),
            error,
        })
    }

    fn wall_s(&self) -> f64 {
        self.wall_before_s + self.started.elapsed().as_secs_f64()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
