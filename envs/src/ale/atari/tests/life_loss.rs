//! Episodes that end with a life while their game goes on.

use super::*;

/// Games with several lives, and with sticky actions, so that one frame too many would show.
const GAMES: [&str; 5] = ["breakout", "seaquest", "ms_pacman", "space_invaders", "qbert"];

/// A lost life is ignored.
fn ignoring(name: &str) -> AtariConfig {
    AtariConfig {
        repeat_action_probability: 0.25,
        zero_discount_on_life_loss: false,
        max_num_frames_per_episode: 3001,
        ..game(name)
    }
}

/// A lost life ends the episode, and the game goes on.
fn continuing(name: &str) -> AtariConfig {
    AtariConfig { terminal_on_life_loss: true, continue_after_life_loss: true, ..ignoring(name) }
}

/// What a comparison saw.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    lives: u32,
    games: u32,
    points: f32,
}

/// Plays random actions in an environment with episodes that end with a life, and the frames that
/// each takes in one with a frame skip of 1 that ignores lives: points, screens and ends of games
/// must be the same.
fn compare(name: &str, fire_on_reset: bool, steps: usize) -> Seen {
    let with_fire = |config| AtariConfig { fire_on_reset, ..config };
    let mut env = fresh(with_fire(continuing(name)), 5);
    let mut frame_by_frame = fresh(AtariConfig { frame_skip: 1, ..with_fire(ignoring(name)) }, 5);
    play_same_opening(frame_by_frame.as_mut(), fire_on_reset);
    let mut draws = ChaCha8Rng::seed_from_u64(23);
    let (mut seen, mut returned) = (Seen::default(), [0.0; 2]);
    for _ in 0..steps {
        let action = draws.random_range(0..env.spec().actions.len());
        let step = env.step(action, &mut [0; LEN]).expect("a step");
        let mut single = Step::default();
        for _ in 0..step.frames {
            assert!(!single.is_last(), "{name}: the game ended within the step");
            single = frame_by_frame.step(action, &mut [0; LEN]).expect("a frame");
            returned[1] += single.raw_reward;
        }
        returned[0] += step.raw_reward;
        assert_eq!((step.ends_game(), step.lives), (single.is_last(), single.lives), "{name}");
        assert!(env.render() == frame_by_frame.render(), "{name}: the screen");
        assert_eq!(step.game_goes_on, step.is_last() && !single.is_last(), "{name}");
        if step.ends_game() {
            assert_eq!(returned[0], returned[1], "{name}: the game's return");
            seen.points += std::mem::take(&mut returned)[0];
            seen.games += 1;
            frame_by_frame.reset(None, &mut [0; LEN]).expect("a reset");
            play_same_opening(frame_by_frame.as_mut(), fire_on_reset);
        } else if step.is_last() {
            seen.lives += 1;
            if fire_on_reset {
                returned[1] += press_fire(frame_by_frame.as_mut(), 4);
            }
        }
        if step.is_last() {
            env.reset(None, &mut [0; LEN]).expect("a reset");
        }
    }
    seen
}

/// With a frame skip of 1 an opening presses FIRE for one frame, not for four.
fn play_same_opening(frame_by_frame: &mut dyn Env, fire_on_reset: bool) {
    if fire_on_reset {
        press_fire(frame_by_frame, 3);
    }
}

fn press_fire(env: &mut dyn Env, frames: usize) -> f32 {
    let fire = env.spec().actions.iter().position(|action| action == "FIRE");
    let Some(fire) = fire else { return 0.0 };
    (0..frames).map(|_| env.step(fire, &mut [0; LEN]).expect("FIRE").raw_reward).sum()
}

#[test]
fn a_game_that_goes_on_after_a_lost_life_is_the_game_that_ignores_lives() {
    for name in GAMES {
        let seen = compare(name, false, 1500);
        assert!(seen.lives >= 4 && seen.games >= 2 && seen.points > 0.0, "{name}: {seen:?}");
    }
}

#[test]
fn the_fire_after_a_lost_life_is_played_in_the_same_game() {
    for name in GAMES {
        let seen = compare(name, true, 1500);
        assert!(seen.lives >= 4 && seen.games >= 2 && seen.points > 0.0, "{name}: {seen:?}");
    }
}

/// None of 27 games tried paid points in those frames, so they are put there by hand.
#[test]
fn points_of_the_fire_after_a_lost_life_are_paid_once_by_the_next_step() {
    let rom = super::super::super::rom_folder(None).expect("the ROMs").join("pong.bin");
    let config = continuing("pong");
    let settings = ale_sys::Settings {
        game: "pong",
        rom,
        repeat_action_probability: 0.0,
        max_num_frames_per_episode: 0,
        mode: None,
        difficulty: None,
    };
    let spec = make(config.clone()).spec().clone();
    let pong = || {
        let emulator = Emulator::load(settings.clone(), 1).expect("pong");
        let actions = vec![0, 1, 3, 4, 11, 12];
        Atari::new(emulator, config.clone(), actions, spec.clone()).expect("an instance")
    };
    let (mut env, mut twin, frame) = (pong(), pong(), &mut [0; LEN]);
    env.reset(Some(1), frame).expect("a reset");
    env.owed_points = 7;
    twin.load_state(&env.save_state().expect("saved")).expect("loaded");
    for env in [&mut env, &mut twin] {
        let paid = [0, 0].map(|action| {
            let step = env.step(action, frame).expect("a step");
            (step.raw_reward, step.reward)
        });
        assert_eq!(paid, [(7.0, 1.0), (0.0, 0.0)]);
    }
    env.owed_points = 7;
    env.reset(Some(1), frame).expect("another game");
    assert_eq!(env.step(0, frame).expect("a step").raw_reward, 0.0);
}

