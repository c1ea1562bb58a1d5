//! Atari games through the Arcade Learning Environment 0.12.1, preprocessed as Gymnasium does.

mod atari;
mod bare;
mod config;
mod continual;
mod factory;
mod game;
mod preprocessing;
mod resize;
mod roms;
mod scores;

pub use atari::Atari;
pub use bare::BareFactory;
pub use config::AtariConfig;
pub use continual::{ContinualAtariConfig, ContinualAtariFactory, SharedSettings};
pub use factory::AtariFactory;
pub use game::GameDescription;
pub use resize::AreaResize;
pub use roms::rom_folder;
pub use scores::{benchmark_games, reference_scores};

use ale_sys::AleError;

use crate::env::EnvError;

/// Cartridges that come with the ALE but that it cannot run, since only two players can play them.
pub const WITHOUT_RULES: [&str; 4] = ale_sys::WITHOUT_RULES;

/// Every game's name, sorted.
pub fn games() -> impl Iterator<Item = &'static str> {
    ale_sys::GAMES.iter().map(|(game, _md5)| *game)
}

impl From<AleError> for EnvError {
    fn from(error: AleError) -> Self {
        match error {
            AleError::Failed(_) => Self::Failed(error.to_string()),
            AleError::State(text) => Self::State(text),
            _ => Self::Invalid(error.to_string()),
        }
    }
}
