//! A sequence of Atari tasks from a checked configuration.

use std::sync::Arc;

use super::{super::AtariFactory, config::ContinualAtariConfig, env::ContinualAtari, task::Task};
use crate::env::{Env, EnvError, EnvFactory, EnvSpec, ReferenceScores, Role};

/// When an instance goes from one task to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub tasks: usize,
    pub period_frames: u64,
    pub num_envs: u64,
    pub repeat: bool,
}

impl Schedule {
    /// Which task is played after so many changes.
    pub(super) fn task(&self, changes: u64) -> usize {
        let last = self.tasks as u64 - 1;
        let index = if self.repeat { changes % self.tasks as u64 } else { changes.min(last) };
        index as usize
    }

    /// The instance's own frames at which the next change is due; `None` if there is none any more.
    /// Counted from the beginning, so that a last step that takes too long delays no later change.
    pub(super) fn next_change(&self, changes: u64) -> Option<u64> {
        let is_last = !self.repeat && changes + 1 >= self.tasks as u64;
        let frames = u128::from(changes + 1) * u128::from(self.period_frames);
        (!is_last).then(|| u64::try_from(frames / u128::from(self.num_envs)).unwrap_or(u64::MAX))
    }
}

/// Tasks that are there and can be played.
#[derive(Debug)]
pub struct ContinualAtariFactory {
    config: ContinualAtariConfig,
    tasks: Arc<[Arc<AtariFactory>]>,
    spec: EnvSpec,
}

impl ContinualAtariFactory {
    /// Checks every task, and loads each once.
    pub fn build(config: ContinualAtariConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        config.check()?;
        let named = config.tasks.iter().enumerate();
        let tasks: Arc<[_]> = named
            .map(|(index, name)| load(&config, name).map_err(|error| of_task(index, name, &error)))
            .collect::<Result<_, _>>()?;
        let spec = EnvSpec { tasks: config.tasks.clone(), ..tasks[0].spec().clone() };
        Ok(Box::new(Self { config, tasks, spec }))
    }
}

fn load(config: &ContinualAtariConfig, name: &str) -> Result<Arc<AtariFactory>, EnvError> {
    let task = Task::parse(name).map_err(EnvError::Invalid)?;
    let factory = AtariFactory::with_all_actions(config.atari.of_task(task), name)?;
    Ok(Arc::new(factory))
}

fn of_task(index: usize, name: &str, error: &EnvError) -> EnvError {
    let text = format!("tasks[{index}] `{name}`: {error}");
    match error {
        EnvError::Failed(_) => EnvError::Failed(text),
        _ => EnvError::Invalid(text),
    }
}

impl EnvFactory for ContinualAtariFactory {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn make(&self, role: Role, num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        let (period_frames, num_envs) = (self.config.period_frames, num_envs.max(1) as u64);
        if period_frames < num_envs {
            return Err(EnvError::Invalid(format!(
                "period_frames is {period_frames}, but {num_envs} environments share it: it must be at least {num_envs}"
            )));
        }
        let (tasks, repeat) = (self.tasks.len(), self.config.repeat);
        let schedule = Schedule { tasks, period_frames, num_envs, repeat };
        let (tasks, spec) = (Arc::clone(&self.tasks), self.spec.clone());
        Ok(Box::new(ContinualAtari::new(tasks, schedule, role, spec)?))
    }

    fn task(&self, index: usize) -> Option<Arc<dyn EnvFactory>> {
        let task = self.tasks.get(index)?;
        Some(Arc::clone(task) as Arc<dyn EnvFactory>)
    }

    fn reference_scores(&self, task: usize) -> Option<ReferenceScores> {
        self.tasks.get(task)?.reference_scores(0)
    }

    /// The emulator, then every ROM once.
    fn provenance(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for entry in self.tasks.iter().flat_map(|task| task.provenance()) {
            if !all.contains(&entry) {
                all.push(entry);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(tasks: usize, period_frames: u64, num_envs: u64, repeat: bool) -> Schedule {
        Schedule { tasks, period_frames, num_envs, repeat }
    }

    #[test]
    fn without_repeat_the_last_task_stays() {
        let plan = schedule(3, 100, 1, false);
        let changes: Vec<_> = (0..4).map(|n| (plan.task(n), plan.next_change(n))).collect();
        assert_eq!(changes, [(0, Some(100)), (1, Some(200)), (2, None), (2, None)]);
    }

    #[test]
    fn with_repeat_the_first_task_follows_the_last() {
        let plan = schedule(2, 100, 1, true);
        let changes: Vec<_> = (0..4).map(|n| (plan.task(n), plan.next_change(n))).collect();
        assert_eq!(changes, [(0, Some(100)), (1, Some(200)), (0, Some(300)), (1, Some(400))]);
    }

    #[test]
    fn several_environments_share_a_period_without_a_remainder_adding_up() {
        let plan = schedule(2, 100, 3, true);
        let due: Vec<_> = (0..6).filter_map(|n| plan.next_change(n)).collect();
        assert_eq!(due, [33, 66, 100, 133, 166, 200]);
        assert_eq!(schedule(1, u64::MAX, 1, true).next_change(5), Some(u64::MAX));
    }
}
