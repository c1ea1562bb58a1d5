//! Registries: which kinds there are, what settings each takes, how each is built.

mod parameter;

use std::{collections::BTreeMap, fmt::Display, path::PathBuf, sync::Arc};

pub use parameter::{Parameter, describe};
use pliant_envs::env::EnvFactory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    agent::AgentFactory, intervention::Intervention, network::Architecture, optimizer::Optimizer,
    plugin::caught, probe::Probe,
};

type Build<T> = Box<dyn Fn(&toml::Table) -> Result<T, String>>;
type Resolve = Box<dyn Fn(&toml::Table) -> Result<toml::Table, String>>;

/// One kind of a family.
pub struct Kind<T> {
    /// Its documentation.
    pub doc: String,
    /// Its settings.
    pub parameters: Vec<Parameter>,
    build: Build<T>,
    resolve: Resolve,
}

/// The kinds of one family (environments, networks, ..) by name.
pub struct Registry<T> {
    family: &'static str,
    kinds: BTreeMap<&'static str, Kind<T>>,
}

impl<T: 'static> Registry<T> {
    /// An empty registry; `family` is the singular noun used in messages.
    pub fn new(family: &'static str) -> Self {
        Self { family, kinds: BTreeMap::new() }
    }

    /// Adds a kind whose settings are a `C` and which `build` makes of them.
    ///
    /// `C`'s documentation becomes the kind's, its fields' documentation the settings'.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn register<C>(
        &mut self,
        name: &'static str,
        build: impl Fn(C) -> Result<T, String> + 'static,
    ) -> &mut Self
    where
        C: DeserializeOwned + Serialize + Default + JsonSchema + 'static,
    {
        let (doc, parameters) = describe::<C>();
        let kind = Kind {
            doc,
            parameters,
            build: Box::new(move |table| build(parse::<C>(table)?)),
            resolve: Box::new(|table| {
                let config: C = parse(table)?;
                Ok(toml::Table::try_from(&config).expect("settings are plain data"))
            }),
        };
        let taken = self.kinds.insert(name, kind).is_some();
        assert!(!taken, "{} `{name}` is registered twice", self.family);
        self
    }

    /// The singular noun for this family.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// Names and kinds, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Kind<T>)> {
        self.kinds.iter().map(|(name, kind)| (*name, kind))
    }

    /// The kind of this name, or an error that says which there are and which may be meant.
    pub fn get(&self, name: &str) -> Result<&Kind<T>, String> {
        self.kinds.get(name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<String> = self.kinds.keys().map(|kind| format!("`{kind}`")).collect();
        let nearest = nearest(name, self.kinds.keys().copied());
        let question = match nearest {
            _ if name.contains(',') => ", of several each is named by itself;".to_owned(),
            None => ",".to_owned(),
            Some(kind) => format!(", did you mean `{kind}`?"),
        };
        format!("unknown {} `{name}`{question} expected one of {}", self.family, known.join(", "))
    }

    /// True if there is a kind of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.kinds.contains_key(name)
    }

    /// Adds all kinds of another registry of this family; an error, and no change, if a name is taken.
    pub fn merge(&mut self, other: Self) -> Result<(), String> {
        match other.kinds.keys().find(|name| self.contains(name)) {
            Some(taken) => Err(format!("{} `{taken}`", self.family)),
            None => {
                self.kinds.extend(other.kinds);
                Ok(())
            }
        }
    }

    /// Family and name of the first kind, if there is one: ``probe `units` ``.
    pub(crate) fn summary(&self) -> Option<String> {
        self.kinds.keys().next().map(|name| format!("{} `{name}`", self.family))
    }

    /// The same kinds, but a panic while building or resolving is an error, and what was built
    /// goes through `wrap`.
    pub(crate) fn guarded(self, wrap: fn(T) -> T) -> Self {
        let guarded = |(name, kind): (_, Kind<T>)| (name, kind.guarded(wrap));
        Self { family: self.family, kinds: self.kinds.into_iter().map(guarded).collect() }
    }
}

/// The name most like `name`, if one is like it at all (by clap's measure and threshold).
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|kind| (strsim::jaro(name, kind), kind));
    let near = scored.filter(|(likeness, _)| *likeness > 0.7);
    near.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, kind)| kind)
}

impl<T: 'static> Kind<T> {
    fn guarded(self, wrap: fn(T) -> T) -> Self {
        let Self { doc, parameters, build, resolve } = self;
        Self {
            doc,
            parameters,
            build: Box::new(move |table| caught(|| build(table).map(wrap))),
            resolve: Box::new(move |table| caught(|| resolve(table))),
        }
    }

    /// Builds the kind with these settings; what is not set has its default.
    pub fn build(&self, settings: &toml::Table) -> Result<T, String> {
        (self.build)(settings)
    }

    /// The settings with every default filled in; an error if one is unknown or of a wrong type.
    pub fn resolve(&self, settings: &toml::Table) -> Result<toml::Table, String> {
        (self.resolve)(settings)
    }
}

