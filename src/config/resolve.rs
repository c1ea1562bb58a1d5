//! From layers to a configuration: each layer is checked alone, then laid over the ones below it.

use pliant_core::registry::{Kind, Plugins, Registry, one_line};
use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use super::{CheckpointSection, EvalSection, Layer, LogSection, Origins, RunSection};

/// The top-level sections, for messages.
const SECTIONS: &str =
    "`run`, `env`, `network`, `agent`, `interventions`, `probes`, `eval`, `checkpoint`, `log`";

/// The kinds that run where no layer names another: Double DQN as in DQN Zoo.
const DEFAULT_KINDS: &str = r#"
env.kind = "atari"
network.kind = "nature"
agent.kind = "double_dqn"
agent.optimizer.kind = "rmsprop"
"#;

/// A kind of an open family with its own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct KindTable {
    /// The registered kind.
    pub kind: String,
    /// Its settings, every default filled in.
    pub settings: Table,
}

/// A whole configuration, every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[run]`
    pub run: RunSection,
    /// `[env]`
    pub env: KindTable,
    /// `[network]`
    pub network: KindTable,
    /// `[agent]`
    pub agent: KindTable,
    /// `[agent.optimizer]`
    pub optimizer: KindTable,
    /// `[[interventions]]`, in order
    pub interventions: Vec<KindTable>,
    /// `[[probes]]`, in order
    pub probes: Vec<KindTable>,
    /// `[eval]`
    pub eval: EvalSection,
    /// `[checkpoint]`
    pub checkpoint: CheckpointSection,
    /// `[log]`
    pub log: LogSection,
    /// Where they were set.
    pub origins: Origins,
}

/// Checks the layers, lowest first, and lays each over those below it.
pub fn resolve(layers: &[Layer], plugins: &Plugins) -> Result<Config, String> {
    let mut merged: Table = DEFAULT_KINDS.parse().expect("valid TOML");
    for layer in layers {
        Checker { layer, below: &merged, plugins }.check()?;
        give_way(&mut merged, &layer.table);
        overlay(&mut merged, &layer.table);
    }
    let origins = Origins::of(layers);
    let config = Config::from_table(&merged, plugins).map_err(|error| origins.locate(&error))?;
    Ok(Config { origins, ..config })
}

/// Drops the `eval.frames` of the layers below where a layer asks for `eval.episodes` alone, which would
/// mean nothing beside it.
fn give_way(below: &mut Table, above: &Table) {
    let Some(Value::Table(above)) = above.get("eval") else { return };
    let asks_for_episodes = above.contains_key("episodes") && !above.contains_key("frames");
    if let Some(Value::Table(below)) = below.get_mut("eval").filter(|_| asks_for_episodes) {
        below.remove("frames");
    }
}

/// Lays `above` over `below`. Tables are merged key by key, unless `kind` changes: another kind's
/// settings mean nothing to it.
fn overlay(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if !changes_kind(old, new) => {
                overlay(old, new);
            }
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

fn changes_kind(old: &Table, new: &Table) -> bool {
    new.get("kind").is_some_and(|kind| old.get("kind") != Some(kind))
}

/// Checks one layer by itself, so that a message can name its place.
struct Checker<'a> {
    layer: &'a Layer,
    below: &'a Table,
    plugins: &'a Plugins,
}

