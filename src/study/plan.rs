//! From a study's file to its runs.

use std::collections::{BTreeMap, BTreeSet};

use pliant_core::registry::Plugins;
use toml::{Table, Value};

use super::{
    extent::Extent,
    file::{Axis, Combination, Condition, StudyFile},
};
use crate::config::{self, Config, Layer, Options};

/// All runs of a study at one scale.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed by seed: whatever is finished of it, all conditions have about as many.
    pub runs: Vec<PlannedRun>,
}

/// One run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// The condition on each axis, in the axes' order.
    pub conditions: Vec<String>,
    /// Its seed.
    pub seed: u64,
    /// What it is configured as.
    pub config: Config,
}

impl PlannedRun {
    /// `CONDITION/CONDITION/seedN`: its folder below the study's `runs/`, and its name in tables.
    pub fn name(&self) -> String {
        let seed = format!("seed{}", self.seed);
        self.conditions.iter().chain([&seed]).map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

impl Plan {
    /// Resolves the configuration of every run. The extent's settings are laid over everything else.
    pub fn new(file: &StudyFile, extent: &Extent, plugins: &Plugins) -> Result<Self, String> {
        let Extent { scale, set, .. } = extent;
        let size = file.scale(scale)?;
        if let Some(own) =
            set.iter().find(|it| ["run.seed", "run.name"].iter().any(|own| it.starts_with(own)))
        {
            return Err(format!(
                "--set {own}: a study's runs have the seeds of its scale or of --seeds, and names of their own"
            ));
        }
        let seeds = extent.seeds(file)?;
        let name = &file.study.name;
        let base =
            config::expand(Layer::of_table(format!("study {name}, [base]"), file.base.clone()))?;
        let of_scale = Layer::of_table(format!("study {name}, scale {scale}"), size.set.clone());
        let options = Options { set: set.clone(), is_resolved: true, ..Options::default() };
        let above = config::layers(&options)?;
        let mut runs = Vec::new();
        for cell in cells(file, scale)? {
            let mut layers = base.clone();
            layers.push(of_scale.clone());
            for (axis, condition) in file.axes.iter().zip(&cell) {
                let source = format!("study {name}, {} {}", axis.name, condition.name);
                layers.push(Layer::of_table(source.clone(), condition.set.clone()));
                config::append(&mut layers, &source, "interventions", &condition.with)?;
                config::append(&mut layers, &source, "probes", &condition.probe)?;
            }
            let applies = |it: &&Combination| it.scales.is_empty() || it.scales.contains(scale);
            for combination in
                file.combinations.iter().filter(applies).filter(|it| is_of(file, &cell, &it.of))
            {
                let source = format!("study {name}, combinations");
                layers.push(Layer::of_table(source, combination.set.clone()));
            }
            layers.extend(above.clone());
            let config = config::resolve(&layers, plugins)?;
            if !config.log.csv {
                return Err(format!(
                    "study {name}: log.csv is false, but the report reads metrics.csv"
                ));
            }
            let conditions: Vec<String> =
                cell.iter().map(|condition| condition.name.clone()).collect();
            runs.extend(seeds.all().iter().map(|seed| {
                let config = of_seed(&config, *seed, &conditions, name);
                PlannedRun { conditions: conditions.clone(), seed: *seed, config }
            }));
        }
        runs.sort_by_key(|run| seeds.all().iter().position(|seed| *seed == run.seed));
        Ok(Self { runs })
    }
}

/// A run of a study computes with one thread unless it is told otherwise: several go at a time, and the numbers shall
/// not depend on the machine's cores.
fn of_seed(config: &Config, seed: u64, conditions: &[String], study: &str) -> Config {
    let mut config = config.clone();
    config.run.seed = seed;
    config.run.name = std::iter::once(study)
        .chain(conditions.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("-");
    for threads in [&mut config.run.threads, &mut config.run.env_threads] {
        *threads = (*threads).max(1);
    }
    config
}

/// The combinations of conditions that are run.
fn cells<'a>(file: &'a StudyFile, scale: &str) -> Result<Vec<Vec<&'a Condition>>, String> {
    let only = &file.scale(scale)?.only;
    let mut cells: Vec<Vec<&Condition>> = vec![Vec::new()];
    for axis in &file.axes {
        let is_wanted = |condition: &&Condition| {
            only.get(&axis.name).is_none_or(|names| names.contains(&condition.name))
        };
        let wanted: Vec<&Condition> = axis.conditions.iter().filter(is_wanted).collect();
        cells = cells
            .iter()
            .flat_map(|cell| wanted.iter().map(|one| [&cell[..], &[*one]].concat()))
            .collect();
    }
    cells.retain(|cell| !is_left_out(file, cell));
    if cells.is_empty() {
        return Err(format!("study {}, scale {scale}: nothing is left to run", file.study.name));
    }
    Ok(cells)
}

fn is_left_out(file: &StudyFile, cell: &[&Condition]) -> bool {
    file.leave_out.iter().any(|left_out| is_of(file, cell, left_out))
}

/// True if a combination has one of the conditions named on each axis named.
fn is_of(file: &StudyFile, cell: &[&Condition], named: &BTreeMap<String, Vec<String>>) -> bool {
    let is_one = |(axis, condition): (&Axis, &&Condition)| {
        named.get(&axis.name).is_none_or(|names| names.contains(&condition.name))
    };
    file.axes.iter().zip(cell).all(is_one)
}

/// A configuration with the settings that the program which wrote it did not have yet, at their defaults.
pub fn completed(text: &str, plugins: &Plugins) -> String {
    let layer = Layer::parse("what was planned", text);
    let config = layer.and_then(|layer| config::resolve(&[layer], plugins));
    config.map_or_else(|_| text.to_owned(), |config| config.to_toml())
}

/// What differs between two configurations, as `KEY: OLD -> NEW`.
pub fn differences(old: &str, new: &str) -> Vec<String> {
    let parsed = |text: &str| text.parse::<Table>().unwrap_or_default();
    let (old, new) = (flat(&parsed(old)), flat(&parsed(new)));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let differs = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    differs
        .map(|key| format!("{key}: {} -> {}", shown(old.get(key)), shown(new.get(key))))
        .collect()
}

/// A configuration's settings by their paths.
pub fn settings(config: &Config) -> BTreeMap<String, Value> {
    flat(&config.to_toml().parse::<Table>().expect("what was just written"))
}

fn flat(table: &Table) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                found.extend(
                    flat(inner).into_iter().map(|(below, value)| (format!("{key}.{below}"), value)),
                );
            }
            _ => drop(found.insert(key.clone(), value.clone())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::KindTable, plugins};

    const STUDY: &str = r#"
