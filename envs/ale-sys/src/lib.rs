//! The Arcade Learning Environment 0.12.1, linked in and wrapped so that no call can make it exit.
//!
//! The sources here are MIT OR Apache-2.0; the ALE itself is GPL-2.0-only.

mod emulator;
mod error;
mod ffi;
mod games;

pub use emulator::{Emulator, Settings, Status};
pub use error::AleError;
pub use games::{GAMES, WITHOUT_RULES, action_name, game_name, md5_of};

/// The ALE's version.
pub const ALE_VERSION: &str = env!("PLIANT_ALE_VERSION");

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: pliant_fuzzing::Counted = pliant_fuzzing::Counted;
