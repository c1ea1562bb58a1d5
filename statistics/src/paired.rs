//! Two conditions, seed by seed.
//!
//! Seeds pair where both conditions begin with the same network and data; the difference then is free of what varies
//! with them. If pairing gains nothing (learning is chaotic), it costs next to nothing either.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::Bootstrap,
    effect::{Effect, pairs_needed},
    error::{Result, check_count},
    permutation::by_signs,
    seeded::{Seeded, mean_estimate},
};

/// One condition less another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Mean over pairs of treated - control, its interval, and the p-value of the sign-flip test.
    pub effect: Effect,
    /// treated - control of each seed that both have, by seed.
    pub differences: Vec<(u64, f64)>,
    /// Seeds that only one of the two has, which do not count.
    pub left_out: Vec<u64>,
}

/// How `treated` differs from `control`: `TREATED - CONTROL`.
///
/// The interval holds percentiles of the mean of resampled pairs. Of few pairs it is too narrow: it lies between the
/// lowest and the highest difference, and with three pairs all of one sign it leaves out 0 although one in four such
/// triples come of nothing. [`Effect::verdict`] claims nothing below [`pairs_needed`].
///
/// # Errors
/// No seed that both have, or a setting of the bootstrap out of range.
pub fn paired_difference(
    control: &Seeded,
    treated: &Seeded,
    bootstrap: &Bootstrap,
) -> Result<PairedDifference> {
    let name = format!("{} - {}", treated.name(), control.name());
    let pair = |seed| Some((seed, treated.get(seed)? - control.get(seed)?));
    let differences: Vec<(u64, f64)> = control.seeds().filter_map(pair).collect();
    check_count(&name, "seeds of both", differences.len(), 1)?;
    let values: Vec<f64> = differences.iter().map(|(_, value)| *value).collect();
    let effect = Effect {
        null: 0.0,
        p_value: by_signs(&values, bootstrap),
        needed: pairs_needed(bootstrap.confidence),
        confidence: bootstrap.confidence,
        estimate: mean_estimate(name, &values, bootstrap)?,
    };
    Ok(PairedDifference { effect, differences, left_out: left_out(control, treated) })
}

fn left_out(control: &Seeded, treated: &Seeded) -> Vec<u64> {
    let alone = |one: &Seeded, other: &Seeded| {
        one.seeds().filter(|seed| other.get(*seed).is_none()).collect::<Vec<_>>()
    };
    let mut seeds = [alone(control, treated), alone(treated, control)].concat();
    seeds.sort_unstable();
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Verdict;

    fn seeded(name: &str, values: &[(u64, f64)]) -> Seeded {
        Seeded::new(name, values.iter().copied()).expect("good values")
    }

    fn difference(control: &[(u64, f64)], treated: &[(u64, f64)]) -> PairedDifference {
        let (control, treated) = (seeded("none", control), seeded("redo", treated));
        paired_difference(&control, &treated, &Bootstrap::new(0)).expect("common seeds")
    }

    #[test]
    fn seeds_pair_by_number_and_those_of_one_side_are_told() {
        let control = [(0, 1.0), (1, 2.0), (2, 4.0), (9, 100.0)];
        let found = difference(&control, &[(2, 5.0), (1, 4.0), (0, 4.0), (7, -50.0)]);
        assert_eq!(found.differences, [(0, 3.0), (1, 2.0), (2, 1.0)]);
        assert_eq!(found.left_out, [7, 9]);
        assert_eq!(found.effect.estimate.estimate, 2.0);
        assert_eq!(found.effect.estimate.name, "redo - none");
        assert_eq!(found.effect.estimate.n, 3);
    }

    #[test]
    fn three_seeds_claim_nothing_however_far_apart() {
        let found = difference(&[(0, 0.0), (1, 0.1), (2, 0.2)], &[(0, 9.0), (1, 9.0), (2, 9.0)]);
        assert!(found.effect.estimate.low().expect("three pairs") > 8.0);
        assert_eq!(found.effect.p_value, 0.25);
        assert_eq!(found.effect.verdict(), Verdict::TooFew { found: 3, needed: 6 });
    }

    #[test]
    fn six_seeds_of_one_sign_claim_a_difference() {
        let control: Vec<_> = (0..6).map(|seed| (seed, seed as f64)).collect();
        let treated: Vec<_> = control.iter().map(|(seed, value)| (*seed, value - 0.5)).collect();
        let found = difference(&control, &treated);
        assert_eq!(found.effect.p_value, 2.0 / 64.0);
        assert_eq!(found.effect.verdict(), Verdict::Below);
        let reversed = difference(&treated, &control);
        assert_eq!(reversed.effect.verdict(), Verdict::Above);
    }

    #[test]
    fn a_pair_alone_is_shown_without_an_interval() {
        let found = difference(&[(3, 1.0)], &[(3, 2.0)]);
        assert_eq!((found.effect.estimate.interval, found.effect.p_value), (None, 1.0));
        assert_eq!(found.effect.verdict(), Verdict::TooFew { found: 1, needed: 6 });
    }

    #[test]
    fn no_common_seed_is_an_error() {
        let (control, treated) = (seeded("none", &[(0, 1.0)]), seeded("redo", &[(1, 1.0)]));
        let refused = paired_difference(&control, &treated, &Bootstrap::new(0));
        assert_eq!(
            refused.expect_err("no pair").to_string(),
            "redo - none: 0 seeds of both, expected at least 1"
        );
    }
}
