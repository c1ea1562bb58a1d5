//! A sequence of tasks.

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
};

use rand::seq::index;

use super::examples::{Draw, Examples, Place, all, drawn};
use crate::{
    classification::{Dataset, DatasetName, Split, data_folder},
    env::{EnvError, FrameShape, Role},
};

/// More are taken for a mistake: their names are listed, and logged.
const MAX_TASKS: u64 = 1000;

/// What comes after what.
pub(super) trait Sequence: Send + Sync + fmt::Debug {
    /// The tasks, in their order.
    fn names(&self) -> Vec<String>;

    /// What a task shows to a role.
    fn examples(&self, task: usize, role: Role) -> Examples;

    /// Whether evaluation shows images that training never does.
    fn holds_out(&self) -> bool {
        true
    }
}

/// A sequence whose tasks are made when they are first played, once for all instances.
#[derive(Debug)]
pub(super) struct Tasks {
    sequence: Box<dyn Sequence>,
    /// For training and for evaluation.
    made: Vec<[OnceLock<Arc<Examples>>; 2]>,
}

impl Tasks {
    pub fn new(sequence: Box<dyn Sequence>) -> Self {
        let made = sequence.names().iter().map(|_| Default::default()).collect();
        Self { sequence, made }
    }

    pub fn sequence(&self) -> &dyn Sequence {
        self.sequence.as_ref()
    }

    pub fn count(&self) -> usize {
        self.made.len()
    }

    pub fn examples(&self, task: usize, role: Role) -> Arc<Examples> {
        let slot = match role {
            Role::Training => 0,
            Role::Evaluation => 1,
        };
        let made = self.made[task][slot].get_or_init(|| {
            let examples = self.sequence.examples(task, role);
            debug_assert!(examples.len() > 0, "a task shows something");
            Arc::new(examples)
        });
        Arc::clone(made)
    }
}

/// The images that a sequence learns from and those it holds out.
#[derive(Debug)]
pub(super) struct Images {
    pub train: Arc<Dataset>,
    pub places: Arc<[Place]>,
    pub held_out: Arc<Dataset>,
    pub held_out_places: Arc<[Place]>,
}

impl Images {
    /// `count` of the images to learn from (0 for all), and all that are held out.
    pub fn load(
        (count, task_seed): (u64, u64),
        load: impl Fn(Split) -> Result<Dataset, EnvError>,
    ) -> Result<Self, EnvError> {
        let (train, places) = training_images((count, task_seed), &load)?;
        let held_out = Arc::new(load(Split::Test)?);
        let held_out_places = all(&held_out).into();
        Ok(Self { train, places, held_out, held_out_places })
    }

    /// Shape of an image, and how many classes there are.
    pub fn shown(&self) -> (FrameShape, usize) {
        (self.train.shape, self.train.classes())
    }

    /// A share of the images to learn from, drawn uniformly; one at least.
    pub fn share(&self, share: f64, task_seed: u64) -> Arc<[Place]> {
        let count = (self.places.len() as f64 * share).round().max(1.0) as usize;
        let mut rng = Draw::Images.rng(task_seed, 1);
        let drawn = index::sample(&mut rng, self.places.len(), count);
        drawn.into_iter().map(|place| self.places[place]).collect()
    }

    /// What a role is shown.
    pub fn of(&self, role: Role) -> (&Arc<Dataset>, &Arc<[Place]>) {
        match role {
            Role::Training => (&self.train, &self.places),
            Role::Evaluation => (&self.held_out, &self.held_out_places),
        }
    }
}

/// `count` of the images to learn from, or with 0 all of them.
pub(super) fn training_images(
    (count, task_seed): (u64, u64),
    load: &impl Fn(Split) -> Result<Dataset, EnvError>,
) -> Result<(Arc<Dataset>, Arc<[Place]>), EnvError> {
    let train = load(Split::Train)?;
    let most = train.count();
    if count > most as u64 {
        return Err(EnvError::Invalid(format!(
            "`images` is {count}, expected at most the {most} there are to learn from, or 0 for all"
        )));
    }
    let wanted = if count == 0 { most } else { count as usize };
    let places = drawn(&train, wanted, task_seed);
    Ok((Arc::new(train), places.into()))
}

/// Reads splits of a data set from where it lies.
pub(super) fn loader(
    dataset: DatasetName,
    folder: Option<&Path>,
) -> impl Fn(Split) -> Result<Dataset, EnvError> + use<> {
    let folder = data_folder(folder);
    move |split| dataset.load(&folder, split)
}

/// Refuses lengths that no run could have.
pub(super) fn check_counts(counts: &[(&str, u64)]) -> Result<(), EnvError> {
    for (key, value) in counts {
        if *value == 0 {
            return Err(EnvError::Invalid(format!("`{key}` is 0, expected at least 1")));
        }
        if *key == "tasks" && *value > MAX_TASKS {
            return Err(EnvError::Invalid(format!(
                "`tasks` is {value}, expected at most {MAX_TASKS}"
            )));
        }
    }
    Ok(())
}
