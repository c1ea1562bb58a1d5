//! Where the time of a run goes.

use std::time::{Duration, Instant};

use pliant_core::metrics::Metrics;

/// The parts of a step, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Choosing actions.
    Acting,
    /// Updates; the environments step meanwhile.
    Learning,
    /// What the environments take longer than the updates.
    Waiting,
    /// Remembering what came of it, and all else: measuring, evaluating, writing.
    Rest,
}

const TAGS: [&str; 4] = [
    "speed/acting_share",
    "speed/learning_share",
    "speed/waiting_for_envs_share",
    "speed/rest_share",
];

/// Time by phase since it was last asked for.
#[derive(Debug)]
pub(super) struct Phases {
    since: Instant,
    spent: [Duration; TAGS.len()],
}

impl Phases {
    pub fn new() -> Self {
        Self { since: Instant::now(), spent: Default::default() }
    }

    /// A phase that began when the one before ended has ended.
    pub fn end(&mut self, phase: Phase) {
        let now = Instant::now();
        self.spent[phase as usize] += now - self.since;
        self.since = now;
    }

    /// The shares of all phases, which begin anew.
    pub fn record(&mut self, metrics: &mut Metrics) {
        self.end(Phase::Rest);
        let spent = std::mem::take(&mut self.spent);
        let all = spent.iter().sum::<Duration>().as_secs_f64().max(1e-9);
        for (tag, spent) in TAGS.into_iter().zip(spent) {
            metrics.scalar(tag, spent.as_secs_f64() / all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn shares_are_of_the_time_since_they_were_last_asked_for() {
        let mut phases = Phases::new();
        sleep(Duration::from_millis(5));
        phases.record(&mut Metrics::default());
        phases.end(Phase::Acting);
        sleep(Duration::from_millis(20));
        phases.end(Phase::Learning);
        phases.end(Phase::Waiting);
        let mut metrics = Metrics::default();
        phases.record(&mut metrics);
        let shares = TAGS.map(|tag| metrics.get_scalar(tag).expect("recorded"));
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        assert!(shares[Phase::Learning as usize] > 0.5, "{shares:?}");
    }
}
