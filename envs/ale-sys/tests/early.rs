//! What is asked of an emulator before its first reset.

use std::path::Path;

use pliant_ale_sys::{Emulator, Settings};

#[test]
fn a_frame_before_the_first_reset_is_played_and_breaks_nothing() {
    let roms = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.deps/ale/src/ale/python/roms");
    for game in ["seaquest", "breakout"] {
        let settings = Settings {
            game,
            rom: roms.join(format!("{game}.bin")),
            repeat_action_probability: 0.0,
            max_num_frames_per_episode: 0,
            mode: None,
            difficulty: None,
        };
        let mut emulator = Emulator::load(settings, 1).expect(game);
        emulator.act(1).expect(game);
        emulator.status().expect(game);
        emulator.reset().expect(game);
        assert!(emulator.status().expect(game).lives > 0, "{game}");
    }
}