impl Checker<'_> {
    fn check(&self) -> Result<(), String> {
        for (section, value) in &self.layer.table {
            let path = [section.as_str()];
            match section.as_str() {
                "run" => self.fixed::<RunSection>(&path, value)?,
                "eval" => self.fixed::<EvalSection>(&path, value)?,
                "checkpoint" => self.fixed::<CheckpointSection>(&path, value)?,
                "log" => self.fixed::<LogSection>(&path, value)?,
                "env" => self.open(&path, value, &self.plugins.envs)?,
                "network" => self.open(&path, value, &self.plugins.networks)?,
                "agent" => self.agent(value)?,
                "interventions" => self.list(section, value, &self.plugins.interventions)?,
                "probes" => self.list(section, value, &self.plugins.probes)?,
                _ => {
                    let known = format!("unknown section `{section}`, expected one of {SECTIONS}");
                    return Err(self.error(&path, &Table::new(), &known));
                }
            }
        }
        Ok(())
    }

    fn fixed<S: DeserializeOwned>(&self, path: &[&str], value: &Value) -> Result<(), String> {
        let table = self.table(path, value)?;
        match S::deserialize(table.clone()) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(path, table, &one_line(&error))),
        }
    }

    fn agent(&self, value: &Value) -> Result<(), String> {
        let mut table = self.table(&["agent"], value)?.clone();
        let optimizer = table.remove("optimizer");
        self.open(&["agent"], &Value::Table(table), &self.plugins.agents)?;
        optimizer.map_or(Ok(()), |optimizer| {
            self.open(&["agent", "optimizer"], &optimizer, &self.plugins.optimizers)
        })
    }

    fn list<T: 'static>(
        &self,
        section: &str,
        value: &Value,
        registry: &Registry<T>,
    ) -> Result<(), String> {
        let Value::Array(items) = value else {
            let message = format!("expected a list of tables, [[{section}]]");
            return Err(self.error(&[section], &Table::new(), &message));
        };
        for (index, item) in items.iter().enumerate() {
            self.open(&[section, &index.to_string()], item, registry)?;
        }
        Ok(())
    }

    fn open<T: 'static>(
        &self,
        path: &[&str],
        value: &Value,
        registry: &Registry<T>,
    ) -> Result<(), String> {
        let table = self.table(path, value)?;
        let result = match table.get("kind") {
            Some(Value::String(kind)) => kind_settings(registry, kind, table),
            Some(_) => Err("`kind` must be a string".to_owned()),
            None => match kind_below(self.below, path) {
                Some(kind) => kind_settings(registry, kind, table),
                None => Err(format!("`kind` is missing: which {}?", registry.family())),
            },
        };
        result.map(|_| ()).map_err(|message| self.error(path, table, &message))
    }

    fn table<'a>(&self, path: &[&str], value: &'a Value) -> Result<&'a Table, String> {
        value.as_table().ok_or_else(|| {
            self.error(
                path,
                &Table::new(),
                &format!("expected a table, found {}", value.type_str()),
            )
        })
    }

    /// The message with its place: the line of the first key of `table` that it quotes.
    fn error(&self, path: &[&str], table: &Table, message: &str) -> String {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let quoted = message.split('`').skip(1).step_by(2).find(|word| table.contains_key(*word));
        let place = self.layer.place_of(&[path, quoted.as_slice()].concat());
        format!("{place}: {}: {message}", heading(path))
    }
}

/// `[agent.optimizer]`, `interventions[1]`.
fn heading(path: &[&str]) -> String {
    match path {
        [section, index] if index.parse::<usize>().is_ok() => format!("{section}[{index}]"),
        _ => format!("[{}]", path.join(".")),
    }
}

fn kind_below<'a>(below: &'a Table, path: &[&str]) -> Option<&'a str> {
    let (first, rest) = path.split_first()?;
    let table = below.get(*first)?.as_table()?;
    if rest.is_empty() { table.get("kind")?.as_str() } else { kind_below(table, rest) }
}

/// The settings of a table with a kind, defaults filled in.
fn kind_settings<T: 'static>(
    registry: &Registry<T>,
    kind: &str,
    table: &Table,
) -> Result<KindTable, String> {
    let mut settings = table.clone();
    settings.remove("kind");
    let settings = registry
        .get(kind)?
        .resolve(&settings)
        .map_err(|message| format!("{} `{kind}`: {message}", registry.family()))?;
    Ok(KindTable { kind: kind.to_owned(), settings })
}

