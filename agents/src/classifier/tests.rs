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
    let context = AgentContext { env: &spec, num_envs: BATCH, learner, precision, seeds };
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

/// Probabilities 1/4 and 3/4: losses ln 4 and ln 4/3, gradients p minus one at the label.
#[test]
fn cross_entropy_by_hand() {
    let third = 3f32.ln();
    let logits = Tensor::from_slice(&[0.0, third, 5.0, 5.0 + third]).reshape([2, 2]);
    let logits = logits.set_requires_grad(true);
    let losses = cross_entropy(&logits, &Tensor::from_slice(&[0i64, 1]));
    let expected = Tensor::from_slice(&[4f32.ln(), (4f32 / 3.0).ln()]);
    assert!(losses.allclose(&expected, 1e-6, 1e-6, false), "{losses:?}");
    losses.sum(Kind::Float).backward();
    let expected = Tensor::from_slice(&[-0.75f32, 0.75, 0.25, -0.25]).reshape([2, 2]);
    assert!(logits.grad().allclose(&expected, 1e-6, 1e-6, false));
}

/// The same perceptron, loss and Adam written in libtorch's plain operations.
struct Plain {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    moments: Vec<[Tensor; 2]>,
    adam: AdamConfig,
    updates: i32,
}

impl Plain {
    fn of(model: &Model, adam: AdamConfig) -> Self {
        let layers = model.hidden().iter().map(|layer| layer.name.clone());
        let pair = |name: String| ["weight", "bias"].map(|part| format!("{name}/{part}"));
        let names: Vec<String> = layers.chain(["output".to_owned()]).flat_map(pair).collect();
        let copied = |name: &String| {
            let tensor = model.variables().get(name).expect("every layer's");
            tensor.detach().copy().set_requires_grad(true)
        };
        let parameters: Vec<Tensor> = names.iter().map(copied).collect();
        let moments = parameters.iter().map(|p| [p.zeros_like(), p.zeros_like()]).collect();
        Self { names, parameters, moments, adam, updates: 0 }
    }

    /// One update on images u8 `[batch, 1, 6, 6]` and labels i64 `[batch]`; the loss.
    fn update(&mut self, images: &Tensor, labels: &Tensor) -> f64 {
        let mut x = (images.to_kind(Kind::Float) / 255.0).flatten(1, -1);
        for (index, pair) in self.parameters.chunks(2).enumerate() {
            x = if index == 0 { x } else { x.relu() };
            x = x.matmul(&pair[0].tr()) + &pair[1];
        }
        let of_label = x.gather(1, &labels.unsqueeze(1), false).squeeze_dim(1);
        let loss = (x.exp().sum_dim_intlist([1i64].as_slice(), false, Kind::Float).log()
            - of_label)
            .mean(Kind::Float);
        loss.backward();
        no_grad(|| self.step());
        loss.double_value(&[])
    }

    fn step(&mut self) {
        self.updates += 1;
        let AdamConfig { learning_rate, beta1, beta2, eps, eps_root, .. } = self.adam;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates);
        for (parameter, [first, second]) in self.parameters.iter_mut().zip(&mut self.moments) {
            let mut gradient = parameter.grad();
            *first = &*first * beta1 + &gradient * (1.0 - beta1);
            *second = &*second * beta2 + gradient.square() * (1.0 - beta2);
            let mean = &*first / correction(beta1);
            let square = &*second / correction(beta2);
            *parameter -= mean * learning_rate / ((square + eps_root).sqrt() + eps);
            let _ = gradient.zero_();
        }
    }
}

