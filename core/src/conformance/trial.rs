//! A small MDP, and a learner on it under interventions.

use tch::{Cuda, Device, Kind, Tensor, no_grad};

use super::TrialNetwork;
use crate::{
    clock::Clock,
    error::Result,
    head::{Categorical, Encoding, Head, Support, Target, TdLoss},
    intervention::{Intervention, Interventions},
    learner::{Forward, Learner, Losses, Training},
    metrics::Metrics,
    network::{Model, NetworkPlan, NetworkSpec, Taps},
    optimizer::Optimizer,
    probe::Transitions,
    seeds::{Seeds, Stream},
    state::StateDict,
};

/// States of the MDP; in state s action s pays 1, and action a leads to state s + a + 1.
const STATES: i64 = 4;

/// Updates between copies to the target network.
pub(super) const TARGET_PERIOD_UPDATES: u64 = 5;

/// What interventions are tried with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The network; if unset the first that has a place for what they plan.
    pub network: Option<TrialNetwork>,
    /// What is planned before them.
    pub head: Head,
    /// The kind of optimiser.
    pub optimizer: &'static str,
    /// Where the learner computes.
    pub device: Device,
    /// The seed.
    pub root: u64,
    /// Updates may be recorded as CUDA graphs; on the CPU they only take that path.
    pub is_recorded: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            network: None,
            head: Head::Scalar,
            optimizer: "adam",
            device: Device::Cpu,
            root: 0,
            is_recorded: false,
        }
    }
}

impl Setup {
    /// The default with this head.
    pub fn with_head(head: Head) -> Self {
        Self { head, ..Self::default() }
    }
}

/// One head of each sort.
pub fn heads() -> [Head; 4] {
    let support = Support { min: -10.0, max: 10.0, bins: 51 };
    let of = |encoding| Head::Categorical(Categorical { support, encoding });
    let gauss = of(Encoding::HlGauss { sigma: 0.75 });
    [Head::Scalar, of(Encoding::TwoHot), gauss, of(Encoding::Distributional)]
}

/// The CPU, and a GPU where there is one.
pub fn devices() -> Vec<Device> {
    if Cuda::is_available() { vec![Device::Cpu, Device::Cuda(0)] } else { vec![Device::Cpu] }
}

/// A learner on the MDP.
pub struct Trial {
    /// The learner.
    pub learner: Learner,
    interventions: Interventions,
    /// What is tried, for messages.
    label: String,
    /// One picture for each state, u8 `[states, ..]`.
    pictures: Tensor,
    /// What is learned from, in the same place each time.
    batch: Option<Transitions>,
    clock: Clock,
    metrics: Metrics,
    draws: Stream,
}

/// What the value of the action taken should be, of transitions to `s_t`.
pub(super) fn double_q(learner: &Learner, [r_t, discount_t, s_t]: [&Tensor; 3]) -> Target {
    let Learner { online, target, .. } = learner;
    let head = online.head();
    no_grad(|| {
        let a_t = head.q_values(&online.forward(s_t, None)).argmax(1, false);
        head.target(r_t, discount_t, &target.forward(s_t, None), &a_t)
    })
}

/// A pass of Q-learning.
fn forward(learner: &Learner, batch: &Transitions, draws: &mut Stream) -> Forward {
    let Transitions { s_tm1, a_tm1, r_t, discount_t, s_t } = batch;
    let bootstrap = double_q(learner, [r_t, discount_t, s_t]);
    let (online, mut taps) = (&learner.online, Taps::default());
    let outputs = online.forward_training(s_tm1, draws, Some(&mut taps));
    let loss = online.head().loss(&outputs, a_tm1, &bootstrap, TdLoss::Huber).mean(Kind::Float);
    let also = Tensor::zeros([0], (Kind::Double, s_tm1.device()));
    Forward { loss, also, taps }
}

/// All numbers of a learner, by name, as bits.
pub type Bits = Vec<(String, Vec<u32>)>;

/// The mean distance of two numbers in the same place, in f32; `None` if the tensors are not the same ones.
pub fn mean_distance(one: &Bits, other: &Bits) -> Option<f64> {
    let shapes =
        |bits: &Bits| bits.iter().map(|(name, of)| (name.clone(), of.len())).collect::<Vec<_>>();
    let numbers = |bits: &Bits| {
        let all = bits.iter().flat_map(|(_, of)| of);
        all.map(|bits| f64::from(f32::from_bits(*bits))).collect::<Vec<_>>()
    };
    let (ours, theirs) = (numbers(one), numbers(other));
    let sum: f64 = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).sum();
    (shapes(one) == shapes(other)).then_some(sum / ours.len().max(1) as f64)
}

