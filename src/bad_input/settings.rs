//! Every setting of every kind, with values of wrong types and beyond all ranges, resolved and built.

use std::ops::Range;

use pliant_core::registry::{Parameter, Plugins, Registry, describe};
use pliant_fuzzing::{Damage, Surface, Verdict};
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::{
    config::{CheckpointSection, EvalSection, Layer, LogSection, RunSection, resolve},
    experiment,
    failure::{Failure, legible},
    fakes,
};

pliant_fuzzing::surfaces! { settings_of_every_kind_are_refused_or_built: 20_000 }

/// What can be set: where, of which kind, and what.
struct Settings {
    /// The section, or the list.
    section: &'static str,
    kind: Option<&'static str>,
    parameters: Vec<Parameter>,
}

fn of_family<T: 'static>(section: &'static str, registry: &Registry<T>) -> Vec<Settings> {
    let of_kind = |(kind, entry): (&'static str, &pliant_core::registry::Kind<T>)| Settings {
        section,
        kind: Some(kind),
        parameters: entry.parameters.clone(),
    };
    registry.iter().map(of_kind).collect()
}

fn all(plugins: &Plugins) -> Vec<Settings> {
    let fixed = |section, (_, parameters)| Settings { section, kind: None, parameters };
    let mut all = vec![
        fixed("run", describe::<RunSection>()),
        fixed("eval", describe::<EvalSection>()),
        fixed("checkpoint", describe::<CheckpointSection>()),
        fixed("log", describe::<LogSection>()),
    ];
    all.extend(of_family("env", &plugins.envs));
    all.extend(of_family("network", &plugins.networks));
    all.extend(of_family("agent", &plugins.agents));
    all.extend(of_family("optimizer", &plugins.optimizers));
    all.extend(of_family("interventions", &plugins.interventions));
    all.extend(of_family("probes", &plugins.probes));
    all.retain(|settings| !settings.parameters.is_empty());
    all
}

/// A value of any type, as likely as not of the right one.
fn any_value(damage: &mut Damage, parameter: &Parameter) -> Value {
    if damage.once_in(3) {
        let special = [
            Value::Float(f64::NAN),
            Value::Float(f64::INFINITY),
            Value::Float(f64::NEG_INFINITY),
            Value::Float(-0.0),
            Value::Datetime("1979-05-27".parse().expect("a date")),
            Value::String("\u{0}".to_owned()),
            Value::String("x".repeat(5000)),
            Value::Array(vec![Value::Float(f64::NAN); 3]),
            Value::Array(vec![Value::Integer(1); 5000]),
        ];
        return damage.one_of(&special).clone();
    }
    let json = match &parameter.default {
        _ if !parameter.choices.is_empty() && damage.once_in(2) => {
            Json::from(damage.one_of(&parameter.choices).clone())
        }
        Some(default) if damage.once_in(2) => damage.json(default),
        _ => damage.any_value(),
    };
    Value::try_from(json).unwrap_or(Value::Integer(i64::MIN)) // TOML has no null and no u64
}

/// True if an error says what is wrong: by the setting or, where it is a name of something, by its value. Of a value that
/// is not shown as it is, only the beginning is looked for.
fn names(error: &str, key: &str, value: &Value) -> bool {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let mut texts =
        items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned));
    let begins = |text: String| legible(&text).chars().take(6).collect::<String>();
    error.contains(key) || texts.any(|text| error.contains(&begins(text)))
}

fn section(settings: &Settings, table: Table) -> Table {
    let mut table = table;
    if let Some(kind) = settings.kind {
        table.insert("kind".to_owned(), Value::String(kind.to_owned()));
    }
    let value = match settings.section {
        "interventions" | "probes" => Value::Array(vec![Value::Table(table)]),
        _ => Value::Table(table),
    };
    match settings.section {
        "optimizer" => {
            let agent = Table::from_iter([("optimizer".to_owned(), value)]);
            Table::from_iter([("agent".to_owned(), Value::Table(agent))])
        }
        name => Table::from_iter([(name.to_owned(), value)]),
    }
}

/// The small experiment of the tests, with room for what any probe needs and any network.
fn small_layers() -> Vec<Layer> {
    let mut layers = fakes::small_layers();
    let set = ["agent.replay_capacity=5000", "env.side=36"];
    layers.extend(set.iter().flat_map(|setting| Layer::assignment("--set", setting)));
    layers
}

