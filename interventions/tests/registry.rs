//! What every registered intervention must do.

use std::rc::Rc;

use pliant_agents::networks::{Mlp, MlpConfig};
use pliant_core::{
    clock::Clock,
    conformance::check_settings,
    intervention::{Interventions, UpdateBatch},
    learner::Learner,
    metrics::Metrics,
    network::{Model, NetworkSpec, Taps},
    optimizer::{Adam, AdamConfig},
    registry::Plugins,
    seeds::Seeds,
    state::StateDict,
    tch::{Device, Kind, Tensor},
};

fn plugins() -> Plugins {
    let mut plugins = Plugins::core();
    pliant_interventions::register(&mut plugins);
    plugins
}

#[test]
fn every_kind_builds_by_default_and_refuses_unknown_settings() {
    assert!(plugins().interventions.iter().count() > 0);
    check_settings(&plugins().interventions);
}

/// A learner under one intervention with default settings.
struct Trial {
    interventions: Interventions,
    learner: Learner,
    clock: Clock,
}

impl Trial {
    fn new(name: &str, root: u64) -> Self {
        let seeds = Seeds::new(root);
        let plugins = plugins();
        let kind = plugins.interventions.get(name).expect("a registered kind");
        let part = kind.build(&toml::Table::new()).expect("builds by default");
        let mut interventions = Interventions::new(vec![(name.to_owned(), part)], &seeds);
        let plan = interventions.plan().expect("nothing to collide with");
        let spec = NetworkSpec { observation: [1, 3, 3], actions: 2, plan };
        let mlp = Mlp::build(MlpConfig { width: 8, ..MlpConfig::default() }).expect("valid");
        let mut stream = seeds.stream("network");
        let model = Model::new(Rc::clone(&mlp), spec, &mut stream, Device::Cpu).expect("fits");
        let adam = Adam::build(AdamConfig::default()).expect("valid settings");
        let mut learner = Learner::new(model, adam);
        let clock = Clock::default();
        interventions.after_build(&mut learner).expect("nothing to collide with");
        Self { interventions, learner, clock }
    }

    fn update(&mut self, count: usize) {
        for _ in 0..count {
            let observations = Tensor::from_slice(&[0u8, 40, 80, 120, 160, 200, 240, 20, 60]);
            let observations = observations.reshape([1, 1, 3, 3]);
            let mut taps = Taps::default();
            let outputs = self.learner.online.forward(&observations, Some(&mut taps));
            let batch = UpdateBatch { observations: &observations, taps: &taps };
            let loss = (outputs - 1.0).square().mean(Kind::Float);
            let mut metrics = Metrics::default();
            self.learner
                .update(loss, &batch, 2, &mut self.interventions, &mut self.clock, &mut metrics)
                .expect("a finite loss");
        }
    }

    fn state(&self) -> StateDict {
        let mut state = StateDict::default();
        state.put_part("learner", &self.learner);
        state.put_part("interventions", &self.interventions);
        state
    }

    /// Everything saved, as bits.
    fn bits(&self) -> (Vec<Vec<u32>>, String) {
        let state = self.state();
        let bits = |tensor: &Tensor| {
            let flat = Vec::<f32>::try_from(&tensor.reshape([-1])).expect("f32");
            flat.into_iter().map(f32::to_bits).collect()
        };
        (state.tensors().values().map(bits).collect(), format!("{:?}", state.values()))
    }
}

#[test]
fn every_intervention_lives_through_updates_and_resumes_to_the_bit() {
    for (name, _) in plugins().interventions.iter() {
        let mut trial = Trial::new(name, 0);
        trial.update(3);
        let state = trial.state();
        let mut resumed = Trial::new(name, 1);
        state.load_part("learner", &mut resumed.learner).expect("saved above");
        state.load_part("interventions", &mut resumed.interventions).expect("saved above");
        resumed.clock = trial.clock;
        trial.update(5);
        resumed.update(5);
        assert_eq!(resumed.bits(), trial.bits(), "{name}");
    }
}
