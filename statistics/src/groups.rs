//! The same correlation in every group of runs: the falsification study of figure 3 of Lyle et al. (2023).

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::Bootstrap,
    correlation::{Points, RankCorrelation},
    effect::Effect,
    error::{Error, Result},
    signs::{Signs, signs},
};

/// What came of each group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// In the order given, those whose correlation is defined.
    pub effects: Vec<Effect>,
    /// Name and reason of those whose correlation is not: fewer than three points, a measurement that does not vary.
    pub undefined: Vec<(String, String)>,
    /// What may be said of the signs.
    pub signs: Signs,
}

/// Correlations of groups, each a name and its points. A group whose correlation is undefined is told among the
/// others; the signs are of those that are defined.
///
/// # Errors
/// A number that is not finite, a group twice, or a setting of the bootstrap out of range.
pub fn correlations_of_groups<N: Into<String>>(
    kind: RankCorrelation,
    groups: impl IntoIterator<Item = (N, Vec<(f64, f64)>)>,
    bootstrap: &Bootstrap,
) -> Result<Groups> {
    bootstrap.check()?;
    let (mut effects, mut undefined, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for (name, points) in groups {
        let name: String = name.into();
        if seen.contains(&name) {
            let what = format!("group `{name}`");
            return Err(Error::Twice { place: kind.to_string(), what });
        }
        seen.push(name.clone());
        match Points::new(name.as_str(), points) {
            Ok(points) => effects.push(kind.effect(&points, bootstrap)?),
            Err(error @ (Error::TooFew { .. } | Error::Constant { .. })) => {
                undefined.push((name, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    let signs = signs(&effects);
    Ok(Groups { effects, undefined, signs })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: [f64; 6] = [1.0, 2.0, 3.0, 5.0, 4.0, 6.0];
    const DOWN: [f64; 6] = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0];

    fn of(groups: &[(&str, &[f64])]) -> Result<Groups> {
        let points = |y: &[f64]| (0..6).map(f64::from).zip(y.iter().copied()).collect();
        let groups = groups.iter().map(|(name, y)| (*name, points(y)));
        correlations_of_groups(RankCorrelation::Spearman, groups, &Bootstrap::new(0))
    }

    #[test]
    fn a_group_without_a_correlation_stops_no_other() {
        let found = of(&[("mlp", &UP), ("vit", &[0.0; 6]), ("cnn", &DOWN), ("few", &UP[..2])]);
        let found = found.expect("finite points");
        let names: Vec<&str> = found.effects.iter().map(|e| e.estimate.name.as_str()).collect();
        assert_eq!(names, ["mlp", "cnn"]);
        assert_eq!((found.undefined[0].0.as_str(), found.undefined[1].0.as_str()), ("vit", "few"));
        assert!(found.undefined[0].1.contains("all 6 values are 0"), "{:?}", found.undefined);
        assert_eq!(found.undefined[1].1, "`few`: 2 points, expected at least 3");
        assert!(found.signs.flip());
    }

    #[test]
    fn a_number_that_is_none_is_an_error_and_so_is_a_group_twice() {
        let message = |groups: &[(&str, &[f64])]| of(groups).expect_err("bad groups").to_string();
        assert_eq!(
            message(&[("mlp", &[1.0, f64::NAN, 2.0])]),
            "`mlp`, y of point 1: NaN, expected a finite number"
        );
        assert_eq!(
            message(&[("mlp", &UP), ("mlp", &DOWN)]),
            "Spearman's rho: group `mlp` is there twice, expected each once"
        );
    }
}
