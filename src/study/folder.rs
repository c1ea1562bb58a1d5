//! A study's folder: what was planned, and what has become of it.
//!
//! ```text
//! study.json           what was planned, with every run's configuration
//! configs/NAME.toml    what a run is started from
//! runs/NAME/           its run directory; runs/NAME.log is what it printed
//! report/              figures, tables and a page
//! slurm/               what was submitted to Slurm
//! ```

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pliant_core::registry::Plugins;
use serde::{Deserialize, Serialize};

use super::{
    extent::Extent,
    plan::{Plan, PlannedRun, completed, differences},
};
use crate::{
    engine::Seeds,
    failure::{Failure, Outcome},
    run_dir::{Lock, RunDirectory, State, Status, lock, write_whole},
};

/// The file that remembers the plan.
const FILE: &str = "study.json";

/// A folder in which a study is run.
#[derive(Clone, Debug)]
pub struct StudyFolder(PathBuf);

/// What `study.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// The study's file.
    pub file: String,
    /// At which scale it is run.
    scale: String,
    /// The seeds that `--seeds` gave it.
    #[serde(default)]
    seeds: Option<Seeds>,
    /// What `--set` laid over it.
    set: Vec<String>,
    /// Every run's configuration, by its name.
    runs: BTreeMap<String, String>,
}

impl Stored {
    /// How much of the study is run.
    pub fn extent(&self) -> Extent {
        let Self { scale, seeds, set, .. } = self.clone();
        Extent { scale, seeds, set }
    }

    /// The names of all runs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runs.keys().map(String::as_str)
    }
}

/// Where one of the runs stands.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// It has not begun.
    Waiting,
    /// A process is training it.
    Running,
    /// It was stopped or killed, and can go on.
    Interrupted,
    /// It is done.
    Finished,
    /// It ended by this error.
    Failed(String),
}

impl StudyFolder {
    /// The folder at a path, which need not be there.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// True if a study was begun in it.
    pub fn is_begun(&self) -> bool {
        self.0.join(FILE).exists()
    }

    /// Holds the study for this process.
    pub fn lock(&self) -> Outcome<Lock> {
        fs::create_dir_all(&self.0).map_err(|error| self.input(&error))?;
        lock(&self.0, "study folder", "running it")
    }

