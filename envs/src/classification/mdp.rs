//! The classification MDP (Lyle et al., 2023): ten states, ten actions; the observation is a random
//! image of the state's class. There are no terminal states.

use std::{path::PathBuf, sync::Arc};

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Dataset, DatasetName, RewardRule, Split, data_folder, random_labels::random_labels,
    values::Classes,
};
use crate::{
    env::{
        Env, EnvError, EnvFactory, EnvSpec, FrameShape, KnownStates, Picture, Role, StackPadding,
        Step,
    },
    state::{StateReader, StateWriter},
};

/// Layout of the saved state.
const STATE_KIND: &str = "pliant classification 1";

/// Classification as a block MDP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassificationConfig {
    /// The images.
    pub dataset: DatasetName,
    /// The reward and the transitions.
    pub reward: RewardRule,
    /// Decides the labels of `random_label`, and nothing else; they do not depend on the run's seed,
    /// so that all runs have the same task.
    pub label_seed: u64,
    /// Folder of the data sets. Unset: `PLIANT_DATA`, else where `pliant fetch` puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_folder: Option<PathBuf>,
    /// Agent steps after which an episode is truncated; unset for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_steps: Option<u64>,
}

/// The images of either role, and the rules.
#[derive(Debug)]
pub struct ClassificationFactory {
    training: Arc<Dataset>,
    evaluation: Arc<Dataset>,
    config: ClassificationConfig,
    spec: EnvSpec,
}

impl ClassificationFactory {
    /// Reads the data set and checks it.
    pub fn build(config: ClassificationConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        let folder = data_folder(config.data_folder.as_deref());
        let dataset = config.dataset;
        Ok(Box::new(Self::new(config, |split| dataset.load(&folder, split))?))
    }

    fn new(
        config: ClassificationConfig,
        load: impl Fn(Split) -> Result<Dataset, EnvError>,
    ) -> Result<Self, EnvError> {
        if config.episode_steps == Some(0) {
            return Err(EnvError::Invalid(
                "episode_steps is 0: an episode has at least 1 step".to_owned(),
            ));
        }
        let (training, evaluation) = images(&config, load)?;
        let spec = EnvSpec {
            frame: training.shape,
            frame_stack: 1,
            stack_padding: StackPadding::Repeat,
            actions: (0..training.classes()).map(|class| class.to_string()).collect(),
            tasks: vec![format!("{} {}", config.dataset.name(), config.reward.name())],
            continuing: true,
            reward_per_step_name: config.reward.reward_per_step_name(),
            supervised: false,
        };
        Ok(Self { training, evaluation, config, spec })
    }

    /// The split that evaluation shows.
    fn evaluation_split(&self) -> Split {
        match self.config.reward {
            RewardRule::TrueLabel | RewardRule::SparseReward => Split::Test,
            RewardRule::RandomLabel => Split::Train,
        }
    }
}

/// What training and what evaluation shows.
fn images(
    config: &ClassificationConfig,
    load: impl Fn(Split) -> Result<Dataset, EnvError>,
) -> Result<(Arc<Dataset>, Arc<Dataset>), EnvError> {
    let train = load(Split::Train)?;
    if config.reward != RewardRule::RandomLabel {
        return Ok((Arc::new(train), Arc::new(load(Split::Test)?)));
    }
    let labels = random_labels(train.count(), train.classes(), config.label_seed);
    let both = Arc::new(train.relabelled(&labels)?);
    Ok((both.clone(), both))
}

impl EnvFactory for ClassificationFactory {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn make(&self, role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        let data = match role {
            Role::Training => &self.training,
            Role::Evaluation => &self.evaluation,
        };
        Ok(Box::new(Classification::new(data.clone(), self.config.clone(), self.spec.clone())))
    }

    fn evaluation_data(&self) -> Option<&'static str> {
        Some(match self.evaluation_split() {
            Split::Train => "training images",
            Split::Test => "held-out images",
        })
    }

    fn known_states(&self) -> Option<Arc<dyn KnownStates>> {
        Some(Arc::new(Classes::new(&self.training, self.config.reward)))
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let mut rows: Vec<_> = self.config.dataset.checksums(Split::Train).collect();
        if self.evaluation_split() == Split::Test {
            rows.extend(self.config.dataset.checksums(Split::Test));
        }
        rows
    }
}

/// The MDP.
#[derive(Debug)]
struct Classification {
    data: Arc<Dataset>,
    config: ClassificationConfig,
    spec: EnvSpec,
    rng: ChaCha8Rng,
    state: usize,
    image: usize,
    steps: u64,
    running: bool,
}

impl Classification {
    fn new(data: Arc<Dataset>, config: ClassificationConfig, spec: EnvSpec) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(0);
        Self { data, config, spec, rng, state: 0, image: 0, steps: 0, running: false }
    }

    /// Enters a state, or one of all; draws an image of its class.
    fn enter(&mut self, state: Option<usize>) {
        self.state = state.unwrap_or_else(|| self.rng.random_range(0..self.data.classes()));
        self.image = self.rng.random_range(0..self.data.class_len(self.state));
    }

    fn observe(&self, frame: &mut [u8]) {
        frame.copy_from_slice(self.data.image(self.state, self.image));
    }
}

impl Env for Classification {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        if let Some(seed) = seed {
            self.rng = ChaCha8Rng::seed_from_u64(seed);
        }
        self.enter(None);
        self.observe(frame);
        (self.steps, self.running) = (0, true);
        Ok(())
    }

    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        let count = self.data.classes();
        if action >= count {
            return Err(EnvError::Action { action, count });
        }
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        let (rule, state) = (self.config.reward, self.state);
        let reward = rule.reward(state, action, count);
        self.enter(rule.successor(state, action, count));
        self.observe(frame);
        self.steps += 1;
        let truncated = self.config.episode_steps == Some(self.steps);
        self.running = !truncated;
        Ok(Step {
            reward,
            raw_reward: reward,
            truncated,
            discount: 1.0,
            frames: 1,
            ..Step::default()
        })
    }

    fn render(&mut self) -> Picture {
        picture(self.data.shape, self.data.image(self.state, self.image))
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        let mut state = StateWriter::new(STATE_KIND);
        state.rng(&self.rng);
        for number in [self.state as u64, self.image as u64, self.steps, u64::from(self.running)] {
            state.u64(number);
        }
        Ok(state.finish())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut state = StateReader::new(STATE_KIND, state)?;
        let rng = state.rng()?;
        let (class, image) = (state.u64()? as usize, state.u64()? as usize);
        let (steps, running) = (state.count("steps")?, state.u64()? != 0);
        if class >= self.data.classes() || image >= self.data.class_len(class) {
            return Err(EnvError::State(format!(
                "it shows image {image} of class {class}, which this data set has not"
            )));
        }
        if let Some(last) = self.config.episode_steps.filter(|last| running && steps >= *last) {
            return Err(EnvError::State(format!("it is at step {steps} of an episode of {last}")));
        }
        (self.rng, self.state, self.image, self.steps, self.running) =
            (rng, class, image, steps, running);
        Ok(())
    }
}

/// A grey image or three planes of colour, for people.
pub(crate) fn picture(shape: FrameShape, image: &[u8]) -> Picture {
    let pixels = shape.height * shape.width;
    let planes = [0, 1, 2].map(|plane| &image[plane.min(shape.channels - 1) * pixels..]);
    let rgb = (0..pixels).flat_map(|at| planes.map(|plane| plane[at])).collect();
    Picture { height: shape.height, width: shape.width, rgb }
}

#[cfg(test)]
mod tests;
