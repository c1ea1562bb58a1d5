//! Atari games through the Arcade Learning Environment 0.12.1, preprocessed as Gymnasium does.

mod atari;
mod config;
mod factory;
mod preprocessing;
mod resize;
mod roms;

pub use atari::Atari;
pub use config::AtariConfig;
pub use factory::AtariFactory;
pub use resize::AreaResize;
pub use roms::rom_folder;

use ale_sys::AleError;

use crate::env::EnvError;

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
