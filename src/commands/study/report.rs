//! `pliant study report`

use pliant_core::registry::Plugins;

use super::Asked;
use crate::{
    cli::StudyArgs,
    failure::{Failure, Outcome},
    report,
    study::Results,
};

/// Makes figures, tables and a page of what is finished of a study.
pub fn run(args: &StudyArgs, plugins: &Plugins) -> Outcome {
    let asked = Asked::begun_as(args)?;
    let plan = asked.plan(plugins)?;
    let results = Results::read(&asked.file, &plan, &asked.folder, plugins)?;
    if results.runs().is_empty() {
        let left_out = results.left_out().into_iter().map(|(what, _)| what);
        let left_out: Vec<String> = left_out.collect();
        let path = asked.folder.path().display();
        return Err(Failure::Input(format!(
            "study folder {path}: no run can be shown ({}); see pliant study status {path}, go on with pliant study run {path}",
            left_out.join(", ")
        )));
    }
    let page = report::write(
        &asked.file,
        &asked.extent.scale,
        &results,
        &asked.folder.path().join("report"),
    )?;
    for (what, runs) in results.left_out() {
        tell!("warning: {what}, left out of the report: {}", runs.join("; "));
    }
    for (tag, beside) in results.unmeasured() {
        let others = if beside.is_empty() {
            String::new()
        } else {
            format!("; there are {}", beside.join(", "))
        };
        tell!("warning: no run has measured {tag}{others}");
    }
    say!("{}", page.display());
    Ok(())
}
