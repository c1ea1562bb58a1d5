//! `pliant list`

use pliant_core::registry::{Kind, Parameter, Plugins, Registry, describe};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    cli::ListArgs,
    config::{CheckpointSection, EvalSection, LogSection, PRESETS, Preset, RunSection},
    failure::Outcome,
    table,
};

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// Environments
    Envs,
    /// Networks
    Networks,
    /// Agents
    Agents,
    /// Optimisers
    Optimizers,
    /// Interventions
    Interventions,
    /// Probes
    Probes,
    /// Presets
    Presets,
    /// Settings of the sections that every run has
    Settings,
}

const ALL: [Family; 8] = [
    Family::Envs,
    Family::Networks,
    Family::Agents,
    Family::Optimizers,
    Family::Interventions,
    Family::Probes,
    Family::Presets,
    Family::Settings,
];

/// A kind as it is listed.
struct Entry {
    name: String,
    doc: String,
    parameters: Vec<Parameter>,
}

/// Prints one family, or all.
pub fn run(args: &ListArgs, plugins: &Plugins) -> Outcome {
    let families: Vec<Family> = args.family.map_or_else(|| ALL.to_vec(), |family| vec![family]);
    if args.json {
        let all: Map<String, Value> =
            families.iter().map(|family| (heading(*family), as_json(*family, plugins))).collect();
        println!("{}", Value::Object(all));
        return Ok(());
    }
    for family in families {
        println!("{}", heading(family).to_uppercase());
        for entry in entries(family, plugins) {
            print_entry(&entry);
        }
        if family == Family::Envs {
            print_games();
        }
    }
    Ok(())
}

fn heading(family: Family) -> String {
    format!("{family:?}").to_lowercase()
}

fn entries(family: Family, plugins: &Plugins) -> Vec<Entry> {
    match family {
        Family::Envs => kinds(&plugins.envs),
        Family::Networks => kinds(&plugins.networks),
        Family::Agents => kinds(&plugins.agents),
        Family::Optimizers => kinds(&plugins.optimizers),
        Family::Interventions => kinds(&plugins.interventions),
        Family::Probes => kinds(&plugins.probes),
        Family::Presets => presets(),
        Family::Settings => vec![
            section::<RunSection>("run"),
            section::<EvalSection>("eval"),
            section::<CheckpointSection>("checkpoint"),
            section::<LogSection>("log"),
        ],
    }
}

fn kinds<T: 'static>(registry: &Registry<T>) -> Vec<Entry> {
    let entry = |(name, kind): (&str, &Kind<T>)| Entry {
        name: name.to_owned(),
        doc: kind.doc.clone(),
        parameters: kind.parameters.clone(),
    };
    registry.iter().map(entry).collect()
}

fn presets() -> Vec<Entry> {
    let entry = |preset: &Preset| Entry {
        name: preset.name.to_owned(),
        doc: preset.doc(),
        parameters: Vec::new(),
    };
    PRESETS.iter().map(entry).collect()
}

fn section<S: Serialize + Default + JsonSchema>(name: &str) -> Entry {
    let (doc, parameters) = describe::<S>();
    Entry { name: name.to_owned(), doc, parameters }
}

fn as_json(family: Family, plugins: &Plugins) -> Value {
    let entry = |entry: &Entry| json!({ "name": entry.name, "doc": entry.doc, "parameters": entry.parameters });
    Value::Array(entries(family, plugins).iter().map(entry).collect())
}

/// What `env.game` can be.
#[cfg(feature = "atari")]
fn print_games() {
    let games: Vec<&str> = pliant_envs::ale::games().collect();
    println!("\n{} games of `atari`: {}", games.len(), games.join(", "));
}

#[cfg(not(feature = "atari"))]
fn print_games() {}

fn print_entry(entry: &Entry) {
    println!("\n{}: {}", entry.name, entry.doc);
    if entry.parameters.is_empty() {
        return;
    }
    let rows = entry.parameters.iter().map(|parameter| {
        let default =
            parameter.default.as_ref().map_or_else(|| "unset".to_owned(), Value::to_string);
        vec![parameter.name.clone(), default, described(parameter)]
    });
    println!("{}", table::render(&["setting", "default", "meaning"], rows));
}

fn described(parameter: &Parameter) -> String {
    if parameter.choices.is_empty() {
        return parameter.doc.clone();
    }
    format!("{} One of: {}.", parameter.doc, parameter.choices.join(", "))
}
