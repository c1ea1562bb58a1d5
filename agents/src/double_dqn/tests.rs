//! The agent on environments that are written out here.

mod gpu;
mod not_finite;

use std::sync::Arc;

use pliant_core::{
    envs::env::{EnvSpec, FrameShape, StackPadding, Step},
    head::TdLoss,
    network::{Model, NetworkPlan, NetworkSpec},
    optimizer::{Adam, AdamConfig},
    seeds::Seeds,
};
use tch::Device;

use super::*;
use crate::{
    networks::{Mlp, MlpConfig},
    replay::ReplayMemory,
};

/// Observations are two pixels of which one is bright; action 1 is right on the first, action 0 on the
/// second. An episode has `length` steps.
struct Task {
    bright: Vec<usize>,
    steps: Vec<u32>,
    length: u32,
    stream: Stream,
}

const FRAME: FrameShape = FrameShape { channels: 1, height: 1, width: 2 };

impl Task {
    fn new(num_envs: usize, length: u32) -> (Self, Batch) {
        let stream = Seeds::new(9).stream("task");
        let mut task = Self { bright: vec![0; num_envs], steps: vec![0; num_envs], length, stream };
        (0..num_envs).for_each(|env| task.draw(env));
        let batch = Batch {
            frames: task.frames(),
            final_frames: vec![0; 2 * num_envs],
            steps: vec![Step::default(); num_envs],
        };
        (task, batch)
    }

    fn draw(&mut self, env: usize) {
        self.bright[env] = self.stream.indices(1, 2)[0];
    }

    fn frames(&self) -> Vec<u8> {
        self.bright
            .iter()
            .flat_map(|bright| if *bright == 0 { [255, 0] } else { [0, 255] })
            .collect()
    }

    /// The last step of an episode is `last`; others are plain.
    fn step(&mut self, actions: &[usize], last: Step) -> Batch {
        let mut steps = Vec::new();
        let mut final_frames = vec![0; FRAME.len() * actions.len()];
        for (env, action) in actions.iter().enumerate() {
            let reward = f32::from(u8::from(*action != self.bright[env]));
            self.steps[env] += 1;
            self.draw(env);
            let ends = self.steps[env].is_multiple_of(self.length);
            let step = Step { discount: 1.0, frames: 4, ..Step::default() };
            steps.push(Step { reward, ..if ends { last } else { step } });
            if ends {
                final_frames[2 * env..][..2].copy_from_slice(&self.frames()[2 * env..][..2]);
                self.draw(env);
            }
        }
        Batch { frames: self.frames(), final_frames, steps }
    }
}

fn spec() -> EnvSpec {
    EnvSpec {
        frame: FRAME,
        frame_stack: 1,
        stack_padding: StackPadding::Zeros,
        actions: vec!["left".to_owned(), "right".to_owned()],
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    }
}

fn small() -> DoubleDqnConfig {
    DoubleDqnConfig {
        discount: 0.5,
        batch_size: 16,
        replay_capacity: 1000,
        learning_starts: 20,
        update_every_agent_steps: 4,
        target_period_updates: 10,
        epsilon: Epsilon { from: 1.0, to: 0.1, start_frames: 0, over_frames: 4000 },
        ..DoubleDqnConfig::default()
    }
}

fn agent(config: DoubleDqnConfig, num_envs: usize, root: u64) -> DoubleDqn {
    agent_in(Precision::F32, config, num_envs, root)
}

fn agent_in(
    precision: Precision,
    config: DoubleDqnConfig,
    num_envs: usize,
    root: u64,
) -> DoubleDqn {
    agent_with(NetworkPlan::default(), precision, config, num_envs, root)
}

fn agent_with(
    plan: NetworkPlan,
    precision: Precision,
    config: DoubleDqnConfig,
    num_envs: usize,
    root: u64,
) -> DoubleDqn {
    let computing = Computing { device: Device::Cpu, cuda_graphs: true };
    agent_at(computing, plan, precision, config, num_envs, root)
}