#[test]
fn three_hundred_updates_are_those_of_plain_operations() {
    let tuned = AdamConfig { beta2: 0.9, eps_root: 1e-3, ..adam() };
    for adam in [adam(), tuned] {
        let agent = built(
            ClassifierConfig::default(),
            NetworkPlan::default(),
            adam.clone(),
            Precision::F32,
            0,
        );
        let mut run = Run::new(agent.expect("a scalar head"), Pictures::new(64, 2, 150));
        let mut plain = Plain::of(&run.agent.learner.online, adam);
        let mut losses = Vec::new();
        for step in 0..=300 {
            let images = run.agent.stacks.observations();
            let labels: Vec<_> =
                run.pictures.shown.iter().map(|at| run.pictures.label(*at)).collect();
            run.step();
            if step < 300 {
                let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
                losses.push(plain.update(&images, &Tensor::from_slice(&labels)));
            }
        }
        assert_eq!((run.clock.updates, plain.updates), (300, 300));
        let mut metrics = Metrics::default();
        run.agent.drain_metrics(&mut metrics);
        let loss = metrics.get_scalar("train/loss").expect("updates were made");
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let expected = mean(&losses);
        assert!((loss - expected).abs() < 1e-5, "{loss}, expected {expected}");
        let [before, after] = [mean(&losses[..20]), mean(&losses[130..150])];
        assert!(after < before - 0.1, "something is learned: {before} to {after}");
        let variables = run.agent.learner.online.variables();
        for (name, expected) in plain.names.iter().zip(&plain.parameters) {
            let ours = variables.get(name).expect("the same network");
            let apart = (ours - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{name}: {apart}");
        }
    }
}

#[test]
fn noise_is_memorised_and_learned_anew_in_the_next_task() {
    let mut run = Run::new(agent(ClassifierConfig::default()), Pictures::new(100, 2, 600));
    let before = run.accuracy();
    assert!(before < 0.3, "{before}: chance is 0.1");
    run.run(600);
    run.pictures.step = 599;
    let first = run.accuracy();
    run.pictures.step = 600;
    assert!(first > 0.95, "{first}");
    let second = run.accuracy();
    assert!(second < 0.3, "{second}: other labels");
    run.run(600);
    let second = run.accuracy();
    assert!(second > 0.95, "{second}");
    let mut metrics = Metrics::default();
    run.agent.drain_metrics(&mut metrics);
    let accuracy = metrics.get_scalar("train/accuracy").expect("updates were made");
    assert!((0.3..1.0).contains(&accuracy), "{accuracy}: the mean over both tasks");
    assert_eq!(metrics.get_scalar("train/memory_images"), Some(100.0));
    let mut nothing_since = Metrics::default();
    run.agent.drain_metrics(&mut nothing_since);
    assert_eq!(nothing_since.get_scalar("train/loss"), None);
}

#[test]
fn updates_in_bfloat16_keep_f32_parameters_and_learn_too() {
    let agent = |precision| {
        let plan = NetworkPlan::default();
        built(ClassifierConfig::default(), plan, adam(), precision, 0).expect("a scalar head")
    };
    let mut exact = Run::new(agent(Precision::F32), Pictures::new(50, 1, 1));
    let mut run = Run::new(agent(Precision::Bf16), Pictures::new(50, 1, 1));
    exact.run(3);
    run.run(3);
    assert_ne!(bits(&run.agent.learner), bits(&exact.agent.learner), "computed in f32");
    run.run(500);
    assert!(run.accuracy() > 0.9, "{}", run.accuracy());
}

#[test]
fn every_step_but_the_first_is_an_update_once_learning_starts() {
    for (learning_starts, steps, updates) in
        [(0, 1, 0), (0, 2, 1), (0, 10, 9), (16, 10, 9), (17, 10, 8), (160, 10, 0), (160, 11, 1)]
    {
        let config = ClassifierConfig { learning_starts, ..ClassifierConfig::default() };
        let mut run = Run::new(agent(config), Pictures::new(50, 1, 1));
        run.run(steps);
        assert_eq!(run.clock.updates, updates, "{learning_starts} {steps}");
        assert_eq!(run.agent.most_updates(run.clock.agent_steps), updates);
        assert_eq!(run.agent.learner.updates, updates);
    }
}

/// Notes when it is called, and which labels the last batch of a target update had.
struct Recorder(std::sync::mpsc::Sender<(u64, bool)>);

pliant_core::stateless!(Recorder);

impl Intervention for Recorder {
    fn after_update(&mut self, _learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        self.0.send((hook.clock.updates, hook.ends_in_target_update)).expect("somebody listens");
        Ok(())
    }
}

#[test]
fn a_target_period_of_a_tasks_length_ends_with_the_tasks_last_minibatch() {
    let config = ClassifierConfig { target_period_updates: 5, ..ClassifierConfig::default() };
    let mut run = Run::new(agent(config), Pictures::new(50, 3, 5));
    let (sender, calls) = std::sync::mpsc::channel();
    let parts: Vec<(String, Box<dyn Intervention>)> =
        vec![("recorder".to_owned(), Box::new(Recorder(sender)))];
    run.interventions = Interventions::new(parts, &Seeds::new(0));
    let mut tasks = Vec::new();
    for _ in 0..12 {
        // What is learned in this step was shown in the one before.
        let learned = run.pictures.step.checked_sub(1);
        tasks.extend(learned.map(|step| step / 5));
        run.step();
    }
    let ends: Vec<_> = calls.try_iter().collect();
    assert_eq!(
        ends.iter().map(|(updates, _)| *updates).collect::<Vec<_>>(),
        (1..=11).collect::<Vec<_>>()
    );
    let last: Vec<usize> = (0..10).filter(|at| tasks[*at] != tasks[at + 1]).collect();
    let ending: Vec<usize> = (0..11).filter(|at| ends[*at].1).collect();
    assert_eq!((last, ending), (vec![4, 9], vec![4, 9]));
}

#[test]
fn a_resumed_agent_goes_on_to_the_bit_in_its_second_task() {
    let pictures = || Pictures::new(50, 3, 20);
    let mut run = Run::new(agent(ClassifierConfig::default()), pictures());
    run.run(33);
    let mut state = StateDict::default();
    run.agent.save(&mut state);
    let mut memory = Vec::new();
    run.agent.save_replay(&mut memory).expect("bytes in memory");

    let other =
        built(ClassifierConfig::default(), NetworkPlan::default(), adam(), Precision::F32, 7);
    let mut resumed = Run::new(other.expect("a scalar head"), pictures());
    resumed.agent.load(&state).expect("saved above");
    resumed.agent.load_replay(&mut memory.as_slice()).expect("saved above");
    let mut again = StateDict::default();
    resumed.agent.save(&mut again);
    assert_eq!(again.values(), state.values());
    for (name, tensor) in state.tensors() {
        assert!(again.tensor(name).is_ok_and(|loaded| loaded.equal(tensor)), "{name}");
    }
    resumed.clock = run.clock;
    resumed.pictures = run.pictures.clone();
    resumed.run(40);
    run.run(40);
    assert_eq!(bits(&resumed.agent.learner), bits(&run.agent.learner));
    let drawn = |agent: &Classifier| {
        let mut stream = Seeds::new(0).stream("probe");
        let drawn = agent.data().transitions(30, &mut stream).expect("as many are there");
        (Vec::<i64>::try_from(&drawn.a_tm1).expect("labels"), drawn.s_tm1)
    };
    let ((labels, images), (expected, others)) = (drawn(&resumed.agent), drawn(&run.agent));
    assert!(labels == expected && images.equal(&others), "probes go on with the same data");
}

#[test]
fn drawing_for_a_probe_changes_no_number() {
    let run = || Run::new(agent(ClassifierConfig::default()), Pictures::new(50, 2, 15));
    let (mut plain, mut probed) = (run(), run());
    let mut stream = Seeds::new(0).stream("probes/0_any");
    for _ in 0..30 {
        plain.step();
        probed.step();
        if let Some(batch) = probed.agent.data().transitions(8, &mut stream) {
            let _losses = probed.agent.data().losses(&probed.agent.learner, &batch, None);
        }
    }
    assert_eq!(bits(&probed.agent.learner), bits(&plain.agent.learner));
}

/// Probes see the present task: what it showed, under the labels that it told.
#[test]
fn a_probes_data_are_the_present_tasks_different_images_and_labels() {
    let mut run = Run::new(agent(ClassifierConfig::default()), Pictures::new(50, 2, 40));
    let mut stream = Seeds::new(0).stream("probe");
    for (steps, task) in [(40, 0), (40, 1)] {
        run.run(steps);
        let count = run.agent.data().len() as usize;
        assert!((45..=50).contains(&count), "40 steps of 16 show nearly all of 50: {count}");
        let drawn = run.agent.data().transitions(count, &mut stream).expect("all that are there");
        let labels = Vec::<i64>::try_from(&drawn.a_tm1).expect("labels");
        let images = Vec::<u8>::try_from(&drawn.s_tm1.reshape([-1])).expect("images");
        let mut places: Vec<usize> = Vec::new();
        for (image, label) in images.chunks_exact(FRAME.len()).zip(labels) {
            let place = (0..50).find(|place| run.pictures.image(*place) == image).expect("one");
            assert_eq!(i64::from(run.pictures.labels[task][place]), label);
            places.push(place);
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count, "each is there once");
        assert!(run.agent.data().transitions(count + 1, &mut stream).is_none());
    }
    run.pictures.labels.push(vec![0; 50]);
    (run.pictures.step, run.pictures.steps_per_task) = (2, 1);
    run.step();
    assert!(run.agent.data().len() <= BATCH as u64, "another task begins with nothing");
}

#[test]
fn outputs_that_are_no_classes_are_refused() {
    let support = Support::new(-1.0, 1.0, 5).expect("valid");
    let head = Head::Categorical(Categorical { support, encoding: Encoding::TwoHot });
    let plan = NetworkPlan { head, ..NetworkPlan::default() };
    let refused = built(ClassifierConfig::default(), plan, adam(), Precision::F32, 0);
    let message = refused.err().expect("a distribution per class").to_string();
    assert!(message.contains("one output per class") && message.contains("two-hot"), "{message}");
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |change: fn(&mut ClassifierConfig), expected: &str| {
        let mut config = ClassifierConfig::default();
        change(&mut config);
        let message = Factory::build(config).expect_err("out of range").to_string();
        assert_eq!(message, expected);
    };
    refused(
        |config| config.target_period_updates = 0,
        "`target_period_updates` is 0, expected at least 1",
    );
    refused(|config| config.memory_images = 0, "`memory_images` is 0, expected at least 1");
    refused(
        |config| config.memory_images = 1 << 21,
        "`memory_images` is 2097152, expected at most 1048576",
    );
}

mod memory {
    use super::*;

    fn memory(capacity: u64) -> Memory {
        Memory::new(&spec(), capacity)
    }

    fn image(number: u8) -> [u8; 36] {
        [number; 36]
    }

    /// Number and label of all images, by number.
    fn held(memory: &Memory) -> Vec<(u8, i64)> {
        let mut stream = Seeds::new(0).stream("probe");
        let drawn = memory.draw(memory.len(), &mut stream).expect("all");
        let images = Vec::<u8>::try_from(&drawn.s_tm1.reshape([-1])).expect("images");
        let labels = Vec::<i64>::try_from(&drawn.a_tm1).expect("labels");
        let mut held: Vec<_> = images.chunks_exact(36).map(|image| image[0]).zip(labels).collect();
        held.sort_unstable();
        held
    }

    #[test]
    fn an_image_is_kept_once_with_its_last_label_until_newer_ones_take_its_place() {
        let mut memory = memory(3);
        for (number, label) in [(1, 0), (2, 5), (1, 4), (3, 2)] {
            memory.show(0, &image(number), label);
        }
        assert_eq!(held(&memory), [(1, 4), (2, 5), (3, 2)]);
        memory.show(0, &image(4), 9);
        memory.show(0, &image(2), 6);
        assert_eq!(held(&memory), [(2, 6), (3, 2), (4, 9)], "1 came first");
        memory.show(0, &image(1), 8);
        assert_eq!(held(&memory), [(1, 8), (3, 2), (4, 9)], "2 came after it");
        memory.show(1, &image(7), 7);
        assert_eq!(held(&memory), [(7, 7)], "another task");
    }

    #[test]
    fn a_saved_memory_goes_on_as_it_was() {
        let mut saved = memory(3);
        (0..5).for_each(|number| saved.show(2, &image(number), u32::from(number)));
        let mut bytes = Vec::new();
        saved.save(&mut bytes).expect("bytes in memory");
        let mut loaded = memory(3);
        loaded.show(0, &image(99), 9);
        loaded.load(&mut bytes.as_slice()).expect("saved above");
        for memory in [&mut saved, &mut loaded] {
            memory.show(2, &image(4), 0);
            memory.show(2, &image(8), 8);
        }
        assert_eq!(held(&loaded), held(&saved));
        assert_eq!(held(&loaded), [(3, 3), (4, 0), (8, 8)]);
    }

    #[test]
    fn what_cannot_be_taken_up_is_refused_and_leaves_nothing() {
        let mut saved = memory(3);
        (0..3).for_each(|number| saved.show(0, &image(number), 9));
        let mut bytes = Vec::new();
        saved.save(&mut bytes).expect("bytes in memory");
        let refused = |bytes: &[u8], capacity, expected: &str| {
            let mut memory = memory(capacity);
            let mut bytes = bytes;
            let message = memory.load(&mut bytes).expect_err("refused").to_string();
            assert!(message.contains(expected), "{message}");
            assert!(memory.is_empty());
        };
        refused(&bytes[..bytes.len() - 1], 3, "end too early");
        refused(&[&bytes[..], &[0]].concat(), 3, "after its end");
        refused(&[b"PLNTRPL1", &bytes[8..]].concat(), 3, "no memory of images");
        refused(&bytes, 4, "capacity is 3, expected 4");
        let mut label = bytes.clone();
        label[48] = 10;
        refused(&label, 3, "label 10, of 10 classes");
        let mut count = bytes;
        count[40..48].fill(255);
        refused(&count, 3, "it holds");
    }
}
