//! `pliant study status`

use pliant_core::registry::Plugins;

use super::Asked;
use crate::{
    cli::StudyArgs,
    failure::Outcome,
    study::{Plan, PlannedRun, RunState, StudyFolder},
    table,
};

/// Tells where the runs of a study stand.
pub fn run(args: &StudyArgs, plugins: &Plugins) -> Outcome {
    let asked = Asked::of(args)?;
    let plan = asked.plan(plugins)?;
    say!("{}: {}, scale {}", asked.file.study.name, asked.file.study.title, asked.scale);
    if !asked.file.study.about.is_empty() {
        say!("{}", asked.file.study.about.trim());
    }
    say!("{}", table(&asked.folder, &plan));
    for run in &plan.runs {
        if let (RunState::Failed(error), _) = asked.folder.state(&run.name()) {
            say!("{} failed: {error}", run.name());
        }
        let changes = asked.folder.changes(run);
        if !changes.is_empty() {
            say!("{} is not what was planned: {}", run.name(), changes.join(", "));
        }
    }
    Ok(())
}

/// Where all runs stand, and how many failed.
pub fn of_runs(folder: &StudyFolder, plan: &Plan) -> (Vec<RunState>, usize) {
    let states: Vec<RunState> = plan.runs.iter().map(|run| folder.state(&run.name()).0).collect();
    let failed = states.iter().filter(|state| matches!(state, RunState::Failed(_))).count();
    (states, failed)
}

/// A row for each combination of conditions: how many of its runs are where.
pub fn table(folder: &StudyFolder, plan: &Plan) -> String {
    let mut cells: Vec<&[String]> = Vec::new();
    for run in &plan.runs {
        if !cells.contains(&&run.conditions[..]) {
            cells.push(&run.conditions);
        }
    }
    let row = |cell: &&[String]| {
        let runs = plan.runs.iter().filter(|run| run.conditions == **cell);
        let runs: Vec<&PlannedRun> = runs.collect();
        let states: Vec<_> = runs.iter().map(|run| folder.state(&run.name())).collect();
        let count = |is: fn(&RunState) -> bool| {
            let count = states.iter().filter(|(state, _)| is(state)).count();
            if count == 0 { String::new() } else { count.to_string() }
        };
        let done: u64 = states.iter().map(|(_, status)| status.clock.frames).sum();
        let budget: u64 = runs.iter().map(|run| run.config.run.budget_frames).sum();
        let percent = 100.0 * done as f64 / budget.max(1) as f64;
        let name = if cell.is_empty() { "all".to_owned() } else { cell.join("/") };
        vec![
            name,
            count(|state| *state == RunState::Finished),
            count(|state| *state == RunState::Running),
            count(|state| *state == RunState::Interrupted),
            count(|state| *state == RunState::Waiting),
            count(|state| matches!(state, RunState::Failed(_))),
            format!("{:.0} %", percent.min(100.0)),
        ]
    };
    let header =
        ["conditions", "finished", "running", "interrupted", "waiting", "failed", "frames"];
    table::render(&header, cells.iter().map(row))
}
