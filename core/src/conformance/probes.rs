//! What every probe must do, tried on a small learner.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use toml::Table;

use super::{
    Setup, Trial, TrialNetwork, check_settings, heads,
    trial::{PlannedHead, double_q},
};
use crate::{
    clock::Clock,
    head::TdLoss,
    intervention::Interventions,
    learner::Learner,
    metrics::Metrics,
    network::Taps,
    optimizer::{Adam, AdamConfig},
    probe::{Probe, ProbeData, Subject, Transitions},
    registry::Plugins,
    seeds::{Seeds, Stream},
    state::StateDict,
};

/// Tries every registered probe on a small learner: what each is held to is said by [`Self::check`].
///
/// In the tests of whoever registers some: `ProbeTrials::of(register).check()`.
pub struct ProbeTrials {
    plugins: Plugins,
    quick: BTreeMap<&'static str, Table>,
}

/// A reason for a refusal is no shorter.
const REASON: usize = 20;

impl ProbeTrials {
    /// Of the kinds that a plug-in registers.
    pub fn of(register: impl FnOnce(&mut Plugins)) -> Self {
        let mut plugins = Plugins::core();
        register(&mut plugins);
        Self { plugins, quick: BTreeMap::new() }
    }

    /// Tries a kind with these settings, in TOML, where its defaults would take long.
    ///
    /// # Panics
    /// If they are not TOML.
    pub fn quick(mut self, kind: &'static str, settings: &str) -> Self {
        self.quick.insert(kind, settings.parse().expect("settings in TOML"));
        self
    }

    /// [`check_settings`]; then with every head each kind measures, or says why it does not fit; all its tags
    /// begin with its name; what was learned, its gradients and libtorch's generator are as they were; the same
    /// stream gives the same numbers; and what was saved after a measurement and loaded goes on with the same
    /// numbers.
    ///
    /// # Panics
    /// If a kind breaks a rule; the text says which.
    pub fn check(&self) {
        check_settings(&self.plugins.probes);
        for kind in self.quick.keys() {
            assert!(self.plugins.probes.contains(kind), "no probe `{kind}` to make quick");
        }
        for (kind, _) in self.plugins.probes.iter() {
            for head in heads() {
                self.check_kind(kind, &Setup::with_head(head));
            }
        }
    }

    fn check_kind(&self, kind: &'static str, setup: &Setup) {
        let label = format!("probe `{kind}` on {:?}", setup.head);
        let mut trial = trial(setup, &label);
        let mut probe = self.build(kind);
        let data = TrialData::new(probe.needs(), &trial.learner);
        if let Err(reason) = probe.fits(&trial.learner, &data, None) {
            assert!(reason.len() >= REASON, "{label} refuses without a reason: `{reason}`");
            return;
        }
        trial.update(10);
        let mut stream = Seeds::new(1).stream("probe");
        let begun = stream.clone();
        let first = check_reading(&trial, || measured(probe.as_mut(), &trial, &data, &mut stream));
        let foreign = first.iter().find(|(tag, _)| !tag.starts_with(&format!("{kind}/")));
        assert_eq!(foreign.map(|(tag, _)| tag), None, "{label}: a tag of another area");
        assert!(!first.is_empty(), "{label} measures nothing");
        let again = measured(self.build(kind).as_mut(), &trial, &data, &mut begun.clone());
        assert_eq!(text(&again), text(&first), "{label}: the same stream, other numbers");

        let mut state = StateDict::default();
        state.put_part("probe", probe.as_ref());
        let mut resumed = self.build(kind);
        let loaded = state.load_part("probe", resumed.as_mut());
        loaded.unwrap_or_else(|error| panic!("{label} does not load what it saved: {error}"));
        trial.update(3);
        let resumed = measured(resumed.as_mut(), &trial, &data, &mut stream.clone());
        let second = measured(probe.as_mut(), &trial, &data, &mut stream);
        assert_eq!(text(&resumed), text(&second), "{label}: loaded, it measures something else");
    }

