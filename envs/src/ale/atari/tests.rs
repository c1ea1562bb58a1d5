//! Tests of the Atari environment.

mod life_loss;
mod saved_states;

use std::{collections::HashSet, sync::Arc};

use sha2::{Digest, Sha256};

use super::*;
use crate::{
    env::{EnvFactory, Role},
    vector::VectorEnv,
};

const LEN: usize = 84 * 84;

fn factory(config: AtariConfig) -> Box<dyn EnvFactory> {
    super::super::AtariFactory::build(config).expect("a good configuration")
}

fn make(config: AtariConfig) -> Box<dyn Env> {
    factory(config).make(Role::Training, 1).expect("an instance")
}

fn game(name: &str) -> AtariConfig {
    AtariConfig { game: name.to_owned(), ..AtariConfig::default() }
}

/// Plays random actions, resetting where needed, and answers every frame and step.
fn play(env: &mut dyn Env, steps: usize, draws: &mut ChaCha8Rng) -> Vec<(Vec<u8>, Step)> {
    let count = env.spec().actions.len();
    let mut frame = vec![0; LEN];
    (0..steps)
        .map(|_| {
            let step = env.step(draws.random_range(0..count), &mut frame).expect("a step");
            let seen = (frame.clone(), step);
            if step.is_last() {
                env.reset(None, &mut frame).expect("a reset");
            }
            seen
        })
        .collect()
}

fn fresh(config: AtariConfig, seed: u64) -> Box<dyn Env> {
    let mut env = make(config);
    env.reset(Some(seed), &mut [0; LEN]).expect("a reset");
    env
}

#[test]
fn steps_without_an_episode_and_unknown_actions_are_refused_with_joystick_and_with_paddle() {
    for (name, count) in [("seaquest", 18), ("breakout", 4), ("pong", 6)] {
        let mut env = make(game(name));
        let frame = &mut [0; LEN];
        assert!(matches!(env.step(0, frame), Err(EnvError::NeedsReset)), "{name}");
        env.reset(Some(1), frame).expect("a reset");
        let error = env.step(count, frame).expect_err("one too many").to_string();
        let last = count - 1;
        let expected = format!(
            "action {count} is out of range: the environment has {count} actions (0 to {last})"
        );
        assert_eq!(error, expected);
        assert!(env.step(usize::MAX, frame).is_err() && env.step(last, frame).is_ok(), "{name}");
    }
}

#[test]
fn the_same_seed_plays_the_same_game_and_another_seed_another() {
    let config = || AtariConfig { repeat_action_probability: 0.25, ..game("breakout") };
    let run = |seed| play(fresh(config(), seed).as_mut(), 300, &mut ChaCha8Rng::seed_from_u64(5));
    assert!(run(1) == run(1));
    assert!(run(1) != run(2));
}

