//! How a command fails: by its input, or while running.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pliant_core::error::Error;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong: nothing was run, nothing was changed. Exit code 2.
    #[error("{0}")]
    Input(String),
    /// The run failed. Exit code 1.
    #[error("{0}")]
    Run(String),
}

impl Failure {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Run(_) => 1,
        }
    }

    /// A failure while running, with what was being done.
    pub fn while_doing(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Run(format!("{what}: {error}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Run(error.to_string())
    }
}

impl From<pliant_envs::env::EnvError> for Failure {
    fn from(error: pliant_envs::env::EnvError) -> Self {
        Self::Run(error.to_string())
    }
}

/// Words of messages are shown up to this many letters, and messages up to ten times as many: both may
/// repeat what was given.
const MOST_LETTERS: usize = 160;

/// A message fit for a terminal: what cannot be printed is escaped, what has no end is left out.
pub fn legible(message: &str) -> String {
    let plain = |letter: char| -> String {
        if letter.is_control() && letter != '\n' {
            letter.escape_default().collect()
        } else {
            letter.to_string()
        }
    };
    let word = |word: &str| shortened(&word.chars().map(plain).collect::<String>(), MOST_LETTERS);
    let words: Vec<String> = message.split(' ').map(word).collect();
    shortened(&words.join(" "), 10 * MOST_LETTERS)
}

/// The beginning and the end of a text with more than `most` letters.
fn shortened(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let (front, back) = (&letters[..most / 2], &letters[letters.len() - most / 2..]);
    front.iter().chain(&['.', '.', '.']).chain(back).collect()
}

/// Results of commands.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Turns a panic into a failure, so that a run is closed in order: tch panics where libtorch fails,
/// for instance for want of memory on the device.
pub fn catch<T>(run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("without a message");
        let stopped = || format!("stopped by a panic: {text}");
        Err(Failure::Run(out_of_device_memory(text).unwrap_or_else(stopped)))
    })
}

/// What a panic's text says about a GPU that has no room left, as libtorch puts it.
fn out_of_device_memory(text: &str) -> Option<String> {
    let said = &text[text.find("CUDA out of memory")?..];
    let end = said.find(" is free").map_or(said.len(), |at| at + " is free".len());
    Some(format!(
        "{}; lower the batch size or the network's width, keep a replay in main memory (agent.replay_memory=main), or stop what else is on the GPU",
        &said[..end]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_room_is_told_as_that() {
        let panic = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 6.89 GiB. GPU 0 has a \
                     total capacity of 139.80 GiB of which 1.05 GiB is free. Process 1585 has 137.00 GiB memory in use.\")";
        let Err(Failure::Run(text)) = catch::<()>(|| panic!("{panic}")) else {
            panic!("a failure")
        };
        assert!(
            text.starts_with("CUDA out of memory. Tried") && !text.contains("Process"),
            "{text}"
        );
        assert!(text.contains("1.05 GiB is free; lower the batch size"), "{text}");
        let Err(Failure::Run(text)) = catch::<()>(|| panic!("odd")) else { panic!("a failure") };
        assert_eq!(text, "stopped by a panic: odd");
    }

    #[test]
    fn messages_are_shown_whole_unless_they_repeat_what_has_no_end() {
        let usual = "my.toml, line 3: [env]: unknown field `gmae`, expected `game`\nsecond line";
        assert_eq!(legible(usual), usual);
        assert_eq!(legible("bad \u{1b}[31m\0\t."), "bad \\u{1b}[31m\\u{0}\\t.");
        let long = legible(&format!("unknown field `{}`, expected `game`", "é".repeat(9000)));
        assert!(
            long.starts_with("unknown field `ééé") && long.ends_with("é`, expected `game`"),
            "{long}"
        );
        assert!(long.chars().count() < 250, "{long}");
        assert!(legible(&"word ".repeat(9000)).len() < 2000);
    }
}
