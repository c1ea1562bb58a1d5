//! What there is to know of a game before playing it.

use ale_sys::{Emulator, Settings};

use super::{
    factory::{DEFAULT_DIFFICULTY, default_mode},
    reference_scores, rom_folder,
};
use crate::env::{EnvError, ReferenceScores};

/// A game's variants, actions and scores, as the emulator tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct GameDescription {
    /// Its name.
    pub name: &'static str,
    /// Its modes.
    pub modes: Vec<u32>,
    /// The one that is played where none is set.
    pub default_mode: u32,
    /// Its difficulties.
    pub difficulties: Vec<u32>,
    /// The one that is played where none is set: 0, even in Backgammon, which lists 3 alone.
    pub default_difficulty: u32,
    /// The actions that do something in it.
    pub minimal_actions: Vec<&'static str>,
    /// All actions it takes.
    pub legal_actions: Vec<&'static str>,
    /// Published scores, if it is one of the 57.
    pub scores: Option<ReferenceScores>,
}

impl GameDescription {
    /// Loads the game that `name` means, from where ROMs are looked for by default.
    pub fn load(name: &str) -> Result<Self, EnvError> {
        let name = ale_sys::game_name(name)?;
        let emulator = Emulator::load(
            Settings {
                game: name,
                rom: rom_folder(None)?.join(format!("{name}.bin")),
                repeat_action_probability: 0.0,
                max_num_frames_per_episode: 0,
                mode: None,
                difficulty: None,
            },
            0,
        )?;
        Ok(Self {
            name,
            modes: emulator.modes()?,
            default_mode: default_mode(&emulator)?,
            difficulties: emulator.difficulties()?,
            default_difficulty: DEFAULT_DIFFICULTY,
            minimal_actions: names(&emulator.minimal_actions()?),
            legal_actions: names(&emulator.legal_actions()?),
            scores: reference_scores(name),
        })
    }
}

fn names(actions: &[u32]) -> Vec<&'static str> {
    actions.iter().filter_map(|&action| ale_sys::action_name(action)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_is_described_with_its_variants_actions_and_scores() {
        let pong = GameDescription::load("ALE/Pong-v5").expect("a game");
        assert_eq!((pong.name, pong.modes, pong.default_mode), ("pong", vec![0, 1], 0));
        assert_eq!((pong.difficulties, pong.default_difficulty), (vec![0, 1, 2, 3], 0));
        assert_eq!(pong.minimal_actions[..2], ["NOOP", "FIRE"]);
        assert_eq!((pong.minimal_actions.len(), pong.legal_actions.len()), (6, 18));
        assert_eq!(pong.scores.map(|scores| scores.human), Some(14.6));
        assert_eq!(GameDescription::load("lost_luggage").expect("a game").legal_actions.len(), 9);
        assert!(GameDescription::load("combat").is_err());
    }

    /// The default mode and difficulty are told, not asked for: naming them must change nothing.
    #[test]
    #[ignore = "slow: half a minute over all games"]
    fn the_default_mode_and_difficulty_are_those_of_a_game_without_settings() {
        for name in crate::ale::games() {
            let game = GameDescription::load(name).expect(name);
            assert!(game.modes.contains(&game.default_mode), "{name}");
            let listed = game.difficulties.contains(&game.default_difficulty);
            assert_eq!(listed, name != "backgammon", "{name}: {:?}", game.difficulties);
            let played = |mode, difficulty| {
                let rom = rom_folder(None).expect("the ROMs").join(format!("{name}.bin"));
                let settings = Settings {
                    game: name,
                    rom,
                    repeat_action_probability: 0.0,
                    max_num_frames_per_episode: 0,
                    mode,
                    difficulty,
                };
                let mut emulator = Emulator::load(settings, 1).expect(name);
                emulator.reset().expect(name);
                let points: Vec<i32> = (0..120)
                    .map(|at| emulator.act([0, 2, 3, 4, 5][at / 8 % 5]).expect(name))
                    .collect();
                (points, emulator.screen().to_vec())
            };
            let difficulty = listed.then_some(game.default_difficulty);
            let named = played(Some(game.default_mode), difficulty);
            assert!(named == played(None, None), "{name}: the default is another");
        }
    }
}
