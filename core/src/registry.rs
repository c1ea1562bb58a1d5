//! Registries: which kinds there are, what settings each takes, how each is built.

use std::{collections::BTreeMap, fmt::Display, rc::Rc, sync::Arc};

use pliant_envs::env::EnvFactory;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    agent::AgentFactory, intervention::Intervention, network::Architecture, optimizer::Optimizer,
    probe::Probe,
};

/// A setting of a kind, for listings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Its key.
    pub name: String,
    /// Its default; `None` if it is unset by default.
    pub default: Option<Json>,
    /// What it is, with its unit.
    pub doc: String,
    /// The values it takes, if it is a choice.
    pub choices: Vec<String>,
}

type Build<T> = Box<dyn Fn(&toml::Table) -> Result<T, String>>;
type Resolve = Box<dyn Fn(&toml::Table) -> Result<toml::Table, toml::de::Error>>;

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
            build: Box::new(move |table| {
                build(parse::<C>(table).map_err(|error| one_line(&error))?)
            }),
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

    /// The kind of this name, or an error that says which there are.
    pub fn get(&self, name: &str) -> Result<&Kind<T>, String> {
        self.kinds.get(name).ok_or_else(|| {
            let known: Vec<String> = self.kinds.keys().map(|kind| format!("`{kind}`")).collect();
            format!("unknown {} `{name}`, expected one of {}", self.family, known.join(", "))
        })
    }
}

impl<T> Kind<T> {
    /// Builds the kind with these settings; what is not set has its default.
    pub fn build(&self, settings: &toml::Table) -> Result<T, String> {
        (self.build)(settings)
    }

    /// The settings with every default filled in; an error if one is unknown or of a wrong type.
    pub fn resolve(&self, settings: &toml::Table) -> Result<toml::Table, String> {
        (self.resolve)(settings).map_err(|error| one_line(&error))
    }
}

fn parse<C: DeserializeOwned>(table: &toml::Table) -> Result<C, toml::de::Error> {
    C::deserialize(table.clone())
}

/// The message of a TOML error without its trailing line about where it lies.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// The documentation of a settings struct and of each of its fields.
pub fn describe<C: Serialize + Default + JsonSchema>() -> (String, Vec<Parameter>) {
    let schema = schemars::schema_for!(C).to_value();
    (doc_of(&schema), parameters(&schema, &C::default()))
}

fn doc_of(schema: &Json) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn parameters<C: Serialize>(schema: &Json, default: &C) -> Vec<Parameter> {
    let defaults = serde_json::to_value(default).expect("settings are plain data");
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .map(|(name, property)| Parameter {
            name: name.clone(),
            default: defaults.get(name).filter(|value| !value.is_null()).cloned(),
            doc: doc_of(property),
            choices: choices(schema, property),
        })
        .collect()
}

/// The values of an enum setting: given in place or by reference to a definition.
fn choices(schema: &Json, property: &Json) -> Vec<String> {
    let referred = |path: &str| schema.pointer(path.trim_start_matches('#')).cloned();
    let alternatives = property["anyOf"].as_array().cloned().unwrap_or_default();
    let target = std::iter::once(property.clone())
        .chain(alternatives)
        .map(|option| option["$ref"].as_str().and_then(referred).unwrap_or(option))
        .find(|option| option["enum"].is_array() || option["oneOf"].is_array());
    let Some(target) = target else { return Vec::new() };
    let plain = target["enum"].as_array().cloned().unwrap_or_default();
    let documented = target["oneOf"].as_array().cloned().unwrap_or_default();
    let constants = documented.iter().map(|option| option["const"].clone());
    plain.iter().cloned().chain(constants).filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// An error of any type as the text that a registry passes on.
pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Every family of plug-ins. A program begins with the built-in ones and adds its own.
pub struct Plugins {
    /// Environments.
    pub envs: Registry<Arc<dyn EnvFactory>>,
    /// Networks.
    pub networks: Registry<Rc<dyn Architecture>>,
    /// Optimisers.
    pub optimizers: Registry<Box<dyn Optimizer>>,
    /// Agents.
    pub agents: Registry<Box<dyn AgentFactory>>,
    /// Interventions.
    pub interventions: Registry<Box<dyn Intervention>>,
    /// Probes.
    pub probes: Registry<Box<dyn Probe>>,
}

impl Plugins {
    /// No kinds but the optimisers of this crate.
    pub fn core() -> Self {
        use crate::optimizer::{Adam, RmsProp, Sgd};
        let mut plugins = Self {
            envs: Registry::new("environment"),
            networks: Registry::new("network"),
            optimizers: Registry::new("optimizer"),
            agents: Registry::new("agent"),
            interventions: Registry::new("intervention"),
            probes: Registry::new("probe"),
        };
        plugins
            .optimizers
            .register("adam", Adam::build)
            .register("rmsprop", RmsProp::build)
            .register("sgd", Sgd::build);
        plugins
    }
}
