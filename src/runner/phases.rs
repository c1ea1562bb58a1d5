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
        self.end_at(phase, Instant::now());
    }

    fn end_at(&mut self, phase: Phase, now: Instant) {
        self.spent[phase as usize] += now - self.since;
        self.since = now;
    }

    /// The shares of all phases, which begin anew.
    pub fn record(&mut self, metrics: &mut Metrics) {
        self.end(Phase::Rest);
        self.record_spent(metrics);
    }

    fn record_spent(&mut self, metrics: &mut Metrics) {
        let spent = std::mem::take(&mut self.spent);
        let all = spent.iter().sum::<Duration>().as_secs_f64().max(1e-9);
        for (tag, spent) in TAGS.into_iter().zip(spent) {
            metrics.scalar(tag, spent.as_secs_f64() / all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_since_they_were_last_asked_for() {
        let mut phases = Phases::new();
        let mut now = phases.since;
        let mut assert_shares = |milliseconds: [u64; TAGS.len()], expected: [f64; TAGS.len()]| {
            let all = [Phase::Acting, Phase::Learning, Phase::Waiting, Phase::Rest];
            for (phase, spent) in all.into_iter().zip(milliseconds) {
                now += Duration::from_millis(spent);
                phases.end_at(phase, now);
            }
            let mut metrics = Metrics::default();
            phases.record_spent(&mut metrics);
            for (tag, share) in TAGS.into_iter().zip(expected) {
                let recorded = metrics.get_scalar(tag).expect("recorded");
                assert!((recorded - share).abs() < 1e-12, "{tag}: {recorded}, expected {share}");
            }
        };
        assert_shares([10, 20, 30, 40], [0.1, 0.2, 0.3, 0.4]);
        assert_shares([0, 3, 1, 0], [0.0, 0.75, 0.25, 0.0]);
    }
}
