//! Evaluation: the agent's evaluation policy on environments of its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pliant_agents::acting::FrameStacks;
use pliant_core::{agent::Agent, error::Result, metrics::Metrics, seeds::Seeds};
use pliant_envs::{
    env::{EnvFactory, EnvSpec, Role, Step},
    vector::VectorEnv,
};

use crate::{config::EvalSection, episodes::mean};

/// What an evaluation saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Unclipped return of each whole episode, in the order of environment and time.
    pub returns: Vec<f64>,
    /// Sum of the unclipped rewards of all counted steps.
    pub rewards: f64,
    /// Counted agent steps.
    pub steps: u64,
}

impl Evaluation {
    /// Mean return, or where there are no episodes the mean reward per step.
    pub fn score(&self) -> f64 {
        mean(self.returns.iter().copied()).unwrap_or(self.rewards / self.steps.max(1) as f64)
    }

    /// Standard error of the mean return; `None` for fewer than two episodes.
    pub fn standard_error(&self) -> Option<f64> {
        let count = self.returns.len() as f64;
        let centre = mean(self.returns.iter().copied()).filter(|_| count > 1.0)?;
        let squares: f64 = self.returns.iter().map(|value| (value - centre).powi(2)).sum();
        Some((squares / (count - 1.0) / count).sqrt())
    }
}

/// Evaluates agents on environments that training never touches.
pub struct Evaluator {
    envs: VectorEnv,
    spec: EnvSpec,
    section: EvalSection,
    stop: Arc<AtomicBool>,
}

impl Evaluator {
    /// Makes the environments. An evaluation is cut short when `stop` becomes true.
    pub fn new(
        factory: &Arc<dyn EnvFactory>,
        section: &EvalSection,
        threads: usize,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let spec = factory.spec().clone();
        let num_envs =
            if spec.continuing { section.num_envs } else { section.num_envs.min(section.episodes) };
        let envs =
            VectorEnv::new(Arc::clone(factory), Role::Evaluation, num_envs, threads.min(num_envs))?;
        Ok(Self { envs, spec, section: section.clone(), stop })
    }

    /// The name of what [`Evaluation::score`] is here.
    pub fn score_name(&self) -> &'static str {
        match (self.spec.reward_per_step_name, self.spec.continuing) {
            (Some(name), _) => name,
            (None, true) => "reward_per_step",
            (None, false) => "return",
        }
    }

    /// Runs the evaluation policy with the configured epsilon.
    pub fn evaluate(&mut self, agent: &dyn Agent, seeds: &Seeds) -> Result<Evaluation> {
        self.run(agent, self.section.epsilon, seeds)
    }

    /// Runs the policy that chooses uniformly.
    pub fn evaluate_random(&mut self, agent: &dyn Agent, seeds: &Seeds) -> Result<Evaluation> {
        self.run(agent, 1.0, seeds)
    }

    fn run(&mut self, agent: &dyn Agent, epsilon: f64, seeds: &Seeds) -> Result<Evaluation> {
        let count = self.envs.num_envs();
        let env_seeds: Vec<u64> =
            (0..count).map(|i| seeds.seed(&format!("eval/env/{i}"))).collect();
        let mut stream = seeds.stream("eval/policy");
        let mut stacks = FrameStacks::new(&self.spec, count);
        stacks.begin(&self.envs.reset(&env_seeds)?.frames);
        let mut tally = Tally::new(&self.section, &self.spec, count);
        while !tally.is_complete() && !self.stop.load(Ordering::Relaxed) {
            let actions = agent.evaluate(&stacks.observations(), epsilon, &mut stream);
            self.envs.send(&actions)?;
            let batch = self.envs.recv()?;
            tally.observe(&batch.steps);
            stacks.observe(batch);
        }
        Ok(tally.finish())
    }
}

/// Counts a fixed share of episodes (or steps) in every environment: whichever came first would
/// favour short episodes.
struct Tally {
    envs: Vec<EnvTally>,
}

struct EnvTally {
    episodes_left: usize,
    steps_left: usize,
    running: f64,
    seen: Evaluation,
}