fn parse<C: DeserializeOwned>(table: &toml::Table) -> Result<C, String> {
    C::deserialize(table.clone()).map_err(|error| one_line(&error))
}

/// The message of a TOML error in one line, in the words of people who write TOML.
pub fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join(" ");
    TYPES.iter().fold(text, |text, (rust, plain)| {
        let text = text.replace(&format!("expected {rust} in"), &format!("expected {plain} in"));
        match text.strip_suffix(&format!("expected {rust}")) {
            Some(front) => format!("{front}expected {plain}"),
            None => text,
        }
    })
}

/// What Rust calls the types of settings, and what people do.
const TYPES: [(&str, &str); 9] = [
    ("f64", "a number"),
    ("f32", "a number"),
    ("u64", "a whole number from 0"),
    ("u32", "a whole number from 0"),
    ("usize", "a whole number from 0"),
    ("i64", "a whole number"),
    ("a sequence", "a list, such as [1, 2] or [\"a\"]"),
    ("a boolean", "true or false"),
    ("a string", "a text"),
];

/// An error of any type as the text that a registry passes on.
pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Every family of plug-ins. A program begins with the built-in ones and adds its own.
pub struct Plugins {
    /// Environments.
    pub envs: Registry<Arc<dyn EnvFactory>>,
    /// Networks.
    pub networks: Registry<Arc<dyn Architecture>>,
    /// Optimisers.
    pub optimizers: Registry<Box<dyn Optimizer>>,
    /// Agents.
    pub agents: Registry<Box<dyn AgentFactory>>,
    /// Interventions.
    pub interventions: Registry<Box<dyn Intervention>>,
    /// Probes.
    pub probes: Registry<Box<dyn Probe>>,
    /// The shared libraries that some of them were loaded from.
    pub libraries: Vec<Library>,
}

/// A shared library that plug-ins were loaded from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Where it lies, from the root.
    pub path: PathBuf,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// The interventions it brought.
    pub interventions: Vec<String>,
    /// The probes it brought.
    pub probes: Vec<String>,
}

impl Plugins {
    /// No kinds at all.
    pub fn empty() -> Self {
        Self {
            envs: Registry::new("environment"),
            networks: Registry::new("network"),
            optimizers: Registry::new("optimizer"),
            agents: Registry::new("agent"),
            interventions: Registry::new("intervention"),
            probes: Registry::new("probe"),
            libraries: Vec::new(),
        }
    }

    /// No kinds but the optimisers of this crate.
    pub fn core() -> Self {
        use crate::optimizer::{Adam, Kron, RmsProp, Sgd};
        let mut plugins = Self::empty();
        plugins
            .optimizers
            .register("adam", Adam::build)
            .register("kron", Kron::build)
            .register("rmsprop", RmsProp::build)
            .register("sgd", Sgd::build);
        plugins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documented.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Nothing {}

    fn registry(names: &[&'static str]) -> Registry<u32> {
        let mut registry = Registry::new("intervention");
        for name in names {
            registry.register(name, |_: Nothing| Ok(1));
        }
        registry
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_all() {
        let registry = registry(&["redo", "reset", "shrink_perturb"]);
        let message = |name: &str| registry.get(name).err().expect("unknown");
        assert_eq!(
            message("rdeo"),
            "unknown intervention `rdeo`, did you mean `redo`? expected one of `redo`, `reset`, \
             `shrink_perturb`"
        );
        assert!(message("resets").contains("did you mean `reset`?"));
        assert!(message("shrink_pertrub").contains("did you mean `shrink_perturb`?"));
        assert!(message("xyz").starts_with("unknown intervention `xyz`, expected one of `redo`"));
    }

    #[test]
    fn a_name_that_is_taken_merges_nothing() {
        let mut all = registry(&["a", "b"]);
        assert_eq!(all.merge(registry(&["0", "b"])), Err("intervention `b`".to_owned()));
        assert!(!all.contains("0"));
        assert_eq!(all.merge(registry(&["c"])), Ok(()));
        assert_eq!(all.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn guarded_kinds_turn_panics_into_errors_and_wrap_what_they_build() {
        let mut registry = registry(&["fine"]);
        registry.register("faulty", |_: Nothing| panic!("boom"));
        let registry = registry.guarded(|number| number + 1);
        let build = |name: &str| registry.get(name).expect("there").build(&toml::Table::new());
        assert_eq!(build("fine"), Ok(2));
        assert_eq!(build("faulty"), Err("panicked: boom".to_owned()));
    }
}
