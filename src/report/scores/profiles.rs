//! Performance profiles.

use pliant_statistics::{
    bootstrap::Bootstrap, curve::Curve, error::Error, profile::Profile, scores::Scores,
};

/// rliable's.
const REPLICATES: usize = 2000;
/// Scores at which the share above is computed, where runs have more.
const MOST: usize = 200;

/// The share of runs above each score that a run has: profiles change there alone. Scores of Atari span orders of
/// magnitude, so the highest twentieth of many is left out of the picture.
pub(super) fn profiles(scores: &[Scores]) -> Result<Vec<Curve>, Error> {
    let mut taus: Vec<f64> = scores.iter().flat_map(Scores::values).copied().collect();
    taus.sort_by(f64::total_cmp);
    let shown = if taus.len() >= 20 { taus.len() * 19 / 20 } else { taus.len() };
    taus.truncate(shown);
    taus.dedup();
    if taus.len() < 2 {
        return Ok(Vec::new());
    }
    if taus.len() > MOST {
        let last = taus.len() - 1;
        taus = (0..MOST).map(|index| taus[index * last / (MOST - 1)]).collect();
    }
    let bootstrap = Bootstrap::new(0).with_replicates(REPLICATES);
    scores.iter().map(|scores| Profile::Runs.of(scores, &taus, &bootstrap)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_points_where_runs_are() {
        let mut runs: Vec<f64> = (0..19).map(f64::from).collect();
        runs.push(1e6);
        let scores = Scores::new("a", [("task", runs)]).expect("finite");
        let curve = &profiles(&[scores]).expect("settings are good")[0];
        let x: Vec<f64> = curve.points.iter().map(|point| point.x).collect();
        assert_eq!(x, (0..19).map(f64::from).collect::<Vec<_>>(), "without the one far away");
        assert_eq!(curve.points[0].estimate, 19.0 / 20.0);
        let same = Scores::new("a", [("task", vec![1.0; 3])]).expect("finite");
        assert!(profiles(&[same]).expect("settings are good").is_empty());
    }
}
