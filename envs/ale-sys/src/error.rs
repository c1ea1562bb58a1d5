//! What can go wrong between pliant and the emulator.

use std::path::PathBuf;

/// Why the emulator refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AleError {
    /// No game has this name.
    #[error("there is no game `{name}`: did you mean {}? (there are {count} games; `pliant list envs` names them)", nearest.join(", "))]
    UnknownGame {
        /// The name asked for.
        name: String,
        /// Names that look like it, nearest first.
        nearest: Vec<&'static str>,
        /// How many games there are.
        count: usize,
    },
    /// A cartridge that the ALE ships but cannot run.
    #[error(
        "`{name}` is a cartridge for two players: the ALE has no rules (score, end of the game) for it and cannot run it, so it is no game here"
    )]
    NoRules {
        /// Its name.
        name: &'static str,
    },
    /// The ROM cannot be read.
    #[error("the ROM {} {reason}; scripts/setup places the ROMs of all games", path.display())]
    Rom {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// A mode or difficulty the game has not.
    #[error("{game} has no {what} {value}: it has {}", list(known))]
    Setting {
        /// The game.
        game: &'static str,
        /// `mode` or `difficulty`.
        what: &'static str,
        /// The value asked for.
        value: u32,
        /// What the game has.
        known: Vec<u32>,
    },
    /// An action number ALE does not know.
    #[error("{0} is no action of the emulator: actions are 0 (NOOP) to 17 (DOWNLEFTFIRE)")]
    Action(u32),
    /// An action that this game does not take.
    #[error("{game} does not take action {action} ({}): it takes {}", name(*action), list(legal))]
    IllegalAction {
        /// The game.
        game: &'static str,
        /// The action asked for.
        action: u32,
        /// What the game takes.
        legal: Vec<u32>,
    },
    /// A probability outside 0 to 1, or not a number.
    #[error("repeat_action_probability is {0}: it must lie between 0 and 1")]
    Probability(f32),
    /// A saved state that is not one of this game.
    #[error("the emulator cannot take up this state: {0}")]
    State(String),
    /// An exception inside the emulator.
    #[error("the emulator failed: {0}")]
    Failed(String),
}

fn name(action: u32) -> &'static str {
    crate::action_name(action).unwrap_or("unknown")
}

fn list(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(", ")
}
