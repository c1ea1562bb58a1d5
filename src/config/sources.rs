//! Collecting the layers of a command: preset or file, environment, options.

use std::path::Path;

use toml::{Table, Value};

use super::{Layer, PRESETS, preset};

/// The settings given on a command line, in their own words.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `PRESET|FILE`.
    pub base: Option<String>,
    /// `--set a.b=c`, in order.
    pub set: Vec<String>,
    /// `--with KIND[:k=v,..]`, in order.
    pub with: Vec<String>,
    /// `--probe KIND[:k=v,..]`, in order.
    pub probe: Vec<String>,
    /// `--seed N`.
    pub seed: Option<u64>,
    /// `--device D`.
    pub device: Option<String>,
}

/// All layers of a command, lowest first.
pub fn layers(options: &Options) -> Result<Vec<Layer>, String> {
    let mut layers = options.base.as_deref().map_or(Ok(Vec::new()), base)?;
    layers.extend(environment(text_variables())?);
    for assignment in &options.set {
        layers.push(Layer::assignment("--set", assignment)?);
    }
    if let Some(seed) = options.seed {
        let seed =
            i64::try_from(seed).map_err(|_| format!("--seed {seed}: at most {}", i64::MAX))?;
        layers.push(Layer::nested(
            format!("--seed {seed}"),
            &["run", "seed"],
            Value::Integer(seed),
        )?);
    }
    if let Some(device) = &options.device {
        let value = Value::String(device.clone());
        layers.push(Layer::nested(format!("--device {device}"), &["run", "device"], value)?);
    }
    append(&mut layers, "--with", "interventions", &options.with)?;
    append(&mut layers, "--probe", "probes", &options.probe)?;
    Ok(layers)
}

/// The layers of a preset, or of a file with the preset it builds on.
fn base(name: &str) -> Result<Vec<Layer>, String> {
    if let Some(preset) = preset(name) {
        return expand(Layer::parse(format!("preset {}", preset.name), preset.text)?);
    }
    let path = Path::new(name);
    let looks_like_file = path.extension().is_some() || name.contains('/');
    if looks_like_file || path.is_file() {
        return expand(Layer::file(path)?);
    }
    Err(format!("unknown preset `{name}`, expected one of {} or a TOML file", preset_names()))
}

fn preset_names() -> String {
    PRESETS.iter().map(|preset| format!("`{}`", preset.name)).collect::<Vec<_>>().join(", ")
}

/// A layer below which the preset it names with `preset = ".."` is laid.
fn expand(mut layer: Layer) -> Result<Vec<Layer>, String> {
    let place = layer.place_of(&["preset"]);
    let mut layers = match layer.table.remove("preset") {
        None => Vec::new(),
        Some(Value::String(name)) => {
            let below = preset(&name).ok_or_else(|| {
                format!("{place}: unknown preset `{name}`, expected one of {}", preset_names())
            })?;
            expand(Layer::parse(format!("preset {name}"), below.text)?)?
        }
        Some(_) => return Err(format!("{place}: `preset` must be a preset's name")),
    };
    layers.push(layer);
    Ok(layers)
}

/// The environment variables that are text.
fn text_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Settings from variables such as `PLIANT__RUN__SEED=3`.
fn environment(variables: impl Iterator<Item = (String, String)>) -> Result<Vec<Layer>, String> {
    let mut named: Vec<(String, String)> =
        variables.filter(|(name, _)| name.starts_with("PLIANT__")).collect();
    named.sort();
    let layer = |(name, value): &(String, String)| {
        let path = name.trim_start_matches("PLIANT__").to_lowercase().replace("__", ".");
        Layer::assignment("environment", &format!("{path}={value}"))
            .map_err(|error| format!("{name}: {error}"))
    };
    named.iter().map(layer).collect()
}

/// Adds plug-ins to the list that the layers below end with.
fn append(
    layers: &mut Vec<Layer>,
    option: &str,
    section: &str,
    plugins: &[String],
) -> Result<(), String> {
    if plugins.is_empty() {
        return Ok(());
    }
    let below = layers.iter().rev().find_map(|layer| layer.table.get(section)?.as_array().cloned());
    let mut items = below.unwrap_or_default();
    for text in plugins {
        items.push(Value::Table(Layer::plugin(option, text)?));
    }
    let source = format!("{option} {}", plugins.join(&format!(" {option} ")));
    let table = Table::from_iter([(section.to_owned(), Value::Array(items))]);
    layers.push(Layer::of_table(source, table));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_laid_over_the_one_it_builds_on() {
        let layers = base("paper_atari").expect("a preset");
        assert_eq!(layers.len(), 2);
        assert!(base("no_such_preset").expect_err("unknown").contains("`quickstart`"));
        assert!(base("missing.toml").expect_err("no file").contains("missing.toml"));
    }

    #[test]
    fn environment_variables_are_paths_in_capitals() {
        let variables = [("PLIANT__RUN__SEED", "3"), ("PLIANT_BIN", "x"), ("HOME", "/")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let layers = environment(variables.into_iter()).expect("well-formed");
        assert_eq!(layers.len(), 1);
        assert_eq!(layers[0].table["run"]["seed"].as_integer(), Some(3));
    }

    #[test]
    fn options_append_to_the_plugins_of_the_layers_below() {
        let file = Layer::parse("a.toml", "[[probes]]\nkind = \"x\"\n").expect("valid");
        let mut layers = vec![file];
        append(&mut layers, "--probe", "probes", &["y:tau=1".to_owned()]).expect("well-formed");
        let kinds: Vec<&str> = layers[1].table["probes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|probe| probe["kind"].as_str())
            .collect();
        assert_eq!(kinds, ["x", "y"]);
    }
}
