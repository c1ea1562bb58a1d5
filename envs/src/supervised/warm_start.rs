//! Learning from a part of the images first (Ash and Adams, 2020).

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    examples::{Examples, Place},
    factory::SupervisedFactory,
    sequence::{Images, Sequence, check_counts, loader},
};
use crate::{
    classification::{Dataset, DatasetName, Split},
    env::{EnvError, EnvFactory, Role},
};

/// Learning from a part of the images first, then from all (Ash and Adams, 2020): a network that was warmed
/// up generalises worse than one that had all images from the beginning, which is `first_share = 1`.
/// Evaluation shows held-out images. Supervised: for the agent `classifier`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WarmStartConfig {
    /// The images.
    pub dataset: DatasetName,
    /// How many of the images to learn from are used, drawn by `task_seed`; 0 for all.
    pub images: u64,
    /// Share of them that the first task has, above 0, at most 1.
    pub first_share: f64,
    /// Steps of each environment for which the first task is played: updates of the agent `classifier`.
    pub first_steps: u64,
    /// Decides which images come first, and nothing else; they do not depend on the run's seed, so that
    /// all runs have the same tasks.
    pub task_seed: u64,
    /// Folder of the data sets. Unset: `PLIANT_DATA`, else where `pliant fetch` puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_folder: Option<PathBuf>,
}

impl Default for WarmStartConfig {
    /// Half of the images first, as in the paper.
    fn default() -> Self {
        Self {
            dataset: DatasetName::Mnist,
            images: 0,
            first_share: 0.5,
            first_steps: 5000,
            task_seed: 0,
            data_folder: None,
        }
    }
}

/// A part of the images, then all.
#[derive(Debug)]
pub struct WarmStart {
    images: Images,
    /// Of the first task.
    first: Arc<[Place]>,
    config: WarmStartConfig,
}

impl WarmStart {
    /// Checks the settings and reads the images.
    pub fn build(config: WarmStartConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        let load = loader(config.dataset, config.data_folder.as_deref());
        Ok(Box::new(Self::factory(config, load)?))
    }

    pub(super) fn factory(
        config: WarmStartConfig,
        load: impl Fn(Split) -> Result<Dataset, EnvError>,
    ) -> Result<SupervisedFactory, EnvError> {
        let WarmStartConfig { dataset, first_share, first_steps, task_seed, .. } = config;
        check_counts(&[("first_steps", first_steps)])?;
        if !(first_share > 0.0 && first_share <= 1.0) {
            return Err(EnvError::Invalid(format!(
                "`first_share` is {first_share}, expected a number above 0, at most 1"
            )));
        }
        let images = Images::load((config.images, task_seed), load)?;
        let shown = images.shown();
        let first = images.share(first_share, task_seed);
        let sequence = Self { images, first, config };
        Ok(SupervisedFactory::new(Box::new(sequence), dataset, first_steps, shown))
    }
}

impl Sequence for WarmStart {
    fn names(&self) -> Vec<String> {
        ["some", "all"].map(|part| format!("{} {part} images", self.config.dataset.name())).into()
    }

    fn examples(&self, task: usize, role: Role) -> Examples {
        let (data, places) = self.images.of(role);
        let is_part = task == 0 && role == Role::Training;
        Examples::plain(data, if is_part { &self.first } else { places })
    }
}