impl Config {
    /// Of a merged table whose layers were checked.
    fn from_table(table: &Table, plugins: &Plugins) -> Result<Self, String> {
        let agent = section(table, "agent");
        let mut agent_alone = agent.clone();
        agent_alone.remove("optimizer");
        Ok(Self {
            run: fixed_section(table, "run")?,
            env: kind_section(&plugins.envs, &section(table, "env"))?,
            network: kind_section(&plugins.networks, &section(table, "network"))?,
            agent: kind_section(&plugins.agents, &agent_alone)?,
            optimizer: kind_section(&plugins.optimizers, &section(&agent, "optimizer"))?,
            interventions: kind_list(&plugins.interventions, table, "interventions")?,
            probes: kind_list(&plugins.probes, table, "probes")?,
            eval: fixed_section(table, "eval")?,
            checkpoint: fixed_section(table, "checkpoint")?,
            log: fixed_section(table, "log")?,
            origins: Origins::default(),
        })
    }

    /// The whole configuration as TOML, which as the only layer gives this configuration again.
    pub fn to_toml(&self) -> String {
        let mut agent = with_kind(&self.agent);
        agent.insert("optimizer".to_owned(), Value::Table(with_kind(&self.optimizer)));
        let list = |kinds: &[KindTable]| {
            Value::Array(kinds.iter().map(|kind| Value::Table(with_kind(kind))).collect())
        };
        let mut table = Table::new();
        table.insert("run".to_owned(), plain(&self.run));
        table.insert("env".to_owned(), Value::Table(with_kind(&self.env)));
        table.insert("network".to_owned(), Value::Table(with_kind(&self.network)));
        table.insert("agent".to_owned(), Value::Table(agent));
        table.insert("interventions".to_owned(), list(&self.interventions));
        table.insert("probes".to_owned(), list(&self.probes));
        table.insert("eval".to_owned(), plain(&self.eval));
        table.insert("checkpoint".to_owned(), plain(&self.checkpoint));
        table.insert("log".to_owned(), plain(&self.log));
        toml::to_string(&table).expect("a configuration is plain data")
    }
}

impl Config {
    /// The interventions as a numbered Markdown list, in the order in which they act.
    pub fn interventions_as_markdown(&self) -> String {
        let line = |(index, kind): (usize, &KindTable)| {
            let setting = |(key, value): (&String, &Value)| format!("{key} = {value}");
            let settings: Vec<String> = kind.settings.iter().map(setting).collect();
            format!("{}. `{}` {}", index + 1, kind.kind, settings.join(", "))
        };
        let lines: Vec<String> = self.interventions.iter().enumerate().map(line).collect();
        if lines.is_empty() { "none".to_owned() } else { lines.join("\n") }
    }
}

impl KindTable {
    /// Builds the kind; the message names the section.
    pub fn build<T: 'static>(&self, registry: &Registry<T>) -> Result<T, String> {
        let kind: &Kind<T> = registry.get(&self.kind)?;
        kind.build(&self.settings)
            .map_err(|message| format!("{} `{}`: {message}", registry.family(), self.kind))
    }
}

fn plain(section: &impl Serialize) -> Value {
    Value::try_from(section).expect("a section is plain data")
}

fn with_kind(table: &KindTable) -> Table {
    let mut all = Table::from_iter([("kind".to_owned(), Value::String(table.kind.clone()))]);
    all.extend(table.settings.clone());
    all
}

fn section(table: &Table, key: &str) -> Table {
    table.get(key).and_then(Value::as_table).cloned().unwrap_or_default()
}

fn fixed_section<S: DeserializeOwned>(table: &Table, key: &str) -> Result<S, String> {
    S::deserialize(section(table, key)).map_err(|error| format!("[{key}]: {error}"))
}

fn kind_section<T: 'static>(registry: &Registry<T>, table: &Table) -> Result<KindTable, String> {
    let kind = table.get("kind").and_then(Value::as_str).unwrap_or_default();
    kind_settings(registry, kind, table)
}

fn kind_list<T: 'static>(
    registry: &Registry<T>,
    table: &Table,
    key: &str,
) -> Result<Vec<KindTable>, String> {
    let items = table.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    items.iter().filter_map(Value::as_table).map(|item| kind_section(registry, item)).collect()
}
