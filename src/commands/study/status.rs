//! `pliant study status`

use pliant_core::registry::Plugins;

use super::{Asked, slurm};
use crate::{
    cli::StudyArgs,
    engine::slurm::{Queue, Queued},
    failure::{Failure, Outcome},
    study::{Plan, PlannedRun, RunState, StudyFolder},
    table,
};

/// Tells where the runs of a study stand.
pub fn run(args: &StudyArgs, plugins: &Plugins) -> Outcome {
    let asked = Asked::begun_as(args)?;
    let plan = asked.plan(plugins)?;
    say!("{}: {}, scale {}", asked.file.study.name, asked.file.study.title, asked.extent.scale);
    if !asked.file.study.about.is_empty() {
        say!("{}", asked.file.study.about.trim());
    }
    let view = View::of(&asked.folder, &plan);
    say!("{}", view.table());
    slurm::describe(&view);
    for (name, error) in view.failed() {
        say!("{name} failed: {error}");
    }
    for run in &plan.runs {
        let changes = asked.folder.changes(run, plugins);
        if !changes.is_empty() {
            say!("{} is not what was planned: {}", run.name(), changes.join(", "));
        }
    }
    Ok(())
}

/// A study as its run directories and Slurm's queue show it at one moment.
pub struct View<'a> {
    /// Where its runs are.
    pub folder: &'a StudyFolder,
    /// Which runs there are to be.
    pub plan: &'a Plan,
    /// What Slurm has of them; `None` if it never had any, or does not answer.
    pub queue: Option<Queue>,
}

/// Where a run is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Finished,
    Running,
    Queued,
    Interrupted,
    Waiting,
    Failed,
}

impl Column {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Finished, "finished"),
        (Self::Running, "running"),
        (Self::Queued, "queued"),
        (Self::Interrupted, "interrupted"),
        (Self::Waiting, "waiting"),
        (Self::Failed, "failed"),
    ];

    /// A run that Slurm has started is running though no lock shows it: not every file system shows the locks of
    /// other machines.
    fn of(state: &RunState, queued: Option<&Queued>) -> Self {
        match (state, queued) {
            (RunState::Finished, _) => Self::Finished,
            (RunState::Running, _) => Self::Running,
            (_, Some(queued)) if queued.is_pending() => Self::Queued,
            (_, Some(_)) => Self::Running,
            (RunState::Interrupted, None) => Self::Interrupted,
            (RunState::Waiting, None) => Self::Waiting,
            (RunState::Failed(_), None) => Self::Failed,
        }
    }
}

impl<'a> View<'a> {
    /// Looks now. That Slurm does not answer is a warning.
    pub fn of(folder: &'a StudyFolder, plan: &'a Plan) -> Self {
        let queue = Queue::of(&folder.slurm()).unwrap_or_else(|failure| {
            tell!("warning: what is queued is not known: {failure}");
            None
        });
        Self { folder, plan, queue }
    }

    /// Looks now; an error if Slurm may have runs of the study and does not say so.
    pub fn sure(folder: &'a StudyFolder, plan: &'a Plan) -> Outcome<Self> {
        let queue = Queue::of(&folder.slurm()).map_err(|failure| {
            let slurm = folder.slurm();
            Failure::Input(format!(
                "{failure}; this study was submitted to Slurm, which may be making its runs: ask again where Slurm \
                 answers, or remove {} if it is done with all of them",
                slurm.display()
            ))
        })?;
        Ok(Self { folder, plan, queue })
    }

    /// The task of a run, if Slurm has it.
    pub fn queued(&self, run: &str) -> Option<&Queued> {
        self.queue.as_ref()?.get(run)
    }

    /// The runs that failed and are not to be made again, with their errors.
    pub fn failed(&self) -> Vec<(String, String)> {
        let names = self.plan.runs.iter().map(PlannedRun::name);
        let failed = |name: String| match self.folder.state(&name).0 {
            RunState::Failed(error) if self.queued(&name).is_none() => Some((name, error)),
            _ => None,
        };
        names.filter_map(failed).collect()
    }

    /// A row for each combination of conditions: how many of its runs are where.
    pub fn table(&self) -> String {
        let mut cells: Vec<&[String]> = Vec::new();
        for run in &self.plan.runs {
            if !cells.contains(&&run.conditions[..]) {
                cells.push(&run.conditions);
            }
        }
        let columns = Column::ALL.into_iter();
        let columns: Vec<(Column, &str)> =
            columns.filter(|(it, _)| *it != Column::Queued || self.queue.is_some()).collect();
        let mut header = vec!["conditions"];
        header.extend(columns.iter().map(|(_, name)| name));
        header.push("frames");
        table::render(&header, cells.iter().map(|cell| self.row(cell, &columns)))
    }

    fn row(&self, cell: &[String], columns: &[(Column, &str)]) -> Vec<String> {
        let runs: Vec<&PlannedRun> =
            self.plan.runs.iter().filter(|run| run.conditions == cell).collect();
        let found = runs.iter().map(|run| (run.name(), self.folder.state(&run.name())));
        let found: Vec<(Column, u64)> = found
            .map(|(name, (state, status))| {
                (Column::of(&state, self.queued(&name)), status.clock.frames)
            })
            .collect();
        let count = |column: Column| match found.iter().filter(|(it, _)| *it == column).count() {
            0 => String::new(),
            count => count.to_string(),
        };
        let done: u64 = found.iter().map(|(_, frames)| frames).sum();
        let budget: u64 = runs.iter().map(|run| run.config.run.budget_frames).sum();
        let percent = 100.0 * done as f64 / budget.max(1) as f64;
        let name = if cell.is_empty() { "all".to_owned() } else { cell.join("/") };
        let counts = columns.iter().map(|(column, _)| count(*column));
        let percent = format!("{:.0} %", percent.min(100.0));
        std::iter::once(name).chain(counts).chain([percent]).collect()
    }
}

/// True if a run is left that has not come to its end.
pub fn is_unfinished(folder: &StudyFolder, plan: &Plan) -> bool {
    plan.runs.iter().any(|run| folder.state(&run.name()).0 != RunState::Finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_counted_once_by_its_folder_and_the_queue() {
        let queued = |state: &str| Queued {
            task: "5_0".to_owned(),
            state: state.to_owned(),
            whereabouts: String::new(),
        };
        let (pending, started) = (queued("PENDING"), queued("RUNNING"));
        let failed = RunState::Failed("why".to_owned());
        for (state, queue, column) in [
            (&RunState::Waiting, None, Column::Waiting),
            (&RunState::Waiting, Some(&pending), Column::Queued),
            (&RunState::Waiting, Some(&started), Column::Running),
            (&RunState::Interrupted, None, Column::Interrupted),
            (&RunState::Interrupted, Some(&pending), Column::Queued),
            (&RunState::Interrupted, Some(&started), Column::Running),
            (&RunState::Running, Some(&pending), Column::Running),
            (&RunState::Finished, Some(&started), Column::Finished),
            (&failed, None, Column::Failed),
            (&failed, Some(&pending), Column::Queued),
        ] {
            assert_eq!(Column::of(state, queue), column, "{state:?} {queue:?}");
        }
    }
}
