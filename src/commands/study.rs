//! `pliant study`

mod check;
mod one;
mod report;
mod run;
mod slurm;
mod status;

use std::path::{Path, PathBuf};

use pliant_core::registry::Plugins;

use crate::{
    cli::{StudyArgs, StudyCommand},
    config,
    failure::{Failure, Outcome},
    study::{Builtin, Extent, Plan, StudyFile, StudyFolder},
};

/// A study that was asked for: its file, at a scale, in a folder.
struct Asked {
    file: StudyFile,
    text: String,
    extent: Extent,
    folder: StudyFolder,
}

/// Runs a study, or tells of one.
pub fn run(command: &StudyCommand, plugins: &Plugins) -> Outcome {
    match command {
        StudyCommand::Run(args) => run::run(args, plugins),
        StudyCommand::Report(args) => report(args, plugins),
        StudyCommand::Status(args) => status::run(args, plugins),
        StudyCommand::One(args) => one::run(args, plugins),
    }
}

/// Makes the report of a study.
pub(super) fn report(args: &StudyArgs, plugins: &Plugins) -> Outcome {
    report::run(args, plugins)
}

impl Asked {
    /// What the options name: a file, or the folder of a study that was begun.
    fn of(args: &StudyArgs) -> Outcome<Self> {
        let given = Path::new(&args.study);
        if given.is_dir() && !Builtin::is_meant(&args.study) {
            return Self::begun(args, given);
        }
        let (file, text) = read(&args.study).map_err(Failure::Input)?;
        let scale = scale(&file, args.scale.as_deref()).map_err(Failure::Input)?;
        let default = || PathBuf::from("studies").join(format!("{}-{scale}", file.study.name));
        let folder = StudyFolder::at(args.out.clone().unwrap_or_else(default));
        let begun = folder.stored().ok().flatten().map(|stored| stored.extent());
        let begun = begun.filter(|begun| begun.scale == scale).and_then(|begun| begun.seeds);
        let variables = config::variables().into_iter().map(|(_, assignment)| assignment);
        let set = variables.chain(args.set.iter().cloned()).collect();
        let extent = Extent { scale, seeds: args.seeds.clone().or(begun), set };
        Ok(Self { file, text, extent, folder })
    }

    fn begun(args: &StudyArgs, path: &Path) -> Outcome<Self> {
        let folder = StudyFolder::at(path.to_owned());
        let stored = folder.stored()?.ok_or_else(|| {
            let path = path.display();
            Failure::Input(format!(
                "{path}: there is no study.json, expected a folder that `pliant study run` made"
            ))
        })?;
        let given = [args.scale.is_some(), args.out.is_some(), !args.set.is_empty()];
        if given.contains(&true) {
            return Err(Failure::Input(format!(
                "study folder {}: --scale, --set and --out belong to a study's file; this one has them already",
                path.display()
            )));
        }
        let source = path.join("study.json").display().to_string();
        let file = StudyFile::parse(&source, &stored.file).map_err(Failure::Input)?;
        let extent = stored.extent();
        let seeds = args.seeds.clone().or(extent.seeds);
        Ok(Self { file, text: stored.file, extent: Extent { seeds, ..extent }, folder })
    }

    /// The study as it was begun, to be told of.
    fn begun_as(args: &StudyArgs) -> Outcome<Self> {
        if args.seeds.is_some() || !args.set.is_empty() {
            return Err(Failure::Input(
                "--seeds and --set belong to `pliant study run`: what is told is of all runs that it was given"
                    .to_owned(),
            ));
        }
        let mut asked = Self::of(args)?;
        let stored = asked.folder.stored()?.map(|stored| stored.extent());
        match stored.filter(|stored| stored.scale == asked.extent.scale) {
            Some(stored) => asked.extent = stored,
            None => asked.extent.set.clear(),
        }
        Ok(asked)
    }

    /// The environment's variables, where the study has its settings already.
    fn tell_what_is_not_heeded(&self) {
        let is_heeded = |assignment: &String| self.extent.set.contains(assignment);
        for (variable, _) in config::variables().into_iter().filter(|(_, it)| !is_heeded(it)) {
            tell!("warning: {variable} is not heeded: the study has its settings already");
        }
    }

    /// What the report has nothing to compare with at this scale.
    fn tell_what_is_not_compared(&self) {
        let Ok(scale) = self.file.scale(&self.extent.scale) else { return };
        let is_left_out = |axis: &String, condition: &String| {
            scale.only.get(axis).is_some_and(|only| !only.contains(condition))
        };
        let tables = self.file.tables.iter();
        let tables = tables.filter_map(|it| Some((&it.name, &it.rows, it.against.as_ref()?)));
        let scores = self.file.scores.iter().map(|it| (&it.name, &it.algorithms, &it.against));
        for (name, _, against) in tables.chain(scores).filter(|it| is_left_out(it.1, it.2)) {
            tell!(
                "warning: {name} compares nothing: `{against}` is not among the conditions of this scale"
            );
        }
    }

    fn plan(&self, plugins: &Plugins) -> Outcome<Plan> {
        Plan::new(&self.file, &self.extent, plugins).map_err(Failure::Input)
    }
}

/// A file, or what comes with the program under the name; a file wins.
fn read(given: &str) -> Result<(StudyFile, String), String> {
    let path = Path::new(given);
    match Builtin::find(given) {
        Some(builtin) if !path.is_file() => Ok((builtin.file()?, builtin.text.to_owned())),
        _ => StudyFile::read(path),
    }
}

/// The scale that was asked for, or the only one there is.
fn scale(file: &StudyFile, asked: Option<&str>) -> Result<String, String> {
    if let Some(name) = asked {
        return file.scale(name).map(|_| name.to_owned());
    }
    let mut names = file.scales.iter();
    match (names.next(), names.next()) {
        (Some((only, _)), None) => Ok(only.clone()),
        _ => {
            let names: Vec<String> = file
                .scales
                .iter()
                .map(|(name, scale)| format!("{name} ({})", scale.about))
                .collect();
            Err(format!("study {}: choose one with --scale: {}", file.study.name, names.join(", ")))
        }
    }
}
