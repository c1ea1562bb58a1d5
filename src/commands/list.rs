//! `pliant list`

#[cfg(feature = "atari")]
mod games;
#[cfg(not(feature = "atari"))]
#[path = "list/no_games.rs"]
mod games;

use pliant_core::registry::{Kind, Parameter, Plugins, Registry, describe, nearest};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    cli::ListArgs,
    config::{CheckpointSection, EvalSection, LogSection, PRESETS, Preset, RunSection},
    failure::{Failure, Outcome},
    study::{Builtin, STUDIES, Scale},
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
    /// Studies
    Studies,
    /// Settings of the sections that every run has
    Settings,
}

const ALL: [Family; 9] = [
    Family::Envs,
    Family::Networks,
    Family::Agents,
    Family::Optimizers,
    Family::Interventions,
    Family::Probes,
    Family::Presets,
    Family::Studies,
    Family::Settings,
];

/// A kind as it is listed.
struct Entry {
    name: String,
    doc: String,
    parameters: Vec<Parameter>,
}

/// Prints one kind, one family, or all.
pub fn run(args: &ListArgs, plugins: &Plugins) -> Outcome {
    if let (Some(family), Some(name)) = (args.family, &args.name) {
        return run_one(family, name, args.json, plugins).map_err(Failure::Input);
    }
    let families: Vec<Family> = args.family.map_or_else(|| ALL.to_vec(), |family| vec![family]);
    if args.json {
        say!("{}", all_as_json(&families, plugins));
        return Ok(());
    }
    for family in families {
        say!("{}", heading(family).to_uppercase());
        for entry in entries(family, plugins) {
            print_entry(&entry);
        }
        if family == Family::Envs {
            games::print_all();
        }
    }
    Ok(())
}

/// Prints the kind of this name, or the game.
fn run_one(family: Family, name: &str, json: bool, plugins: &Plugins) -> Result<(), String> {
    let all = entries(family, plugins);
    let Some(entry) = all.iter().find(|entry| entry.name == name) else {
        return run_game(family, name, json, &unknown(family, name, &all));
    };
    if json {
        say!("{}", json!({ heading(family): [entry_as_json(entry)] }));
    } else {
        print_entry(entry);
    }
    Ok(())
}

/// Prints the game of this name; `unknown` is what to answer if it cannot be one.
fn run_game(family: Family, name: &str, json: bool, unknown: &str) -> Result<(), String> {
    if family != Family::Envs {
        return Err(unknown.to_owned());
    }
    let game = games::find(name).map_err(|error| format!("{unknown}; as a game: {error}"))?;
    if json {
        say!("{}", json!({ "games": [games::as_json(&game)] }));
    } else {
        games::print(&game);
    }
    Ok(())
}

fn unknown(family: Family, name: &str, all: &[Entry]) -> String {
    let known: Vec<String> = all.iter().map(|entry| format!("`{}`", entry.name)).collect();
    let nearest = nearest(name, all.iter().map(|entry| entry.name.as_str()));
    let question = nearest.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
    let (heading, known) = (heading(family), known.join(", "));
    format!("`{name}` is none of the {heading}{question}, expected one of {known}")
        .replace("?,", "?")
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
        Family::Studies => studies(),
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

/// With their scales in the place of settings.
fn studies() -> Vec<Entry> {
    let entry = |study: &Builtin| {
        let file = study.file().expect("they are tested");
        let scale = |(name, scale): (&String, &Scale)| Parameter {
            name: format!("--scale {name}"),
            kind: format!("seeds {}", scale.seeds),
            default: None,
            doc: scale.about.clone(),
            choices: Vec::new(),
        };
        let parameters = file.scales.iter().map(scale).collect();
        Entry { name: study.name.to_owned(), doc: file.study.title, parameters }
    };
    STUDIES.iter().map(entry).collect()
}

fn section<S: Serialize + Default + JsonSchema>(name: &str) -> Entry {
    let (doc, parameters) = describe::<S>();
    Entry { name: name.to_owned(), doc, parameters }
}

fn all_as_json(families: &[Family], plugins: &Plugins) -> Value {
    let mut all = Map::new();
    for &family in families {
        let kinds = entries(family, plugins).iter().map(entry_as_json).collect();
        all.insert(heading(family), kinds);
        if family == Family::Envs {
            all.extend(
                games::all_as_json().into_iter().map(|(key, games)| (key.to_owned(), games)),
            );
        }
    }
    Value::Object(all)
}

fn entry_as_json(entry: &Entry) -> Value {
    json!({ "name": entry.name, "doc": entry.doc, "parameters": entry.parameters })
}

fn print_entry(entry: &Entry) {
    say!("\n{}: {}", entry.name, entry.doc);
    if entry.parameters.is_empty() {
        return;
    }
    let rows = entry
        .parameters
        .iter()
        .map(|p| vec![p.name.clone(), p.kind.clone(), default_of(p), described(p)]);
    say!("{}", table::render(&["setting", "type", "default", "meaning"], rows));
}

/// A table of settings has its own defaults, which its documentation names.
fn default_of(parameter: &Parameter) -> String {
    match &parameter.default {
        None => "unset".to_owned(),
        Some(Value::Object(_)) => "a table".to_owned(),
        Some(value) => value.to_string(),
    }
}

fn described(parameter: &Parameter) -> String {
    if parameter.choices.is_empty() {
        return parameter.doc.clone();
    }
    format!("{} One of: {}.", parameter.doc, parameter.choices.join(", "))
}
