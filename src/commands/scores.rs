//! Evaluations as a table.

use crate::{evaluation::Evaluation, table};

/// One row per evaluation: mean with standard error, range, number of episodes, and where there is a
/// human to compare with the human-normalised score.
pub fn table(rows: &[(String, Evaluation)], score_name: &str) -> String {
    let compared = rows.iter().any(|(_, evaluation)| evaluation.human_normalised().is_some());
    let mut header = vec![format!("evaluation {score_name}")];
    header.extend(["mean", "min .. max", "n"].map(str::to_owned));
    header.extend(compared.then(|| "human-normalised".to_owned()));
    let row = |(name, evaluation): &(String, Evaluation)| {
        let mut row = cells(name, evaluation);
        row.extend(compared.then(|| normalised(evaluation)));
        row
    };
    table::render(&header, rows.iter().map(row))
}

fn cells(name: &str, evaluation: &Evaluation) -> Vec<String> {
    let score = evaluation.score();
    let mean = match evaluation.standard_error() {
        Some(error) => format!("{score:.1} +- {error:.1}"),
        None => format!("{score:.4}"),
    };
    let least = evaluation.returns.iter().copied().reduce(f64::min);
    let most = evaluation.returns.iter().copied().reduce(f64::max);
    let range = least.zip(most).map(|(least, most)| format!("{least:.1} .. {most:.1}"));
    let n = match evaluation.episodes() {
        None => format!("{} steps", evaluation.steps),
        Some(0) => "no episode ended".to_owned(),
        Some(1) => "1 episode".to_owned(),
        Some(count) => format!("{count} episodes"),
    };
    vec![name.to_owned(), mean, range.unwrap_or_default(), n]
}

fn normalised(evaluation: &Evaluation) -> String {
    evaluation.human_normalised().map(|score| format!("{score:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pliant_envs::env::ReferenceScores;

    use super::*;

    fn scored(returns: &[f64], reference: Option<ReferenceScores>) -> (String, Evaluation) {
        let returns = returns.to_vec();
        ("row".to_owned(), Evaluation { returns, reference, ..Evaluation::default() })
    }

    #[test]
    fn the_human_column_is_there_where_there_is_a_human() {
        let human = Some(ReferenceScores { random: 0.0, human: 8.0 });
        let with = table(&[scored(&[2.0, 4.0], human), scored(&[], None)], "return");
        assert!(with.contains("human-normalised") && with.contains("0.375"), "{with}");
        let without = table(&[scored(&[2.0, 4.0], None)], "return");
        assert!(without.contains("3.0 +- 1.0") && !without.contains("human"), "{without}");
    }

    #[test]
    fn a_row_says_if_no_episode_ended() {
        let unfinished = Evaluation { unfinished: vec![5.0], ..Evaluation::default() };
        let table = table(&[("row".to_owned(), unfinished)], "return");
        assert!(table.contains("5.0000") && table.contains("no episode ended"), "{table}");
    }
}
