//! What every registered kind must do, for the tests of whoever registers one.

mod interventions;
mod network;
mod probes;
#[cfg(test)]
mod tests;
mod trial;

pub use interventions::{InterventionTrials, Refusal};
pub use network::TrialNetwork;
pub use probes::ProbeTrials;
pub use trial::{Bits, Setup, Trial, devices, heads};

use crate::registry::Registry;

/// Checks the settings of every kind: defaults build, both as nothing and written out; an unknown
/// setting is refused by name; kind and settings are documented.
///
/// # Panics
/// If a kind breaks one of these rules; the text says which.
pub fn check_settings<T: 'static>(registry: &Registry<T>) {
    for (name, kind) in registry.iter() {
        let label = format!("{} `{name}`", registry.family());
        let builds = |settings: &toml::Table| {
            if let Err(error) = kind.build(settings) {
                panic!("{label} does not build by default: {error}");
            }
        };
        builds(&toml::Table::new());
        match kind.resolve(&toml::Table::new()) {
            Ok(defaults) => builds(&defaults),
            Err(error) => panic!("{label} refuses its own defaults: {error}"),
        }
        assert!(!kind.doc.is_empty(), "{label} has no documentation");
        for parameter in &kind.parameters {
            assert!(
                !parameter.doc.is_empty(),
                "{label}: `{}` has no documentation",
                parameter.name
            );
        }
        let unknown = toml::Table::from_iter([("no_such_setting".to_owned(), 1.into())]);
        match kind.build(&unknown) {
            Ok(_) => panic!("{label} takes a setting that it does not have"),
            Err(error) => assert!(
                error.contains("`no_such_setting`"),
                "{label} does not name the unknown setting: {error}"
            ),
        }
    }
}
