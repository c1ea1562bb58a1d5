//! The classification MDP (Lyle et al., 2023): ten states, ten actions; the observation is a random
//! image of the state's class.
//!
//! `true_label`: reward 1 where the action is the state, else 0; the next state is uniform. There
//! are no terminal states.

use std::{path::PathBuf, sync::Arc};

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Dataset, Split, data_folder, dataset::MNIST_FILES};
use crate::{
    env::{Env, EnvError, EnvFactory, EnvSpec, Picture, Role, StackPadding, Step},
    state::{StateReader, StateWriter},
};

/// Layout of the saved state.
const STATE_KIND: &str = "pliant classification 1";

/// The images of the states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatasetName {
    /// Handwritten digits, grey, 28x28: 60,000 to learn from, 10,000 held out.
    #[default]
    Mnist,
}

/// What is rewarded, and where an action leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewardRule {
    /// Reward 1 for naming the image's class, else 0; the next state is uniform ("easy").
    #[default]
    TrueLabel,
}

/// Classification as a block MDP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassificationConfig {
    /// The images.
    pub dataset: DatasetName,
    /// The reward and the transitions.
    pub reward: RewardRule,
    /// Folder of the data sets. Unset: `PLIANT_DATA`, else where `pliant fetch` puts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_folder: Option<PathBuf>,
    /// Agent steps after which an episode is truncated; unset for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_steps: Option<u64>,
}

/// Both splits of a data set, and the rules.
#[derive(Debug)]
pub struct ClassificationFactory {
    train: Arc<Dataset>,
    test: Arc<Dataset>,
    config: ClassificationConfig,
    spec: EnvSpec,
}

impl ClassificationFactory {
    /// Reads the data set and checks it.
    pub fn build(config: ClassificationConfig) -> Result<Box<dyn EnvFactory>, EnvError> {
        let folder = data_folder(config.data_folder.as_deref());
        let DatasetName::Mnist = config.dataset;
        let [train, test] = [Split::Train, Split::Test].map(|split| Dataset::mnist(&folder, split));
        Ok(Box::new(Self::new(config, Arc::new(train?), Arc::new(test?))?))
    }

    fn new(
        config: ClassificationConfig,
        train: Arc<Dataset>,
        test: Arc<Dataset>,
    ) -> Result<Self, EnvError> {
        if config.episode_steps == Some(0) {
            return Err(EnvError::Invalid(
                "episode_steps is 0: an episode has at least 1 step".to_owned(),
            ));
        }
        let spec = EnvSpec {
            frame: train.shape,
            frame_stack: 1,
            stack_padding: StackPadding::Repeat,
            actions: (0..train.classes()).map(|class| class.to_string()).collect(),
            tasks: vec!["mnist".to_owned()],
            continuing: true,
            reward_per_step_name: Some("accuracy"),
        };
        Ok(Self { train, test, config, spec })
    }
}

impl EnvFactory for ClassificationFactory {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn make(&self, role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        let data = match role {
            Role::Training => &self.train,
            Role::Evaluation => &self.test,
        };
        Ok(Box::new(Classification::new(data.clone(), self.config.clone(), self.spec.clone())))
    }

