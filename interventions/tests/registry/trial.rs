//! A small MDP, and learners on it under interventions.

use std::{rc::Rc, sync::Arc};

use pliant_core::{
    clock::Clock,
    error::Result,
    head::TdLoss,
    intervention::{Hook, Intervention, Interventions, UpdateBatch},
    learner::Learner,
    metrics::Metrics,
    network::{Architecture, Model, NetworkPlan, NetworkSpec, Taps},
    optimizer::{Adam, AdamConfig},
    registry::Plugins,
    seeds::{Seeds, Stream},
    state::{Checkpoint, StateDict},
    tch::{self, Cuda, Device, Kind, Tensor, no_grad},
};
use toml::Table;

/// Every network, optimiser and intervention that comes with pliant.
pub fn plugins() -> Rc<Plugins> {
    thread_local! {
        static PLUGINS: Rc<Plugins> = {
            let mut plugins = Plugins::core();
            pliant_agents::register(&mut plugins);
            pliant_interventions::register(&mut plugins);
            Rc::new(plugins)
        };
    }
    PLUGINS.with(Rc::clone)
}

/// The CPU, and a GPU where there is one.
pub fn devices() -> Vec<Device> {
    if Cuda::is_available() { vec![Device::Cpu, Device::Cuda(0)] } else { vec![Device::Cpu] }
}

/// States of the MDP; in state s action s pays 1, and action a leads to state s + a + 1.
const STATES: i64 = 4;

/// Updates between copies to the target network.
const TARGET_PERIOD: u64 = 5;

