//! Classifying images whose pixels change places (Goodfellow et al., 2013).

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    examples::{Draw, Examples, shuffled_pixels},
    factory::SupervisedFactory,
    sequence::{Images, Sequence, check_counts, loader},
};
use crate::{
    classification::{Dataset, DatasetName, Split},
    env::{EnvError, EnvFactory, Role},
};

/// Classifying images whose pixels change places, for every task in another way (Goodfellow et al., 2013;
/// Dohare et al., 2024): each task is as hard as the one before, but for networks that look at
/// neighbourhoods. Evaluation shows held-out images in the task's order. Supervised: for the agent
/// `classifier`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PermutedInputsConfig {
    /// The images.
    pub dataset: DatasetName,
    /// How many of the images to learn from are used, drawn by `task_seed`; 0 for all.
    pub images: u64,
    /// How many tasks there are, at most 1000; the last one stays. The pixels of the first change places
    /// too.
    pub tasks: u64,
    /// Steps of each environment for which a task is played: updates of the agent `classifier`.
    pub steps_per_task: u64,
    /// Decides images and orders of pixels, and nothing else; they do not depend on the run's seed, so
    /// that all runs have the same tasks.
    pub task_seed: u64,
    /// Folder of the data sets. Unset: `PLIANT_DATA`, else where `pliant fetch` puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_folder: Option<PathBuf>,
}

impl Default for PermutedInputsConfig {
    fn default() -> Self {
        Self {
            dataset: DatasetName::Mnist,
            images: 0,
            tasks: 10,
            steps_per_task: 1000,
            task_seed: 0,
            data_folder: None,
        }
    }
}

/// An order of pixels for every task.
#[derive(Debug)]
pub struct PermutedInputs {
    images: Images,
    config: PermutedInputsConfig,
}

impl PermutedInputs {
    /// Checks the settings and reads the images.
    pub fn build(config: PermutedInputsConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        let load = loader(config.dataset, config.data_folder.as_deref());
        Ok(Box::new(Self::factory(config, load)?))
    }

    pub(super) fn factory(
        config: PermutedInputsConfig,
        load: impl Fn(Split) -> Result<Dataset, EnvError>,
    ) -> Result<SupervisedFactory, EnvError> {
        check_counts(&[("tasks", config.tasks), ("steps_per_task", config.steps_per_task)])?;
        let images = Images::load((config.images, config.task_seed), load)?;
        let (dataset, steps) = (config.dataset, config.steps_per_task);
        let shown = images.shown();
        Ok(SupervisedFactory::new(Box::new(Self { images, config }), dataset, steps, shown))
    }
}

impl Sequence for PermutedInputs {
    fn names(&self) -> Vec<String> {
        let name = self.config.dataset.name();
        (0..self.config.tasks).map(|task| format!("{name} pixels {task}")).collect()
    }

    fn examples(&self, task: usize, role: Role) -> Examples {
        let (data, places) = self.images.of(role);
        let mut rng = Draw::Pixels.rng(self.config.task_seed, task);
        let pixels = Some(shuffled_pixels(data.shape, &mut rng).into());
        Examples { pixels, ..Examples::plain(data, places) }
    }
}
