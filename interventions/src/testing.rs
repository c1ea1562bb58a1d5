//! A small learner for tests that work by hand.

mod head;

use std::sync::Arc;

pub(crate) use head::HeadTrial;
use pliant_agents::networks::{Mlp, MlpConfig};
use pliant_core::{
    clock::Clock,
    intervention::{Intervention, Interventions, UpdateBatch},
    learner::Learner,
    metrics::Metrics,
    network::{Model, NetworkSpec, Taps},
    optimizer::{Adam, AdamConfig, Optimizer, Sgd, SgdConfig},
    seeds::Seeds,
    tch::{Device, Kind, Tensor, no_grad},
};

/// An intervention that does nothing.
struct Nothing;

impl Intervention for Nothing {}

pliant_core::stateless!(Nothing);

/// A flat f32 tensor's numbers.
pub(crate) fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(&tensor.detach().contiguous().reshape([-1])).expect("f32")
}

/// One pixel, two hidden layers of so many units, one action; a loss whose gradient is the prediction.
pub(crate) struct Setting {
    pub learner: Learner,
    pub metrics: Metrics,
    interventions: Interventions,
    clock: Clock,
    target_period_updates: u64,
}

impl Setting {
    /// Under one intervention, with Adam at a small step size and a target period of 10,000.
    pub fn with(built: Result<Box<dyn Intervention>, String>, width: u32) -> Self {
        let adam = AdamConfig { learning_rate: 1e-6, ..AdamConfig::default() };
        Self::new(built, width, Adam::build(adam).expect("valid"))
    }

    /// The same with SGD.
    pub fn with_sgd(
        built: Result<Box<dyn Intervention>, String>,
        width: u32,
        learning_rate: f64,
    ) -> Self {
        let sgd = SgdConfig { learning_rate, momentum: 0.0 };
        Self::new(built, width, Sgd::build(sgd).expect("valid"))
    }

    /// Under several, in order.
    pub fn with_several(
        built: Vec<Result<Box<dyn Intervention>, String>>,
        width: u32,
        learning_rate: f64,
    ) -> Self {
        let sgd = SgdConfig { learning_rate, momentum: 0.0 };
        Self::under(built, width, Sgd::build(sgd).expect("valid"))
    }

    /// The same with an optimiser of any kind.
    pub fn new(
        built: Result<Box<dyn Intervention>, String>,
        width: u32,
        optimizer: Box<dyn Optimizer>,
    ) -> Self {
        Self::under(vec![built], width, optimizer)
    }

    fn under(
        built: Vec<Result<Box<dyn Intervention>, String>>,
        width: u32,
        optimizer: Box<dyn Optimizer>,
    ) -> Self {
        let seeds = Seeds::new(0);
        let named = |part: Result<_, _>| ("tested".to_owned(), part.expect("valid settings"));
        let mut interventions = Interventions::new(built.into_iter().map(named).collect(), &seeds);
        let plan = interventions.plan().expect("nothing to collide with");
        let spec = NetworkSpec { observation: [1, 1, 1], actions: 1, plan };
        let mlp = Mlp::build(MlpConfig { width, ..MlpConfig::default() }).expect("valid");
        let model = Model::new(Arc::clone(&mlp), spec, &mut seeds.stream("network"), Device::Cpu);
        let mut learner = Learner::new(model.expect("fits"), optimizer);
        interventions.after_build(&mut learner).expect("nothing to collide with");
        let (clock, metrics) = (Clock::default(), Metrics::default());
        Self { learner, metrics, interventions, clock, target_period_updates: 10_000 }
    }

    /// The same with another period of the target network.
    pub fn target_period(self, target_period_updates: u64) -> Self {
        Self { target_period_updates, ..self }
    }

    /// Why a network of two units per layer does not take an intervention.
    pub fn refusal(built: Result<Box<dyn Intervention>, String>) -> String {
        let parts = vec![("tested".to_owned(), built.expect("valid settings"))];
        let mut interventions = Interventions::new(parts, &Seeds::new(0));
        let mut learner = Self::with(Ok(Box::new(Nothing)), 2).learner;
        interventions.after_build(&mut learner).expect_err("refused")
    }

    pub fn set(&mut self, name: &str, values: &[f32]) {
        let variable = self.learner.online.variables().get(name).expect("an existing variable");
        let values = Tensor::from_slice(values).reshape(variable.size());
        no_grad(|| variable.shallow_clone().copy_(&values));
    }

    pub fn numbers(&self, name: &str) -> Vec<f32> {
        numbers(self.learner.online.variables().get(name).expect("an existing variable"))
    }

    /// So many updates on a white pixel; returns the last loss.
    pub fn update(&mut self, count: usize) -> f64 {
        let observations = Tensor::from_slice(&[255u8]).reshape([1, 1, 1, 1]);
        let mut last = f64::NAN;
        for _ in 0..count {
            let mut taps = Taps::default();
            let outputs = self.learner.online.forward(&observations, Some(&mut taps));
            let loss = outputs.square().sum(Kind::Float) * 0.5;
            let batch = UpdateBatch { observations: &observations, taps: &taps };
            let (interventions, clock) = (&mut self.interventions, &mut self.clock);
            last = self
                .learner
                .update(
                    loss,
                    &batch,
                    self.target_period_updates,
                    interventions,
                    clock,
                    &mut self.metrics,
                )
                .expect("a finite loss")
                .total();
        }
        last
    }
}
