//! The settings of an Atari game, under Gymnasium's and ale-py's names.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::{EnvError, StackPadding};

/// An Atari game. The defaults are DQN Zoo's.
///
/// Machado et al. (2018) differ in `repeat_action_probability` 0.25, `noop_max` 0,
/// `zero_discount_on_life_loss` false and `full_action_space` true. The presets `env_..` hold these and
/// other protocols.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AtariConfig {
    /// The game: `space_invaders`; `SpaceInvaders` and `ALE/SpaceInvaders-v5` mean the same.
    pub game: String,
    /// Folder of the ROMs, `<game>.bin`. Unset: `PLIANT_ROMS`, else where scripts/setup puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rom_folder: Option<PathBuf>,
    /// Frames that one action lasts; the observation is the maximum of the last two.
    pub frame_skip: u32,
    /// Probability, on every frame, that the emulator repeats the previous frame's action (sticky
    /// actions). 0 in DQN Zoo, 0.25 after Machado et al.
    pub repeat_action_probability: f32,
    /// An episode begins with 1 to this many frames of NOOP, uniformly drawn; 0 for none. 30 in DQN
    /// Zoo, 0 after Machado et al.
    pub noop_max: u32,
    /// A lost life ends the episode (`terminated`), and the reset that follows is a real one, as in
    /// Gymnasium, unless `continue_after_life_loss`. Training only. Excludes
    /// `zero_discount_on_life_loss`.
    pub terminal_on_life_loss: bool,
    /// A lost life sets that step's discount to 0, and the episode goes on, as in DQN Zoo. Training
    /// only. Excludes `terminal_on_life_loss`.
    pub zero_discount_on_life_loss: bool,
    /// The reset that follows a lost life goes on with the same game instead of starting another, as
    /// in Dopamine and Baselines; with `fire_on_reset` it presses FIRE. Needs `terminal_on_life_loss`.
    pub continue_after_life_loss: bool,
    /// The reward to learn from is clipped to plus or minus this many points, after summing over the
    /// skipped frames; 0 leaves it as it is. Returns are always counted unclipped.
    pub reward_clip: f32,
    /// All actions of the joystick (18; Skiing and Lost Luggage take 9) instead of those that do
    /// something in this game.
    pub full_action_space: bool,
    /// The game's mode, one of those it has; unset for its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The game's difficulty, one of those it has; unset for its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<u32>,
    /// Frames (NOOPs at the start among them) after which an episode is truncated; 0 for never.
    pub max_num_frames_per_episode: u32,
    /// Frames in one observation.
    pub frame_stack: usize,
    /// What fills the stack when an episode begins: `zeros` (DQN Zoo) or `repeat` (Gymnasium).
    pub stack_padding: StackPadding,
    /// Rows and columns of an observation, in pixels: 16 to 160.
    pub screen_size: usize,
    /// Presses FIRE for `frame_skip` frames after the NOOPs, where the game has that action: some
    /// games wait for it. Neither DQN Zoo nor Machado et al. do.
    pub fire_on_reset: bool,
}

impl Default for AtariConfig {
    fn default() -> Self {
        Self {
            game: "breakout".to_owned(),
            rom_folder: None,
            frame_skip: 4,
            repeat_action_probability: 0.0,
            noop_max: 30,
            terminal_on_life_loss: false,
            zero_discount_on_life_loss: true,
            continue_after_life_loss: false,
            reward_clip: 1.0,
            full_action_space: false,
            mode: None,
            difficulty: None,
            max_num_frames_per_episode: 108_000,
            frame_stack: 4,
            stack_padding: StackPadding::Zeros,
            screen_size: 84,
            fire_on_reset: false,
        }
    }
}

impl AtariConfig {
    /// Refuses what no game could run with; the game's own limits are checked when it is loaded.
    pub fn check(&self) -> Result<(), EnvError> {
        let wrong = [
            (self.frame_skip == 0, "frame_skip is 0: an action lasts at least 1 frame".to_owned()),
            (
                self.frame_skip > 10_000,
                format!("frame_skip is {}: an action lasts at most 10000 frames", self.frame_skip),
            ),
            (self.frame_stack == 0, "frame_stack is 0: an observation has at least 1 frame".to_owned()),
            (self.frame_stack > 255, format!("frame_stack is {}: an observation has at most 255 frames", self.frame_stack)),
            (!(16..=160).contains(&self.screen_size), format!("screen_size is {}: it must lie between 16 and 160", self.screen_size)),
            (self.noop_max > 10_000, format!("noop_max is {}: a game begins after at most 10000 no-ops", self.noop_max)),
            (
                !(0.0..=1.0).contains(&self.repeat_action_probability),
                format!("repeat_action_probability is {}: it must lie between 0 and 1", self.repeat_action_probability),
            ),
            (
                !(self.reward_clip >= 0.0 && self.reward_clip.is_finite()),
                format!("reward_clip is {}: it must be a number of points, or 0 for no clipping", self.reward_clip),
            ),
            (
                self.terminal_on_life_loss && self.zero_discount_on_life_loss,
                "terminal_on_life_loss and zero_discount_on_life_loss are both true: a lost life can end the episode or its discount, \
                 set one of them to false"
                    .to_owned(),
            ),
            (
                self.continue_after_life_loss && !self.terminal_on_life_loss,
                "continue_after_life_loss is true, but terminal_on_life_loss is false: a game can only go on in another episode where a \
                 lost life ends one, set both or neither"
                    .to_owned(),
            ),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, text)) => Err(EnvError::Invalid(text)),
            None => Ok(()),
        }
    }

    /// The reward to learn from.
    pub(crate) fn clipped(&self, raw_reward: f32) -> f32 {
        if self.reward_clip > 0.0 {
            raw_reward.clamp(-self.reward_clip, self.reward_clip)
        } else {
            raw_reward
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &AtariConfig) -> String {
        config.check().expect_err("a bad setting").to_string()
    }

    #[test]
    fn the_defaults_are_dqn_zoos_and_pass() {
        AtariConfig::default().check().expect("the defaults are good");
    }

    #[test]
    fn settings_no_game_could_run_with_are_refused_by_name() {
        let config = AtariConfig::default;
        assert!(refused(&AtariConfig { frame_skip: 0, ..config() }).starts_with("frame_skip is 0"));
        assert!(
            refused(&AtariConfig { frame_stack: 0, ..config() }).starts_with("frame_stack is 0")
        );
        assert!(
            refused(&AtariConfig { screen_size: 161, ..config() })
                .starts_with("screen_size is 161")
        );
        assert!(
            refused(&AtariConfig { repeat_action_probability: 1.5, ..config() }).contains("is 1.5")
        );
        assert!(
            refused(&AtariConfig { reward_clip: f32::NAN, ..config() }).starts_with("reward_clip")
        );
        assert!(
            refused(&AtariConfig { terminal_on_life_loss: true, ..config() }).contains("both true")
        );
        assert!(
            refused(&AtariConfig { continue_after_life_loss: true, ..config() })
                .contains("terminal_on_life_loss is false")
        );
    }

    #[test]
    fn a_reward_clip_of_zero_clips_nothing() {
        let config = AtariConfig { reward_clip: 0.0, ..AtariConfig::default() };
        assert_eq!(config.clipped(400.0), 400.0);
        assert_eq!(AtariConfig::default().clipped(-7.0), -1.0);
    }
}