    fn build(&self, kind: &str) -> Box<dyn Probe> {
        let settings = self.quick.get(kind).cloned().unwrap_or_default();
        let built = self.plugins.probes.get(kind).and_then(|entry| entry.build(&settings));
        built.unwrap_or_else(|error| panic!("probe `{kind}`: {error}"))
    }
}

fn trial(setup: &Setup, label: &str) -> Trial {
    let adam = Adam::build(AdamConfig::default()).expect("defaults");
    let network = TrialNetwork::perceptron();
    let head = Box::new(PlannedHead(setup.head));
    let planned = vec![("head".to_owned(), head as Box<_>)];
    let interventions = Interventions::new(planned, &Seeds::new(0));
    let trial = Trial::new(&network, setup, adam, interventions, label.to_owned());
    trial.unwrap_or_else(|error| panic!("{label}: {error}"))
}

fn measured(
    probe: &mut dyn Probe,
    trial: &Trial,
    data: &TrialData,
    stream: &mut Stream,
) -> Metrics {
    let updates = trial.learner.updates;
    let clock = Clock { updates, frames: updates, agent_steps: updates, episodes: 0 };
    let (learner, states, watch) = (&trial.learner, None, &());
    let subject = Subject { learner, data, states, clock: &clock, watch };
    let mut metrics = Metrics::default();
    let done = probe.measure(&subject, stream, &mut metrics);
    done.unwrap_or_else(|error| panic!("a probe on the trials' learner: {error}"));
    metrics
}

/// What `measure` returns, if it changed nothing.
fn check_reading(trial: &Trial, measure: impl FnOnce() -> Metrics) -> Metrics {
    let gradients = || {
        let all = trial.learner.online.variables().iter().map(|(_, tensor)| tensor.grad());
        all.filter(Tensor::defined).map(|gradient| gradient.copy()).collect::<Vec<_>>()
    };
    let (bits, grads) = (trial.bits(), gradients());
    let draw = || Tensor::rand([4], (Kind::Float, Device::Cpu));
    tch::manual_seed(0);
    let expected = draw();
    tch::manual_seed(0);
    let metrics = measure();
    assert!(draw().equal(&expected), "{}: it draws from libtorch's generator", trial.label());
    assert_eq!(trial.bits(), bits, "{}: it changed what is learned", trial.label());
    let after = gradients();
    let is_same = after.len() == grads.len() && after.iter().zip(&grads).all(|(a, b)| a.equal(b));
    assert!(is_same, "{}: it left gradients", trial.label());
    metrics
}

/// Every value that is left, as text: the same numbers or not.
fn text(metrics: &Metrics) -> Vec<String> {
    metrics.iter().map(|(tag, value)| format!("{tag} {value:?}")).collect()
}

/// Random transitions of the trials' network.
struct TrialData(Transitions);

/// There are at least so many.
const LEAST: u64 = 64;

impl TrialData {
    fn new(needs: u64, learner: &Learner) -> Self {
        let spec = learner.online.spec();
        let mut stream = Seeds::new(0).stream("transitions");
        let count = needs.max(LEAST) as i64;
        let mut observations = || {
            let size = [&[count], spec.observation.as_slice()].concat();
            (stream.uniform(&size, 128.0) + 128.0).to_kind(Kind::Uint8)
        };
        let (s_tm1, s_t) = (observations(), observations());
        let a_tm1 = Tensor::arange(count, (Kind::Int64, Device::Cpu)).remainder(spec.actions);
        let r_t = stream.uniform(&[count], 1.0);
        let discount_t = r_t.full_like(0.9);
        Self(Transitions { s_tm1, a_tm1, r_t, discount_t, s_t })
    }
}

impl ProbeData for TrialData {
    fn len(&self) -> u64 {
        self.0.count()
    }

    fn capacity(&self) -> u64 {
        self.len()
    }

    fn discount(&self) -> f64 {
        0.9
    }

    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        self.0.draw(batch, stream)
    }

    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor {
        let bootstrap = double_q(learner, [&batch.r_t, &batch.discount_t, &batch.s_t]);
        let outputs = learner.online.forward(&batch.s_tm1, taps);
        learner.online.head().loss(&outputs, &batch.a_tm1, &bootstrap, TdLoss::Huber)
    }
}

#[cfg(test)]
mod tests;
