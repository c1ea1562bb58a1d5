//! A learner and an agent's replay for probes to look at.

use std::sync::Arc;

use pliant_agents::networks::{Mlp, MlpConfig};
use pliant_core::{
    agent::{Agent, AgentContext},
    clock::Clock,
    envs::{
        env::{EnvSpec, FrameShape, KnownStates, StackPadding, Step},
        vector::Batch,
    },
    learner::Learner,
    metrics::Metrics,
    network::{Architecture, Model, NetworkPlan, NetworkSpec},
    optimizer::{Adam, AdamConfig},
    precision::Precision,
    probe::Subject,
    registry::Plugins,
    seeds::Seeds,
    tch::Device,
};

/// Networks, optimisers, agents and probes that come with pliant.
pub fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_agents::register(&mut plugins);
    pliant_probes::register(&mut plugins);
    plugins
}

/// Pictures of this many channels, rows and columns; two actions.
pub fn env([channels, height, width]: [usize; 3]) -> EnvSpec {
    EnvSpec {
        frame: FrameShape { channels, height, width },
        frame_stack: 1,
        stack_padding: StackPadding::Zeros,
        actions: vec!["left".to_owned(), "right".to_owned()],
        tasks: vec!["test".to_owned()],
        continuing: false,
        reward_per_step_name: None,
        supervised: false,
    }
}

/// A narrow perceptron.
pub fn mlp() -> Arc<dyn Architecture> {
    Mlp::build(MlpConfig { width: 8, ..MlpConfig::default() }).expect("valid settings")
}

/// A Double DQN agent on pictures of noise, with so many transitions in its replay.
pub fn agent(
    architecture: Arc<dyn Architecture>,
    plan: NetworkPlan,
    shape: [usize; 3],
    transitions: usize,
) -> Box<dyn Agent> {
    agent_from(0, architecture, plan, shape, transitions)
}

/// The same with another seed.
pub fn agent_from(
    seed: u64,
    architecture: Arc<dyn Architecture>,
    plan: NetworkPlan,
    shape: [usize; 3],
    transitions: usize,
) -> Box<dyn Agent> {
    let (env, seeds) = (env(shape), Seeds::new(seed));
    let spec = NetworkSpec::new(&env, plan);
    let model = Model::new(architecture, spec, &mut seeds.stream("network"), Device::Cpu);
    let adam = Adam::build(AdamConfig::default()).expect("valid settings");
    let learner = Learner::new(model.expect("fits"), adam);
    let settings = "replay_capacity = 5000\nlearning_starts = 10".parse().expect("TOML");
    let plugins = plugins();
    let factory = plugins.agents.get("double_dqn").and_then(|kind| kind.build(&settings));
    let context = AgentContext {
        env: &env,
        num_envs: 1,
        learner,
        precision: Precision::F32,
        cuda_graphs: false,
        seeds,
    };
    let mut agent = factory.expect("valid settings").build(context).expect("a small replay");
    let mut noise = seeds.stream("pictures");
    let mut batch = |reward| {
        let pixels = noise.indices(env.frame.len(), 256);
        let step = Step { reward, discount: 1.0, frames: 1, ..Step::default() };
        let frames = pixels.into_iter().map(|pixel| pixel as u8).collect();
        Batch { frames, final_frames: vec![0; env.frame.len()], steps: vec![step] }
    };
    agent.begin(&batch(0.0));
    for index in 0..transitions {
        agent.observe(&[index % 2], &batch((index % 3) as f32));
    }
    agent
}

/// The state is whether the first pixel is odd; action 1 is worth 1 in the second state, by a discount of 0.99.
#[derive(Debug)]
pub struct Parity;

impl KnownStates for Parity {
    fn count(&self) -> usize {
        2
    }

    fn state_of(&self, frame: &[u8]) -> Option<usize> {
        Some(usize::from(frame[0] % 2))
    }

    fn action_values(&self, discount: f64) -> Vec<Vec<f64>> {
        vec![vec![0.0, 0.0], vec![0.0, discount / 0.99]]
    }
}

/// What a probe looks at.
pub fn subject<'a>(agent: &'a dyn Agent, clock: &'a Clock) -> Subject<'a> {
    Subject {
        learner: agent.learner(),
        data: agent.data(),
        states: Some(&Parity),
        clock,
        watch: &(),
    }
}

/// One measurement of a kind of probe by itself.
pub fn measure(agent: &dyn Agent, kind: &str, settings: &str) -> Metrics {
    let plugins = plugins();
    let kind = plugins.probes.get(kind).expect("registered");
    let mut probe = kind.build(&settings.parse().expect("TOML")).expect("valid settings");
    let (clock, mut metrics) = (Clock::default(), Metrics::default());
    let mut stream = Seeds::new(3).stream("probe");
    let measured = probe.measure(&subject(agent, &clock), &mut stream, &mut metrics);
    measured.expect("measures");
    metrics
}
