//! The GPUs of this machine, dealt out to runs.

/// What tells CUDA which devices there are.
pub(super) const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// Names of devices as [`VARIABLE`] takes them: each run sees one of them alone, as `cuda:0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpus(Vec<String>);

impl Gpus {
    /// Those that this program sees; none to deal out if there are less than two, or if runs name devices themselves.
    pub fn to_deal_out<'a>(devices: impl IntoIterator<Item = &'a str>) -> Self {
        let is_left_to_us = devices.into_iter().all(|device| device == "auto");
        let count = if is_left_to_us { tch::Cuda::device_count() } else { 0 };
        let count = usize::try_from(count).unwrap_or(0);
        Self::among(count, std::env::var(VARIABLE).ok().as_deref())
    }

    pub(super) fn among(count: usize, visible: Option<&str>) -> Self {
        if count < 2 {
            return Self::default();
        }
        let listed: Vec<String> = match visible {
            Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
            None => (0..count).map(|index| index.to_string()).collect(),
        };
        Self(listed.into_iter().take(count).collect())
    }

    /// The device of the run in one of the places in which runs are made at a time.
    pub(super) fn of_place(&self, place: usize) -> Option<&str> {
        let count = self.0.len().max(1);
        self.0.get(place % count).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_take_turns_with_the_devices_that_are_to_be_seen() {
        let of = |count, visible| {
            let gpus = Gpus::among(count, visible);
            [0, 1, 2].map(|place| gpus.of_place(place).map(str::to_owned))
        };
        let some = |names: [&str; 3]| names.map(|name| Some(name.to_owned()));
        assert_eq!(of(2, None), some(["0", "1", "0"]));
        assert_eq!(of(2, Some("3, GPU-abc")), some(["3", "GPU-abc", "3"]));
        assert_eq!(of(1, Some("3")), [None, None, None], "every run takes it anyway");
        assert_eq!(of(0, None), [None, None, None]);
    }
}
