//! `pliant report`

mod loose;

use std::path::{Path, PathBuf};

use pliant_core::registry::Plugins;

use crate::{
    cli::{ReportArgs, StudyArgs},
    commands::study,
    failure::{Failure, Outcome},
    report,
    study::{Results, StudyFolder},
};

use loose::Loose;

/// A page of runs, or that of a study.
pub fn run(args: &ReportArgs, plugins: &Plugins) -> Outcome {
    let studies =
        args.paths.iter().filter(|path| StudyFolder::at((*path).clone()).is_begun()).count();
    match (studies, &args.paths[..]) {
        (0, _) => of_runs(args, plugins),
        (1, [study]) => of_study(study, args, plugins),
        _ => Err(Failure::Input(
            "one of these is a study's folder: give run directories, or one study alone".to_owned(),
        )),
    }
}

fn of_study(path: &Path, args: &ReportArgs, plugins: &Plugins) -> Outcome {
    if args.out.is_some() {
        return Err(Failure::Input(format!(
            "--out: the report of study {} goes into its own folder, report/",
            path.display()
        )));
    }
    let study = path.display().to_string();
    let asked = StudyArgs { study, scale: None, seeds: None, set: Vec::new(), out: None };
    study::report(&asked, plugins)
}

fn of_runs(args: &ReportArgs, plugins: &Plugins) -> Outcome {
    let loose = Loose::read(&args.paths, plugins)?;
    let results = Results::of(&loose.file, &loose.plan, loose.measured()?);
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from("report"));
    report::check_is_ours(&folder)?;
    let page = report::write(&loose.file, "runs", &results, &folder)?;
    if !loose.unfinished.is_empty() {
        tell!("warning: not finished, shown as far as they came: {}", loose.unfinished.join("; "));
    }
    say!("{}", page.display());
    Ok(())
}
