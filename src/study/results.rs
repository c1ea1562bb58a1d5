//! What the finished runs of a study measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use pliant_core::registry::Plugins;

use super::{
    file::StudyFile,
    folder::{RunState, StudyFolder},
    plan::{Plan, PlannedRun},
    spec::{Number, Take, Units, When},
};
use crate::{
    failure::Outcome,
    run_dir::{State, Status},
    sinks::csv::{self, Measurement},
};

/// The finished runs with their metrics, and an account of the others.
pub struct Results<'a> {
    pub(super) file: &'a StudyFile,
    pub(super) plan: &'a Plan,
    pub(super) runs: Vec<Measured<'a>>,
    /// Names of runs that wait, are under way or were stopped.
    pub unfinished: Vec<String>,
    /// Names of runs that failed, which may have to do with what they measure.
    pub failed: Vec<String>,
    /// Runs whose metrics cannot be read, with why.
    pub unreadable: Vec<String>,
    /// Runs that went on with other settings than planned, with the difference: they are not what they are called.
    pub changed: Vec<String>,
}

/// A finished run.
pub struct Measured<'a> {
    /// What it was.
    pub run: &'a PlannedRun,
    /// Its run directory.
    pub directory: PathBuf,
    by_tag: BTreeMap<String, Vec<Measurement>>,
}

impl<'a> Results<'a> {
    /// Reads what is there.
    pub fn read(
        file: &'a StudyFile,
        plan: &'a Plan,
        folder: &StudyFolder,
        plugins: &Plugins,
    ) -> Outcome<Self> {
        let mut results = Self::of(file, plan, Vec::new());
        for run in &plan.runs {
            let (name, changes) = (run.name(), folder.changes(run, plugins));
            let (state, status) = folder.state(&name);
            match state {
                _ if !changes.is_empty() => {
                    results.changed.push(format!("{name} ({})", changes.join(", ")));
                }
                RunState::Finished => match Measured::read(run, folder.run(&name), &status) {
                    Ok(measured) => results.runs.push(measured),
                    Err(error) => results.unreadable.push(format!("{name} ({error})")),
                },
                RunState::Failed(_) => results.failed.push(name),
                RunState::Waiting | RunState::Running | RunState::Interrupted => {
                    results.unfinished.push(name);
                }
            }
        }
        Ok(results)
    }

    /// Of runs that were read, all that there are.
    pub fn of(file: &'a StudyFile, plan: &'a Plan, runs: Vec<Measured<'a>>) -> Self {
        let none = Vec::new();
        Self {
            file,
            plan,
            runs,
            unfinished: none.clone(),
            failed: none.clone(),
            unreadable: none.clone(),
            changed: none,
        }
    }

    /// Runs that are not among them, by why.
    pub fn left_out(&self) -> Vec<(String, &[String])> {
        let all = [
            (&self.unfinished, "not finished"),
            (&self.failed, "failed"),
            (&self.unreadable, "with metrics that cannot be read"),
            (&self.changed, "with other settings than planned"),
        ];
        let mut told = Vec::new();
        for (runs, why) in all.into_iter().filter(|(runs, _)| !runs.is_empty()) {
            let plural = if runs.len() == 1 { "" } else { "s" };
            told.push((format!("{} run{plural} {why}", runs.len()), &runs[..]));
        }
        told
    }

    /// The metrics of the report that no run has, each with those of the same area that there are.
    pub fn unmeasured(&self) -> Vec<(String, Vec<&str>)> {
        let measured: BTreeSet<&str> =
            self.runs.iter().flat_map(|run| run.by_tag.keys().map(String::as_str)).collect();
        let area = |tag: &str| tag.split('/').next().unwrap_or_default().to_owned();
        let beside = |tag: &str| {
            let all = measured.iter().filter(|known| area(known) == area(tag));
            all.copied().filter(|known| known.split('/').count() == 2).collect()
        };
        let missing = self.file.tags().into_iter().filter(|tag| !measured.contains(tag));
        missing.map(|tag| (tag.to_owned(), beside(tag))).collect()
    }

    /// All that are finished.
    pub fn runs(&self) -> &[Measured<'a>] {
        &self.runs
    }
}

impl<'a> Measured<'a> {
    /// Reads a run's metrics, which reach to its end if it is finished.
    pub fn read(run: &'a PlannedRun, directory: PathBuf, status: &Status) -> Outcome<Self> {
        let mut by_tag: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
        let path = directory.join("metrics.csv");
        let rows = match status.state {
            State::Finished => csv::read_to_the_end(&path, status.clock.frames),
            State::Running | State::Stopped | State::Failed => csv::read(&path),
        };
        for (tag, measurement) in rows? {
            by_tag.entry(tag).or_default().push(measurement);
        }
        Ok(Self { run, directory, by_tag })
    }

    /// The values of a tag over training, up to the first that is not finite; the later of two at one x counts.
    pub fn series(&self, tag: &str, units: Units) -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for measurement in self.by_tag.get(tag).into_iter().flatten() {
            let x = match units {
                Units::Frames => measurement.frames,
                Units::AgentSteps => measurement.agent_steps,
                Units::Updates => measurement.updates,
            } as f64;
            if !measurement.value.is_finite() {
                break;
            }
            match points.last_mut() {
                Some((last, value)) if *last == x => *value = measurement.value,
                _ => points.push((x, measurement.value)),
            }
        }
        points
    }

    /// A number of the run; `None` if it has none, or one that is not finite.
    pub fn number(&self, number: &Number) -> Option<f64> {
        self.taken(&number.tag, number.take)
    }

    /// The same by a tag and which number of its series.
    pub fn taken(&self, tag: &str, take: Take) -> Option<f64> {
        let values: Vec<f64> = self.by_tag.get(tag)?.iter().map(|one| one.value).collect();
        let (first, last) = (*values.first()?, *values.last()?);
        let number = match take {
            Take::Last => last,
            Take::First => first,
            Take::Change if values.len() < 2 => f64::NAN, // nothing to compare with
            Take::Change => last - first,
            Take::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Take::Max | Take::Min if values.iter().any(|value| !value.is_finite()) => f64::NAN,
            Take::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Take::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        };
        number.is_finite().then_some(number)
    }

    /// Files of one kind below `figures/TAG`, in the order in which they were measured, each with the updates that had been
    /// made.
    pub fn figures(&self, tag: &str, extension: &str) -> Vec<(u64, PathBuf)> {
        let folder = self.directory.join("figures").join(tag);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let of_kind = |path: &PathBuf| path.extension().is_some_and(|end| end == extension);
        let updates = |path: PathBuf| {
            let name = path.file_stem()?.to_str()?.split_once('_')?.0.parse().ok()?;
            Some((name, path))
        };
        let paths = entries.map(|entry| entry.path()).filter(of_kind);
        let mut found: Vec<(u64, PathBuf)> = paths.filter_map(updates).collect();
        found.sort();
        found
    }

    /// One of them.
    pub fn figure(&self, tag: &str, extension: &str, when: When) -> Option<(u64, PathBuf)> {
        let mut all = self.figures(tag, extension).into_iter();
        match when {
            When::First => all.next(),
            When::Last => all.last(),
        }
    }
}