    /// What was planned; `None` if nothing was yet.
    pub fn stored(&self) -> Outcome<Option<Stored>> {
        let path = self.0.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| Failure::Input(format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::Input(format!("{}: {error}", path.display()))),
        }
    }

    /// Takes up a plan: a new one, the one that is there, or that with more runs. An error if runs that were planned are
    /// others now, or gone. Returns how many were added to what was there.
    pub fn plan(
        &self,
        file: &str,
        extent: &Extent,
        plan: &Plan,
        plugins: &Plugins,
    ) -> Outcome<usize> {
        let (stored, runs) = (self.stored()?, configs(plan));
        if let Some(stored) = &stored {
            self.check_unchanged(stored, extent, &runs, plugins)?;
        }
        let before = stored.as_ref().map_or(runs.len(), |stored| stored.runs.len());
        let added = runs.len().saturating_sub(before);
        for (name, config) in &runs {
            let path = self.config(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.0)).map_err(|e| self.input(&e))?;
            fs::create_dir_all(self.run(name).parent().unwrap_or(&self.0))
                .map_err(|e| self.input(&e))?;
            if fs::read_to_string(&path).ok().as_ref() != Some(config) {
                write_whole(&path, config.as_bytes())?;
            }
        }
        let Extent { scale, seeds, set } = extent.clone();
        let now = Stored { file: file.to_owned(), scale, seeds, set, runs };
        if stored.as_ref() != Some(&now) {
            let json = serde_json::to_string_pretty(&now).expect("plain data");
            write_whole(&self.0.join(FILE), json.as_bytes())?;
        }
        Ok(added)
    }

    /// An error if [`StudyFolder::plan`] would refuse this one.
    pub fn check(&self, extent: &Extent, plan: &Plan, plugins: &Plugins) -> Outcome {
        let check = |stored| self.check_unchanged(&stored, extent, &configs(plan), plugins);
        self.stored()?.map_or(Ok(()), check)
    }

    fn check_unchanged(
        &self,
        stored: &Stored,
        extent: &Extent,
        runs: &BTreeMap<String, String>,
        plugins: &Plugins,
    ) -> Outcome {
        let scale = &extent.scale;
        let changed = |what: String| {
            Err(Failure::Input(format!(
                "study folder {}: the study has changed since it was begun: {what}; choose another folder with --out",
                self.0.display()
            )))
        };
        if stored.scale != *scale {
            return changed(format!("its scale was `{}`, not `{scale}`", stored.scale));
        }
        if extent.seeds.is_some() && extent.seeds != stored.seeds {
            let seed = |name: &String| name.rsplit_once("/seed").map(|(_, seed)| seed.to_owned());
            let lost = stored.runs.keys().filter(|name| !runs.contains_key(*name)).find_map(seed);
            if let Some(seed) = lost {
                return Err(Failure::Input(format!(
                    "--seeds: study folder {} has runs of seed {seed}, expected the seeds that it has among them",
                    self.0.display()
                )));
            }
        }
        let difference = |(name, old): (&String, &String)| match runs.get(name) {
            None => Some(format!("run {name} is no longer part of it")),
            Some(new) if new == old => None,
            Some(new) => {
                let differences = differences(&completed(old, plugins), new);
                (!differences.is_empty()).then(|| format!("run {name}: {}", differences.join(", ")))
            }
        };
        let differences: Vec<String> = stored.runs.iter().filter_map(difference).collect();
        match &differences[..] {
            [] => Ok(()),
            [only] => changed(only.clone()),
            [first, others @ ..] => changed(format!("{first} (and {} other runs)", others.len())),
        }
    }

    /// What a run is started from.
    pub fn config(&self, name: &str) -> PathBuf {
        self.0.join("configs").join(format!("{name}.toml"))
    }

    /// A run's directory.
    pub fn run(&self, name: &str) -> PathBuf {
        self.0.join("runs").join(name)
    }

    /// What a run prints.
    pub fn log(&self, name: &str) -> PathBuf {
        self.0.join("runs").join(format!("{name}.log"))
    }

    /// What was submitted to Slurm.
    pub fn slurm(&self) -> PathBuf {
        self.0.join("slurm")
    }

    /// Where a run stands, and how far it has come.
    pub fn state(&self, name: &str) -> (RunState, Status) {
        let Ok(directory) = RunDirectory::open(&self.run(name)) else {
            return (RunState::Waiting, Status::default());
        };
        let status = directory.status().unwrap_or_default();
        let state = match status.state {
            _ if directory.is_held() => RunState::Running,
            State::Finished => RunState::Finished,
            State::Running | State::Stopped => RunState::Interrupted,
            State::Failed => RunState::Failed(status.error.clone().unwrap_or_default()),
        };
        (state, status)
    }

    /// How a run's settings, those of now and those it was trained with before, differ from what was planned; empty of
    /// a run that has not begun. What it logs and keeps may change.
    pub fn changes(&self, run: &PlannedRun, plugins: &Plugins) -> Vec<String> {
        let planned = run.config.to_toml();
        let is_kept = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "config.toml" || (name.starts_with("config-until-") && name.ends_with(".toml"))
        };
        let entries = fs::read_dir(self.run(&run.name())).into_iter().flatten().flatten();
        let mut kept: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_kept).collect();
        kept.sort();
        let of = |path: &PathBuf| match fs::read_to_string(path).unwrap_or_default() {
            text if text == planned => Vec::new(),
            text => differences(&planned, &completed(&text, plugins)),
        };
        let mut changes: Vec<String> = kept.iter().flat_map(of).collect();
        changes
            .retain(|change| !["log.", "checkpoint."].iter().any(|free| change.starts_with(free)));
        changes.dedup();
        changes
    }

    fn input(&self, error: &std::io::Error) -> Failure {
        Failure::Input(format!("study folder {}: {error}", self.0.display()))
    }
}

/// The runs' configurations by their names.
fn configs(plan: &Plan) -> BTreeMap<String, String> {
    plan.runs.iter().map(|run| (run.name(), run.config.to_toml())).collect()
}
