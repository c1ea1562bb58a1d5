//! p-values by counting: how many arrangements of the data, all equally likely if nothing is going on, are as
//! far from zero as the one that was seen.
//!
//! All sign patterns or orders are counted where there are no more of them than `replicates`. Else as many are drawn,
//! and the arrangement seen counts as one of them (Phipson & Smyth, 2010), so that no p-value is 0.

use rand::{Rng, seq::SliceRandom};

use crate::{
    bootstrap::{Bootstrap, Draws},
    scores::Scores,
};

/// Of the mean of differences, each of whose signs might as well be the other.
pub(crate) fn by_signs(differences: &[f64], bootstrap: &Bootstrap) -> f64 {
    let n = differences.len();
    let sum_of = |is_flipped: &dyn Fn(usize) -> bool| -> f64 {
        let signed = differences.iter().enumerate();
        signed.map(|(index, value)| if is_flipped(index) { -value } else { *value }).sum()
    };
    let observed = sum_of(&|_| false);
    if n < usize::BITS as usize - 1 && (1usize << n) <= bootstrap.replicates {
        let all = (0..1usize << n).map(|signs| sum_of(&|index| signs >> index & 1 == 1));
        return share(all, observed);
    }
    let drawn = bootstrap.replicate(
        1,
        Draws::Permutations,
        || vec![false; n],
        |signs, random, out| {
            signs.fill_with(|| random.random());
            out[0] = sum_of(&|index| signs[index]);
        },
    );
    share_with_observed(&drawn, observed)
}

/// Of a statistic of n things in some order; it gets the order as indices.
pub(crate) fn by_order(
    n: usize,
    bootstrap: &Bootstrap,
    statistic: impl Fn(&[usize]) -> f64 + Sync,
) -> f64 {
    let mut order: Vec<usize> = (0..n).collect();
    let observed = statistic(&order);
    let orders = (1..=n).try_fold(1usize, usize::checked_mul);
    if orders.is_some_and(|orders| orders <= bootstrap.replicates) {
        let mut all = Vec::new();
        each_order(&mut order, n, &mut |order| all.push(statistic(order)));
        return share(all.into_iter(), observed);
    }
    let drawn = bootstrap.replicate(
        1,
        Draws::Permutations,
        || order.clone(),
        |order, random, out| {
            order.iter_mut().enumerate().for_each(|(index, place)| *place = index);
            order.shuffle(random);
            out[0] = statistic(order);
        },
    );
    share_with_observed(&drawn, observed)
}

/// Of a statistic of two sets of scores of the same tasks in the same order: each task's runs are dealt to the two
/// sides another way.
pub(crate) fn by_dealing(
    control: &Scores,
    treated: &Scores,
    bootstrap: &Bootstrap,
    statistic: impl Fn(&Scores, &Scores) -> f64 + Sync,
) -> f64 {
    let start = || (control.clone(), treated.clone(), Vec::new());
    let dealt = bootstrap.replicate(1, Draws::Permutations, start, |(x, y, pool), random, out| {
        let runs = control.runs().zip(treated.runs());
        for ((x, y), (control, treated)) in x.runs_mut().zip(y.runs_mut()).zip(runs) {
            pool.clear();
            pool.extend(control.iter().chain(treated));
            pool.shuffle(random);
            x.copy_from_slice(&pool[..x.len()]);
            y.copy_from_slice(&pool[x.len()..]);
        }
        out[0] = statistic(x, y);
    });
    share_with_observed(&dealt, statistic(control, treated))
}

/// Heap's algorithm (1963).
fn each_order(order: &mut [usize], first: usize, visit: &mut impl FnMut(&[usize])) {
    if first <= 1 {
        return visit(order);
    }
    for index in 0..first {
        each_order(order, first - 1, visit);
        if index + 1 < first {
            order.swap(if first.is_multiple_of(2) { index } else { 0 }, first - 1);
        }
    }
}

/// As far from zero as what was seen, but for rounding.
fn is_as_far(value: f64, observed: f64) -> bool {
    value.abs() >= observed.abs() * (1.0 - 1e-12)
}

fn share(all: impl Iterator<Item = f64>, observed: f64) -> f64 {
    let (far, count) = all.fold((0usize, 0usize), |(far, count), value| {
        (far + usize::from(is_as_far(value, observed)), count + 1)
    });
    far as f64 / count as f64
}

/// The p-value of drawn arrangements.
fn share_with_observed(drawn: &[f64], observed: f64) -> f64 {
    let far = drawn.iter().filter(|value| is_as_far(**value, observed)).count();
    (far + 1) as f64 / (drawn.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_differences_of_one_sign_are_one_of_four() {
        // 2 of 2^3 sign patterns have a sum as far from 0.
        assert_eq!(by_signs(&[0.5, 0.1, 0.4], &Bootstrap::new(0)), 0.25);
        // Sums of 3, 1 and -1: +-3, +-1 (3 - 1 - 1), +-3 (3 + 1 - 1), +-5; seen is 3.
        assert_eq!(by_signs(&[3.0, 1.0, -1.0], &Bootstrap::new(0)), 6.0 / 8.0);
        assert_eq!(by_signs(&[0.0, 0.0], &Bootstrap::new(0)), 1.0);
    }

    #[test]
    fn every_order_is_visited_once() {
        let mut seen = Vec::new();
        each_order(&mut [0, 1, 2, 3, 4], 5, &mut |order| seen.push(order.to_vec()));
        assert_eq!(seen.len(), 120);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 120);
    }

    #[test]
    fn the_first_thing_is_where_it_was_in_one_of_n() {
        let is_first = |order: &[usize]| f64::from(u8::from(order[0] == 0));
        assert_eq!(by_order(4, &Bootstrap::new(0), is_first), 0.25);
        // Drawn: 12! orders. A standard deviation of sqrt(1/12 x 11/12 / 50,000) = 0.0012; 1 in 10^6 by chance.
        let drawn = by_order(12, &Bootstrap::new(0), is_first);
        assert!((drawn - 1.0 / 12.0).abs() < 5.0 * 0.0013, "{drawn}");
    }

    #[test]
    fn drawn_and_counted_signs_agree() {
        let differences = [0.3, -0.1, 0.8, 0.2, 0.5, -0.4, 0.9, 0.1, 0.25, -0.6, 0.7, 0.15];
        let counted = by_signs(&differences, &Bootstrap::new(0));
        let drawn = by_signs(&differences, &Bootstrap::new(0).with_replicates(4000));
        // p is near 0.05: a standard deviation of 0.0035; 1 in 10^6 by chance.
        assert!((counted - drawn).abs() < 5.0 * 0.0035, "{counted} {drawn}");
    }

    #[test]
    fn no_drawn_p_value_is_zero() {
        let p = by_signs(&[1.0; 60], &Bootstrap::new(0).with_replicates(999));
        assert_eq!(p, 0.001);
    }
}