[study]
name = "small"
title = "Small"
[base]
preset = "mnist_true_label"
probes = [{ kind = "norms" }]
[[axes]]
name = "width"
setting = "network.width"
values = [16, 32]
[[axes]]
name = "norm"
[[axes.conditions]]
name = "none"
[[axes.conditions]]
name = "both"
with = ["layer_norm", "redo:tau=0.5"]
probe = ["units"]
set = { agent = { batch_size = 16 } }
[[leave_out]]
width = ["32"]
norm = ["both"]
[[combinations]]
of = { width = ["16"], norm = ["both"] }
set = { agent = { discount = 0.5 } }
[[combinations]]
of = { width = ["16"] }
scales = ["one"]
set = { agent = { discount = 0.25 } }
[scales.smoke]
about = "seconds"
seeds = "3,1"
set = { run = { budget_frames = 400 }, network = { width = 8 }, agent = { batch_size = 8 } }
[scales.one]
about = "one"
seeds = "0"
only = { width = ["32"] }
"#;

    fn plan(scale: &str, set: &[&str]) -> Result<Plan, String> {
        let file = StudyFile::parse("s.toml", STUDY).expect("a study");
        let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
        let extent = Extent { scale: scale.to_owned(), seeds: None, set };
        Plan::new(&file, &extent, &plugins::builtin())
    }

    #[test]
    fn runs_are_the_product_of_axes_and_seeds_without_what_is_left_out() {
        let plan = plan("smoke", &[]).expect("a plan");
        let names: Vec<String> = plan.runs.iter().map(PlannedRun::name).collect();
        let first = ["16/none/seed3", "16/both/seed3", "32/none/seed3"];
        let second = ["16/none/seed1", "16/both/seed1", "32/none/seed1"];
        assert_eq!(names, [first, second].concat());
        let one = self::plan("one", &[]).expect("a plan");
        assert_eq!(one.runs.iter().map(PlannedRun::name).collect::<Vec<_>>(), ["32/none/seed0"]);
    }

    #[test]
    fn axes_lie_over_the_scale_and_the_scale_over_the_base() {
        let runs = plan("smoke", &["log.jsonl=true"]).expect("a plan").runs;
        let width = |run: &PlannedRun| run.config.network.settings["width"].as_integer();
        assert_eq!([width(&runs[0]), width(&runs[2])], [Some(16), Some(32)]);
        let batch = |run: &PlannedRun| run.config.agent.settings["batch_size"].as_integer();
        assert_eq!([batch(&runs[0]), batch(&runs[1])], [Some(8), Some(16)]);
        let discount = |run: &PlannedRun| run.config.agent.settings["discount"].as_float();
        assert_eq!([0, 1, 2].map(|run| discount(&runs[run])), [Some(0.9), Some(0.5), Some(0.9)]);
        let kinds = |kinds: &[KindTable]| -> Vec<String> {
            kinds.iter().map(|table| table.kind.clone()).collect()
        };
        assert_eq!(kinds(&runs[1].config.interventions), ["layer_norm", "redo"]);
        assert_eq!(kinds(&runs[1].config.probes), ["norms", "units"], "added to the base's");
        assert!(runs.iter().all(|run| run.config.log.jsonl && run.config.run.budget_frames == 400));
        assert_eq!((runs[0].config.run.seed, runs[0].config.run.threads), (3, 1));
        assert_eq!(runs[0].config.run.name, "small-16-none");
    }

    #[test]
    fn a_fault_in_a_condition_is_told_with_its_place() {
        let text = STUDY.replace("agent = { batch_size = 16 }", "agent = { batch_sise = 16 }");
        let file = StudyFile::parse("s.toml", &text).expect("a study");
        let error = Plan::new(
            &file,
            &Extent { scale: "smoke".to_owned(), ..Extent::default() },
            &plugins::builtin(),
        )
        .expect_err("a fault");
        assert!(
            error.contains("study small, norm both") && error.contains("batch_sise"),
            "{error}"
        );
    }

    #[test]
    fn what_a_study_sets_itself_cannot_be_set() {
        let error = plan("smoke", &["run.seed=3"]).expect_err("its own");
        assert!(error.contains("run.seed") && error.contains("seeds"), "{error}");
        for (from, to) in [
            ("setting = \"network.width\"", "setting = \"run.seed\""),
            ("set = { agent = { batch_size = 16 } }", "set = { run = { name = \"x\" } }"),
            ("set = { run = { budget_frames = 400 }", "set = { run = { seed = 1 }"),
        ] {
            assert!(STUDY.contains(from), "{from}");
            let error = StudyFile::parse("s.toml", &STUDY.replacen(from, to, 1)).expect_err(to);
            assert!(error.contains("is not for a study to set"), "{error}");
        }
    }

    #[test]
    fn a_study_without_metrics_is_refused() {
        let error = plan("smoke", &["log.csv=false"]).expect_err("no metrics");
        assert!(error.contains("log.csv") && error.contains("metrics.csv"), "{error}");
    }

    #[test]
    fn a_setting_that_is_new_in_the_program_is_at_its_default_in_what_an_older_one_wrote() {
        let plugins = plugins::builtin();
        let now = plan("smoke", &[]).expect("a plan").runs[1].config.to_toml();
        assert_eq!(completed(&now, &plugins), now);
        let older = now.replace("replay_memory = \"auto\"\n", "").replace("tau = 0.5\n", "");
        assert!(older.len() + 30 < now.len(), "{older}");
        let differ = differences(&completed(&older, &plugins), &now);
        assert_eq!(differ.len(), 1, "tau is not at its default: {differ:?}");
        assert_eq!(completed("no config", &plugins), "no config");
    }

    #[test]
    fn what_differs_between_configurations_is_named() {
        let differ = differences("[a]\nb = 1\nc = 2\n", "[a]\nb = 1\nc = 3\nd = \"x\"\n");
        assert_eq!(differ, ["a.c: 2 -> 3", "a.d: nothing -> \"x\""]);
    }
}
