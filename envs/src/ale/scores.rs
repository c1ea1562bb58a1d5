//! Published scores of the 57 games that Atari agents are compared on.

use std::sync::LazyLock;

use crate::env::ReferenceScores;

const TEXT: &str = include_str!("scores.csv");

static TABLE: LazyLock<Vec<(&str, ReferenceScores)>> = LazyLock::new(|| {
    let lines = TEXT.lines().filter(|line| !line.starts_with('#')).skip(1); // the names of the columns
    lines.map(|line| row(line).expect("a game and two numbers")).collect()
});

fn row(line: &str) -> Option<(&str, ReferenceScores)> {
    let mut fields = line.split(',');
    let game = fields.next()?;
    let mut number = || fields.next()?.parse().ok();
    Some((game, ReferenceScores { random: number()?, human: number()? }))
}

/// The games that publications compare agents on, with the scores of a random policy and of a human;
/// sorted by name.
pub fn benchmark_games() -> impl Iterator<Item = (&'static str, ReferenceScores)> {
    TABLE.iter().copied()
}

/// A game's scores, if it is one of the 57.
pub fn reference_scores(game: &str) -> Option<ReferenceScores> {
    let at = TABLE.binary_search_by_key(&game, |row| row.0).ok()?;
    Some(TABLE[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_57_games_are_sorted_and_each_is_a_game() {
        let names: Vec<&str> = benchmark_games().map(|row| row.0).collect();
        assert_eq!(names.len(), 57);
        assert!(names.is_sorted_by(|a, b| a < b), "sorted, and none twice");
        assert!(names.iter().all(|&name| ale_sys::md5_of(name).is_some()));
    }

    #[test]
    fn scores_are_found_by_game() {
        let breakout = reference_scores("breakout").expect("one of the 57");
        assert_eq!(breakout, ReferenceScores { random: 1.7, human: 30.5 });
        assert_eq!(breakout.human_normalised(1.7), 0.0);
        assert_eq!(breakout.human_normalised(30.5), 1.0);
        assert_eq!(reference_scores("carnival"), None, "a game, but not of the 57");
        assert!(benchmark_games().all(|(_, scores)| scores.human > scores.random));
    }
}
