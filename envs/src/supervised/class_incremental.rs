//! Classes that arrive in groups.

use std::path::PathBuf;

use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    examples::{Draw, Examples, Place},
    factory::SupervisedFactory,
    sequence::{Images, Sequence, check_counts, loader},
};
use crate::{
    classification::{Dataset, DatasetName, Split},
    env::{EnvError, EnvFactory, Role},
};

/// Classes that arrive in groups: the network has an output for every class from the beginning, and images
/// of the classes that are there. Evaluation shows held-out images of the same classes. Supervised: for
/// the agent `classifier`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassIncrementalConfig {
    /// The images.
    pub dataset: DatasetName,
    /// How many of the images to learn from are used, over all classes, drawn by `task_seed`; 0 for all.
    pub images: u64,
    /// New classes of a task; the last task has what is left.
    pub classes_per_task: u64,
    /// Classes stay when new ones arrive (Dohare et al., 2024); otherwise a task shows its new classes
    /// alone, and what is forgotten shows (`eval.all_tasks`).
    pub keep_old: bool,
    /// Classes arrive in an order drawn by `task_seed`; otherwise in that of their numbers.
    pub shuffle_classes: bool,
    /// Steps of each environment for which a task is played: updates of the agent `classifier`.
    pub steps_per_task: u64,
    /// Decides images and the order of classes, and nothing else; they do not depend on the run's seed,
    /// so that all runs have the same tasks.
    pub task_seed: u64,
    /// Folder of the data sets. Unset: `PLIANT_DATA`, else where `pliant fetch` puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_folder: Option<PathBuf>,
}

impl Default for ClassIncrementalConfig {
    fn default() -> Self {
        Self {
            dataset: DatasetName::Mnist,
            images: 0,
            classes_per_task: 2,
            keep_old: true,
            shuffle_classes: false,
            steps_per_task: 1000,
            task_seed: 0,
            data_folder: None,
        }
    }
}

/// Groups of classes.
#[derive(Debug)]
pub struct ClassIncremental {
    images: Images,
    /// In the order in which they arrive.
    classes: Vec<u8>,
    config: ClassIncrementalConfig,
}

impl ClassIncremental {
    /// Checks the settings and reads the images.
    pub fn build(config: ClassIncrementalConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        let load = loader(config.dataset, config.data_folder.as_deref());
        Ok(Box::new(Self::factory(config, load)?))
    }

    pub(super) fn factory(
        config: ClassIncrementalConfig,
        load: impl Fn(Split) -> Result<Dataset, EnvError>,
    ) -> Result<SupervisedFactory, EnvError> {
        check_counts(&[
            ("classes_per_task", config.classes_per_task),
            ("steps_per_task", config.steps_per_task),
        ])?;
        let images = Images::load((config.images, config.task_seed), load)?;
        let mut classes: Vec<u8> = (0..images.train.classes()).map(|class| class as u8).collect();
        if config.classes_per_task > classes.len() as u64 {
            return Err(EnvError::Invalid(format!(
                "`classes_per_task` is {}, expected at most the {} classes of {}",
                config.classes_per_task,
                classes.len(),
                config.dataset.name()
            )));
        }
        if config.shuffle_classes {
            classes.shuffle(&mut Draw::Classes.rng(config.task_seed, 0));
        }
        let (dataset, steps) = (config.dataset, config.steps_per_task);
        let shown = images.shown();
        let sequence = Self { images, classes, config };
        sequence.check_images()?;
        Ok(SupervisedFactory::new(Box::new(sequence), dataset, steps, shown))
    }

    /// Few images need not show every class.
    fn check_images(&self) -> Result<(), EnvError> {
        for task in 0..self.names().len() {
            let shown = self.shown(task);
            let holds = |place: &Place| shown.contains(&place.class);
            if !self.images.places.iter().any(holds) {
                return Err(EnvError::Invalid(format!(
                    "`images` is {}: none of them is of the classes {shown:?}, take more",
                    self.config.images
                )));
            }
        }
        Ok(())
    }

    /// The classes that a task shows.
    fn shown(&self, task: usize) -> &[u8] {
        let size = self.config.classes_per_task as usize;
        let end = ((task + 1) * size).min(self.classes.len());
        let begin = if self.config.keep_old { 0 } else { task * size };
        &self.classes[begin..end]
    }
}

impl Sequence for ClassIncremental {
    /// By the new classes: `mnist classes 2 3`.
    fn names(&self) -> Vec<String> {
        let groups = self.classes.chunks(self.config.classes_per_task as usize);
        let name = |group: &[u8]| {
            let group: Vec<String> = group.iter().map(u8::to_string).collect();
            format!("{} classes {}", self.config.dataset.name(), group.join(" "))
        };
        groups.map(name).collect()
    }

    fn examples(&self, task: usize, role: Role) -> Examples {
        let (data, places) = self.images.of(role);
        let shown = self.shown(task);
        let places: Vec<Place> =
            places.iter().filter(|place| shown.contains(&place.class)).copied().collect();
        Examples::plain(data, &places.into())
    }
}