/// Where and how an agent computes.
struct Computing {
    device: Device,
    cuda_graphs: bool,
}

fn agent_at(
    Computing { device, cuda_graphs }: Computing,
    plan: NetworkPlan,
    precision: Precision,
    config: DoubleDqnConfig,
    num_envs: usize,
    root: u64,
) -> DoubleDqn {
    let seeds = Seeds::new(root);
    let architecture = Mlp::build(MlpConfig { width: 16, ..MlpConfig::default() }).expect("valid");
    let spec = spec();
    let network = NetworkSpec::new(&spec, plan);
    let mut stream = seeds.stream("network");
    let model = Model::new(Arc::clone(&architecture), network, &mut stream, device).expect("fits");
    let adam = AdamConfig { learning_rate: 0.01, ..AdamConfig::default() };
    let learner = Learner::new(model, Adam::build(adam).expect("valid"));
    let context = AgentContext { env: &spec, num_envs, learner, precision, cuda_graphs, seeds };
    DoubleDqn::new(config, context).expect("a small replay")
}

/// The runner's loop without the runner.
struct Run {
    agent: DoubleDqn,
    task: Task,
    clock: Clock,
    interventions: Interventions,
    actions: Vec<Vec<usize>>,
}

impl Run {
    fn new(config: DoubleDqnConfig, num_envs: usize) -> Self {
        Self::of(agent(config, num_envs, 0), num_envs)
    }

    fn of(mut agent: DoubleDqn, num_envs: usize) -> Self {
        let (task, batch) = Task::new(num_envs, 5);
        agent.begin(&batch);
        let (clock, interventions) = (Clock::default(), Interventions::default());
        Self { agent, task, clock, interventions, actions: Vec::new() }
    }

    fn step(&mut self) {
        self.try_step().expect("losses stay finite");
    }

    /// If learning fails nothing is played.
    fn try_step(&mut self) -> Result<()> {
        let actions = self.agent.act(&self.clock);
        let mut metrics = Metrics::default();
        self.agent.learn(&mut self.clock, &mut self.interventions, &mut metrics)?;
        let last = Step { terminated: true, frames: 4, ..Step::default() };
        let batch = self.task.step(&actions, last);
        self.agent.observe(&actions, &batch);
        self.clock.agent_steps += actions.len() as u64;
        self.clock.frames += 4 * actions.len() as u64;
        self.actions.push(actions);
        Ok(())
    }