#[test]
fn only_the_frame_of_the_lost_life_differs_and_the_next_episode_begins_with_it() {
    for name in ["breakout", "seaquest"] {
        let single = |config| AtariConfig { frame_skip: 1, ..config };
        let mut env = fresh(single(continuing(name)), 3);
        let mut ignored = fresh(single(ignoring(name)), 3);
        let mut draws = ChaCha8Rng::seed_from_u64(2);
        let (mut frame, mut other, mut lives) = (vec![0; LEN], vec![0; LEN], 0);
        for at in 0..2900 {
            let action = draws.random_range(0..env.spec().actions.len());
            let step = env.step(action, &mut frame).expect("a step");
            let same = ignored.step(action, &mut other).expect("a step");
            assert_eq!(step.raw_reward, same.raw_reward, "{name}, step {at}");
            if step.ends_game() {
                break;
            } else if step.is_last() {
                let last = frame.clone();
                env.reset(None, &mut frame).expect("a reset");
                assert!(frame == last, "{name}, step {at}: no frame was played");
                lives += 1;
            } else {
                assert!(frame == other, "{name}, step {at}");
            }
        }
        assert!(lives >= 2, "{name}: {lives} lives");
    }
}

#[test]
fn a_lost_life_ends_the_episode_and_not_the_game() {
    let mut env = make(AtariConfig { repeat_action_probability: 0.0, ..continuing("breakout") });
    let step = until_a_life_is_lost(env.as_mut());
    assert_eq!((step.terminated, step.game_goes_on, step.discount), (true, true, 0.0));
    assert!(step.is_last() && !step.ends_game());
    assert!(matches!(env.step(0, &mut [0; LEN]), Err(EnvError::NeedsReset)));
    env.reset(None, &mut [0; LEN]).expect("a reset");
    assert_eq!(env.step(0, &mut [0; LEN]).expect("a step").lives, 4, "one of five is lost");
}

#[test]
fn fire_starts_the_next_life() {
    let moves = |fire_on_reset| {
        let config = AtariConfig { fire_on_reset, ..continuing("breakout") };
        let mut env = make(AtariConfig { repeat_action_probability: 0.0, noop_max: 0, ..config });
        until_a_life_is_lost(env.as_mut());
        let mut frames = [vec![0; LEN], vec![0; LEN]];
        env.reset(None, &mut frames[1]).expect("a reset");
        let mut moved = |_| {
            frames.rotate_left(1);
            env.step(0, &mut frames[1]).expect("NOOP");
            frames[0] != frames[1]
        };
        (0..20).map(&mut moved).skip(3).fold(false, |any, one| any | one)
    };
    assert!(moves(true) && !moves(false), "the ball waits for FIRE");
}

#[test]
fn a_seeded_reset_between_lives_starts_a_game() {
    let mut env = make(continuing("breakout"));
    until_a_life_is_lost(env.as_mut());
    env.reset(Some(9), &mut [0; LEN]).expect("a reset");
    let again = play(env.as_mut(), 200, &mut ChaCha8Rng::seed_from_u64(2));
    let anew = fresh(continuing("breakout"), 9);
    assert!(again == play({ anew }.as_mut(), 200, &mut ChaCha8Rng::seed_from_u64(2)));
}

#[test]
fn a_state_saved_between_lives_goes_on_in_a_new_instance() {
    let config = AtariConfig { fire_on_reset: true, ..continuing("seaquest") };
    let mut env = fresh(config.clone(), 1);
    let mut draws = ChaCha8Rng::seed_from_u64(4);
    let mut lost = 0;
    while lost < 2 {
        let action = draws.random_range(0..env.spec().actions.len());
        let step = env.step(action, &mut [0; LEN]).expect("a step");
        if step.game_goes_on {
            let mut twin = make(config.clone());
            twin.load_state(&env.save_state().expect("saved")).expect("loaded");
            let frames = [&mut env, &mut twin].map(|env| {
                let mut frame = vec![0; LEN];
                env.reset(None, &mut frame).expect("a reset");
                frame
            });
            assert!(frames[0] == frames[1], "the first frame");
            let saved = env.save_state().expect("saved");
            assert!(saved == twin.save_state().expect("saved"), "the state after the reset");
            let follows = play(twin.as_mut(), 100, &mut draws.clone());
            let mut copy = make(config.clone());
            copy.load_state(&saved).expect("loaded");
            assert!(follows == play(copy.as_mut(), 100, &mut draws.clone()), "what follows");
            lost += 1;
        } else if step.is_last() {
            env.reset(None, &mut [0; LEN]).expect("a reset");
        }
    }
}

#[test]
fn evaluation_knows_no_lost_lives() {
    let factory = factory(AtariConfig { repeat_action_probability: 0.0, ..continuing("breakout") });
    let step = until_a_life_is_lost(factory.make(Role::Evaluation, 1).expect("made").as_mut());
    assert_eq!((step.is_last(), step.game_goes_on, step.discount), (false, false, 1.0));
}

/// Saved wherever it falls, over several lost lives.
#[test]
fn forty_states_of_a_game_that_goes_on_continue_bit_for_bit() {
    let points: Vec<usize> = (1..=40).map(|point| point * 11 + point % 7).collect();
    saved_states::continues_exactly(&continuing("breakout"), &points, 60);
}
