//! Labels that have nothing to do with the images.

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// The generator's stream, so that an instance seeded with the same number draws others.
const STREAM: u64 = 1;

/// A label below `classes` for each of `count` images, uniform and independent: a function of the
/// seed alone.
pub(super) fn random_labels(count: usize, classes: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    (0..count).map(|_| rng.random_range(0..classes) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_uniform_fixed_and_differ_between_seeds() {
        let labels = random_labels(60_000, 10, 7);
        assert_eq!(random_labels(60_000, 10, 7), labels);
        let mut counts = [0_u32; 10];
        labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        let chi_square: f64 =
            counts.iter().map(|&count| (f64::from(count) - 6000.0).powi(2) / 6000.0).sum();
        // 9 degrees of freedom: above 27.9 with probability 1e-3; the seed is fixed.
        assert!(chi_square < 27.9, "chi-square {chi_square}: {counts:?}");
        let same = labels.iter().zip(random_labels(60_000, 10, 8)).filter(|(a, b)| **a == *b);
        // Binomial, mean 6000 and standard deviation 73.5: beyond 300 with probability 5e-5.
        let same = same.count();
        assert!((5700..6300).contains(&same), "{same} of 60,000 labels are the same");
    }

    /// The labels are part of the task: a new version of a generator must not change them unseen.
    #[test]
    fn the_first_labels_of_seed_zero_stay_what_they_are() {
        assert_eq!(random_labels(12, 10, 0), [7, 7, 4, 7, 9, 5, 0, 9, 4, 4, 6, 7]);
    }
}
