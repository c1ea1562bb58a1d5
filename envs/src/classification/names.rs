//! The data sets by name.

use std::{
    env,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Dataset, Split,
    files::{CIFAR10, DataFile, DataFiles, FASHION_MNIST, MNIST},
};
use crate::{env::EnvError, folders};

/// The images of the states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatasetName {
    /// Handwritten digits, grey, 28x28: 60,000 to learn from, 10,000 held out.
    #[default]
    Mnist,
    /// Photographs of ten kinds of things, RGB, 32x32: 50,000 to learn from, 10,000 held out.
    Cifar10,
    /// Pieces of clothing, grey, 28x28: 60,000 to learn from, 10,000 held out.
    FashionMnist,
}

impl DatasetName {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::Cifar10, Self::FashionMnist];

    /// As configurations, commands and the data folder write it.
    pub fn name(self) -> &'static str {
        self.files().name
    }

    /// As people write it.
    pub fn title(self) -> &'static str {
        self.files().title
    }

    /// The data set of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.name() == name)
    }

    /// Reads one split from the data folder `data`, its checksums checked.
    pub fn load(self, data: &Path, split: Split) -> Result<Dataset, EnvError> {
        self.files().load(&data.join(self.name()), split)
    }

    /// True if both splits are in the data folder `data`, false if no file of them is; an error if
    /// what is there cannot be used.
    pub fn is_whole(self, data: &Path) -> Result<bool, EnvError> {
        self.files().is_whole(&data.join(self.name()))
    }

    /// The checksums of one split's files, as `(what, sha256)`.
    pub(crate) fn checksums(self, split: Split) -> impl Iterator<Item = (String, String)> {
        let row = move |file: &DataFile| {
            (format!("{} {} sha256", self.name(), file.name), file.sha256.to_owned())
        };
        self.files().of(split).iter().map(row)
    }

    pub(super) fn files(self) -> &'static DataFiles {
        match self {
            Self::Mnist => &MNIST,
            Self::Cifar10 => &CIFAR10,
            Self::FashionMnist => &FASHION_MNIST,
        }
    }
}

/// Where the data sets lie: `configured`, else `PLIANT_DATA`, else `~/.cache/pliant/data`.
pub fn data_folder(configured: Option<&Path>) -> PathBuf {
    let named = env::var_os("PLIANT_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    configured.map(Path::to_owned).or(named).unwrap_or_else(|| folders::cache().join("data"))
}
