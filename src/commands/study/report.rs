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
    let asked = Asked::of(args)?;
    let plan = asked.plan(plugins)?;
    let results = Results::read(&asked.file, &plan, &asked.folder)?;
    if results.runs().is_empty() {
        return Err(Failure::Input(format!(
            "study folder {}: no run is finished; run it with: pliant study run",
            asked.folder.path().display()
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