impl Trial {
    /// An error if the interventions do not go together or with the network.
    pub(super) fn new(
        network: &TrialNetwork,
        setup: &Setup,
        mut optimizer: Box<dyn Optimizer>,
        mut interventions: Interventions,
        label: String,
    ) -> Result<Self, String> {
        tch::set_num_threads(1); // these networks are too small to share out
        let seeds = Seeds::new(setup.root);
        let plan = interventions.plan()?;
        let spec = NetworkSpec { observation: network.observation, actions: STATES, plan };
        let mut stream = seeds.stream("network");
        let model = Model::new(network.architecture.clone(), spec, &mut stream, setup.device);
        optimizer.seed(seeds.stream("optimizer"));
        let mut learner = Learner::new(model.map_err(|error| error.to_string())?, optimizer);
        interventions.after_build(&mut learner)?;
        learner.set_recording(setup.is_recorded);
        let size = [&[STATES], network.observation.as_slice()].concat();
        let pictures = Seeds::new(0).stream("pictures").uniform(&size, 128.0) + 128.0;
        let pictures = pictures.to_kind(Kind::Uint8).to_device(setup.device);
        let (clock, metrics) = (Clock::default(), Metrics::default());
        let draws = seeds.stream("draws");
        Ok(Self { interventions, learner, label, pictures, batch: None, clock, metrics, draws })
    }

    /// What is tried, for messages.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Makes so many Q-learning updates on all states.
    ///
    /// # Panics
    /// If one fails, or a parameter is not finite after them.
    pub fn update(&mut self, count: usize) {
        for _ in 0..count {
            if let Err(error) = self.update_once() {
                panic!("{}: update {}: {error}", self.label, self.clock.updates + 1);
            }
        }
        let mut variables = self.learner.online.variables().iter();
        let endless = variables.find(|(_, tensor)| tensor.isfinite().all().int64_value(&[]) == 0);
        let name = endless.map(|(name, _)| name);
        assert_eq!(name, None, "{}: not finite after {} updates", self.label, self.clock.updates);
    }

    fn update_once(&mut self) -> Result<Losses> {
        let device = self.pictures.device();
        let states = Tensor::arange(STATES, (Kind::Int64, device));
        let drawn = self.draws.indices(STATES as usize, STATES as usize);
        let drawn: Vec<i64> = drawn.into_iter().map(|action| action as i64).collect();
        let actions = Tensor::from_slice(&drawn).to_device(device);
        let r_t = actions.eq_tensor(&states).to_kind(Kind::Float);
        let next = (&states + &actions + 1).remainder(STATES);
        let drawn = Transitions {
            s_tm1: self.pictures.shallow_clone(),
            a_tm1: actions,
            discount_t: r_t.full_like(0.9),
            r_t,
            s_t: self.pictures.index_select(0, &next),
        };
        let batch = self.batch.get_or_insert_with(|| drawn.copied());
        batch.copy_from(&drawn);
        let Self { learner, interventions, clock, metrics, draws, batch, .. } = self;
        let before = draws.clone();
        let mut pass = |learner: &Learner, batch: &Transitions| forward(learner, batch, draws);
        let batch = batch.as_ref().expect("made above");
        let training = Training { forward: &mut pass, meanwhile: &mut || {} };
        let made = learner.update_on(
            batch,
            training,
            TARGET_PERIOD_UPDATES,
            interventions,
            clock,
            metrics,
        );
        if *draws != before {
            learner.stop_recording_passes();
        }
        made
    }

    fn state(&self) -> StateDict {
        let mut state = StateDict::default();
        state.put_part("learner", &self.learner);
        state.put_part("interventions", &self.interventions);
        state.put("draws", &self.draws);
        state
    }

    /// Goes on from where another one is.
    ///
    /// # Panics
    /// If what one saved the other does not load.
    pub fn restore(&mut self, other: &Self) {
        let state = other.state();
        let load = |loaded: Result<()>| {
            loaded.unwrap_or_else(|error| panic!("{}: {error}", other.label));
        };
        load(state.check());
        load(state.load_part("learner", &mut self.learner));
        load(state.load_part("interventions", &mut self.interventions));
        self.draws = state.get("draws").expect("saved above");
        self.clock = other.clock;
    }

    /// Everything that is saved: tensors, and plain values as text.
    pub fn bits(&self) -> (Bits, String) {
        let state = self.state();
        let bits = |(name, tensor): (&String, &Tensor)| {
            let flat = tensor.to_kind(Kind::Float).reshape([-1]);
            let numbers = Vec::<f32>::try_from(&flat).expect("a flat f32 tensor");
            (name.clone(), numbers.into_iter().map(f32::to_bits).collect())
        };
        (state.tensors().iter().map(bits).collect(), format!("{:?}", state.values()))
    }

    /// The parameters of both networks and the optimiser's moments.
    pub fn learner_bits(&self) -> Bits {
        let (tensors, _) = self.bits();
        tensors.into_iter().filter(|(name, _)| name.starts_with("learner/")).collect()
    }
}

/// Plans a head, as an intervention before those that are tried.
pub(super) struct PlannedHead(pub Head);

impl Intervention for PlannedHead {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        plan.set_head(self.0)
    }
}

/// What an intervention asks of the network, without anything that it does later.
pub(super) struct PlanOnly(pub Box<dyn Intervention>);

impl Intervention for PlanOnly {
    fn plan(&self, plan: &mut NetworkPlan) -> Result<(), String> {
        self.0.plan(plan)
    }

    fn after_build(&mut self, learner: &mut Learner, stream: &mut Stream) -> Result<(), String> {
        self.0.after_build(learner, stream)
    }
}

crate::stateless!(PlannedHead, PlanOnly);