/// The checksum that `fixtures/make_gymnasium.py` takes of Gymnasium's environment.
fn checksum(config: AtariConfig) -> String {
    let mut env = make(config);
    let count = env.spec().actions.len();
    let mut frame = vec![0; env.spec().frame.len()];
    let mut digest = Sha256::new();
    env.reset(Some(7), &mut frame).expect("a reset");
    digest.update(&frame);
    let mut state = 1_u32;
    for _ in 0..500 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let step = env.step((state >> 24) as usize % count, &mut frame).expect("a step");
        digest.update(&frame);
        digest.update(step.raw_reward.to_le_bytes());
        digest.update([u8::from(step.terminated), u8::from(step.truncated)]);
        digest.update(step.lives.to_le_bytes());
        if step.is_last() {
            env.reset(None, &mut frame).expect("a reset");
            digest.update(&frame);
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_rewards_and_ends_are_gymnasiums() {
    let plain = |name| AtariConfig { noop_max: 0, zero_discount_on_life_loss: false, ..game(name) };
    let cases = [
        AtariConfig {
            repeat_action_probability: 0.25,
            terminal_on_life_loss: true,
            ..plain("breakout")
        },
        AtariConfig { max_num_frames_per_episode: 502, ..plain("space_invaders") },
        AtariConfig {
            frame_skip: 3,
            terminal_on_life_loss: true,
            full_action_space: true,
            ..plain("qbert")
        },
        AtariConfig { repeat_action_probability: 0.25, screen_size: 64, ..plain("carnival") },
    ];
    let expected = include_str!("../../../fixtures/gymnasium.txt");
    for (config, line) in cases.into_iter().zip(expected.lines()) {
        assert_eq!(Some(checksum(config).as_str()), line.split_whitespace().next(), "{line}");
    }
}

#[test]
fn a_seeded_reset_forgets_what_was_before() {
    let config = AtariConfig { repeat_action_probability: 0.25, ..game("seaquest") };
    let mut used = fresh(config.clone(), 9);
    play(used.as_mut(), 150, &mut ChaCha8Rng::seed_from_u64(1));
    used.reset(Some(3), &mut [0; LEN]).expect("a reset");
    let again = play(used.as_mut(), 200, &mut ChaCha8Rng::seed_from_u64(2));
    assert!(again == play(fresh(config, 3).as_mut(), 200, &mut ChaCha8Rng::seed_from_u64(2)));
}

#[test]
fn the_seed_that_means_the_clock_to_the_emulator_is_avoided() {
    assert_eq!([random_seed(7), random_seed(u64::MAX), random_seed(1 << 32)], [7, i32::MAX, 0]);
}

#[test]
fn many_games_play_the_same_on_one_thread_and_on_four() {
    let config = AtariConfig {
        repeat_action_probability: 0.25,
        max_num_frames_per_episode: 301,
        ..game("pong")
    };
    let run = |threads| {
        let factory: Arc<dyn EnvFactory> = Arc::from(factory(config.clone()));
        let mut games = VectorEnv::new(factory, Role::Training, 5, threads).expect("a vector");
        let mut draws = ChaCha8Rng::seed_from_u64(8);
        let mut seen = vec![games.reset(&[1, 2, 3, 4, 5]).expect("a reset").clone()];
        for _ in 0..90 {
            let actions: Vec<usize> = (0..5).map(|_| draws.random_range(0..6)).collect();
            games.send(&actions).expect("sent");
            seen.push(games.recv().expect("received").clone());
        }
        seen
    };
    let alone = run(1);
    assert!(alone.iter().flat_map(|batch| &batch.steps).any(Step::is_last), "episodes end");
    assert!(run(4) == alone);
}

/// Breakout's first life is lost soon if nobody plays: FIRE, then nothing.
fn until_a_life_is_lost(env: &mut dyn Env) -> Step {
    let frame = &mut [0; LEN];
    env.reset(Some(0), frame).expect("a reset");
    let mut last = env.step(1, frame).expect("FIRE");
    for _ in 0..200 {
        let step = env.step(0, frame).expect("NOOP");
        if step.lives < last.lives {
            return step;
        }
        last = step;
    }
    panic!("no life was lost in 200 steps");
}

#[test]
fn a_lost_life_ends_the_discount_the_episode_or_nothing() {
    let config = |zero, terminal| AtariConfig {
        zero_discount_on_life_loss: zero,
        terminal_on_life_loss: terminal,
        ..game("breakout")
    };
    let lost =
        |config, role| until_a_life_is_lost(factory(config).make(role, 1).expect("made").as_mut());
    let seen = |step: Step| (step.discount, step.terminated, step.lives);
    assert_eq!(seen(lost(config(true, false), Role::Training)), (0.0, false, 4));
    assert_eq!(seen(lost(config(false, true), Role::Training)), (0.0, true, 4));
    assert_eq!(seen(lost(config(false, false), Role::Training)), (1.0, false, 4));
    assert_eq!(seen(lost(config(true, false), Role::Evaluation)), (1.0, false, 4));
    assert_eq!(seen(lost(config(false, true), Role::Evaluation)), (1.0, false, 4));
}

#[test]
fn an_episode_is_truncated_at_its_frame_limit_and_keeps_its_discount() {
    let mut env =
        fresh(AtariConfig { max_num_frames_per_episode: 21, noop_max: 0, ..game("pong") }, 0);
    let steps: Vec<Step> = (0..6).map(|_| env.step(0, &mut [0; LEN]).expect("a step")).collect();
    assert_eq!(steps.iter().map(|step| step.frames).collect::<Vec<_>>(), [4, 4, 4, 4, 4, 1]);
    assert_eq!((steps[5].truncated, steps[5].terminated, steps[5].discount), (true, false, 1.0));
    assert!(steps[..5].iter().all(|step| !step.is_last()));
    assert!(matches!(env.step(0, &mut [0; LEN]), Err(EnvError::NeedsReset)));
}

/// How many different first frames 30 seeds give.
fn openings(noop_max: u32) -> usize {
    let mut env = make(AtariConfig { noop_max, ..game("seaquest") });
    let mut first_frame = |seed| {
        let mut frame = vec![0; LEN];
        env.reset(Some(seed), &mut frame).expect("a reset");
        frame
    };
    (0..30).map(&mut first_frame).collect::<HashSet<_>>().len()
}

#[test]
fn no_ops_make_openings_differ_and_stay_within_their_range() {
    assert_eq!(openings(0), 1, "without sticky actions and no-ops every seed starts alike");
    assert!((2..=3).contains(&openings(3)), "{}", openings(3));
    assert!((8..=30).contains(&openings(30)), "{}", openings(30));
}

#[test]
fn only_the_reward_to_learn_from_is_clipped() {
    let run = |reward_clip| {
        let config = AtariConfig { reward_clip, ..game("seaquest") };
        play(fresh(config, 4).as_mut(), 400, &mut ChaCha8Rng::seed_from_u64(4))
    };
    let (clipped, free) = (run(1.0), run(0.0));
    let paid =
        |steps: &[(Vec<u8>, Step)]| steps.iter().map(|(_, step)| step.raw_reward).sum::<f32>();
    assert!(paid(&clipped) >= 20.0 && paid(&clipped) == paid(&free));
    assert!(clipped.iter().all(|(_, step)| step.reward.abs() <= 1.0));
    assert!(free.iter().all(|(_, step)| step.reward == step.raw_reward));
}

#[test]
fn fire_on_reset_starts_the_ball() {
    let moved = |fire_on_reset| {
        let mut env = fresh(AtariConfig { fire_on_reset, noop_max: 0, ..game("breakout") }, 0);
        let mut frames = [vec![0; LEN], vec![0; LEN]];
        for _ in 0..8 {
            frames.rotate_left(1);
            env.step(0, &mut frames[1]).expect("a step");
        }
        frames[0] != frames[1]
    };
    assert!(moved(true) && !moved(false));
}
