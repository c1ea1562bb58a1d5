//! At which updates an intervention acts.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::ScheduleSettings;
use crate::clock::crossings;

/// The updates at which something is done once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateSchedule {
    /// Updates between two times it acts; 0 is never. Giving one of `every_updates`, `at_updates` and
    /// `on_target_update` sets aside the defaults of the others.
    pub every_updates: u64,
    /// Single updates after which it acts.
    pub at_updates: Vec<u64>,
    /// Act each time the target network was updated.
    pub on_target_update: bool,
    /// The first update after which it may act.
    pub start_updates: u64,
    /// The last update after which it may act; 0 sets no end.
    pub end_updates: u64,
}

/// The keys of which one sets aside the defaults of the others.
const WHEN: [&str; 3] = ["every_updates", "at_updates", "on_target_update"];

impl UpdateSchedule {
    /// Every `period` updates.
    pub fn every(period: u64) -> Self {
        Self { every_updates: period, ..Self::never() }
    }

    /// Whenever the target network was updated.
    pub fn on_target_update() -> Self {
        Self { on_target_update: true, ..Self::never() }
    }

    fn never() -> Self {
        Self::default()
    }

    /// True if it acts after the update that is the `updates`-th.
    pub fn is_due(&self, updates: u64) -> bool {
        let periodic = updates > 0 && crossings(self.every_updates, updates - 1, updates) > 0;
        self.is_open(updates) && (periodic || self.at_updates.contains(&updates))
    }

    /// True if it acts after the target update that followed the `updates`-th update, and did not act
    /// after the update itself.
    pub fn is_due_on_target_update(&self, updates: u64) -> bool {
        self.on_target_update && self.is_open(updates) && !self.is_due(updates)
    }

    /// The first update after which it may act, where the target network is updated every
    /// `target_period_updates`; `None` if it never does.
    pub fn first(&self, target_period_updates: u64) -> Option<u64> {
        let from = self.start_updates.max(1);
        let multiple =
            |period: u64| (period > 0).then(|| from.div_ceil(period).saturating_mul(period));
        let periodic = multiple(self.every_updates);
        let single = self.at_updates.iter().copied().filter(|at| self.is_open(*at));
        let on_target = self.on_target_update.then(|| multiple(target_period_updates)).flatten();
        let all = single.chain(periodic).chain(on_target);
        all.filter(|updates| *updates > 0 && self.is_open(*updates)).min()
    }

    fn is_open(&self, updates: u64) -> bool {
        is_within(self.start_updates, self.end_updates, updates)
    }
}

impl ScheduleSettings for UpdateSchedule {
    fn defaults_beside(&self, given: &Table) -> Self {
        if WHEN.iter().any(|key| given.contains_key(*key)) {
            let Self { start_updates, end_updates, .. } = *self;
            Self { start_updates, end_updates, ..Self::never() }
        } else {
            self.clone()
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.every_updates == 0 && self.at_updates.is_empty() && !self.on_target_update {
            return Err("it would never act: give `every_updates` above 0, `at_updates`, or \
                        `on_target_update = true`"
                .to_owned());
        }
        if self.at_updates.contains(&0) {
            return Err("`at_updates` has a 0, expected numbers of updates from 1".to_owned());
        }
        check_window(self.start_updates, self.end_updates)?;
        if let Some(outside) = self.at_updates.iter().find(|at| !self.is_open(**at)) {
            return Err(format!("`at_updates` has {outside}, which {}", self.outside()));
        }
        match self.first(1) {
            Some(_) => Ok(()),
            None => Err(format!(
                "it would never act: its first time is update {}, which {}",
                self.every_updates.max(self.start_updates),
                self.outside()
            )),
        }
    }
}

impl UpdateSchedule {
    /// How an update lies outside the window, for messages.
    fn outside(&self) -> String {
        let end = match self.end_updates {
            0 => String::new(),
            end => format!(" and the `end_updates` of {end}"),
        };
        format!("lies outside the `start_updates` of {}{end}", self.start_updates)
    }
}

/// A time of updates during which something goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateWindow {
    /// The first update that it takes part in.
    pub start_updates: u64,
    /// The last update that it takes part in; 0 sets no end.
    pub end_updates: u64,
}

