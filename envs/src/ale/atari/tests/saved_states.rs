//! Tests of saved states: a game that is taken up goes on bit for bit.

use super::*;
use crate::vector::Batch;

/// Saves at `points` along one long game and lets a new instance continue from each of them.
pub(super) fn continues_exactly(config: &AtariConfig, points: &[usize], steps: usize) {
    let mut env = fresh(config.clone(), 11);
    let mut draws = ChaCha8Rng::seed_from_u64(17);
    let mut seen = Vec::new();
    let mut saved = Vec::new();
    for &point in points {
        seen.extend(play(env.as_mut(), point - seen.len(), &mut draws));
        saved.push((env.save_state().expect("saved"), env.render(), draws.clone()));
    }
    seen.extend(play(env.as_mut(), steps, &mut draws));
    for (&point, (state, picture, mut draws)) in points.iter().zip(saved) {
        let mut twin = make(config.clone());
        twin.load_state(&state).expect("loaded");
        assert!(twin.render() == picture, "{}, step {point}: the screen", config.game);
        assert!(
            twin.save_state().expect("saved") == state,
            "{}, step {point}: the state",
            config.game
        );
        let follows = play(twin.as_mut(), steps, &mut draws);
        assert!(
            follows == seen[point..point + steps],
            "{}, step {point}: what follows",
            config.game
        );
    }
}

#[test]
fn a_saved_state_continues_bit_for_bit_in_a_new_instance() {
    for name in ["breakout", "montezuma_revenge", "chopper_command"] {
        let config = AtariConfig {
            repeat_action_probability: 0.25,
            terminal_on_life_loss: true,
            zero_discount_on_life_loss: false,
            ..game(name)
        };
        continues_exactly(&config, &forty_points(9), 200);
    }
}

/// Games with paddles, with bank-switched cartridges, with and without lives.
const TEN_GAMES: [&str; 10] = [
    "breakout",
    "pong",
    "seaquest",
    "ms_pacman",
    "montezuma_revenge",
    "space_invaders",
    "qbert",
    "pitfall",
    "asterix",
    "double_dunk",
];

/// Forty points at uneven distances of about `apart` steps.
fn forty_points(apart: usize) -> Vec<usize> {
    (1..=40).map(|point| point * apart + point % 7).collect()
}

fn sticky(name: &str) -> AtariConfig {
    AtariConfig { repeat_action_probability: 0.25, ..game(name) }
}

#[test]
#[ignore = "slow: two minutes, 200,000 steps"]
fn ten_games_continue_for_500_steps_from_each_of_40_points() {
    for name in TEN_GAMES {
        continues_exactly(&sticky(name), &forty_points(100), 500);
    }
}

/// Two games together on `threads` threads.
fn pair(name: &str, threads: usize) -> VectorEnv {
    let factory: Arc<dyn EnvFactory> = Arc::from(factory(sticky(name)));
    VectorEnv::new(factory, Role::Training, 2, threads).expect("a vector")
}

/// Random actions, and what came of them.
fn play_pair(games: &mut VectorEnv, steps: usize, draws: &mut ChaCha8Rng) -> Vec<Batch> {
    let count = games.spec().actions.len();
    let step = |_| {
        games.send(&[0, 0].map(|_| draws.random_range(0..count))).expect("sent");
        let mut batch = games.recv().expect("received").clone();
        let last: Vec<bool> = batch.steps.iter().map(Step::is_last).collect();
        // A final frame counts only where an episode ended.
        for (frame, _) in
            batch.final_frames.chunks_exact_mut(LEN).zip(last).filter(|(_, last)| !last)
        {
            frame.fill(0);
        }
        batch
    };
    (0..steps).map(step).collect()
}

fn pair_continues_exactly(name: &str, points: &[usize], steps: usize) {
    let mut games = pair(name, 2);
    games.reset(&[3, 4]).expect("a reset");
    let mut draws = ChaCha8Rng::seed_from_u64(23);
    let (mut seen, mut saved) = (Vec::new(), Vec::new());
    for &point in points {
        seen.extend(play_pair(&mut games, point - seen.len(), &mut draws));
        saved.push((games.save_state().expect("saved"), draws.clone()));
    }
    seen.extend(play_pair(&mut games, steps, &mut draws));
    for (&point, (states, mut draws)) in points.iter().zip(saved) {
        let mut twins = pair(name, 1);
        let shown = twins.load_state(&states).expect("loaded");
        assert!(shown.frames == seen[point - 1].frames, "{name}, step {point}: the frames");
        let follows = play_pair(&mut twins, steps, &mut draws);
        assert!(follows == seen[point..point + steps], "{name}, step {point}: what follows");
    }
}