/// That experiment with a layer over it.
fn built(layer: Table, plugins: &Plugins) -> Result<(), String> {
    let mut layers = small_layers();
    layers.push(Layer::of_table("damaged".to_owned(), layer));
    let config = resolve(&layers, plugins)?;
    config.to_toml();
    if is_large(&config.network.settings) {
        return config.network.build(&plugins.networks).map(drop); // drawing it would take minutes
    }
    let capacity = config.agent.settings.get("replay_capacity").and_then(Value::as_integer);
    if capacity.is_some_and(|capacity| capacity > 1_000_000) {
        return config.agent.build(&plugins.agents).map(drop); // is reserved, though not taken until it is filled
    }
    match experiment::build(config, plugins) {
        Ok(experiment) => {
            experiment.agent.most_updates(experiment.config.run.budget_frames);
            experiment
                .interventions
                .idle_within(u64::MAX, experiment.agent.target_period_updates());
            experiment::check_memory(&experiment).map_err(|failure| failure.to_string())
        }
        Err(Failure::Input(error)) => Err(error),
        Err(Failure::Run(error)) => panic!("an error of input that exits as one of a run: {error}"),
    }
}

/// True for a network some times as wide as those of the papers, or of many more units.
fn is_large(network: &Table) -> bool {
    network.values().any(|value| match value {
        Value::Float(times) => *times > 2.0,
        Value::Integer(units) => *units > 600,
        _ => false,
    })
}

fn settings_of_every_kind_are_refused_or_built(cases: Range<u64>) {
    let plugins = fakes::plugins();
    let all = all(&plugins);
    let builds = |settings: &Settings| built(section(settings, Table::new()), &plugins).is_ok();
    let are_built: Vec<bool> = all.iter().map(builds).collect();
    Surface::new("settings").with_most_bytes(1_500_000_000).check(cases, |damage| {
        let which = damage.below(all.len());
        let settings = &all[which];
        let mut table = Table::new();
        for _ in 0..=damage.below(2) {
            let parameter = damage.one_of(&settings.parameters);
            let value = any_value(damage, parameter);
            table.insert(parameter.name.clone(), value);
        }
        let built = built(section(settings, table.clone()), &plugins);
        if let Err(error) = built.map_err(|error| legible(&error)) {
            let is_named = table.iter().any(|(key, value)| names(&error, key, value));
            assert!(is_named || !are_built[which], "{table:?} is not named: {error}");
            return Verdict::Refused(error);
        }
        Verdict::Taken
    });
}

/// Each setting with a value of each type that is not its own.
#[test]
fn a_value_of_a_wrong_type_is_refused_with_the_settings_name() {
    let plugins = fakes::plugins();
    let wrong = [
        ("text", Value::String("no such choice".to_owned())),
        ("true or false", Value::Boolean(true)),
        ("integer", Value::Integer(-7)),
        ("number", Value::Float(0.5)),
        ("list", Value::Array(vec![Value::Table(Table::new())])),
        ("table", Value::Table(Table::from_iter([("no_such_key".to_owned(), Value::Integer(1))]))),
    ];
    let mut tried = 0;
    for settings in all(&plugins) {
        for parameter in &settings.parameters {
            let is_own = |kind: &str| {
                parameter.kind == kind
                    || kind == "integer" && parameter.kind == "number"
                    || parameter.kind == "any"
                    || kind == "text" && parameter.kind == "text" && parameter.choices.is_empty()
            };
            for (kind, value) in wrong.iter().filter(|(kind, _)| !is_own(kind)) {
                let table = Table::from_iter([(parameter.name.clone(), value.clone())]);
                let mut layers = small_layers();
                layers.push(Layer::of_table("damaged".to_owned(), section(&settings, table)));
                let error = resolve(&layers, &plugins).err();
                let place = format!(
                    "{} {:?} {} as {kind}",
                    settings.section, settings.kind, parameter.name
                );
                let error = error.unwrap_or_else(|| panic!("{place} is taken"));
                assert!(error.contains(&parameter.name), "{place}: {error}");
                tried += 1;
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

/// Each kind and section with a key that it does not have.
#[test]
fn an_unknown_setting_of_any_section_is_refused_by_name() {
    let plugins = fakes::plugins();
    for settings in all(&plugins) {
        let table = Table::from_iter([("no_such_setting".to_owned(), Value::Integer(1))]);
        let mut layers = small_layers();
        layers.push(Layer::of_table("damaged".to_owned(), section(&settings, table)));
        let error = resolve(&layers, &plugins).expect_err("unknown");
        assert!(
            error.contains("`no_such_setting`"),
            "{} {:?}: {error}",
            settings.section,
            settings.kind
        );
    }
}
