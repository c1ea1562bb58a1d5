//! Heads by hand.

use pliant_core::{
    head::Head,
    intervention::Intervention,
    network::NetworkPlan,
    tch::{Device, Kind, Tensor},
};

use super::{Setting, numbers};

/// A learner with one action, whose output is what is set, whatever it observes.
pub(crate) struct HeadTrial(Setting);

impl HeadTrial {
    /// Under an intervention that plans a head.
    pub fn new(built: Result<Box<dyn Intervention>, String>) -> Self {
        let mut setting = Setting::with(built, 1);
        let weights = vec![0.0; setting.numbers("output/weight").len()];
        setting.set("output/weight", &weights);
        Self(setting)
    }

    /// What an intervention plans where nothing is planned yet.
    pub fn plan(built: &Result<Box<dyn Intervention>, String>) -> NetworkPlan {
        let mut plan = NetworkPlan::default();
        built.as_ref().expect("valid settings").plan(&mut plan).expect("nothing is planned yet");
        plan
    }

    /// Why it cannot be planned twice.
    pub fn second(built: &Result<Box<dyn Intervention>, String>) -> String {
        let mut plan = Self::plan(built);
        let (first, part) = (plan.head, built.as_ref().expect("valid settings"));
        let message = part.plan(&mut plan).expect_err("a second head");
        assert_eq!(plan.head, first, "a refusal changes nothing");
        message
    }

    /// Settings that are not taken, and words of the reason.
    pub fn assert_refused(built: Result<Box<dyn Intervention>, String>, words: &str) {
        let message = built.err().expect("refused");
        assert!(message.contains(words), "{message}");
    }

    /// Outputs of the one action.
    pub fn outputs(&self) -> usize {
        self.0.numbers("output/bias").len()
    }

    /// Lets the network predict this mass of bins, and nothing of the others.
    pub fn set(&mut self, mass: &[(usize, f64)]) {
        let mut logits = vec![-1e9; self.outputs()];
        for (bin, mass) in mass {
            logits[*bin] = mass.ln() as f32;
        }
        self.0.set("output/bias", &logits);
    }

    fn predicted(&self) -> Tensor {
        let observation = Tensor::zeros([1, 1, 1, 1], (Kind::Uint8, Device::Cpu));
        self.0.learner.online.forward(&observation, None)
    }

    fn head(&self) -> &Head {
        self.0.learner.online.head()
    }

    /// The value of a prediction.
    pub fn assert_value(&mut self, mass: &[(usize, f64)], expected: f64) {
        self.set(mass);
        let value = f64::from(numbers(&self.head().q_values(&self.predicted()))[0]);
        assert!((value - expected).abs() < 1e-5, "{value}, expected {expected}");
    }

    /// The mass that is learned, where the next state's prediction is the one last set; none elsewhere.
    pub fn assert_target(&self, r_t: f32, discount_t: f32, expected: &[(usize, f64)]) {
        let (r_t, discount_t) = (Tensor::from_slice(&[r_t]), Tensor::from_slice(&[discount_t]));
        let action = Tensor::from_slice(&[0i64]);
        let target = self.head().target(&r_t, &discount_t, &self.predicted(), &action);
        let distribution = numbers(&target.distribution.expect("a categorical head"));
        for (bin, mass) in distribution.iter().enumerate() {
            let wanted = expected.iter().find(|(other, _)| *other == bin).map_or(0.0, |(_, m)| *m);
            assert!((f64::from(*mass) - wanted).abs() < 3e-6, "bin {bin}: {mass}, not {wanted}");
        }
    }
}