/// A kind with settings, as in `--with`.
pub type With = (&'static str, Table);

/// A learner on the MDP.
pub struct Trial {
    pub interventions: Interventions,
    pub learner: Learner,
    /// One picture for each state, u8 `[states, ..]`.
    pictures: Tensor,
    clock: Clock,
    metrics: Metrics,
    draws: Stream,
}

/// What a trial is built from.
#[derive(Clone)]
pub struct Network {
    pub architecture: Arc<dyn Architecture>,
    /// Channels, rows, columns.
    pub observation: [i64; 3],
}

impl Network {
    /// A registered network.
    pub fn new(kind: &str, settings: &str, observation: [i64; 3]) -> Self {
        let settings = settings.parse().expect("TOML");
        let architecture = plugins().networks.get(kind).and_then(|kind| kind.build(&settings));
        Self { architecture: architecture.expect("valid settings"), observation }
    }

    /// A narrow perceptron on nine pixels.
    pub fn mlp() -> Self {
        Self::new("mlp", "width = 8", [1, 3, 3])
    }
}

impl Trial {
    /// An error if the interventions do not go together or with the network.
    pub fn new(
        network: &Network,
        with: &[With],
        device: Device,
        root: u64,
    ) -> Result<Self, String> {
        let plugins = plugins();
        let build = |(kind, settings): &With| {
            let part = plugins.interventions.get(kind).and_then(|kind| kind.build(settings));
            ((*kind).to_owned(), part.unwrap_or_else(|error| panic!("{kind}: {error}")))
        };
        Self::of_parts(network, with.iter().map(build).collect(), device, root)
    }

    pub fn of_parts(
        network: &Network,
        parts: Vec<(String, Box<dyn Intervention>)>,
        device: Device,
        root: u64,
    ) -> Result<Self, String> {
        tch::set_num_threads(1); // these networks are too small to share out
        let seeds = Seeds::new(root);
        let mut interventions = Interventions::new(parts, &seeds);
        let plan = interventions.plan()?;
        let spec = NetworkSpec { observation: network.observation, actions: STATES, plan };
        let architecture = Arc::clone(&network.architecture);
        let model = Model::new(architecture, spec, &mut seeds.stream("network"), device);
        let adam = AdamConfig { learning_rate: 1e-3, ..AdamConfig::default() };
        let model = model.map_err(|error| error.to_string())?;
        let mut learner = Learner::new(model, Adam::build(adam).expect("valid"));
        interventions.after_build(&mut learner)?;
        let size = [&[STATES], network.observation.as_slice()].concat();
        let pictures = Seeds::new(0).stream("pictures").uniform(&size, 128.0) + 128.0;
        let pictures = pictures.to_kind(Kind::Uint8).to_device(device);
        let (clock, metrics) = (Clock::default(), Metrics::default());
        let draws = seeds.stream("draws");
        Ok(Self { interventions, learner, pictures, clock, metrics, draws })
    }

    /// So many Q-learning updates on all states; returns the last loss.
    pub fn update(&mut self, count: usize) -> f64 {
        (0..count).fold(f64::NAN, |_, _| self.update_once().expect("a finite loss"))
    }

    pub fn update_once(&mut self) -> Result<f64> {
        let device = self.pictures.device();
        let states = Tensor::arange(STATES, (Kind::Int64, device));
        let draws: Vec<i64> = self
            .draws
            .indices(STATES as usize, STATES as usize)
            .into_iter()
            .map(|action| action as i64)
            .collect();
        let actions = Tensor::from_slice(&draws).to_device(device);
        let r_t = actions.eq_tensor(&states).to_kind(Kind::Float);
        let next = (&states + &actions + 1).remainder(STATES);
        let s_t = self.pictures.index_select(0, &next);
        let discount_t = r_t.full_like(0.9);
        let Learner { online, target, .. } = &self.learner;
        let head = online.head();
        let bootstrap = no_grad(|| {
            let a_t = head.q_values(&online.forward(&s_t, None)).argmax(1, false);
            head.target(&r_t, &discount_t, &target.forward(&s_t, None), &a_t)
        });
        let mut taps = Taps::default();
        let outputs = online.forward_training(&self.pictures, &mut self.draws, Some(&mut taps));
        let loss = head.loss(&outputs, &actions, &bootstrap, TdLoss::Huber).mean(Kind::Float);
        let batch = UpdateBatch { observations: &self.pictures, taps: &taps };
        let Self { learner, interventions, clock, metrics, .. } = self;
        learner
            .update(loss, &batch, TARGET_PERIOD, interventions, clock, metrics)
            .map(|losses| losses.total())
    }

    pub fn state(&self) -> StateDict {
        let mut state = StateDict::default();
        state.put_part("learner", &self.learner);
        state.put_part("interventions", &self.interventions);
        state.put("draws", &self.draws);
        state
    }

    pub fn restore(&mut self, other: &Self) {
        let state = other.state();
        state.load_part("learner", &mut self.learner).expect("saved above");
        state.load_part("interventions", &mut self.interventions).expect("saved above");
        self.draws = state.get("draws").expect("saved above");
        self.clock = other.clock;
    }

    /// Everything saved, as bits.
    pub fn bits(&self) -> (Vec<(String, Vec<u32>)>, String) {
        let state = self.state();
        let bits = |(name, tensor): (&String, &Tensor)| {
            let flat = Vec::<f32>::try_from(&tensor.reshape([-1])).expect("f32");
            (name.clone(), flat.into_iter().map(f32::to_bits).collect())
        };
        (state.tensors().iter().map(bits).collect(), format!("{:?}", state.values()))
    }

    /// The parameters of both networks and the optimiser's state, as bits.
    pub fn learner_bits(&self) -> Vec<(String, Vec<u32>)> {
        let (tensors, _) = self.bits();
        tensors.into_iter().filter(|(name, _)| name.starts_with("learner/")).collect()
    }

    pub fn is_finite(&self) -> bool {
        let variables = self.learner.online.variables();
        variables.iter().all(|(_, tensor)| tensor.isfinite().all().int64_value(&[]) == 1)
    }
}

/// What an intervention asks of the network, without anything that it does later.
pub struct PlanOnly(pub Box<dyn Intervention>);

impl Intervention for PlanOnly {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        self.0.plan(plan)
    }

    fn after_build(&mut self, learner: &mut Learner, stream: &mut Stream) -> Result<(), String> {
        self.0.after_build(learner, stream)
    }

    fn after_update(&mut self, _learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        Ok(())
    }
}

impl Checkpoint for PlanOnly {
    fn save(&self, _state: &mut StateDict) {}

    fn load(&mut self, _state: &StateDict) -> Result<()> {
        Ok(())
    }
}

/// Settings with which a kind acts within a few updates: its defaults, but for periods longer than
/// the tests and thresholds that a small healthy network does not reach.
pub fn lively(kind: &str) -> Table {
    let text = match kind {
        "continual_backprop" => "replacement_rate = 0.05\nmaturity_updates = 3",
        "plasticity_injection" => "at_updates = [7]",
        "redo" => "tau = 0.7\nevery_updates = 7",
        "reset_full" | "reset_head" => "every_updates = 7",
        "soft_shrink_and_perturb" => "shrink = 0.999",
        "spectral_regularization" | "weight_decay" | "l2_init" => "coefficient = 0.01",
        "weight_clipping" => "kappa = 0.5",
        _ => "",
    };
    text.parse().expect("TOML")
}

/// The names of all interventions.
pub fn kinds() -> Vec<&'static str> {
    plugins().interventions.iter().map(|(name, _)| name).collect()
}
