//! What every registered kind must do, for the tests of whoever registers one.

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

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    /// Takes anything.
    #[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default)]
    struct Lenient {
        /// Documented.
        size: u32,
    }

    /// Has a setting without a word about it.
    #[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Silent {
        size: u32,
    }

    #[test]
    #[should_panic(expected = "test kind `lenient` takes a setting that it does not have")]
    fn a_kind_that_ignores_unknown_settings_is_found() {
        let mut registry = Registry::new("test kind");
        registry.register("lenient", |config: Lenient| Ok(config.size));
        check_settings(&registry);
    }

    #[test]
    #[should_panic(expected = "test kind `silent`: `size` has no documentation")]
    fn a_setting_without_documentation_is_found() {
        let mut registry = Registry::new("test kind");
        registry.register("silent", |config: Silent| Ok(config.size));
        check_settings(&registry);
    }

    #[test]
    #[should_panic(expected = "test kind `failing` does not build by default: no reason")]
    fn a_kind_that_does_not_build_by_default_is_found() {
        let mut registry = Registry::<u32>::new("test kind");
        registry.register("failing", |_: Silent| Err("no reason".to_owned()));
        check_settings(&registry);
    }
}
