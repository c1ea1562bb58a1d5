//! A sequence of supervised tasks from a checked configuration.

use std::sync::Arc;

use super::{
    env::Supervised,
    sequence::{Sequence, Tasks},
};
use crate::{
    classification::{DatasetName, Split},
    env::{Env, EnvError, EnvFactory, EnvSpec, FrameShape, Role, StackPadding},
};

/// When an instance goes from one task to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// Steps of the instance.
    pub steps_per_task: u64,
    /// How many tasks there are; the last one stays.
    pub tasks: usize,
    /// The one that is played, or all in turn.
    pub only: Option<usize>,
}

impl Schedule {
    /// Which task the step is in before which an instance has made so many.
    pub fn task(&self, steps: u64) -> usize {
        let last = self.tasks as u64 - 1;
        self.only.unwrap_or_else(|| (steps / self.steps_per_task).min(last) as usize)
    }
}

/// Tasks of labelled images that are gone through in turn.
#[derive(Debug)]
pub struct SupervisedFactory {
    tasks: Arc<Tasks>,
    schedule: Schedule,
    spec: Arc<EnvSpec>,
    dataset: DatasetName,
}

impl SupervisedFactory {
    pub(super) fn new(
        sequence: Box<dyn Sequence>,
        dataset: DatasetName,
        steps_per_task: u64,
        (frame, classes): (FrameShape, usize),
    ) -> Self {
        let spec = EnvSpec {
            frame,
            frame_stack: 1,
            stack_padding: StackPadding::Repeat,
            actions: (0..classes).map(|class| class.to_string()).collect(),
            tasks: sequence.names(),
            continuing: true,
            reward_per_step_name: Some("accuracy"),
            supervised: true,
        };
        let tasks = Arc::new(Tasks::new(sequence));
        let schedule = Schedule { steps_per_task, tasks: tasks.count(), only: None };
        Self { tasks, schedule, spec: Arc::new(spec), dataset }
    }
}

impl EnvFactory for SupervisedFactory {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn make(&self, role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        let (tasks, spec) = (Arc::clone(&self.tasks), Arc::clone(&self.spec));
        Ok(Box::new(Supervised::new(tasks, self.schedule, role, spec)))
    }

    fn task(&self, index: usize) -> Option<Arc<dyn EnvFactory>> {
        let name = self.spec.tasks.get(index)?.clone();
        let spec = EnvSpec { tasks: vec![name], ..self.spec.as_ref().clone() };
        let index = self.schedule.only.unwrap_or(index);
        Some(Arc::new(Self {
            tasks: Arc::clone(&self.tasks),
            schedule: Schedule { only: Some(index), ..self.schedule },
            spec: Arc::new(spec),
            dataset: self.dataset,
        }))
    }

    fn evaluation_data(&self) -> Option<&'static str> {
        let holds_out = self.tasks.sequence().holds_out();
        Some(if holds_out { "held-out images" } else { "training images" })
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let mut rows: Vec<_> = self.dataset.checksums(Split::Train).collect();
        if self.tasks.sequence().holds_out() {
            rows.extend(self.dataset.checksums(Split::Test));
        }
        rows
    }
}
