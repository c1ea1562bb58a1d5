//! Whether the runs of a study are whole.

use std::path::Path;

use pliant_core::registry::Plugins;

use super::{
    finding::{Finding, Verdict},
    run,
};
use crate::{
    config::Options, engine::slurm::Queue, failure::Outcome, sinks::Progress, study::StudyFolder,
};

/// True of the folder of a study.
pub(super) fn is_one(path: &Path) -> bool {
    StudyFolder::at(path.to_owned()).is_begun()
}

/// What is not well with runs that have begun, and how many are well.
pub(super) fn findings(path: &Path, options: &Options, plugins: &Plugins) -> Outcome<Vec<Finding>> {
    let folder = StudyFolder::at(path.to_owned());
    let stored = folder.stored()?;
    let names: Vec<&str> = stored.as_ref().map(|it| it.names().collect()).unwrap_or_default();
    let queue = Queue::of(&folder.slurm()).unwrap_or_else(|failure| {
        tell!("warning: what is queued is not known: {failure}");
        None
    });
    let is_queued = |name: &str| queue.as_ref().is_some_and(|queue| queue.get(name).is_some());
    let (mut all, mut begun, mut well) = (Vec::new(), 0, 0);
    let progress = Progress::over(names.len() as u64, "runs");
    for name in &names {
        let run = folder.run(name);
        if !run.is_dir() {
            continue;
        }
        begun += 1;
        progress.advance(begun as u64);
        if is_queued(name) {
            progress.close();
            let text = format!("{name}: is Slurm's, and not looked at before it is done with it");
            all.push(Finding::note("run", text));
            continue;
        }
        let findings = run::findings(&run, options, plugins);
        let findings =
            findings.unwrap_or_else(|error| vec![Finding::failed("run", error.to_string())]);
        let of_note = findings.into_iter().filter(|finding| finding.verdict != Verdict::Ok);
        let named = of_note.map(|it| Finding { text: format!("{name}: {}", it.text), ..it });
        let before = all.len();
        all.extend(named);
        well += usize::from(all.len() == before);
    }
    let text = format!(
        "{} planned, {begun} begun, of {well} of them there is nothing to say",
        names.len()
    );
    all.insert(0, Finding::ok("study.json", text));
    Ok(all)
}