impl UpdateWindow {
    /// From the first update on, without an end.
    pub const fn always() -> Self {
        Self { start_updates: 0, end_updates: 0 }
    }

    /// True if it takes part in the update that is the `updates`-th.
    pub fn contains(&self, updates: u64) -> bool {
        is_within(self.start_updates, self.end_updates, updates)
    }
}

impl ScheduleSettings for UpdateWindow {
    fn defaults_beside(&self, _given: &Table) -> Self {
        self.clone()
    }

    fn check(&self) -> Result<(), String> {
        check_window(self.start_updates, self.end_updates)
    }
}

fn is_within(start: u64, end: u64, updates: u64) -> bool {
    updates >= start && (end == 0 || updates <= end)
}

fn check_window(start: u64, end: u64) -> Result<(), String> {
    if end > 0 && end < start {
        return Err(format!(
            "`end_updates` is {end}, expected 0 or at least the `start_updates` of {start}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(schedule: &UpdateSchedule, until: u64) -> Vec<u64> {
        (0..=until).filter(|updates| schedule.is_due(*updates)).collect()
    }

    #[test]
    fn periods_single_updates_warm_up_and_end() {
        assert_eq!(due(&UpdateSchedule::every(3), 10), [3, 6, 9]);
        let schedule = UpdateSchedule {
            at_updates: vec![1, 7],
            start_updates: 4,
            end_updates: 8,
            ..UpdateSchedule::every(3)
        };
        assert_eq!(due(&schedule, 20), [6, 7]);
        assert_eq!(due(&UpdateSchedule::on_target_update(), 20), [0u64; 0]);
    }

    #[test]
    fn the_first_time_is_the_least_within_the_window() {
        let first = |schedule: &UpdateSchedule| schedule.first(100);
        assert_eq!(first(&UpdateSchedule::every(3)), Some(3));
        let late = UpdateSchedule { start_updates: 7, ..UpdateSchedule::every(3) };
        assert_eq!(first(&late), Some(9));
        assert_eq!(first(&UpdateSchedule { at_updates: vec![8, 20, 5], ..late.clone() }), Some(8));
        assert_eq!(first(&UpdateSchedule { end_updates: 8, ..late }), None);
        assert_eq!(first(&UpdateSchedule::on_target_update()), Some(100));
        let late = UpdateSchedule { start_updates: 101, ..UpdateSchedule::on_target_update() };
        assert_eq!(first(&late), Some(200));
        assert_eq!(first(&UpdateSchedule { end_updates: 199, ..late }), None);
    }

    #[test]
    fn what_can_never_act_is_refused() {
        let schedule = UpdateSchedule { at_updates: vec![5, 30], ..UpdateSchedule::default() };
        schedule.check().expect("both are open");
        let message = UpdateSchedule { start_updates: 6, ..schedule }.check().expect_err("5 < 6");
        assert!(message.contains("`at_updates` has 5"), "{message}");
        let short = UpdateSchedule { end_updates: 500, ..UpdateSchedule::every(1000) };
        let message = short.check().expect_err("ends before");
        assert!(message.contains("update 1000") && message.contains("of 500"), "{message}");
    }

    #[test]
    fn a_target_update_does_not_act_twice() {
        let schedule = UpdateSchedule { on_target_update: true, ..UpdateSchedule::every(4) };
        assert!(!schedule.is_due_on_target_update(4) && schedule.is_due(4));
        assert!(schedule.is_due_on_target_update(6) && !schedule.is_due(6));
        assert!(!UpdateSchedule::every(4).is_due_on_target_update(6));
    }

    #[test]
    fn a_window_has_both_its_ends() {
        let window = UpdateWindow { start_updates: 2, end_updates: 3 };
        let inside: Vec<u64> = (0..6).filter(|updates| window.contains(*updates)).collect();
        assert_eq!(inside, [2, 3]);
        assert!(UpdateWindow::always().contains(0) && UpdateWindow::always().contains(u64::MAX));
    }
}
