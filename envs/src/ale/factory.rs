//! Atari games from a checked configuration.

use ale_sys::{ALE_VERSION, Emulator, Settings};

use super::{Atari, AtariConfig, reference_scores, rom_folder};
use crate::env::{Env, EnvError, EnvFactory, EnvSpec, FrameShape, ReferenceScores, Role};

/// A game whose ROM is there and whose settings it has.
#[derive(Debug)]
pub struct AtariFactory {
    pub(super) config: AtariConfig,
    pub(super) settings: Settings,
    /// The emulator's number of each action.
    pub(super) actions: Vec<u32>,
    spec: EnvSpec,
    scores: Option<ReferenceScores>,
}

impl AtariFactory {
    /// As [`Self::new`], for a registry.
    pub fn build(config: AtariConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        Ok(Box::new(Self::new(config)?))
    }

    /// Checks everything an instance could stumble over, and loads the game once.
    pub fn new(config: AtariConfig) -> Result<Self, EnvError> {
        config.check()?;
        let settings = settings(&config)?;
        let emulator = Emulator::load(settings.clone(), 0)?;
        let actions = if config.full_action_space {
            emulator.legal_actions()?
        } else {
            emulator.minimal_actions()?
        };
        let spec = spec(&config, settings.game.to_owned(), &actions);
        let scores = scores(&config, &emulator)?;
        Ok(Self { config, settings, actions, spec, scores })
    }

    /// A game as one of several `task`s that share the joystick's 18 actions. An action that the game
    /// does not take is played as the same direction without FIRE.
    pub(super) fn with_all_actions(config: AtariConfig, task: &str) -> Result<Self, EnvError> {
        config.check()?;
        let settings = settings(&config)?;
        let emulator = Emulator::load(settings.clone(), 0)?;
        let legal = emulator.legal_actions()?;
        let played = |action| if legal.contains(&action) { action } else { without_fire(action) };
        let all: Vec<u32> = (0..18).collect();
        let actions = all.iter().map(|&action| played(action)).collect();
        let spec = spec(&config, task.to_owned(), &all);
        let scores = scores(&config, &emulator)?;
        Ok(Self { config, settings, actions, spec, scores })
    }
}

fn settings(config: &AtariConfig) -> Result<Settings, EnvError> {
    let game = ale_sys::game_name(&config.game)?;
    Ok(Settings {
        game,
        rom: rom_folder(config.rom_folder.as_deref())?.join(format!("{game}.bin")),
        repeat_action_probability: config.repeat_action_probability,
        max_num_frames_per_episode: config.max_num_frames_per_episode,
        mode: config.mode,
        difficulty: config.difficulty,
    })
}

fn spec(config: &AtariConfig, task: String, actions: &[u32]) -> EnvSpec {
    let names = actions.iter().filter_map(|&action| ale_sys::action_name(action));
    EnvSpec {
        frame: FrameShape { channels: 1, height: config.screen_size, width: config.screen_size },
        frame_stack: config.frame_stack,
        stack_padding: config.stack_padding,
        actions: names.map(str::to_owned).collect(),
        tasks: vec![task],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    }
}

/// Published scores mean the game as it is by default.
fn scores(config: &AtariConfig, emulator: &Emulator) -> Result<Option<ReferenceScores>, EnvError> {
    let default_mode = default_mode(emulator)?;
    let is_default = config.mode.is_none_or(|mode| mode == default_mode)
        && config.difficulty.is_none_or(|difficulty| difficulty == DEFAULT_DIFFICULTY);
    Ok(reference_scores(emulator.game()).filter(|_| is_default))
}

/// The difficulty that a game has unless another is set: both switches at B.
pub(super) const DEFAULT_DIFFICULTY: u32 = 0;

/// The mode that a game has unless another is set: the first of its modes, for all games of the ALE.
pub(super) fn default_mode(emulator: &Emulator) -> Result<u32, EnvError> {
    Ok(emulator.modes()?.first().copied().unwrap_or(0))
}

/// The same direction without FIRE: 10 UPFIRE becomes 2 UP, 1 FIRE becomes 0 NOOP.
fn without_fire(action: u32) -> u32 {
    match action {
        1 => 0,
        10..=17 => action - 8,
        _ => action,
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
            config.continue_after_life_loss = false;
        }
        let atari = Atari::new(emulator, config, self.actions.clone(), self.spec.clone())?;
        Ok(Box::new(atari))
    }

    fn reference_scores(&self, task: usize) -> Option<ReferenceScores> {
        self.scores.filter(|_| task == 0)
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
            refused(AtariConfig { difficulty: Some(4), ..config() })
                .starts_with("breakout has no difficulty 4: it has 0, 1")
        );
        assert!(
            refused(AtariConfig { game: "Combat".to_owned(), ..config() })
                .starts_with("`combat` is a cartridge for two players")
        );
        assert!(
            refused(AtariConfig { rom_folder: Some("/nowhere".into()), ..config() })
                .contains("scripts/setup")
        );
        let empty = tempfile::tempdir().expect("a folder");
        let error = refused(AtariConfig { rom_folder: Some(empty.path().to_owned()), ..config() });
        assert!(error.contains("breakout.bin cannot be opened"), "{error}");
        std::fs::create_dir(empty.path().join("breakout.bin")).expect("a folder");
        let error = refused(AtariConfig { rom_folder: Some(empty.path().to_owned()), ..config() });
        assert!(error.contains("breakout.bin is not a regular file"), "{error}");
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
    fn scores_are_of_the_57_games_as_they_are_by_default() {
        let scores = |config| AtariFactory::build(config).expect("a game").reference_scores(0);
        let game = |game: &str| AtariConfig { game: game.to_owned(), ..AtariConfig::default() };
        let of_pong = Some(ReferenceScores { random: -20.7, human: 14.6 });
        assert_eq!(scores(game("pong")), of_pong);
        assert_eq!(
            scores(AtariConfig { mode: Some(0), difficulty: Some(0), ..game("pong") }),
            of_pong
        );
        assert_eq!(scores(AtariConfig { mode: Some(1), ..game("pong") }), None);
        assert_eq!(scores(AtariConfig { difficulty: Some(1), ..game("pong") }), None);
        assert_eq!(scores(game("carnival")), None);
    }

    #[test]
    fn fire_is_taken_off_every_action_and_nothing_else() {
        for action in 0..18 {
            let name = ale_sys::action_name(action).expect("an action");
            let expected = match name.trim_end_matches("FIRE") {
                "" => "NOOP",
                direction => direction,
            };
            assert_eq!(ale_sys::action_name(without_fire(action)), Some(expected), "{name}");
        }
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
