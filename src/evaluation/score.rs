//! What came of an evaluation.

use pliant_core::metrics::Metrics;
use pliant_envs::env::ReferenceScores;
use serde::{Deserialize, Serialize};

use crate::{
    episodes::mean,
    tasks::{distinct, tag_of},
};

/// What an evaluation saw of one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Unclipped return of each whole episode, in the order of environment and time.
    pub returns: Vec<f64>,
    /// Where a number of frames was played: the return so far in each environment of the episode
    /// that had not ended.
    pub unfinished: Vec<f64>,
    /// Sum of the unclipped rewards of all counted steps.
    pub rewards: f64,
    /// Counted agent steps.
    pub steps: u64,
    /// Counted frames.
    pub frames: u64,
    /// What to measure the returns by.
    pub reference: Option<ReferenceScores>,
}

impl Evaluation {
    /// Mean return; if no episode ended, the mean of the returns so far; where there are no
    /// episodes, the mean reward per step.
    pub fn score(&self) -> f64 {
        mean(self.returns.iter().copied())
            .or_else(|| mean(self.unfinished.iter().copied()))
            .unwrap_or(self.rewards / self.steps.max(1) as f64)
    }

    /// Whole episodes; `None` where there are no episodes.
    pub fn episodes(&self) -> Option<usize> {
        let has_episodes = !self.returns.is_empty() || !self.unfinished.is_empty();
        has_episodes.then_some(self.returns.len())
    }

    /// Standard error of the mean return; `None` for fewer than two episodes.
    pub fn standard_error(&self) -> Option<f64> {
        let count = self.returns.len() as f64;
        let centre = mean(self.returns.iter().copied()).filter(|_| count > 1.0)?;
        let squares: f64 = self.returns.iter().map(|value| (value - centre).powi(2)).sum();
        Some((squares / (count - 1.0) / count).sqrt())
    }

    /// The human-normalised score, where the score is a return and there is a human's.
    pub fn human_normalised(&self) -> Option<f64> {
        self.episodes()?;
        Some(self.reference?.human_normalised(self.score()))
    }

    fn record(&self, score_name: &str, metrics: &mut Metrics) {
        metrics.scalar(format!("eval/{score_name}"), self.score());
        if let Some(error) = self.standard_error() {
            metrics.scalar("eval/standard_error", error);
        }
        if let Some(episodes) = self.episodes() {
            metrics.scalar("eval/episodes", episodes as f64);
        }
        if !self.returns.is_empty() {
            metrics.histogram("eval/returns", self.returns.clone());
        }
        if let Some(normalised) = self.human_normalised() {
            let capped = normalised.min(1.0);
            metrics.scalar("eval/human_normalised", normalised);
            metrics.scalar("eval/human_normalised_capped", capped);
            metrics.scalar("eval/human_gap", 1.0 - capped);
        }
    }
}

/// The present task's evaluation, and where all are evaluated each one's by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The task that training is on.
    pub present: Evaluation,
    /// All tasks, or none.
    pub tasks: Vec<(String, Evaluation)>,
}

impl Evaluated {
    /// Records everything under `eval/`.
    pub fn record(&self, score_name: &str, metrics: &mut Metrics) {
        self.present.record(score_name, metrics);
        for tag in distinct(self.tasks.iter().map(|(task, _)| tag_of(task))) {
            self.record_tag(score_name, &tag, metrics);
        }
    }

    /// The mean over the tasks of a tag: one, unless their names differ by too little.
    fn record_tag(&self, score_name: &str, tag: &str, metrics: &mut Metrics) {
        let of_tag = self.tasks.iter().filter(|(task, _)| tag_of(task) == tag);
        let (scores, normalised): (Vec<f64>, Vec<Option<f64>>) =
            of_tag.map(|(_, seen)| (seen.score(), seen.human_normalised())).unzip();
        if let Some(score) = mean(scores.into_iter()) {
            metrics.scalar(format!("eval/{score_name}/{tag}"), score);
        }
        let normalised: Option<Vec<f64>> = normalised.into_iter().collect();
        if let Some(normalised) = normalised.and_then(|all| mean(all.into_iter())) {
            metrics.scalar(format!("eval/human_normalised/{tag}"), normalised);
        }
    }

