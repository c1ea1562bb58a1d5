//! The first measurement, with which later ones are compared.

use pliant_core::metrics::Metrics;
use serde::{Deserialize, Serialize};

/// The first measurement that is a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reference(Option<First>);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct First {
    value: f64,
    /// Updates made by then.
    updates: u64,
}

impl Reference {
    /// Leaves `PROBE/change`, the value minus the first one, and `PROBE/reference_updates`, when that was. A
    /// value that is not finite is no reference.
    pub fn report(&mut self, probe: &str, value: f64, updates: u64, metrics: &mut Metrics) {
        if self.0.is_none() && value.is_finite() {
            self.0 = Some(First { value, updates });
        }
        if let Some(first) = self.0 {
            metrics.scalar(format!("{probe}/change"), value - first.value);
            metrics.scalar(format!("{probe}/reference_updates"), first.updates as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::state::StateDict;

    use super::*;

    #[test]
    fn what_is_not_a_number_is_no_reference() {
        let mut reference = Reference::default();
        let mut metrics = Metrics::default();
        reference.report("probe", f64::NAN, 0, &mut metrics);
        assert!(metrics.is_empty(), "there is nothing to compare with");
        reference.report("probe", 2.0, 10, &mut metrics);
        let mut state = StateDict::default();
        state.put("first", &reference);
        let mut resumed: Reference = state.get("first").expect("saved above");
        let mut later = Metrics::default();
        resumed.report("probe", 5.0, 20, &mut later);
        assert_eq!(later.get_scalar("probe/change"), Some(3.0));
        assert_eq!(later.get_scalar("probe/reference_updates"), Some(10.0));
    }
}
