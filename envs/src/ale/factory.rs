//! Atari games from a checked configuration.

use ale_sys::{ALE_VERSION, Emulator, Settings};

use super::{Atari, AtariConfig, rom_folder};
use crate::env::{Env, EnvError, EnvFactory, EnvSpec, FrameShape, Role};

/// A game whose ROM is there and whose settings it has.
#[derive(Debug)]
pub struct AtariFactory {
    config: AtariConfig,
    settings: Settings,
    actions: Vec<u32>,
    spec: EnvSpec,
}

impl AtariFactory {
    /// Checks everything an instance could stumble over, and loads the game once.
    pub fn build(config: AtariConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        config.check()?;
        let game = ale_sys::game_name(&config.game)?;
        let settings = Settings {
            game,
            rom: rom_folder(config.rom_folder.as_deref())?.join(format!("{game}.bin")),
            repeat_action_probability: config.repeat_action_probability,
            max_num_frames_per_episode: config.max_num_frames_per_episode,
            mode: config.mode,
            difficulty: config.difficulty,
        };
        let emulator = Emulator::load(settings.clone(), 0)?;
        let actions = if config.full_action_space {
            emulator.legal_actions()?
        } else {
            emulator.minimal_actions()?
        };
        let spec = spec(&config, game, &actions);
        Ok(Box::new(Self { config, settings, actions, spec }))
    }
}

fn spec(config: &AtariConfig, game: &str, actions: &[u32]) -> EnvSpec {
    let names = actions.iter().filter_map(|&action| ale_sys::action_name(action));
    EnvSpec {
        frame: FrameShape { channels: 1, height: config.screen_size, width: config.screen_size },
        frame_stack: config.frame_stack,
        stack_padding: config.stack_padding,
        actions: names.map(str::to_owned).collect(),
        tasks: vec![game.to_owned()],
        continuing: false,
        reward_per_step_name: None,
    }
}

impl EnvFactory for AtariFactory {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn make(&self, role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        let emulator = Emulator::load(self.settings.clone(), 0)?;
        let mut config = self.config.clone();
        if role == Role::Evaluation {
            config.terminal_on_life_loss = false;
            config.zero_discount_on_life_loss = false;
        }
        let atari = Atari::new(emulator, config, self.actions.clone(), self.spec.clone())?;
        Ok(Box::new(atari))
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let game = self.settings.game;
        let md5 = ale_sys::md5_of(game).unwrap_or_default();
        vec![
            ("ale".to_owned(), ALE_VERSION.to_owned()),
            (format!("rom {game} md5"), md5.to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: AtariConfig) -> String {
        AtariFactory::build(config).expect_err("a bad configuration").to_string()
    }

    #[test]
    fn what_the_game_has_not_is_refused_when_built() {
        let config = AtariConfig::default;
        assert!(
            refused(AtariConfig { game: "pnog".to_owned(), ..config() })
                .contains("did you mean pong")
        );
        assert!(
            refused(AtariConfig { mode: Some(1), ..config() })
                .starts_with("breakout has no mode 1: it has 0, 4")
        );
        assert!(
            refused(AtariConfig { rom_folder: Some("/nowhere".into()), ..config() })
                .contains("scripts/setup")
        );
        let empty = tempfile::tempdir().expect("a folder");
        let error = refused(AtariConfig { rom_folder: Some(empty.path().to_owned()), ..config() });
        assert!(error.contains("breakout.bin cannot be opened"), "{error}");
    }

    #[test]
    fn the_spec_names_minimal_or_all_actions() {
        let build = |config| AtariFactory::build(config).expect("breakout");
        let minimal = build(AtariConfig::default());
        assert_eq!(minimal.spec().actions, ["NOOP", "FIRE", "RIGHT", "LEFT"]);
        let full = build(AtariConfig { full_action_space: true, ..AtariConfig::default() });
        assert_eq!(
            (full.spec().actions.len(), full.spec().actions[17].as_str()),
            (18, "DOWNLEFTFIRE")
        );
    }

    #[test]
    fn provenance_names_the_emulator_and_the_rom() {
        let factory = AtariFactory::build(AtariConfig::default()).expect("breakout");
        let expected =
            [("ale", "0.12.1"), ("rom breakout md5", "f34f08e5eb96e500e851a80be3277a56")];
        assert_eq!(
            factory.provenance(),
            expected.map(|(what, which)| (what.to_owned(), which.to_owned()))
        );
    }
}
