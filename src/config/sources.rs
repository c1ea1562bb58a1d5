//! Collecting the layers of a command: preset or file, environment, options.

use std::path::Path;

use pliant_core::registry::Plugins;
use toml::{Table, Value};

use super::{KindTable, Layer, PRESETS, Preset, preset, resolve};

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
    /// The environment's variables are left out: of what has been resolved with them, or shall not depend on them.
    pub is_resolved: bool,
}

impl Options {
    /// Nothing over what a run has stored.
    pub fn as_stored() -> Self {
        Self { is_resolved: true, ..Self::default() }
    }
}

/// What variables with settings begin with.
const VARIABLES: &str = "PLIANT__";

/// All layers of a command, lowest first.
pub fn layers(options: &Options) -> Result<Vec<Layer>, String> {
    let mut layers = options.base.as_deref().map_or(Ok(Vec::new()), base)?;
    if !options.is_resolved {
        layers.extend(environment(text_variables())?);
    }
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

/// The `[env]` of a command that takes `--env KIND --set env.k=v` and no other section.
pub fn env_section(kind: &str, set: &[String], plugins: &Plugins) -> Result<KindTable, String> {
    let set = std::iter::once(format!("env.kind={kind}")).chain(set.iter().cloned()).collect();
    let options = Options { set, ..Options::default() };
    Ok(resolve(&layers(&options)?, plugins)?.env)
}

/// The layers of a preset, of several joined by `+`, or of a file with the presets it builds on.
fn base(name: &str) -> Result<Vec<Layer>, String> {
    let path = Path::new(name);
    if path.is_file() && preset(name).is_none() || is_file_name(name) && !begins_with_preset(name) {
        return expand(Layer::file(path)?);
    }
    let place = if name.contains('+') { format!("{name}: ") } else { String::new() };
    let one = |part: &str| match preset(part) {
        Some(preset) => layers_of(&preset),
        None if is_file_name(part) => Err(format!(
            "{place}a file cannot be joined with `+`: name the presets in it, preset = [\"..\", \"..\"]"
        )),
        None => Err(format!(
            "{place}unknown preset `{part}`, expected one of {} or a TOML file",
            preset_names()
        )),
    };
    concat(name.split('+').map(one))
}

/// True if it can only mean a file, whether it is there or not; such a name may contain a `+`.
fn is_file_name(name: &str) -> bool {
    let has_extension = !name.contains('+') && Path::new(name).extension().is_some();
    has_extension || name.ends_with(".toml") || name.contains('/')
}

/// True for a preset, alone or with something joined to it.
fn begins_with_preset(name: &str) -> bool {
    name.split('+').next().and_then(preset).is_some()
}

fn layers_of(preset: &Preset) -> Result<Vec<Layer>, String> {
    expand(Layer::parse(format!("preset {}", preset.name), preset.text)?)
}

fn concat(groups: impl Iterator<Item = Result<Vec<Layer>, String>>) -> Result<Vec<Layer>, String> {
    Ok(groups.collect::<Result<Vec<_>, _>>()?.concat())
}

fn preset_names() -> String {
    PRESETS.iter().map(|preset| format!("`{}`", preset.name)).collect::<Vec<_>>().join(", ")
}

/// A layer below which the presets it names with `preset = ".."` or `preset = ["..", ".."]` are laid,
/// each over the one before it.
pub fn expand(mut layer: Layer) -> Result<Vec<Layer>, String> {
    let place = layer.place_of(&["preset"]);
    let names = match layer.table.remove("preset") {
        None => Vec::new(),
        Some(Value::Array(names)) => names,
        Some(name) => vec![name],
    };
    let below = |name: &Value| {
        let name = name.as_str().ok_or_else(|| {
            format!("{place}: `preset` must be a preset's name or a list of such names")
        })?;
        let below = preset(name).ok_or_else(|| {
            format!("{place}: unknown preset `{name}`, expected one of {}", preset_names())
        })?;
        layers_of(&below)
    };
    let mut layers = concat(names.iter().map(below))?;
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
    let layer = |(name, assignment): &(String, String)| {
        Layer::assignment("environment", assignment).map_err(|error| format!("{name}: {error}"))
    };
    assignments(variables).iter().map(layer).collect()
}

/// Variables with settings, and each as `--set` takes it.
fn assignments(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let assignment = |(name, value): (String, String)| {
        let path = name.strip_prefix(VARIABLES)?.to_lowercase().replace("__", ".");
        Some((name, format!("{path}={value}")))
    };
    let mut all: Vec<(String, String)> = variables.filter_map(assignment).collect();
    all.sort();
    all
}

/// The environment's variables with settings, and each as `--set` takes it.
pub fn variables() -> Vec<(String, String)> {
    assignments(text_variables())
}

/// Adds plug-ins to the list that the layers below end with.
pub fn append(
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

    /// Where layers come from, lowest first.
    fn sources(layers: &[Layer]) -> Vec<String> {
        layers.iter().map(|layer| layer.place_of(&[])).collect()
    }

    #[test]
    fn a_preset_is_laid_over_the_ones_it_builds_on() {
        let layers = base("paper_atari").expect("a preset");
        assert_eq!(
            sources(&layers),
            ["preset env_dqn_zoo", "preset double_dqn_zoo", "preset paper_atari"]
        );
        assert!(base("no_such_preset").expect_err("unknown").contains("`quickstart`"));
        assert!(base("missing.toml").expect_err("no file").contains("missing.toml"));
    }

    #[test]
    fn presets_joined_by_plus_are_laid_in_their_order() {
        let layers = base("mnist_true_label+env_machado").expect("two presets");
        assert_eq!(sources(&layers), ["preset mnist_true_label", "preset env_machado"]);
        let error = base("atari_cpu+env_mach").expect_err("unknown");
        assert!(error.starts_with("atari_cpu+env_mach: unknown preset `env_mach`"), "{error}");
        let error = base("my.toml+env_machado").expect_err("a file");
        assert!(error.contains("a file cannot be joined with `+`"), "{error}");
        assert!(base("atari_cpu+").expect_err("nothing after it").contains("unknown preset ``"));
    }

    #[test]
    fn a_missing_file_with_a_plus_in_its_name_is_no_unknown_preset() {
        for name in ["my+exp.toml", "runs/a+b/config.toml", "a+b/config"] {
            let error = base(name).expect_err("no file");
            assert!(error.starts_with(&format!("cannot read configuration {name}: ")), "{error}");
        }
        let error = base("env_machado+my.toml").expect_err("a preset and a file");
        assert!(error.contains("a file cannot be joined with `+`"), "{error}");
    }

    #[test]
    fn a_layer_takes_one_preset_or_a_list_of_which_later_ones_win() {
        let expanded = |text: &str| expand(Layer::parse("my.toml", text).expect("valid"));
        let layers = expanded("preset = [\"env_machado\", \"env_dqn_zoo\"]").expect("a list");
        assert_eq!(sources(&layers), ["preset env_machado", "preset env_dqn_zoo", "my.toml"]);
        assert_eq!(expanded("preset = []").expect("an empty list").len(), 1);
        let error = expanded("\npreset = [\"env_machado\", 3]").expect_err("a number");
        assert!(error.starts_with("my.toml, line 2: `preset` must be"), "{error}");
        let error = expanded("preset = [\"env_macado\"]").expect_err("unknown");
        assert!(error.contains("line 1: unknown preset `env_macado`"), "{error}");
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
