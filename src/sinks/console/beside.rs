//! What holds a run up: a long measurement, say.

use super::numbers::duration;

/// Plain lines on it are this far apart.
const LINE_PERIOD_S: f64 = 20.0;
/// Before this no guess at the time left.
const SETTLED_S: f64 = 2.0;

/// Something of many steps that is under way, and when it was last told of.
#[derive(Debug)]
pub(super) struct Beside {
    name: String,
    began: (f64, u64),
    done: u64,
    last_line_s: f64,
}

impl Beside {
    /// Takes in that `done` of `total` steps of `name` are done; what to show.
    pub(super) fn tell(
        slot: &mut Option<Self>,
        now_s: f64,
        (name, done, total): (&str, u64, u64),
    ) -> String {
        let known = slot.take().filter(|beside| beside.name == name && beside.done <= done);
        let mut beside = known.unwrap_or_else(|| Self {
            name: name.to_owned(),
            began: (now_s, done),
            done,
            last_line_s: now_s,
        });
        beside.done = done;
        let left = beside.left_s(now_s, total).map(|s| format!(", {} left", duration(s)));
        *slot = Some(beside);
        format!("{name}: {done} of {total} steps{}", left.unwrap_or_default())
    }

    /// True now and then.
    pub(super) fn is_line_due(&mut self, now_s: f64) -> bool {
        let is_due = now_s - self.last_line_s >= LINE_PERIOD_S;
        if is_due {
            self.last_line_s = now_s;
        }
        is_due
    }

    fn left_s(&self, now_s: f64, total: u64) -> Option<f64> {
        let (began_s, first) = self.began;
        let (took_s, steps) = (now_s - began_s, self.done - first);
        let left = total.saturating_sub(self.done) as f64;
        (took_s >= SETTLED_S && steps > 0 && left > 0.0).then(|| took_s / steps as f64 * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_once_it_can_be_guessed_and_begins_anew_with_another_name() {
        let mut slot = None;
        assert_eq!(Beside::tell(&mut slot, 10.0, ("rank", 100, 2100)), "rank: 100 of 2100 steps");
        assert_eq!(Beside::tell(&mut slot, 11.0, ("rank", 200, 2100)), "rank: 200 of 2100 steps");
        let text = Beside::tell(&mut slot, 15.0, ("rank", 600, 2100));
        assert_eq!(text, "rank: 600 of 2100 steps, 15s left");
        assert_eq!(Beside::tell(&mut slot, 30.0, ("units", 1, 9)), "units: 1 of 9 steps");
        assert_eq!(Beside::tell(&mut slot, 40.0, ("units", 0, 9)), "units: 0 of 9 steps");
        assert_eq!(Beside::tell(&mut slot, 49.0, ("units", 9, 9)), "units: 9 of 9 steps");
    }

    #[test]
    fn lines_are_apart() {
        let mut slot = None;
        Beside::tell(&mut slot, 5.0, ("rank", 0, 10));
        let mut beside = slot.expect("told");
        assert_eq!(
            [24.9, 25.0, 26.0, 45.0].map(|s| beside.is_line_due(s)),
            [false, true, false, true]
        );
    }
}
