//! Every mode and difficulty that a game lists can be played.

use std::path::Path;

use pliant_ale_sys::{Emulator, GAMES, Settings};

fn load(game: &'static str, mode: Option<u32>, difficulty: Option<u32>) -> Emulator {
    let roms = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.deps/ale/src/ale/python/roms");
    let settings = Settings {
        game,
        rom: roms.join(format!("{game}.bin")),
        repeat_action_probability: 0.0,
        max_num_frames_per_episode: 0,
        mode,
        difficulty,
    };
    match Emulator::load(settings, 1) {
        Ok(emulator) => emulator,
        Err(error) => panic!("{game}, mode {mode:?}, difficulty {difficulty:?}: {error}"),
    }
}

/// Modes whose games are over as soon as they begin, by the ALE's own rules (ale-py says the same).
const OVER_AT_ONCE: [(&str, u32); 3] =
    [("demon_attack", 3), ("demon_attack", 5), ("demon_attack", 7)];

/// Loads, resets and plays a frame of every listed variant; answers how many there are.
fn play_all(game: &'static str) -> usize {
    let plain = load(game, None, None);
    let (modes, difficulties) = (plain.modes().expect(game), plain.difficulties().expect(game));
    assert!(!modes.is_empty() && !difficulties.is_empty(), "{game}");
    let of_modes = modes.iter().map(|&mode| (Some(mode), None));
    let of_difficulties = difficulties.iter().map(|&difficulty| (None, Some(difficulty)));
    for (mode, difficulty) in of_modes.chain(of_difficulties) {
        let mut emulator = load(game, mode, difficulty);
        emulator.reset().expect(game);
        emulator.act(0).expect(game);
        let is_over = emulator.status().expect(game).terminal;
        let expected = mode.is_some_and(|mode| OVER_AT_ONCE.contains(&(game, mode)));
        assert_eq!(is_over, expected, "{game}, mode {mode:?}, difficulty {difficulty:?}: over?");
    }
    modes.len() + difficulties.len()
}

#[test]
fn the_modes_and_difficulties_of_some_games_can_be_played() {
    for game in ["breakout", "freeway", "pong", "skiing", "tic_tac_toe_3d"] {
        assert!(play_all(game) >= 2, "{game}");
    }
}

#[test]
#[ignore = "slow: minutes for 756 variants of 104 games"]
fn the_modes_and_difficulties_of_all_games_can_be_played() {
    let variants: usize = GAMES.iter().map(|(game, _)| play_all(game)).sum();
    assert!(variants > 104 * 2, "{variants}");
    println!("{variants} variants of {} games", GAMES.len());
}
