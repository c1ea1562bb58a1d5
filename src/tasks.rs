//! Which of the environment's tasks training is on.

use pliant_core::{
    error::{Error, Result},
    metrics::Metrics,
    state::{Checkpoint, StateDict},
};
use pliant_envs::env::Step;

/// The present task: that of environment 0's last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentTask {
    index: u32,
    /// How many there are.
    count: usize,
}

impl PresentTask {
    /// The first of these.
    pub fn first_of(names: &[String]) -> Self {
        Self { index: 0, count: names.len() }
    }

    /// Its index among the environment's tasks.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Takes in one step of every environment, and says so where the task changes.
    pub fn observe(&mut self, steps: &[Step], names: &[String], metrics: &mut Metrics) {
        let task = steps.first().map_or(self.index, |step| step.task);
        if task != self.index {
            self.index = task;
            self.record_name(names, metrics);
        }
    }

    /// Records the name, where there are several.
    pub fn record_name(self, names: &[String], metrics: &mut Metrics) {
        if names.len() > 1 {
            metrics.text("env/task_name", name_of(self.index, names));
        }
    }

    /// Records the index, where there are several.
    pub fn record_index(self, names: &[String], metrics: &mut Metrics) {
        if names.len() > 1 {
            metrics.scalar("env/task", f64::from(self.index));
        }
    }
}

impl Checkpoint for PresentTask {
    fn save(&self, state: &mut StateDict) {
        state.put("present", &self.index);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        // A run saved before there were tasks is in its first.
        let index: u32 = if state.values().is_empty() { 0 } else { state.get("present")? };
        if index > 0 && index as usize >= self.count {
            return Err(Error::Invalid(format!(
                "the run is in task {index} (the first is 0), but the list has {} now",
                self.count
            )));
        }
        self.index = index;
        Ok(())
    }
}

/// The name of a task; its index if it has none.
pub fn name_of(task: u32, names: &[String]) -> String {
    names.get(task as usize).cloned().unwrap_or_else(|| task.to_string())
}

/// A task's name as a part of a metric's tag: lower case, `_` for what is neither letter nor digit.
pub fn tag_of(name: &str) -> String {
    let safe = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    name.chars().map(|letter| safe(letter.to_ascii_lowercase())).collect()
}

/// Those that differ, in the order in which they first stand there: the same task may come again.
pub fn distinct(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_tags() {
        assert_eq!(tag_of("Ms Pacman:mode=3/α"), "ms_pacman_mode_3__");
        assert_eq!(tag_of("space_invaders"), "space_invaders");
    }

    #[test]
    fn a_change_of_task_is_told_once() {
        let names = ["pong".to_owned(), "breakout".to_owned()];
        let step = |task| Step { task, ..Step::default() };
        let mut present = PresentTask::first_of(&names);
        let mut told = |steps: &[Step]| {
            let mut metrics = Metrics::default();
            present.observe(steps, &names, &mut metrics);
            !metrics.is_empty()
        };
        assert!(!told(&[step(0), step(1)]), "environment 0 decides");
        assert!(told(&[step(1), step(0)]));
        assert!(!told(&[step(1), step(1)]));
        assert_eq!(present.index(), 1);
        let mut state = StateDict::default();
        present.save(&mut state);
        let mut restored = PresentTask::first_of(&names);
        restored.load(&state).expect("just saved");
        assert_eq!(restored, present);
        restored.load(&StateDict::default()).expect("a run from before there were tasks");
        assert_eq!(restored.index(), 0);
        let error = PresentTask::first_of(&names[..1]).load(&state).expect_err("a shorter list");
        assert!(error.to_string().starts_with("the run is in task 1"), "{error}");
    }

    #[test]
    fn a_single_task_is_not_recorded() {
        let (names, mut metrics) = (["pong".to_owned()], Metrics::default());
        PresentTask::first_of(&names).record_index(&names, &mut metrics);
        PresentTask::first_of(&names).record_name(&names, &mut metrics);
        assert!(metrics.is_empty());
    }
}