    /// As rows of a table: the present task's, then each task's.
    pub fn rows(self, name: &str) -> Vec<(String, Evaluation)> {
        let of_task = |(task, evaluation)| (format!("{name}, {task}"), evaluation);
        let present = (name.to_owned(), self.present);
        std::iter::once(present).chain(self.tasks.into_iter().map(of_task)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(returns: &[f64], reference: Option<ReferenceScores>) -> Evaluation {
        Evaluation { returns: returns.to_vec(), reference, ..Evaluation::default() }
    }

    fn recorded(evaluated: &Evaluated) -> Metrics {
        let mut metrics = Metrics::default();
        evaluated.record("return", &mut metrics);
        metrics
    }

    #[test]
    fn returns_are_measured_by_a_humans_where_there_is_one() {
        // Breakout: random 1.7, human 30.5.
        let breakout = Some(ReferenceScores { random: 1.7, human: 30.5 });
        let alone = |present| recorded(&Evaluated { present, tasks: Vec::new() });
        let metrics = alone(scored(&[16.1], breakout));
        let close = |tag: &str, value: f64| {
            (metrics.get_scalar(tag).expect("recorded") - value).abs() < 1e-12
        };
        assert!(close("eval/human_normalised", 0.5));
        assert!(close("eval/human_gap", 0.5));
        let metrics = alone(scored(&[59.3], breakout));
        assert_eq!(metrics.get_scalar("eval/human_normalised_capped"), Some(1.0));
        assert_eq!(metrics.get_scalar("eval/human_gap"), Some(0.0));
        assert_eq!(metrics.get_scalar("eval/human_normalised").map(f64::round), Some(2.0));
        assert_eq!(alone(scored(&[16.1], None)).get_scalar("eval/human_normalised"), None);
        let per_step =
            Evaluation { rewards: 3.0, steps: 3, reference: breakout, ..scored(&[], None) };
        assert_eq!(alone(per_step).get_scalar("eval/human_normalised"), None);
    }

    #[test]
    fn the_number_of_episodes_is_told_even_if_it_is_none() {
        let present = Evaluation { unfinished: vec![7.0], ..Evaluation::default() };
        let metrics = recorded(&Evaluated { present, tasks: Vec::new() });
        assert_eq!(metrics.get_scalar("eval/return"), Some(7.0));
        assert_eq!(metrics.get_scalar("eval/episodes"), Some(0.0));
    }

    #[test]
    fn each_task_has_a_tag_of_its_own() {
        let reference = Some(ReferenceScores { random: 0.0, human: 8.0 });
        let tasks = vec![
            ("pong".to_owned(), scored(&[1.0], None)),
            ("breakout:mode=4".to_owned(), scored(&[2.0], reference)),
        ];
        let evaluated = Evaluated { present: scored(&[1.0], None), tasks };
        let metrics = recorded(&evaluated);
        assert_eq!(metrics.get_scalar("eval/return"), Some(1.0));
        assert_eq!(metrics.get_scalar("eval/return/pong"), Some(1.0));
        assert_eq!(metrics.get_scalar("eval/return/breakout_mode_4"), Some(2.0));
        assert_eq!(metrics.get_scalar("eval/human_normalised/breakout_mode_4"), Some(0.25));
        let names: Vec<_> = evaluated.rows("last").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["last", "last, pong", "last, breakout:mode=4"]);
    }

    #[test]
    fn names_of_one_tag_share_one_row() {
        let reference = Some(ReferenceScores { random: 0.0, human: 8.0 });
        let tasks = [("pong", 1.0), ("Pong", 3.0)];
        let tasks = tasks.map(|(name, score)| (name.to_owned(), scored(&[score], reference)));
        let metrics = recorded(&Evaluated { present: scored(&[1.0], None), tasks: tasks.into() });
        let tagged = |tag: &str| metrics.iter().filter(|(name, _)| *name == tag).count();
        assert_eq!(tagged("eval/return/pong"), 1);
        assert_eq!(metrics.get_scalar("eval/return/pong"), Some(2.0));
        assert_eq!(metrics.get_scalar("eval/human_normalised/pong"), Some(0.25));
    }
}
