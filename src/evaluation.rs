//! Evaluation: the agent's evaluation policy on environments of its own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use pliant_agents::acting::FrameStacks;
use pliant_core::{
    agent::Agent,
    error::{Error, Result},
    seeds::Seeds,
};
use pliant_envs::{
    env::{EnvFactory, EnvSpec, Role},
    vector::VectorEnv,
};

use crate::{
    config::EvalSection,
    film::Camera,
    tasks::{distinct, name_of},
};

mod score;
mod tally;

pub use score::{Evaluated, Evaluation};
use tally::Tally;

/// Evaluates agents on environments that training never touches.
pub struct Evaluator {
    factory: Arc<dyn EnvFactory>,
    section: EvalSection,
    threads: usize,
    stop: Arc<AtomicBool>,
    /// Those of one task, where the environment tells its tasks apart.
    envs: VectorEnv,
    task: u32,
}

impl Evaluator {
    /// Makes the environments of the first task. An evaluation is cut short when `stop` becomes
    /// true.
    pub fn new(
        factory: &Arc<dyn EnvFactory>,
        section: &EvalSection,
        threads: usize,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let envs = environments(factory, section, threads, 0)?;
        let (factory, section) = (Arc::clone(factory), section.clone());
        Ok(Self { factory, section, threads, stop, envs, task: 0 })
    }

    /// The name of what [`Evaluation::score`] is here.
    pub fn score_name(&self) -> &'static str {
        let spec = self.spec();
        match (spec.reward_per_step_name, spec.continuing) {
            (Some(name), _) => name,
            (None, true) => "reward_per_step",
            (None, false) => "return",
        }
    }

    /// Runs the evaluation policy with the configured epsilon on the present task, where `camera`
    /// films it as far as it can, and where configured on all others, each name once.
    pub fn evaluate(
        &mut self,
        agent: &dyn Agent,
        seeds: &Seeds,
        present: u32,
        camera: Option<&mut Camera<'_>>,
    ) -> Result<Evaluated> {
        let epsilon = self.section.epsilon;
        let evaluation = self.run(agent, epsilon, seeds, present, camera)?;
        let names = self.spec().tasks.clone();
        let mut tasks = Vec::new();
        for name in if self.section.all_tasks { distinct(names.clone()) } else { Vec::new() } {
            let first = names.iter().position(|other| *other == name).unwrap_or_default() as u32;
            let of_task = if name == name_of(present, &names) {
                evaluation.clone()
            } else {
                self.run(agent, epsilon, seeds, first, None)?
            };
            tasks.push((name, of_task));
        }
        Ok(Evaluated { present: evaluation, tasks })
    }

    /// Runs the policy that chooses uniformly.
    pub fn evaluate_random(
        &mut self,
        agent: &dyn Agent,
        seeds: &Seeds,
        present: u32,
    ) -> Result<Evaluation> {
        self.run(agent, 1.0, seeds, present, None)
    }

    fn spec(&self) -> &EnvSpec {
        self.factory.spec()
    }

    fn run(
        &mut self,
        agent: &dyn Agent,
        epsilon: f64,
        seeds: &Seeds,
        task: u32,
        mut camera: Option<&mut Camera<'_>>,
    ) -> Result<Evaluation> {
        self.change_task(task)?;
        let count = self.envs.num_envs();
        let env_seeds: Vec<u64> =
            (0..count).map(|i| seeds.seed(&format!("eval/env/{i}"))).collect();
        let mut stream = seeds.stream("eval/policy");
        let mut stacks = FrameStacks::new(self.spec(), count);
        stacks.begin(&self.envs.reset(&env_seeds)?.frames);
        let mut tally = Tally::new(&self.section, self.spec(), count);
        while !tally.is_complete() && !self.stop.load(Ordering::Relaxed) {
            camera = camera.filter(|camera| camera.is_on());
            let picture = camera.as_ref().map(|_| self.envs.render(0)).transpose()?;
            let actions = agent.evaluate(&stacks.observations(), epsilon, &mut stream);
            self.envs.send(&actions)?;
            let batch = self.envs.recv()?;
            tally.observe(&batch.steps);
            stacks.observe(batch);
            if let (Some(camera), Some(picture)) = (&mut camera, picture) {
                camera.take(&picture, &batch.steps[0]);
            }
        }
        Ok(tally.finish(self.factory.reference_scores(task as usize)))
    }

    fn change_task(&mut self, task: u32) -> Result<()> {
        if task != self.task {
            self.envs = environments(&self.factory, &self.section, self.threads, task)?;
            self.task = task;
        }
        Ok(())
    }
}

/// The environments of one task; of all together where there is no telling them apart.
fn environments(
    factory: &Arc<dyn EnvFactory>,
    section: &EvalSection,
    threads: usize,
    task: u32,
) -> Result<VectorEnv> {
    let count = factory.spec().tasks.len();
    if task > 0 && task as usize >= count {
        return Err(Error::Invalid(format!("there is no task {task} (the first is 0) of {count}")));
    }
    let only_task = factory.task(task as usize).unwrap_or_else(|| Arc::clone(factory));
    let num_envs = if factory.spec().continuing || section.frames > 0 {
        section.num_envs
    } else {
        section.num_envs.min(section.episodes)
    };
    Ok(VectorEnv::new(only_task, Role::Evaluation, num_envs, threads.min(num_envs))?)
}

#[cfg(test)]
mod tests;
