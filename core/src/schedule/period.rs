//! How often a probe measures.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::ScheduleSettings;
use crate::clock::Every;

/// The time between two measurements, in one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Period {
    /// Updates between measurements.
    pub every_updates: Option<u64>,
    /// Frames between measurements, instead of `every_updates`.
    pub every_frames: Option<u64>,
}

impl Period {
    /// Every so many updates.
    pub fn updates(period: u64) -> Self {
        Self { every_updates: Some(period), every_frames: None }
    }

    /// The period.
    ///
    /// # Panics
    /// If neither or both are given, which [`ScheduleSettings::check`] refuses.
    pub fn every(&self) -> Every {
        match (self.every_updates, self.every_frames) {
            (Some(updates), None) => Every::Updates(updates),
            (None, Some(frames)) => Every::Frames(frames),
            _ => panic!("a period is either of updates or of frames"),
        }
    }
}

impl ScheduleSettings for Period {
    fn defaults_beside(&self, given: &Table) -> Self {
        let is_given = ["every_updates", "every_frames"].iter().any(|key| given.contains_key(*key));
        if is_given { Self::default() } else { self.clone() }
    }

    fn check(&self) -> Result<(), String> {
        match (self.every_updates, self.every_frames) {
            (Some(0), _) => Err("`every_updates` is 0, expected at least 1".to_owned()),
            (_, Some(0)) => Err("`every_frames` is 0, expected at least 1".to_owned()),
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("give one of `every_updates` and `every_frames`, not both".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_units_is_given_and_sets_the_default_aside() {
        let every = |text: &str| {
            let given: Table = text.parse().expect("TOML");
            let defaults = Period::updates(5000).defaults_beside(&given);
            let mut all = Table::try_from(defaults).expect("plain data");
            all.extend(given);
            let period: Period = all.try_into().expect("known keys");
            period.check().map(|()| period.every())
        };
        assert_eq!(every(""), Ok(Every::Updates(5000)));
        assert_eq!(every("every_updates = 7"), Ok(Every::Updates(7)));
        assert_eq!(every("every_frames = 9"), Ok(Every::Frames(9)));
        assert!(
            every("every_frames = 9\nevery_updates = 7").is_err_and(|e| e.contains("not both"))
        );
        assert!(every("every_frames = 0").is_err_and(|error| error.contains("at least 1")));
    }
}
