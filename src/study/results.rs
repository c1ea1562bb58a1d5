//! What the finished runs of a study measured.

use std::{collections::BTreeMap, path::Path};

use super::{
    file::{Axis, Condition, StudyFile},
    folder::{RunState, StudyFolder},
    plan::{Plan, PlannedRun},
    spec::{Take, Units},
};
use crate::{
    failure::Outcome,
    sinks::csv::{self, Measurement},
};

/// The finished runs with their metrics.
pub struct Results<'a> {
    file: &'a StudyFile,
    runs: Vec<Measured<'a>>,
    /// Runs that are not finished.
    pub missing: usize,
}

/// A finished run.
pub struct Measured<'a> {
    /// What it was.
    pub run: &'a PlannedRun,
    by_tag: BTreeMap<String, Vec<Measurement>>,
}

/// The runs that differ in one axis and in their seeds alone.
pub struct Group<'a> {
    /// The conditions on the other axes: label of the axis' condition each; empty if there is no other axis.
    pub others: Vec<String>,
    /// The conditions of the axis that have runs, each with its name, its label and its runs.
    pub conditions: Vec<(String, String, Vec<&'a Measured<'a>>)>,
}

impl<'a> Results<'a> {
    /// Reads what is there.
    pub fn read(file: &'a StudyFile, plan: &'a Plan, folder: &StudyFolder) -> Outcome<Self> {
        let mut runs = Vec::new();
        for run in &plan.runs {
            if folder.state(&run.name()).0 == RunState::Finished {
                runs.push(Measured::read(run, &folder.run(&run.name()).join("metrics.csv"))?);
            }
        }
        let missing = plan.runs.len() - runs.len();
        Ok(Self { file, runs, missing })
    }

    /// All of them.
    pub fn runs(&self) -> &[Measured<'a>] {
        &self.runs
    }

    /// Along one axis: a group for each combination of conditions on the others, in the order of the study's file.
    pub fn along(&'a self, axis: &str) -> Vec<Group<'a>> {
        let place = self.file.axes.iter().position(|one| one.name == axis).expect("was checked");
        let others = |run: &PlannedRun| {
            let mut conditions = run.conditions.clone();
            conditions.remove(place);
            conditions
        };
        let mut keys: Vec<Vec<String>> = Vec::new();
        for key in self.runs.iter().map(|measured| others(measured.run)) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let group = |key: &Vec<String>| {
            let condition = |condition: &Condition| {
                let is_in = |measured: &&Measured<'a>| {
                    measured.run.conditions[place] == condition.name && others(measured.run) == *key
                };
                let runs: Vec<&Measured<'a>> = self.runs.iter().filter(is_in).collect();
                let (name, label) = (condition.name.clone(), condition.label().to_owned());
                (!runs.is_empty()).then_some((name, label, runs))
            };
            let conditions =
                self.file.axes[place].conditions.iter().filter_map(condition).collect();
            Group { others: self.labels(place, key), conditions }
        };
        keys.iter().map(group).collect()
    }

    fn labels(&self, place: usize, key: &[String]) -> Vec<String> {
        let others = self.file.axes.iter().enumerate().filter(|(index, _)| *index != place);
        let label = |((_, axis), name): ((usize, &Axis), &String)| {
            let condition = axis.conditions.iter().find(|condition| condition.name == *name);
            condition.map_or_else(|| name.clone(), |condition| condition.label().to_owned())
        };
        others.zip(key).map(label).collect()
    }
}

impl<'a> Measured<'a> {
    fn read(run: &'a PlannedRun, path: &Path) -> Outcome<Self> {
        let mut by_tag: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
        for (tag, measurement) in csv::read(path)? {
            by_tag.entry(tag).or_default().push(measurement);
        }
        Ok(Self { run, by_tag })
    }

    /// The finite values of a tag over training; the later of two at one x counts.
    pub fn series(&self, tag: &str, units: Units) -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for measurement in self.by_tag.get(tag).into_iter().flatten() {
            let x = match units {
                Units::Frames => measurement.frames,
                Units::AgentSteps => measurement.agent_steps,
                Units::Updates => measurement.updates,
            } as f64;
            if !measurement.value.is_finite() {
                continue;
            }
            match points.last_mut() {
                Some((last, value)) if *last == x => *value = measurement.value,
                _ => points.push((x, measurement.value)),
            }
        }
        points
    }

    /// One number of a tag; `None` if it has none, or one that is not finite.
    pub fn number(&self, tag: &str, take: Take) -> Option<f64> {
        let values: Vec<f64> = self.by_tag.get(tag)?.iter().map(|one| one.value).collect();
        let (first, last) = (*values.first()?, *values.last()?);
        let number = match take {
            Take::Last => last,
            Take::First => first,
            Take::Change => last - first,
            Take::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Take::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Take::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        };
        number.is_finite().then_some(number)
    }
}
