//! The classifier on pictures of noise whose labels change.

use std::sync::Arc;

use pliant_core::{
    envs::env::{EnvSpec, FrameShape, StackPadding, Step},
    head::{Categorical, Encoding, Support},
    intervention::{Hook, Intervention},
    network::{Model, NetworkPlan, NetworkSpec},
    optimizer::{Adam, AdamConfig},
    seeds::Seeds,
};

use super::*;
use crate::networks::{Mlp, MlpConfig};

mod learning;
mod memory;
mod not_finite;
mod steps;

const FRAME: FrameShape = FrameShape { channels: 1, height: 6, width: 6 };
const CLASSES: usize = 10;
const BATCH: usize = 16;

/// Pictures of noise with random labels, other ones in every task.
#[derive(Clone)]
struct Pictures {
    images: Vec<u8>,
    labels: Vec<Vec<u32>>,
    steps_per_task: usize,
    step: usize,
    /// Which are shown now.
    shown: Vec<usize>,
    draws: Stream,
}

impl Pictures {
    fn new(count: usize, tasks: usize, steps_per_task: usize) -> Self {
        let mut stream = Seeds::new(9).stream("pictures");
        let mut draw = |count, below| stream.indices(count, below);
        let images = draw(count * FRAME.len(), 256).into_iter().map(|byte| byte as u8).collect();
        let mut labels = || draw(count, CLASSES).into_iter().map(|label| label as u32).collect();
        let labels = (0..tasks).map(|_| labels()).collect();
        let draws = Seeds::new(9).stream("draws");
        let mut pictures =
            Self { images, labels, steps_per_task, step: 0, shown: Vec::new(), draws };
        pictures.draw();
        pictures
    }

    fn draw(&mut self) {
        self.shown = self.draws.indices(BATCH, self.images.len() / FRAME.len());
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.images[index * FRAME.len()..][..FRAME.len()]
    }

    fn frames(&self) -> Vec<u8> {
        self.shown.iter().flat_map(|index| self.image(*index)).copied().collect()
    }

    fn task(&self) -> usize {
        (self.step / self.steps_per_task).min(self.labels.len() - 1)
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[self.task()][index]
    }

    fn batch(&self, steps: Vec<Step>) -> Batch {
        let frames = self.frames();
        Batch { final_frames: vec![0; frames.len()], frames, steps }
    }

    fn step(&mut self) -> Batch {
        let told = |index: &usize| Step {
            right_action: Some(self.label(*index)),
            task: self.task() as u32,
            frames: 1,
            discount: 1.0,
            ..Step::default()
        };
        let steps = self.shown.iter().map(told).collect();
        self.step += 1;
        self.draw();
        self.batch(steps)
    }

    /// All pictures, u8 `[count, 1, 6, 6]`.
    fn all(&self) -> Tensor {
        Tensor::from_slice(&self.images).reshape([-1, 1, 6, 6])
    }
}

fn spec() -> EnvSpec {
    EnvSpec {
        frame: FRAME,
        frame_stack: 1,
        stack_padding: StackPadding::Repeat,
        actions: (0..CLASSES).map(|class| class.to_string()).collect(),
        tasks: vec!["one".to_owned(), "two".to_owned()],
        continuing: true,
        reward_per_step_name: Some("accuracy"),
        supervised: true,
    }
}

fn adam() -> AdamConfig {
    AdamConfig { learning_rate: 0.003, eps: 1e-9, ..AdamConfig::default() }
}

fn built(
    config: ClassifierConfig,
    plan: NetworkPlan,
    adam: AdamConfig,
    precision: Precision,
    root: u64,
) -> Result<Classifier> {
    let seeds = Seeds::new(root);
    let architecture = Mlp::build(MlpConfig { width: 64, ..MlpConfig::default() }).expect("valid");
    let spec = spec();
    let network = NetworkSpec::new(&spec, plan);
    let mut stream = seeds.stream("network");
    let model =
        Model::new(Arc::clone(&architecture), network, &mut stream, Device::Cpu).expect("fits");
    let learner = Learner::new(model, Adam::build(adam).expect("valid"));
    let context =
        AgentContext { env: &spec, num_envs: BATCH, learner, precision, cuda_graphs: true, seeds };
    Classifier::new(config, context)
}

fn agent(config: ClassifierConfig) -> Classifier {
    built(config, NetworkPlan::default(), adam(), Precision::F32, 0).expect("a scalar head")
}

/// The runner's loop without the runner.
struct Run {
    agent: Classifier,
    pictures: Pictures,
    clock: Clock,
    interventions: Interventions,
}

impl Run {
    fn new(agent: Classifier, pictures: Pictures) -> Self {
        let (clock, interventions) = (Clock::default(), Interventions::default());
        let mut run = Self { agent, pictures, clock, interventions };
        run.agent.begin(&run.pictures.batch(vec![Step::default(); BATCH]));
        run
    }

    fn step(&mut self) {
        let answers = self.agent.act(&self.clock);
        let mut metrics = Metrics::default();
        self.agent
            .learn(&mut self.clock, &mut self.interventions, &mut metrics)
            .expect("losses stay finite");
        let batch = self.pictures.step();
        self.agent.observe(&answers, &batch);
        self.clock.agent_steps += BATCH as u64;
        self.clock.frames += BATCH as u64;
    }

    fn run(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.step());
    }

    /// Share of all pictures that are named rightly.
    fn accuracy(&self) -> f64 {
        let mut stream = Seeds::new(0).stream("evaluation");
        let answers = self.agent.evaluate(&self.pictures.all(), 0.0, &mut stream);
        let is_right =
            |(index, answer): (usize, &usize)| *answer as u32 == self.pictures.label(index);
        let right = answers.iter().enumerate().filter(|pair| is_right(*pair)).count();
        right as f64 / answers.len() as f64
    }
}

fn bits(learner: &Learner) -> Vec<u32> {
    let mut state = StateDict::default();
    learner.save(&mut state);
    let bits = |tensor: &Tensor| {
        let flat = Vec::<f32>::try_from(&tensor.reshape([-1])).expect("f32");
        flat.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    state.tensors().values().flat_map(bits).collect()
}
