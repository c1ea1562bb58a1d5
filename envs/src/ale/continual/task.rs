//! One task of a list: `breakout`, `pong:mode=1`, `breakout:mode=4,difficulty=1`.

/// A game, and which of its modes and difficulties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    /// As it was written; the emulator decides whether it is a game.
    pub game: String,
    pub mode: Option<u32>,
    pub difficulty: Option<u32>,
}

impl Task {
    /// Reads `GAME` or `GAME:mode=M,difficulty=D`; the error says what is wrong and what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (game, settings) = text.split_once(':').map_or((text, None), |(g, s)| (g, Some(s)));
        let mut task = Self { game: game.trim().to_owned(), ..Self::default() };
        for setting in settings.into_iter().flat_map(|settings| settings.split(',')) {
            task.set(setting)?;
        }
        Ok(task)
    }

    fn set(&mut self, setting: &str) -> Result<(), String> {
        let expected = "expected GAME or GAME:mode=M,difficulty=D";
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| format!("`{}` has no `=`, {expected}", setting.trim()))?;
        let (key, value) = (key.trim(), value.trim());
        let place = match key {
            "mode" => &mut self.mode,
            "difficulty" => &mut self.difficulty,
            _ => return Err(format!("unknown `{key}`, {expected}")),
        };
        let number = value.parse().map_err(|_| format!("{key} is `{value}`, expected a number"))?;
        if place.replace(number).is_some() {
            return Err(format!("{key} is given twice"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(game: &str, mode: Option<u32>, difficulty: Option<u32>) -> Task {
        Task { game: game.to_owned(), mode, difficulty }
    }

    #[test]
    fn a_task_is_a_game_with_or_without_mode_and_difficulty() {
        let cases = [
            ("breakout", task("breakout", None, None)),
            ("pong:mode=1", task("pong", Some(1), None)),
            (" pong : difficulty = 1 , mode = 0 ", task("pong", Some(0), Some(1))),
            ("ALE/Breakout-v5:mode=4", task("ALE/Breakout-v5", Some(4), None)),
        ];
        for (text, expected) in cases {
            assert_eq!(Task::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_task_is_refused_with_the_form_of_one() {
        let cases = [
            ("pong:mode", "`mode` has no `=`"),
            ("pong:", "`` has no `=`"),
            ("pong:mod=1", "unknown `mod`, expected GAME or GAME:mode=M,difficulty=D"),
            ("pong:mode=-1", "mode is `-1`, expected a number"),
            ("pong:mode=1,mode=2", "mode is given twice"),
        ];
        for (text, expected) in cases {
            let error = Task::parse(text).expect_err("no task");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
