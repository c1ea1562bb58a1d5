//! What Slurm has queued of a study.

use std::{collections::BTreeMap, path::Path};

use super::{Submission, call, submission};
use crate::failure::{Failure, Outcome};

/// What `squeue` is to print of a task: array, index, state, node or reason.
const FORMAT: &str = "--format=%F|%K|%T|%R";

/// States of a task that waits to be started, for the first time or again.
const PENDING: [&str; 6] =
    ["PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"];

/// The runs of a study that Slurm has not done with.
#[derive(Clone, Debug, Default)]
pub struct Queue(BTreeMap<String, Queued>);

/// A task in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// `JOB_INDEX`
    pub task: String,
    /// Slurm's word, such as `PENDING`.
    pub state: String,
    /// The node it runs on, or in brackets why it waits.
    pub whereabouts: String,
}

impl Queued {
    /// True if it waits to be started.
    pub fn is_pending(&self) -> bool {
        PENDING.contains(&&*self.state)
    }
}

impl Queue {
    /// Asks Slurm for the tasks of all submissions; `None` if there are none.
    pub fn of(slurm: &Path) -> Outcome<Option<Self>> {
        submission::adopt(slurm)?;
        let submissions = Submission::all(slurm);
        if submissions.is_empty() {
            return Ok(None);
        }
        let jobs: Vec<&str> = submissions.iter().map(|one| &*one.job).collect();
        let jobs = format!("--jobs={}", jobs.join(","));
        let printed = match call("squeue", ["--noheader", "--array", FORMAT, &jobs]) {
            // Of a single job that is long gone; of several it says nothing.
            Err(Failure::Input(error)) if error.contains("Invalid job id") => String::new(),
            other => other?,
        };
        Ok(Some(Self::parse(&printed, &submissions)))
    }

    /// The task of a run, if it is in the queue.
    pub fn get(&self, run: &str) -> Option<&Queued> {
        self.0.get(run)
    }

    /// All of them, with the names of their runs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Queued)> {
        self.0.iter().map(|(run, queued)| (&**run, queued))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if Slurm is done with all of them.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn parse(printed: &str, submissions: &[Submission]) -> Self {
        let task = |line: &str| {
            let mut fields = line.splitn(4, '|').map(str::trim);
            let (job, index) = (fields.next()?, fields.next()?);
            let (state, whereabouts) = (fields.next()?.to_owned(), fields.next()?.to_owned());
            // The newest, if a number was given twice.
            let submission = submissions.iter().rev().find(|one| one.job == job)?;
            let run = submission.runs.get(index.parse::<usize>().ok()?)?;
            Some((run.clone(), Queued { task: format!("{job}_{index}"), state, whereabouts }))
        };
        Self(printed.lines().filter_map(task).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_told_by_the_names_of_their_runs() {
        let submission = |job: &str, runs: &[&str]| Submission {
            job: job.to_owned(),
            runs: runs.iter().map(|run| (*run).to_owned()).collect(),
            folder: "x".into(),
        };
        let submissions = [submission("5", &["a", "b", "c"]), submission("9", &["b"])];
        let printed = "5|2|PENDING|(Resources | x)\n5|0|RUNNING|node1\n9|0|REQUEUE_HOLD|(held)\n\
                       77|0|RUNNING|node1\n5|N/A|RUNNING|node1\nwords of the site\n";
        let queue = Queue::parse(printed, &submissions);
        let told = |run: &str| {
            let queued = queue.get(run).expect(run);
            (&*queued.task, &*queued.whereabouts, queued.is_pending())
        };
        assert_eq!(told("a"), ("5_0", "node1", false));
        assert_eq!(told("b"), ("9_0", "(held)", true));
        assert_eq!(told("c"), ("5_2", "(Resources | x)", true));
        assert_eq!(queue.0.len(), 3);
    }
}
