//! `pliant doctor`: is everything there that a run needs, and is a run whole?

mod events;
mod finding;
mod machine;
mod planned;
mod run;
mod study;
mod table;

use std::path::Path;

use finding::Finding;
use pliant_core::registry::Plugins;

use crate::{
    cli::DoctorArgs,
    config::{self, Options},
    failure::{Failure, Outcome},
    study::Builtin,
};

/// Checks the machine, a configuration on this machine, or a run directory; fails if something failed.
pub fn run(args: &DoctorArgs, plugins: &Plugins) -> Outcome {
    let findings = findings(args, plugins)?;
    finding::print(&findings, args.json);
    match findings.iter().filter(|finding| finding.has_failed()).count() {
        0 => Ok(()),
        count => Err(Failure::Run(format!("{count} of {} checks failed", findings.len()))),
    }
}

fn findings(args: &DoctorArgs, plugins: &Plugins) -> Outcome<Vec<Finding>> {
    let options = Options {
        base: args.what.clone(),
        set: args.set.clone(),
        device: args.device.clone(),
        ..Options::default()
    };
    let Some(what) = &args.what else { return Ok(machine::findings()) };
    let path = Path::new(what);
    let is_study = Builtin::is_meant(what);
    if path.is_dir() && config::preset(what).is_none() && !is_study {
        let of = if study::is_one(path) { study::findings } else { run::findings };
        return of(path, &options, plugins);
    }
    if is_study {
        return Err(Failure::Input(format!(
            "`{what}` is a study; what it needs is said by: pliant study run {what} --scale .. --dry-run"
        )));
    }
    let layers = config::layers(&options).map_err(Failure::Input)?;
    let config = config::resolve(&layers, plugins).map_err(Failure::Input)?;
    let mut all = machine::findings();
    all.extend(planned::findings(config, plugins));
    Ok(all)
}
