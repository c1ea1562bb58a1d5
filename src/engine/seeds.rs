//! The seeds of several runs.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Seeds of a command line: `1..4`, both ends included, or `1,2,7`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seeds(Vec<u64>);

impl Seeds {
    /// In the order that they were given in.
    pub fn all(&self) -> &[u64] {
        &self.0
    }
}

/// More are taken for a mistake.
const MOST: u64 = 1000;

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a range such as 1..4 or a list such as 1,2,7".to_owned();
        let number = |part: &str| part.trim().parse::<u64>().map_err(|_| wrong());
        let seeds: Vec<u64> = match text.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first || last - first >= MOST {
                    return Err(format!("expected 1 to {MOST} seeds, the lower end first"));
                }
                (first..=last).collect()
            }
            None => text.split(',').map(number).collect::<Result<_, _>>()?,
        };
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != seeds.len() {
            return Err("a seed stands there twice".to_owned());
        }
        match seeds.iter().find(|seed| i64::try_from(**seed).is_err()) {
            Some(large) => Err(format!("{large} is too large, at most {}", i64::MAX)),
            None => Ok(Self(seeds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_with_both_ends_or_a_list() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("1..4"), Ok(vec![1, 2, 3, 4]));
        assert_eq!(seeds("7"), Ok(vec![7]));
        assert_eq!(seeds("3, 1,2"), Ok(vec![3, 1, 2]));
        for (text, word) in [
            ("4..1", "lower end first"),
            ("0..1000", "1 to 1000"),
            ("1,1", "twice"),
            ("", "such as"),
            ("1..", "such as"),
            ("-1", "such as"),
            ("9223372036854775808", "too large"),
        ] {
            let error = seeds(text).expect_err(text);
            assert!(error.contains(word), "{error}");
        }
    }
}
