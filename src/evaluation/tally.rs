//! What an evaluation counts, and when it is over.

use pliant_envs::env::{EnvSpec, ReferenceScores, Step};

use super::Evaluation;
use crate::config::EvalSection;

/// Counts a fixed share of episodes, frames or steps in every environment: whichever came first
/// would favour short episodes.
pub(super) struct Tally {
    envs: Vec<EnvTally>,
}

struct EnvTally {
    left: Left,
    /// Return so far of the game that is played.
    running: f64,
    seen: Evaluation,
}

/// What an environment still has to show.
#[derive(Clone, Copy)]
enum Left {
    /// Whole games.
    Episodes(usize),
    /// Frames, of as many games as end within them.
    Frames(u64),
    /// Agent steps of a task that has no episodes.
    Steps(usize),
}

impl Tally {
    pub(super) fn new(section: &EvalSection, spec: &EnvSpec, count: usize) -> Self {
        let share = |total: usize, index: usize| total / count + usize::from(index < total % count);
        let left = |index| {
            if spec.continuing {
                Left::Steps(share(section.steps, index))
            } else if section.frames > 0 {
                Left::Frames(share(section.frames as usize, index) as u64)
            } else {
                Left::Episodes(share(section.episodes, index))
            }
        };
        let env = |index| EnvTally { left: left(index), running: 0.0, seen: Evaluation::default() };
        Self { envs: (0..count).map(env).collect() }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.envs.iter().all(EnvTally::is_complete)
    }

    /// Takes in one step of every environment; what comes after its share is not counted.
    pub(super) fn observe(&mut self, steps: &[Step]) {
        for (env, step) in self.envs.iter_mut().zip(steps) {
            if !env.is_complete() {
                env.observe(step);
            }
        }
    }

    pub(super) fn finish(self, reference: Option<ReferenceScores>) -> Evaluation {
        let mut all = Evaluation { reference, ..Evaluation::default() };
        for EnvTally { left, running, seen } in self.envs {
            if matches!(left, Left::Frames(_)) && seen.steps > 0 {
                all.unfinished.push(running);
            }
            all.returns.extend(seen.returns);
            all.rewards += seen.rewards;
            all.steps += seen.steps;
            all.frames += seen.frames;
        }
        all
    }
}

impl EnvTally {
    fn is_complete(&self) -> bool {
        matches!(self.left, Left::Episodes(0) | Left::Frames(0) | Left::Steps(0))
    }

    fn observe(&mut self, step: &Step) {
        let reward = f64::from(step.raw_reward);
        self.running += reward;
        self.seen.rewards += reward;
        self.seen.steps += 1;
        self.seen.frames += u64::from(step.frames);
        let ends_game = step.ends_game() && !matches!(self.left, Left::Steps(_));
        if ends_game {
            self.seen.returns.push(std::mem::take(&mut self.running));
        }
        self.left = match self.left {
            Left::Episodes(games) => Left::Episodes(games - usize::from(ends_game)),
            Left::Frames(frames) => Left::Frames(frames.saturating_sub(step.frames.into())),
            Left::Steps(steps) => Left::Steps(steps - 1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(raw_reward: f32, terminated: bool) -> Step {
        Step { raw_reward, terminated, frames: 4, ..Step::default() }
    }

    fn tally(section: &EvalSection, continuing: bool, count: usize) -> Tally {
        let spec = EnvSpec {
            frame: pliant_envs::env::FrameShape { channels: 1, height: 1, width: 1 },
            frame_stack: 1,
            stack_padding: pliant_envs::env::StackPadding::Zeros,
            actions: vec!["a".to_owned()],
            tasks: vec!["test".to_owned()],
            continuing,
            reward_per_step_name: None,
            supervised: false,
        };
        Tally::new(section, &spec, count)
    }

    #[test]
    fn every_environment_gives_its_share_of_episodes_however_short_they_are() {
        let mut tally = tally(&EvalSection { episodes: 3, ..EvalSection::default() }, false, 2);
        for _ in 0..3 {
            tally.observe(&[step(1.0, true), step(10.0, false)]);
        }
        assert!(!tally.is_complete(), "the slow environment still owes one");
        tally.observe(&[step(1.0, true), step(10.0, true)]);
        assert!(tally.is_complete());
        let evaluation = tally.finish(None);
        assert_eq!(evaluation.returns, [1.0, 1.0, 40.0]);
        assert_eq!(evaluation.score(), 14.0);
        assert_eq!(evaluation.standard_error(), Some(13.0));
        assert_eq!(evaluation.episodes(), Some(3));
    }

    #[test]
    fn a_game_counts_whole_though_a_lost_life_ended_an_episode() {
        let mut tally = tally(&EvalSection { episodes: 1, ..EvalSection::default() }, false, 1);
        tally.observe(&[Step { game_goes_on: true, ..step(2.0, true) }]);
        assert!(!tally.is_complete());
        tally.observe(&[step(3.0, true)]);
        assert_eq!(tally.finish(None).returns, [5.0]);
    }

    #[test]
    fn without_episodes_the_score_is_the_mean_reward_per_step() {
        let section = EvalSection { steps: 3, frames: 1, ..EvalSection::default() };
        let mut tally = tally(&section, true, 2);
        tally.observe(&[step(1.0, false), step(0.0, false)]);
        tally.observe(&[step(1.0, false), step(5.0, false)]);
        assert!(tally.is_complete());
        let evaluation = tally.finish(None);
        assert_eq!((evaluation.steps, evaluation.score()), (3, 2.0 / 3.0));
        assert_eq!((evaluation.standard_error(), evaluation.episodes()), (None, None));
    }

    #[test]
    fn of_a_number_of_frames_only_whole_episodes_count() {
        let mut tally = tally(&EvalSection { frames: 22, ..EvalSection::default() }, false, 1);
        for (reward, terminated) in [(1.0, false), (2.0, true), (4.0, true), (8.0, false)] {
            tally.observe(&[step(reward, terminated)]);
        }
        assert!(!tally.is_complete(), "16 of 22 frames");
        tally.observe(&[step(8.0, false)]);
        tally.observe(&[step(8.0, false)]);
        assert!(tally.is_complete(), "24 of 22 frames");
        let evaluation = tally.finish(None);
        assert_eq!((evaluation.frames, evaluation.returns.as_slice()), (24, &[3.0, 4.0][..]));
        assert_eq!((evaluation.score(), evaluation.episodes()), (3.5, Some(2)));
    }

    #[test]
    fn if_no_episode_ends_within_the_frames_the_score_is_the_return_so_far() {
        let mut tally = tally(&EvalSection { frames: 16, ..EvalSection::default() }, false, 2);
        for _ in 0..2 {
            tally.observe(&[step(1.0, false), step(4.0, false)]);
        }
        assert!(tally.is_complete(), "8 frames each");
        let evaluation = tally.finish(None);
        assert_eq!((evaluation.score(), evaluation.episodes()), (5.0, Some(0)));
        assert_eq!(evaluation.standard_error(), None);
    }
}
