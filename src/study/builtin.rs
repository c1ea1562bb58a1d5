//! The studies that come with the program: those of the paper.

use std::path::Path;

use super::{file::StudyFile, folder::StudyFolder};

/// A study by its name, and its file.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

macro_rules! studies {
    ($($name:literal),* $(,)?) => {
        &[$(Builtin {
            name: $name,
            text: include_str!(concat!("../../scripts/studies/", $name, ".toml")),
        }),*]
    };
}

/// All of them, in the order of the paper's figures.
pub const STUDIES: &[Builtin] = studies![
    "optimizer_instability",
    "brownian_motion",
    "falsification",
    "learning_curves",
    "scaling",
    "interventions",
    "interference",
    "sharpness",
    "atari_layernorm",
    "atari_gradients",
];

impl Builtin {
    /// True if a name on the command line means one of these: not a file, and not a folder in which a study was begun.
    pub fn is_meant(name: &str) -> bool {
        let path = Path::new(name);
        let is_begun = StudyFolder::at(path.to_owned()).is_begun();
        Self::find(name).is_some() && !path.is_file() && !is_begun
    }

    /// The study of this name.
    pub fn find(name: &str) -> Option<Self> {
        STUDIES.iter().copied().find(|study| study.name == name)
    }

    /// The study, read.
    pub fn file(self) -> Result<StudyFile, String> {
        StudyFile::parse(&format!("study {}", self.name), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plugins,
        study::{Extent, Plan},
    };

    #[test]
    fn every_study_of_the_folder_is_there_under_its_own_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/studies");
        let entries = std::fs::read_dir(folder).expect("a folder").flatten();
        let mut files: Vec<String> = entries
            .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        files.sort();
        let mut names: Vec<&str> = STUDIES.iter().map(|study| study.name).collect();
        names.sort_unstable();
        assert_eq!(files, names);
        for study in STUDIES {
            assert_eq!(study.file().expect("a study").study.name, study.name);
        }
    }

    #[cfg(feature = "atari")]
    #[test]
    fn every_scale_of_every_study_can_be_planned_and_each_has_three() {
        let plugins = plugins::builtin();
        for study in STUDIES {
            let file = study.file().expect("a study");
            let names: Vec<&str> = file.scales.keys().map(String::as_str).collect();
            assert_eq!(names, ["laptop", "paper", "smoke"], "{}", study.name);
            for scale in names {
                let plan = Plan::new(
                    &file,
                    &Extent { scale: scale.to_owned(), ..Extent::default() },
                    &plugins,
                );
                assert!(!plan.expect("a plan").runs.is_empty(), "{} {scale}", study.name);
            }
        }
    }
}
