//! A linear network with given weights on given transitions, for numbers worked by hand.

use std::sync::Arc;

use pliant_core::{
    error::Result,
    head::{TdLoss, select_action},
    learner::Learner,
    network::{Architecture, HiddenLayer, Model, Network, NetworkPlan, NetworkSpec, Pass, Taps},
    optimizer::{Sgd, SgdConfig},
    probe::{ProbeData, Transitions},
    seeds::{Seeds, Stream},
    tch::{Device, Kind, Tensor, no_grad},
    variables::{Init, VariableSource},
};

use crate::common::env;

#[derive(Debug)]
struct Linear;

struct LinearNetwork(Tensor);

impl Architecture for Linear {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let shape = [spec.outputs(), spec.observation.iter().product()];
        Ok(Box::new(LinearNetwork(variables.variable("output/weight", &shape, Init::Zeros))))
    }
}

impl Network for LinearNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let features = observations.flatten(1, -1);
        pass.record_features(&features);
        features.linear(&self.0, None::<Tensor>)
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }
}

/// Two actions' values of two inputs; SGD with a learning rate of one half.
pub fn learner(weight: [f32; 4]) -> Learner {
    let spec = NetworkSpec::new(&env([1, 1, 2]), NetworkPlan::default());
    let mut stream = Seeds::new(0).stream("network");
    let model = Model::new(Arc::new(Linear), spec, &mut stream, Device::Cpu).expect("fits");
    no_grad(|| {
        let mut own = model.variables().get("output/weight").expect("there").shallow_clone();
        own.copy_(&Tensor::from_slice(&weight).reshape([2, 2]));
    });
    let sgd = Sgd::build(SgdConfig { learning_rate: 0.5, momentum: 0.0 }).expect("valid");
    Learner::new(model, sgd)
}

/// Transitions that are always drawn in this order: what is seen (0 or 1), the action, what its value should be.
pub struct Given(pub Vec<([u8; 2], i64, f32)>);

impl ProbeData for Given {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn capacity(&self) -> u64 {
        self.len()
    }

    fn discount(&self) -> f64 {
        0.99
    }

    fn transitions(&self, batch: usize, _stream: &mut Stream) -> Option<Transitions> {
        let given = self.0.get(..batch)?;
        let size = batch as i64;
        let pixels: Vec<u8> = given.iter().flat_map(|(seen, ..)| seen.map(|it| it * 255)).collect();
        let s_tm1 = Tensor::from_slice(&pixels).reshape([size, 1, 1, 2]);
        let actions: Vec<i64> = given.iter().map(|(_, action, _)| *action).collect();
        let values: Vec<f32> = given.iter().map(|(.., value)| *value).collect();
        Some(Transitions {
            s_t: s_tm1.zeros_like(),
            s_tm1,
            a_tm1: Tensor::from_slice(&actions),
            r_t: Tensor::from_slice(&values),
            discount_t: Tensor::zeros([size], (Kind::Float, Device::Cpu)),
        })
    }

    /// Half the square of what the value is off.
    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        let q = learner.online.forward(&batch.s_tm1, taps);
        TdLoss::Squared.apply(&(&batch.r_t - select_action(&q, &batch.a_tm1)))
    }
}