impl Tally {
    fn new(section: &EvalSection, spec: &EnvSpec, count: usize) -> Self {
        let share = |total: usize, index: usize| total / count + usize::from(index < total % count);
        let env = |index| EnvTally {
            episodes_left: if spec.continuing { 0 } else { share(section.episodes, index) },
            steps_left: if spec.continuing { share(section.steps, index) } else { 0 },
            running: 0.0,
            seen: Evaluation::default(),
        };
        Self { envs: (0..count).map(env).collect() }
    }

    fn is_complete(&self) -> bool {
        self.envs.iter().all(EnvTally::is_complete)
    }

    fn observe(&mut self, steps: &[Step]) {
        for (env, step) in self.envs.iter_mut().zip(steps) {
            if !env.is_complete() {
                env.observe(step);
            }
        }
    }

    fn finish(self) -> Evaluation {
        let mut all = Evaluation::default();
        for EnvTally { seen, .. } in self.envs {
            all.returns.extend(seen.returns);
            all.rewards += seen.rewards;
            all.steps += seen.steps;
        }
        all
    }
}

impl EnvTally {
    fn is_complete(&self) -> bool {
        self.episodes_left == 0 && self.steps_left == 0
    }

    fn observe(&mut self, step: &Step) {
        let reward = f64::from(step.raw_reward);
        self.running += reward;
        self.seen.rewards += reward;
        self.seen.steps += 1;
        self.steps_left = self.steps_left.saturating_sub(1);
        if step.is_last() && self.episodes_left > 0 {
            self.seen.returns.push(std::mem::take(&mut self.running));
            self.episodes_left -= 1;
        }
    }
}

/// Records an evaluation under `eval/`.
pub fn record(evaluation: &Evaluation, score_name: &str, metrics: &mut Metrics) {
    metrics.scalar(format!("eval/{score_name}"), evaluation.score());
    if let Some(error) = evaluation.standard_error() {
        metrics.scalar("eval/standard_error", error);
        metrics.scalar("eval/episodes", evaluation.returns.len() as f64);
        metrics.histogram("eval/returns", evaluation.returns.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(raw_reward: f32, terminated: bool) -> Step {
        Step { raw_reward, terminated, ..Step::default() }
    }

    fn spec(continuing: bool) -> EnvSpec {
        EnvSpec {
            frame: pliant_envs::env::FrameShape { channels: 1, height: 1, width: 1 },
            frame_stack: 1,
            stack_padding: pliant_envs::env::StackPadding::Zeros,
            actions: vec!["a".to_owned()],
            tasks: vec!["test".to_owned()],
            continuing,
            reward_per_step_name: None,
        }
    }

    #[test]
    fn every_environment_gives_its_share_of_episodes_however_short_they_are() {
        let section = EvalSection { episodes: 3, ..EvalSection::default() };
        let mut tally = Tally::new(&section, &spec(false), 2);
        for _ in 0..3 {
            tally.observe(&[step(1.0, true), step(10.0, false)]);
        }
        assert!(!tally.is_complete(), "the slow environment still owes one");
        tally.observe(&[step(1.0, true), step(10.0, true)]);
        assert!(tally.is_complete());
        let evaluation = tally.finish();
        assert_eq!(evaluation.returns, [1.0, 1.0, 40.0]);
        assert_eq!(evaluation.score(), 14.0);
        assert_eq!(evaluation.standard_error(), Some(13.0));
    }

    #[test]
    fn without_episodes_the_score_is_the_mean_reward_per_step() {
        let section = EvalSection { steps: 3, ..EvalSection::default() };
        let mut tally = Tally::new(&section, &spec(true), 2);
        tally.observe(&[step(1.0, false), step(0.0, false)]);
        tally.observe(&[step(1.0, false), step(5.0, false)]);
        let evaluation = tally.finish();
        assert_eq!((evaluation.steps, evaluation.score()), (3, 2.0 / 3.0));
        assert_eq!(evaluation.standard_error(), None);
    }
}
