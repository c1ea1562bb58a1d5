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

/// The finished runs with their metrics, and an account of the others.
pub struct Results<'a> {
    file: &'a StudyFile,
    plan: &'a Plan,
    runs: Vec<Measured<'a>>,
    /// Names of runs that wait, are under way or were stopped.
    pub unfinished: Vec<String>,
    /// Names of runs that failed, which may have to do with what they measure.
    pub failed: Vec<String>,
    /// Runs that went on with other settings than planned, with the difference: they are not what they are called.
    pub changed: Vec<String>,
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
    /// The conditions of the axis that were planned, in the order of the study's file.
    pub members: Vec<Member<'a>>,
}

/// The runs of one condition, that differ in their seeds.
pub struct Member<'a> {
    /// The condition's name.
    pub name: String,
    /// What figures and tables call it.
    pub label: String,
    /// Those that are finished.
    pub runs: Vec<&'a Measured<'a>>,
    /// How many there are to be.
    pub planned: usize,
    /// How many failed.
    pub failed: usize,
}

impl<'a> Results<'a> {
    /// Reads what is there.
    pub fn read(file: &'a StudyFile, plan: &'a Plan, folder: &StudyFolder) -> Outcome<Self> {
        let (runs, none) = (Vec::new(), Vec::new());
        let mut results = Self {
            file,
            plan,
            runs,
            unfinished: none.clone(),
            failed: none.clone(),
            changed: none,
        };
        for run in &plan.runs {
            let (name, changes) = (run.name(), folder.changes(run));
            match folder.state(&name).0 {
                _ if !changes.is_empty() => {
                    results.changed.push(format!("{name} ({})", changes.join(", ")));
                }
                RunState::Finished => {
                    let metrics = folder.run(&name).join("metrics.csv");
                    results.runs.push(Measured::read(run, &metrics)?);
                }
                RunState::Failed(_) => results.failed.push(name),
                RunState::Waiting | RunState::Running | RunState::Interrupted => {
                    results.unfinished.push(name);
                }
            }
        }
        Ok(results)
    }

    /// Runs that are not among them, by why.
    pub fn left_out(&self) -> Vec<(String, &[String])> {
        let all = [
            (&self.unfinished, "not finished"),
            (&self.failed, "failed"),
            (&self.changed, "with other settings than planned"),
        ];
        let mut told = Vec::new();
        for (runs, why) in all.into_iter().filter(|(runs, _)| !runs.is_empty()) {
            let plural = if runs.len() == 1 { "" } else { "s" };
            told.push((format!("{} run{plural} {why}", runs.len()), &runs[..]));
        }
        told
    }

    /// All that are finished.
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
        for key in self.plan.runs.iter().map(others) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let group = |key: &Vec<String>| {
            let member = |condition: &Condition| {
                let is_in = |run: &PlannedRun| {
                    run.conditions[place] == condition.name && others(run) == *key
                };
                self.member(condition, is_in)
            };
            let members = self.file.axes[place].conditions.iter().filter_map(member).collect();
            Group { others: self.labels(place, key), members }
        };
        keys.iter().map(group).collect()
    }

    /// `None` if there is no such run.
    fn member(
        &'a self,
        condition: &Condition,
        is_in: impl Fn(&PlannedRun) -> bool,
    ) -> Option<Member<'a>> {
        let planned: Vec<&PlannedRun> = self.plan.runs.iter().filter(|run| is_in(run)).collect();
        let is_failed = |run: &&&PlannedRun| self.failed.contains(&run.name());
        (!planned.is_empty()).then(|| Member {
            name: condition.name.clone(),
            label: condition.label().to_owned(),
            runs: self.runs.iter().filter(|measured| is_in(measured.run)).collect(),
            failed: planned.iter().filter(is_failed).count(),
            planned: planned.len(),
        })
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
