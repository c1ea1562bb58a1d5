//! Runs that belong to no study, as a study of what differs between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pliant_core::registry::Plugins;
use toml::{Table, Value};

use crate::{
    commands::resume::stored_config,
    config::{Config, Options},
    engine::slurm::Settings,
    failure::{Failure, Outcome},
    run_dir::{RunDirectory, State},
    study::{
        About, Axis, Condition, CurvesSpec, MatrixSpec, Measured, Plan, PlannedRun, Scale,
        SnapshotSpec, StudyFile, TableSpec, Take, Units, When, differences, settings,
    },
};

/// The axis of what differs.
const AXIS: &str = "run";
/// Differ between any two runs.
const OWN: [&str; 2] = ["run.seed", "run.name"];
/// Letters of a condition's label, beyond which the folder's name stands in its place.
const LONGEST: usize = 60;
/// Figures of learning curves.
const MOST: usize = 48;

/// Runs as a study: its file and plan, and the folders in the plan's order.
pub struct Loose {
    /// What the report shows.
    pub file: StudyFile,
    /// The runs, one condition for each configuration.
    pub plan: Plan,
    folders: Vec<PathBuf>,
    /// Names of those that are not finished, which are shown as far as they came.
    pub unfinished: Vec<String>,
}

impl Loose {
    /// Reads the configurations of run directories.
    pub fn read(paths: &[PathBuf], plugins: &Plugins) -> Outcome<Self> {
        let mut conditions: Vec<Condition> = Vec::new();
        let mut runs: Vec<PlannedRun> = Vec::new();
        let mut unfinished = Vec::new();
        for path in paths {
            let directory = RunDirectory::open(path)?;
            let config = stored_config(&directory, Options::as_stored(), plugins)?;
            let is_same = |run: &&PlannedRun| differs(&run.config, &config).is_empty();
            let known = runs.iter().find(is_same).map(|run| run.conditions[0].clone());
            let is_taken = |name: &String| {
                runs.iter().any(|run| run.conditions[0] == *name && run.seed == config.run.seed)
            };
            let name = known.filter(|name| !is_taken(name)).unwrap_or_else(|| {
                let condition = condition(path, &conditions);
                conditions.push(condition);
                conditions[conditions.len() - 1].name.clone()
            });
            if directory.status().is_none_or(|status| status.state != State::Finished) {
                unfinished.push(path.display().to_string());
            }
            runs.push(PlannedRun { conditions: vec![name], seed: config.run.seed, config });
        }
        label_by_path(&mut conditions, &runs, paths);
        label(&mut conditions, &runs);
        let plan = Plan { runs };
        let file = file(conditions, paths, &unfinished)?;
        Ok(Self { file, plan, folders: paths.to_vec(), unfinished })
    }

    /// What they measured.
    pub fn measured(&self) -> Outcome<Vec<Measured<'_>>> {
        let runs = self.plan.runs.iter().zip(&self.folders);
        let measured = |(run, folder): (_, &PathBuf)| {
            let status = RunDirectory::open(folder)?.status().unwrap_or_default();
            Measured::read(run, folder.clone(), &status)
        };
        runs.map(measured).collect()
    }
}

/// What differs beside the seed and what runs are called.
fn differs(old: &Config, new: &Config) -> Vec<String> {
    let mut differences = differences(&old.to_toml(), &new.to_toml());
    differences.retain(|it| !it.starts_with("run.seed:") && !it.starts_with("run.name:"));
    differences
}

/// Named after its folder.
fn condition(path: &Path, taken: &[Condition]) -> Condition {
    let folder = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = plain(&folder.file_name().unwrap_or_default().to_string_lossy());
    let mut names = std::iter::once(folder.clone()).chain((2..).map(|n| format!("{folder}-{n}")));
    let is_free = |name: &String| taken.iter().all(|condition| condition.name != *name);
    let name = names.find(is_free).expect("numbers do not end");
    let (set, with, probe) = (Table::new(), Vec::new(), Vec::new());
    Condition { name, label: None, value: None, set, with, probe }
}

/// Labels conditions of one run by its path.
fn label_by_path(conditions: &mut [Condition], runs: &[PlannedRun], paths: &[PathBuf]) {
    for condition in conditions {
        let is_of = |(run, _): &(&PlannedRun, &PathBuf)| run.conditions[0] == condition.name;
        let of_it: Vec<_> = runs.iter().zip(paths).filter(is_of).collect();
        if let [(_, path)] = of_it[..] {
            condition.label = Some(path.display().to_string());
        }
    }
}

/// Labels conditions by the settings in which any of them differ, where that is short and told apart.
fn label(conditions: &mut [Condition], runs: &[PlannedRun]) {
    let configs = conditions.iter().map(|condition| {
        let run = runs.iter().find(|run| run.conditions[0] == condition.name);
        settings(&run.expect("each has a run").config)
    });
    let configs: Vec<BTreeMap<String, Value>> = configs.collect();
    let keys: BTreeSet<&String> = configs.iter().flat_map(BTreeMap::keys).collect();
    let differs =
        |key: &&&String| configs.iter().any(|config| config.get(**key) != configs[0].get(**key));
    let keys: Vec<&&String> =
        keys.iter().filter(differs).filter(|key| !OWN.contains(&key.as_str())).collect();
    let labels = configs.iter().map(|config| {
        let value = |key: &&&String| Some(format!("{key} = {}", config.get(**key)?));
        keys.iter().filter_map(value).collect::<Vec<_>>().join(", ")
    });
    let labels: Vec<String> = labels.collect();
    let is_short = |label: &String| !label.is_empty() && label.chars().count() <= LONGEST;
    let are_apart = labels.iter().collect::<BTreeSet<_>>().len() == labels.len();
    if are_apart && labels.iter().all(is_short) {
        for (condition, label) in conditions.iter_mut().zip(labels) {
            condition.label = Some(label);
        }
    }
}