    fn run(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.step());
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

#[test]
fn learns_which_action_is_right() {
    let mut run = Run::new(small(), 2);
    run.run(1000);
    let observations = Tensor::from_slice(&[255u8, 0, 0, 255]).reshape([2, 1, 1, 2]);
    let mut stream = Seeds::new(0).stream("evaluation");
    assert_eq!(run.agent.evaluate(&observations, 0.0, &mut stream), [1, 0]);
    // Right for five steps: 1.9375 at the start of an episode and 1 at its end. Wrong: 1 less.
    let values = run.agent.learner.online.q_values(&observations);
    let values = Vec::<f32>::try_from(&values.reshape([-1])).expect("f32");
    for (value, least) in values.iter().zip([0.0, 1.0, 1.0, 0.0]) {
        assert!((least - 0.15..least + 1.1).contains(value), "{values:?}");
    }
    let mut metrics = Metrics::default();
    run.agent.drain_metrics(&mut metrics);
    for tag in ["train/loss", "train/td_error", "train/q_mean"] {
        assert!(metrics.get_scalar(tag).is_some_and(f64::is_finite), "{tag}");
    }
    let mut nothing_since = Metrics::default();
    run.agent.drain_metrics(&mut nothing_since);
    assert_eq!(nothing_since.get_scalar("train/loss"), None);
}

#[test]
fn updates_in_bfloat16_learn_the_same_and_keep_f32_parameters() {
    let mut reference = Run::new(small(), 2);
    let mut run = Run::of(agent_in(Precision::Bf16, small(), 2, 0), 2);
    reference.run(15);
    run.run(15);
    assert_eq!(run.clock.updates, 3);
    let [ours, exact] = [&run, &reference].map(|run| parameters(&run.agent.learner));
    let apart = (&ours - &exact).abs().max().double_value(&[]);
    assert_eq!(ours.kind(), Kind::Float);
    // Three steps of Adam of 0.01 at most; those of gradients near 0 differ by their sign.
    assert!(apart > 0.0, "computed in f32");
    let mean = (&ours - &exact).abs().mean(Kind::Double).double_value(&[]);
    assert!(mean < 0.003, "{mean} apart");
    run.run(985);
    let observations = Tensor::from_slice(&[255u8, 0, 0, 255]).reshape([2, 1, 1, 2]);
    let mut stream = Seeds::new(0).stream("evaluation");
    assert_eq!(run.agent.evaluate(&observations, 0.0, &mut stream), [1, 0]);
}

/// On a GPU batches lie in the same two places each time, and the next is drawn while it computes.
#[test]
fn batches_brought_ahead_are_those_that_would_be_drawn() {
    let config = DoubleDqnConfig { update_every_agent_steps: 1, ..small() };
    for memory in [ReplayMemory::Main, ReplayMemory::Device] {
        let config = DoubleDqnConfig { replay_memory: memory, ..config.clone() };
        let [mut plain, mut staged] = [(); 2].map(|()| Run::new(config.clone(), 4));
        let batch = config.batch_size as usize;
        let staging = Staging::new(&staged.agent.replay, batch, Device::Cpu, true);
        staged.agent.staging = Some(staging.expect("room"));
        plain.run(30);
        staged.run(30);
        assert_eq!(staged.clock.updates, 100);
        assert_eq!(bits(&staged.agent.learner), bits(&plain.agent.learner));
        assert_eq!(
            staged.agent.sampling, plain.agent.sampling,
            "nothing is drawn that is not used"
        );
    }
}

fn parameters(learner: &Learner) -> Tensor {
    let flat =
        learner.online.variables().parameters().map(|(_, tensor)| tensor.detach().reshape([-1]));
    Tensor::cat(&flat.collect::<Vec<_>>(), 0)
}

#[test]
fn updates_are_made_by_crossings_of_agent_steps() {
    // The replay has 20 transitions after the 20th agent step; an update is due at 20, 24, 28, ..
    let updates_after = |num_envs: usize, steps| {
        let mut run = Run::new(small(), num_envs);
        run.run(steps);
        let (agent_steps, updates) = (run.clock.agent_steps, run.clock.updates);
        let most = run.agent.most_updates(agent_steps);
        assert!(updates == most || updates < most && num_envs > 1, "{updates}, at most {most}");
        (agent_steps, updates)
    };
    assert_eq!(updates_after(1, 20), (20, 0), "the 20th was observed after learning");
    assert_eq!(updates_after(1, 21), (21, 1));
    assert_eq!(updates_after(1, 24), (24, 1));
    assert_eq!(updates_after(1, 25), (25, 2));
    // Three environments: at 21 (20 crossed since 18), 24, none at 27, 30 (28), 33 (32), 36.
    assert_eq!(updates_after(3, 7), (21, 0));
    assert_eq!(updates_after(3, 8), (24, 1));
    assert_eq!(updates_after(3, 10), (30, 2));
    assert_eq!(updates_after(3, 13), (39, 5));
    // Eight environments: two updates for every step, none made up for.
    assert_eq!(updates_after(8, 4), (32, 2));
    assert_eq!(updates_after(8, 5), (40, 4));
    // Thirty-two: the 32 crossings of the step with which learning starts come all at once.
    let config = DoubleDqnConfig { learning_starts: 31, update_every_agent_steps: 1, ..small() };
    let mut run = Run::new(config, 32);
    run.run(3);
    assert_eq!(run.clock.updates, 64);
    assert!(run.agent.most_updates(96) >= 64, "{}", run.agent.most_updates(96));
}

#[test]
fn learning_waits_for_the_transitions_it_was_told_to() {
    let mut run = Run::new(DoubleDqnConfig { learning_starts: 50, ..small() }, 1);
    run.run(50);
    assert_eq!(run.clock.updates, 0);
    run.run(10);
    assert_eq!(run.clock.updates, 2, "at 52 and 56; what was missed is not made up for");
}

/// The loss of an update, from Q-values read out and worked through number by number.
#[test]
fn the_loss_is_the_mean_huber_loss_of_double_q_errors() {
    let mut run = Run::new(DoubleDqnConfig { target_period_updates: 1000, ..small() }, 1);
    run.run(60);
    let agent = &mut run.agent;
    let batch = agent.replay.sample(16, &mut agent.sampling.clone()).expect("60 transitions");
    let table = |model: &Model, observations: &Tensor| {
        let values = model.q_values(observations).reshape([-1]);
        let values = Vec::<f32>::try_from(&values).expect("f32");
        values.chunks_exact(2).map(|row| [f64::from(row[0]), f64::from(row[1])]).collect::<Vec<_>>()
    };
    let q_tm1 = table(&agent.learner.online, &batch.s_tm1);
    let selector = table(&agent.learner.online, &batch.s_t);
    let value = table(&agent.learner.target, &batch.s_t);
    let a_tm1 = Vec::<i64>::try_from(&batch.a_tm1).expect("i64");
    let r_t = Vec::<f32>::try_from(&batch.r_t).expect("f32");
    let discount_t = Vec::<f32>::try_from(&batch.discount_t).expect("f32");
    assert!(discount_t.contains(&0.0) && discount_t.contains(&0.5));
    let (mut loss, mut absolute, mut taken) = (0.0, 0.0, 0.0);
    for i in 0..16 {
        let a_t = usize::from(selector[i][1] > selector[i][0]);
        let target = f64::from(r_t[i]) + f64::from(discount_t[i]) * value[i][a_t];
        let q = q_tm1[i][a_tm1[i] as usize];
        let error: f64 = target - q;
        loss += if error.abs() <= 1.0 { 0.5 * error * error } else { error.abs() - 0.5 } / 16.0;
        absolute += error.abs() / 16.0;
        taken += q / 16.0;
    }
    agent.drain_metrics(&mut Metrics::default());
    let mut metrics = Metrics::default();
    agent.update(&mut run.clock, &mut run.interventions, &mut metrics).expect("finite");
    agent.drain_metrics(&mut metrics);
    for (tag, expected) in
        [("train/loss", loss), ("train/td_error", absolute), ("train/q_mean", taken)]
    {
        let actual = metrics.get_scalar(tag).expect("an update was made");
        assert!((actual - expected).abs() < 1e-5, "{tag}: {actual}, expected {expected}");
    }
}

#[test]
fn the_last_transition_of_an_episode_ends_at_its_final_observation() {
    for last in [
        Step { truncated: true, discount: 1.0, ..Step::default() },
        Step { terminated: true, ..Step::default() },
    ] {
        let mut agent = agent(small(), 1, 0);
        let batch = |frame: [u8; 2], final_frame: [u8; 2], step| Batch {
            frames: frame.to_vec(),
            final_frames: final_frame.to_vec(),
            steps: vec![step],
        };
        agent.begin(&batch([1, 1], [0, 0], Step::default()));
        agent.observe(&[1], &batch([3, 3], [2, 2], last));
        let drawn = agent.replay.sample(1, &mut agent.sampling.clone()).expect("one transition");
        let bytes = |tensor: &Tensor| Vec::<u8>::try_from(&tensor.reshape([-1])).expect("u8");
        assert_eq!((bytes(&drawn.s_tm1), bytes(&drawn.s_t)), (vec![1, 1], vec![2, 2]));
        assert_eq!(drawn.discount_t.double_value(&[0]), 0.5 * f64::from(last.discount));
        assert_eq!(bytes(&agent.stacks.observations()), [3, 3], "acting goes on after the reset");
    }
}

#[test]
fn a_resumed_agent_goes_on_to_the_bit() {
    let mut run = Run::new(small(), 3);
    run.run(33);
    let mut state = StateDict::default();
    run.agent.save(&mut state);
    let mut replay = Vec::new();
    run.agent.save_replay(&mut replay).expect("memory takes every byte");

    let mut resumed = Run::new(small(), 3);
    resumed.agent = agent(small(), 3, 1);
    resumed.agent.load(&state).expect("saved above");
    resumed.agent.load_replay(&mut replay.as_slice()).expect("saved above");
    let mut again = StateDict::default();
    resumed.agent.save(&mut again);
    assert_eq!(again.values(), state.values());
    for (name, tensor) in state.tensors() {
        assert!(again.tensor(name).is_ok_and(|loaded| loaded.equal(tensor)), "{name}");
    }

    resumed.clock = run.clock;
    let stream = run.task.stream.clone();
    let (bright, steps) = (run.task.bright.clone(), run.task.steps.clone());
    resumed.task = Task { bright, steps, length: run.task.length, stream };
    run.actions.clear();
    run.run(50);
    resumed.run(50);
    assert_eq!(resumed.actions, run.actions);
    assert!(run.clock.updates > 30);
    assert_eq!(bits(&resumed.agent.learner), bits(&run.agent.learner));
    let (mut metrics, mut resumed_metrics) = (Metrics::default(), Metrics::default());
    run.agent.drain_metrics(&mut metrics);
    resumed.agent.drain_metrics(&mut resumed_metrics);
    assert_eq!(resumed_metrics, metrics);
}

#[test]
fn drawing_for_a_probe_changes_no_number() {
    let (mut plain, mut probed) = (Run::new(small(), 2), Run::new(small(), 2));
    let mut stream = Seeds::new(0).stream("probes/0_any");
    for _ in 0..60 {
        plain.step();
        probed.step();
        probed.agent.data().transitions(8, &mut stream);
    }
    assert_eq!(probed.actions, plain.actions);
    assert_eq!(bits(&probed.agent.learner), bits(&plain.agent.learner));
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let refused = |change: fn(&mut DoubleDqnConfig), expected: &str| {
        let mut config = DoubleDqnConfig::default();
        change(&mut config);
        let message = Factory::build(config).expect_err("out of range").to_string();
        assert_eq!(message, expected);
    };
    refused(|config| config.batch_size = 0, "`batch_size` is 0, expected at least 1");
    refused(|config| config.discount = 1.5, "`discount` is 1.5, expected a number from 0 to 1");
    refused(
        |config| config.discount = f64::NAN,
        "`discount` is NaN, expected a number from 0 to 1",
    );
    refused(
        |config| config.epsilon.to = -0.1,
        "`epsilon.to` is -0.1, expected a number from 0 to 1",
    );
    refused(
        |config| config.update_every_agent_steps = 0,
        "`update_every_agent_steps` is 0, expected at least 1",
    );
    refused(
        |config| config.target_period_updates = 0,
        "`target_period_updates` is 0, expected at least 1",
    );
    refused(|config| config.learning_starts = 0, "`learning_starts` is 0, expected at least 1");
    refused(
        |config| config.replay_capacity = 1000,
        "`learning_starts` is 50000, expected at most the `replay_capacity` of 1000",
    );
}

#[test]
fn defaults_are_those_of_dqn_zoo() {
    let config = DoubleDqnConfig::default();
    // 30,000 agent steps between target copies, an update every 4.
    assert_eq!(config.target_period_updates * config.update_every_agent_steps, 30_000);
    assert_eq!(config.td_loss, TdLoss::Huber);
    let epsilon = config.epsilon.schedule();
    assert_eq!((epsilon.value(200_000), epsilon.value(4_200_000)), (1.0, 0.01));
}