    fn provenance(&self) -> Vec<(String, String)> {
        let DatasetName::Mnist = self.config.dataset;
        MNIST_FILES
            .iter()
            .map(|(name, sha256)| (format!("mnist {name} sha256"), (*sha256).to_owned()))
            .collect()
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

    /// 1 where the action is the state.
    fn reward(&self, action: usize) -> f32 {
        let RewardRule::TrueLabel = self.config.reward;
        f32::from(action == self.state)
    }

    /// Draws a state, and an image of its class.
    fn enter_uniform_state(&mut self) {
        self.state = self.rng.random_range(0..self.data.classes());
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
        self.enter_uniform_state();
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
        let reward = self.reward(action);
        self.enter_uniform_state();
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
        let shape = self.data.shape;
        let grey = self.data.image(self.state, self.image);
        Picture {
            height: shape.height,
            width: shape.width,
            rgb: grey.iter().flat_map(|&value| [value; 3]).collect(),
        }
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
        let (class, image, steps, running) =
            (state.u64()? as usize, state.u64()? as usize, state.u64()?, state.u64()? != 0);
        if class >= self.data.classes() || image >= self.data.class_len(class) {
            return Err(EnvError::State(format!(
                "it shows image {image} of class {class}, which this data set has not"
            )));
        }
        (self.rng, self.state, self.image, self.steps, self.running) =
            (rng, class, image, steps, running);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::FrameShape;

    /// Ten classes of four 1x2 images that show class and place.
    fn tiny(mark: u8) -> Arc<Dataset> {
        let labels: Vec<u8> = (0..40).map(|place| place % 10).collect();
        let images =
            labels.iter().zip(0..).flat_map(|(&label, place)| [label + mark, place]).collect();
        let shape = FrameShape { channels: 1, height: 1, width: 2 };
        Arc::new(Dataset::new(shape, images, &labels, 10).expect("good data"))
    }

    fn factory(episode_steps: Option<u64>) -> ClassificationFactory {
        let config = ClassificationConfig { episode_steps, ..ClassificationConfig::default() };
        ClassificationFactory::new(config, tiny(0), tiny(100)).expect("a factory")
    }

    fn fresh(seed: u64) -> (Box<dyn Env>, [u8; 2]) {
        let mut env = factory(None).make(Role::Training, 1).expect("an instance");
        let mut frame = [0; 2];
        env.reset(Some(seed), &mut frame).expect("a reset");
        (env, frame)
    }

    #[test]
    fn the_reward_is_one_for_the_state_and_zero_for_all_else() {
        let (mut env, mut frame) = fresh(1);
        for t in 0..1000 {
            let (state, action) = (usize::from(frame[0]), t % 10);
            let step = env.step(action, &mut frame).expect("a step");
            assert_eq!(step.reward, if action == state { 1.0 } else { 0.0 });
            assert_eq!(
                (step.raw_reward, step.discount, step.frames, step.is_last()),
                (step.reward, 1.0, 1, false)
            );
        }
    }

    /// Pearson's statistic of counts against the uniform distribution.
    fn chi_square(counts: &[u32]) -> f64 {
        let expected = f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
        counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn the_next_state_is_uniform_whatever_state_and_action() {
        let (mut env, mut frame) = fresh(2);
        let mut counts = vec![0; 2 * 10 * 10]; // [was the action right, state, next state]
        for t in 0..100_000 {
            let state = usize::from(frame[0]);
            let right = t % 2 == 0;
            env.step(if right { state } else { (state + 3) % 10 }, &mut frame).expect("a step");
            counts[(usize::from(right) * 10 + state) * 10 + usize::from(frame[0])] += 1;
        }
        let total: f64 = counts.chunks_exact(10).map(chi_square).sum();
        // 20 rows of 9 degrees of freedom: a chi-square of 180 exceeds 247 with probability 7e-4;
        // the seed is fixed, so a correct program never fails.
        assert!(total < 247.0, "chi-square {total} with 180 degrees of freedom");
    }

    #[test]
    fn every_image_of_a_class_is_as_likely() {
        let (mut env, mut frame) = fresh(3);
        let mut counts = vec![0; 40];
        for _ in 0..40_000 {
            env.step(0, &mut frame).expect("a step");
            assert_eq!(frame[0], frame[1] % 10, "an image of its own class");
            counts[usize::from(frame[1])] += 1;
        }
        // 39 degrees of freedom: above 72.1 with probability 1e-3.
        assert!(chi_square(&counts) < 72.1, "chi-square {}", chi_square(&counts));
    }

    #[test]
    fn evaluation_shows_the_held_out_images() {
        let mut env = factory(None).make(Role::Evaluation, 1).expect("an instance");
        let mut frame = [0; 2];
        env.reset(Some(1), &mut frame).expect("a reset");
        assert!(frame[0] >= 100);
    }

    #[test]
    fn episodes_are_truncated_where_configured_and_need_a_reset() {
        let mut env = factory(Some(3)).make(Role::Training, 1).expect("an instance");
        let mut frame = [0; 2];
        assert!(matches!(env.step(0, &mut frame), Err(EnvError::NeedsReset)));
        env.reset(Some(1), &mut frame).expect("a reset");
        let ends: Vec<_> = (0..3)
            .map(|_| env.step(0, &mut frame).expect("a step"))
            .map(|step| (step.truncated, step.terminated))
            .collect();
        assert_eq!(ends, [(false, false), (false, false), (true, false)]);
        assert!(matches!(env.step(0, &mut frame), Err(EnvError::NeedsReset)));
    }

    #[test]
    fn a_saved_state_continues_exactly_in_a_new_instance() {
        let (mut env, mut frame) = fresh(4);
        for _ in 0..40 {
            let state = env.save_state().expect("saved");
            let mut twin = factory(None).make(Role::Training, 1).expect("an instance");
            twin.load_state(&state).expect("loaded");
            assert_eq!(twin.render(), env.render());
            for action in 0..10 {
                let mut other = [0; 2];
                assert_eq!(
                    twin.step(action, &mut other).expect("a step"),
                    env.step(action, &mut frame).expect("a step")
                );
                assert_eq!(other, frame);
            }
        }
    }

    #[test]
    fn bad_states_and_actions_are_refused() {
        let (mut env, mut frame) = fresh(5);
        assert!(env.load_state(b"torn").is_err());
        assert!(matches!(
            env.step(10, &mut frame),
            Err(EnvError::Action { action: 10, count: 10 })
        ));
        assert!(
            ClassificationFactory::new(
                ClassificationConfig { episode_steps: Some(0), ..Default::default() },
                tiny(0),
                tiny(0)
            )
            .is_err()
        );
    }

    #[test]
    fn mnist_plays_as_an_mdp_with_its_own_digits() {
        let factory = ClassificationFactory::build(ClassificationConfig::default())
            .expect("run `pliant fetch mnist` first");
        assert_eq!(
            (factory.spec().frame.len(), factory.spec().actions.len(), factory.spec().continuing),
            (784, 10, true)
        );
        assert_eq!(factory.provenance().len(), 4);
        let mut frame = [0; 784];
        for role in [Role::Training, Role::Evaluation] {
            let mut env = factory.make(role, 1).expect("an instance");
            env.reset(Some(1), &mut frame).expect("a reset");
            let right: f32 =
                (0..1000).map(|_| env.step(7, &mut frame).expect("a step").reward).sum();
            assert!((60.0..140.0).contains(&right), "7 is right one time in ten: {right}");
            assert!(frame.iter().any(|&pixel| pixel > 200), "a digit is drawn");
        }
    }
}
