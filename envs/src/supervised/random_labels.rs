//! Memorising random labels that are drawn anew (Lyle et al., 2023, figure 1; Zhang et al., 2017).

use std::{path::PathBuf, sync::Arc};

use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    examples::{Draw, Examples, Place, uniform_labels},
    factory::SupervisedFactory,
    sequence::{Sequence, check_counts, loader, training_images},
};
use crate::{
    classification::{Dataset, DatasetName, Split},
    env::{EnvError, EnvFactory, Role},
};

/// Memorising labels that have nothing to do with the images, drawn anew for every task (Lyle et al.,
/// 2023, figure 1): the images stay. Evaluation shows the same images, since nothing can be known of
/// others. Supervised: for the agent `classifier`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomLabelsConfig {
    /// The images.
    pub dataset: DatasetName,
    /// How many of the images to learn from are used, drawn by `task_seed`; 0 for all.
    pub images: u64,
    /// How labels are drawn.
    pub labels: Labels,
    /// How many tasks there are, at most 1000; the last one stays.
    pub tasks: u64,
    /// Steps of each environment for which a task is played: updates of the agent `classifier`.
    pub steps_per_task: u64,
    /// Decides images and labels, and nothing else; they do not depend on the run's seed, so that all
    /// runs have the same tasks.
    pub task_seed: u64,
    /// Folder of the data sets. Unset: `PLIANT_DATA`, else where `pliant fetch` puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_folder: Option<PathBuf>,
}

impl Default for RandomLabelsConfig {
    /// Figure 1: 5000 images of MNIST, 90,000 steps with a mark at every 15,000.
    fn default() -> Self {
        Self {
            dataset: DatasetName::Mnist,
            images: 5000,
            labels: Labels::Permuted,
            tasks: 6,
            steps_per_task: 15_000,
            task_seed: 0,
            data_folder: None,
        }
    }
}

/// How labels are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// The images' own labels change places uniformly at random: every label stays as frequent as its
    /// class (the paper's).
    #[default]
    Permuted,
    /// Every label is drawn by itself, uniformly from all classes.
    Uniform,
}

/// Labels drawn anew for every task.
#[derive(Debug)]
pub struct RandomLabels {
    data: Arc<Dataset>,
    places: Arc<[Place]>,
    config: RandomLabelsConfig,
}

impl RandomLabels {
    /// Checks the settings and reads the images.
    pub fn build(config: RandomLabelsConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        let load = loader(config.dataset, config.data_folder.as_deref());
        Ok(Box::new(Self::factory(config, load)?))
    }

    pub(super) fn factory(
        config: RandomLabelsConfig,
        load: impl Fn(Split) -> Result<Dataset, EnvError>,
    ) -> Result<SupervisedFactory, EnvError> {
        check_counts(&[("tasks", config.tasks), ("steps_per_task", config.steps_per_task)])?;
        let (data, places) = training_images((config.images, config.task_seed), &load)?;
        let (dataset, steps) = (config.dataset, config.steps_per_task);
        let shown = (data.shape, data.classes());
        Ok(SupervisedFactory::new(Box::new(Self { data, places, config }), dataset, steps, shown))
    }
}

impl Sequence for RandomLabels {
    fn names(&self) -> Vec<String> {
        let name = self.config.dataset.name();
        (0..self.config.tasks).map(|task| format!("{name} labels {task}")).collect()
    }

    fn examples(&self, task: usize, _role: Role) -> Examples {
        let mut rng = Draw::Labels.rng(self.config.task_seed, task);
        let plain = Examples::plain(&self.data, &self.places);
        let labels = match self.config.labels {
            Labels::Uniform => uniform_labels(plain.len(), self.data.classes(), &mut rng),
            Labels::Permuted => {
                let mut own: Vec<u8> = self.places.iter().map(|place| place.class).collect();
                own.shuffle(&mut rng);
                own
            }
        };
        Examples { labels: Some(labels), ..plain }
    }

    fn holds_out(&self) -> bool {
        false
    }
}