fn file(
    conditions: Vec<Condition>,
    paths: &[PathBuf],
    unfinished: &[String],
) -> Outcome<StudyFile> {
    let (scalars, figures) = measured(paths)?;
    let scale = Scale {
        about: "as they are".to_owned(),
        seeds: "0".to_owned(),
        set: Table::new(),
        only: BTreeMap::new(),
        slurm: Settings::default(),
    };
    let title =
        if paths.len() == 1 { "One run".to_owned() } else { format!("{} runs", paths.len()) };
    let about = match unfinished {
        [] => String::new(),
        some => format!("Not finished, and shown as far as they came: `{}`.", some.join("`, `")),
    };
    Ok(StudyFile {
        study: About { name: "runs".to_owned(), title, about },
        base: Table::new(),
        axes: vec![Axis { name: AXIS.to_owned(), conditions, setting: None, values: Vec::new() }],
        leave_out: Vec::new(),
        combinations: Vec::new(),
        scales: BTreeMap::from([("runs".to_owned(), scale)]),
        scores: Vec::new(),
        curves: scalars.iter().take(MOST).map(|tag| curves(tag)).collect(),
        trends: Vec::new(),
        scatters: Vec::new(),
        snapshots: figures.iter().filter(|it| it.1 == "csv").map(|it| snapshots(&it.0)).collect(),
        matrices: figures.iter().filter(|it| it.1 == "npy").map(|it| matrices(&it.0)).collect(),
        tables: scalars
            .iter()
            .filter(|tag| tag.starts_with("eval/"))
            .map(|tag| table(tag))
            .collect(),
    })
}

type Figures = BTreeSet<(String, &'static str)>;

/// The scalars of all runs that are of the whole network, those of evaluations first, and the figures.
fn measured(paths: &[PathBuf]) -> Outcome<(Vec<String>, Figures)> {
    let mut scalars: BTreeSet<String> = BTreeSet::new();
    let mut figures = Figures::new();
    for path in paths {
        let rows = crate::sinks::csv::read(&path.join("metrics.csv"))?;
        scalars.extend(rows.into_iter().map(|(tag, _)| tag).filter(|tag| is_whole(tag)));
        find(&path.join("figures"), "", &mut figures);
    }
    if scalars.is_empty() {
        return Err(Failure::Input("these runs have measured nothing yet".to_owned()));
    }
    let areas = ["eval/", "episode/", "train/"];
    let place =
        |tag: &String| areas.iter().position(|area| tag.starts_with(area)).unwrap_or(areas.len());
    let mut scalars: Vec<String> = scalars.into_iter().collect();
    scalars.sort_by_key(place);
    Ok((scalars, figures))
}

/// `area/name`, or `area/LOSS/name` of the probes that look at losses; not of a layer, a target or a task.
fn is_whole(tag: &str) -> bool {
    let parts: Vec<&str> = tag.split('/').collect();
    let is_of_loss = |part: &str| ["probe", "primary"].contains(&part);
    let is_counted = !tag.starts_with("probe/") && !tag.ends_with("_std");
    is_counted && (parts.len() == 2 || (parts.len() == 3 && is_of_loss(parts[1])))
}

/// The folders below `figures/` that hold curves or matrices.
fn find(folder: &Path, tag: &str, found: &mut Figures) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let below = if tag.is_empty() { name } else { format!("{tag}/{name}") };
        if path.is_dir() {
            find(&path, &below, found);
            continue;
        }
        for kind in ["csv", "npy"] {
            if path.extension().is_some_and(|end| end == kind) {
                found.insert((tag.to_owned(), kind));
            }
        }
    }
}

/// A tag as a part of the report is named.
fn named(kind: &str, tag: &str) -> String {
    format!("{kind}-{}", plain(tag))
}

/// As files are named.
fn plain(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "_.".contains(c) { c } else { '-' };
    name.chars().map(kept).collect()
}

fn curves(tag: &str) -> CurvesSpec {
    CurvesSpec {
        name: named("curve", tag),
        title: tag.to_owned(),
        tag: tag.to_owned(),
        lines: Some(AXIS.to_owned()),
        x: Units::Frames,
        log_y: false,
    }
}

fn table(tag: &str) -> TableSpec {
    TableSpec {
        name: named("table", tag),
        title: format!("{tag}, last"),
        tag: tag.to_owned(),
        take: Take::Last,
        rows: AXIS.to_owned(),
        columns: None,
        against: None,
    }
}

fn snapshots(tag: &str) -> SnapshotSpec {
    SnapshotSpec {
        name: named("snapshot", tag),
        title: tag.to_owned(),
        tag: tag.to_owned(),
        lines: None,
        at: Some(When::Last),
        x_label: String::new(),
        log_x: false,
        log_y: tag.ends_with("/density"),
    }
}

fn matrices(tag: &str) -> MatrixSpec {
    MatrixSpec {
        name: named("matrix", tag),
        title: tag.to_owned(),
        tag: tag.to_owned(),
        at: vec![When::First, When::Last],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_a_layer_or_a_target_gets_no_figure() {
        for tag in ["eval/return", "hessian/probe/largest", "train/loss"] {
            assert!(is_whole(tag), "{tag}");
        }
        for tag in ["units/dead/dense1", "plasticity/final_loss_std", "probe/not_finite", "eval"] {
            assert!(!is_whole(tag), "{tag}");
        }
    }
}