#[test]
fn games_of_a_vector_continue_bit_for_bit_in_a_new_one() {
    pair_continues_exactly("seaquest", &[3, 70, 131], 100);
}

#[test]
#[ignore = "slow: four minutes, 400,000 steps"]
fn ten_games_of_a_vector_continue_for_500_steps_from_each_of_40_points() {
    for name in TEN_GAMES {
        pair_continues_exactly(name, &forty_points(100), 500);
    }
}

/// The state of a game in a vector, with another emulator's.
fn with_emulator(state: &[u8], emulator: &[u8]) -> Vec<u8> {
    let (frame, state) = state.split_at(LEN);
    let mut old = StateReader::new(STATE_KIND, state).expect("a state");
    let mut new = StateWriter::new(STATE_KIND);
    new.bytes(old.bytes().expect("the game"));
    for _ in 0..3 {
        new.u64(old.u64().expect("phase, lives, points"));
    }
    new.rng(&old.rng().expect("the generator"));
    new.bytes(old.bytes().expect("the screen"));
    new.bytes(emulator);
    [frame, &new.finish()].concat()
}

/// A state that is whole by its checksum, but whose emulator was cut: the ALE throws.
#[test]
fn an_exception_of_the_emulator_is_an_error_that_names_environment_and_game() {
    let mut games = pair("pong", 2);
    games.reset(&[1, 2]).expect("a reset");
    let states = games.save_state().expect("saved");
    let torn = with_emulator(&states[1], &[200, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    let error = games.load_state(&[states[0].clone(), torn]).expect_err("a torn emulator");
    assert_eq!(
        error.to_string(),
        "saved environment state: environment 1 (pong): the emulator failed: the state ends too early"
    );
    games.reset(&[1, 2]).expect("all go on");
}

/// All games: what some cartridge or some game's settings leave out of a state shows here.
#[test]
#[ignore = "slow: two minutes over all games"]
fn every_games_saved_state_continues_bit_for_bit() {
    for name in super::super::super::games() {
        let config =
            AtariConfig { repeat_action_probability: 0.25, full_action_space: true, ..game(name) };
        continues_exactly(&config, &[5, 200, 500], 100);
    }
}

#[test]
fn a_state_of_another_game_or_a_torn_one_is_refused_and_changes_nothing() {
    let state = fresh(game("pong"), 1).save_state().expect("saved");
    let mut env = fresh(game("breakout"), 1);
    let before = env.save_state().expect("saved");
    let error = env.load_state(&state).expect_err("another game").to_string();
    assert_eq!(error, "saved environment state: it is of the game pong, not breakout");
    assert!(env.load_state(&before[..before.len() - 1]).is_err());
    assert!(env.save_state().expect("saved") == before);
}

pliant_fuzzing::surfaces! { damaged_states_are_refused_or_played_on_from: 5_000 }

fn damaged_states_are_refused_or_played_on_from(cases: std::ops::Range<u64>) {
    use crate::state::testing::{damaged, loaded_and_played};
    let games = ["breakout", "montezuma_revenge", "seaquest"].map(|name| {
        let mut env = fresh(AtariConfig { repeat_action_probability: 0.25, ..game(name) }, 11);
        play(env.as_mut(), 30, &mut ChaCha8Rng::seed_from_u64(17));
        let state = env.save_state().expect("saved");
        (env, state)
    });
    let mut games = games;
    pliant_fuzzing::Surface::new("atari state").check(cases, |damage| {
        let which = damage.below(games.len());
        let state = damaged(damage, &games[which].1);
        let verdict = loaded_and_played(games[which].0.as_mut(), &state, 8);
        let (env, whole) = &mut games[which];
        env.load_state(whole).expect("a whole state is taken after any");
        verdict
    });
}
