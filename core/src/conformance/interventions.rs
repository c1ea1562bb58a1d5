//! What every intervention must do, tried on a small MDP.

mod parts;

use std::collections::BTreeMap;

use tch::Device;
use toml::{Table, Value};

use super::{
    Setup, TrialNetwork, check_settings, devices, heads,
    trial::{PlanOnly, mean_distance},
};
use crate::{head::Head, intervention::Intervention, network::NetworkPlan, registry::Plugins};

/// Tries every registered intervention on a small MDP: what each is held to is said by the checks.
///
/// In the tests of whoever registers some: `InterventionTrials::of(register).check()`. One that acts
/// too seldom to be seen in 60 updates needs settings with which it acts sooner ([`Self::lively`]);
/// periods are shortened without being asked. One that plans what the [perceptron] has no place for
/// needs a network that has ([`Self::on`]).
///
/// [perceptron]: TrialNetwork::perceptron
pub struct InterventionTrials {
    plugins: Plugins,
    networks: Vec<TrialNetwork>,
    lively: BTreeMap<&'static str, Table>,
}

/// Two kinds, or a network and a kind, that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The network's name, or the kind that came first.
    pub by: String,
    /// The kind.
    pub kind: &'static str,
    /// What was said.
    pub reason: String,
}

/// Updates in which an effect must have been seen.
const SEEN_AFTER: usize = 60;

/// Where states are saved: before anything, and before and after whatever happens at updates 5, 7, 10
/// and 14.
const SAVED_AT: [usize; 4] = [0, 4, 9, 16];

/// No reason is shorter.
const REASON: usize = 20;

impl InterventionTrials {
    /// Of the kinds that a plug-in registers, beside the optimisers of this crate.
    pub fn of(register: impl FnOnce(&mut Plugins)) -> Self {
        let mut plugins = Plugins::core();
        register(&mut plugins);
        let networks = vec![TrialNetwork::perceptron()];
        Self { plugins, networks, lively: BTreeMap::new() }
    }

    /// On this network too.
    pub fn on(mut self, network: TrialNetwork) -> Self {
        self.networks.push(network);
        self
    }

    /// Tries a kind with these settings, in TOML, where its defaults would show nothing.
    ///
    /// # Panics
    /// If they are not TOML.
    pub fn lively(mut self, kind: &'static str, settings: &str) -> Self {
        self.lively.insert(kind, settings.parse().expect("settings in TOML"));
        self
    }

    /// The kinds, sorted.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.plugins.interventions.iter().map(|(name, _)| name).collect()
    }

    /// The networks.
    pub fn networks(&self) -> &[TrialNetwork] {
        &self.networks
    }

    /// What a kind alone plans.
    pub fn plan(&self, kind: &str) -> NetworkPlan {
        let mut plan = NetworkPlan::default();
        let planned = self.build(kind, &self.settings(kind)).plan(&mut plan);
        planned.unwrap_or_else(|error| panic!("intervention `{kind}` alone: {error}"));
        plan
    }

    /// Every check.
    ///
    /// # Panics
    /// As each of them, if a kind breaks a rule; the text says which.
    pub fn check(&self) {
        self.check_settings();
        self.check_effects();
        self.check_recording();
        self.check_resume();
        self.check_schedules();
        self.check_optimizers();
        self.check_networks(&heads().map(Setup::with_head), 8);
        self.check_pairs();
    }

    /// See [`check_settings`]. What was made [lively](Self::lively) is registered.
    pub fn check_settings(&self) {
        check_settings(&self.plugins.interventions);
        for kind in self.lively.keys() {
            assert!(self.kinds().contains(kind), "no intervention `{kind}` to make lively");
        }
    }

    /// With every head and on every device each kind learns for 60 updates, all parameters stay finite,
    /// and the learner is another one than without it. A kind that plans a head refuses a second one.
    pub fn check_effects(&self) {
        for kind in self.kinds() {
            let plans_head = self.plan(kind).head != Head::Scalar;
            for head in heads() {
                for device in devices() {
                    let setup = Setup { head, device, ..Setup::default() };
                    if plans_head && head != Head::Scalar {
                        self.assert_refused(&[kind], &setup);
                    } else {
                        self.check_effect(kind, &setup, SEEN_AFTER);
                    }
                }
            }
        }
    }

    fn check_effect(&self, kind: &'static str, setup: &Setup, updates: usize) {
        let network = Some(self.home(&self.plan(kind)).clone());
        let setup = Setup { network, ..setup.clone() };
        let (mut changed, mut plain) = (self.expect(&[kind], &setup), self.expect(&[], &setup));
        changed.update(updates);
        plain.update(updates);
        assert_ne!(
            changed.learner_bits(),
            plain.learner_bits(),
            "intervention `{kind}` changed nothing in {updates} updates ({setup:?}): if it acts \
             later, give it settings with which it acts sooner"
        );
    }

    /// A kind that says that it [leaves gradients alone](Intervention::leaves_gradients) does: where its two
    /// hooks are not called nothing changes, to the bit on the CPU. On a GPU what is learned where updates are
    /// recorded is the same, and as near as sums in another order come.
    pub fn check_recording(&self) {
        for kind in self.kinds() {
            for device in devices() {
                let plain = Setup { device, ..Setup::default() };
                let recorded = Setup { is_recorded: true, ..plain.clone() };
                let [plain, recorded] = [&plain, &recorded].map(|setup| {
                    let mut trial = self.expect(&[kind], setup);
                    trial.update(SEEN_AFTER);
                    trial.learner_bits()
                });
                assert!(
                    device != Device::Cpu || recorded == plain,
                    "intervention `{kind}` says that it leaves gradients alone, but learning goes on \
                     differently where its hooks `extra_loss` and `after_backward` are not called"
                );
                let apart = mean_distance(&plain, &recorded);
                assert!(
                    apart.is_some_and(|apart| apart < 1e-3),
                    "intervention `{kind}`: what is learned where updates are recorded is apart by {apart:?} \
                     (None: other tensors)"
                );
            }
        }
    }

    /// Saved before or after whatever it does, and loaded into a learner of another seed, a kind goes
    /// on to the bit.
    pub fn check_resume(&self) {
        for kind in self.kinds() {
            for saved_at in SAVED_AT {
                self.check_resumed(kind, &Setup::default(), saved_at);
            }
        }
    }

    fn check_resumed(&self, kind: &'static str, setup: &Setup, saved_at: usize) {
        let elsewhere = Setup { root: setup.root + 1, ..setup.clone() };
        let (mut origin, mut resumed) =
            (self.expect(&[kind], setup), self.expect(&[kind], &elsewhere));
        origin.update(saved_at);
        resumed.restore(&origin);
        origin.update(20);
        resumed.update(20);
        assert_eq!(
            resumed.bits(),
            origin.bits(),
            "intervention `{kind}`, saved after {saved_at} updates, goes on differently ({setup:?})"
        );
    }

    /// A kind that has a `start_updates` changes no bit before it but by what it plans, and one that
    /// has an `end_updates` does not go on beyond it. Single times have no end.
    pub fn check_schedules(&self) {
        for kind in self.kinds() {
            if self.has(kind, "start_updates") {
                self.check_idle(kind);
            }
            if self.has(kind, "end_updates") && !self.settings(kind).contains_key("at_updates") {
                self.check_end(kind);
            }
        }
    }

    fn check_idle(&self, kind: &'static str) {
        let mut later = self.settings(kind);
        later.insert("start_updates".to_owned(), Value::Integer(1_000_000));
        if let Some(times) = later.get_mut("at_updates") {
            *times = Value::Array(vec![Value::Integer(2_000_000)]);
        }
        let plan_only: Box<dyn Intervention> = Box::new(PlanOnly(self.build(kind, &later)));
        let after_20 = |part| self.of_one(kind, part, 20).learner_bits();
        assert_eq!(
            after_20(self.build(kind, &later)),
            after_20(plan_only),
            "intervention `{kind}` changes something before its `start_updates`"
        );
    }

    fn check_end(&self, kind: &'static str) {
        let mut short = self.settings(kind);
        short.insert("end_updates".to_owned(), Value::Integer(8)); // after update 5 and 7
        let after_20 =
            |settings: &Table| self.of_one(kind, self.build(kind, settings), 20).learner_bits();
        assert_ne!(
            after_20(&short),
            after_20(&self.settings(kind)),
            "intervention `{kind}` goes on beyond its `end_updates`"
        );
    }

    /// Under every optimiser but the one that the other checks take, each kind has an effect and goes on
    /// as it was saved.
    pub fn check_optimizers(&self) {
        let others = self.plugins.optimizers.iter().map(|(name, _)| name);
        for optimizer in others.filter(|name| *name != Setup::default().optimizer) {
            for kind in self.kinds() {
                let setup = Setup { optimizer, ..Setup::default() };
                self.check_effect(kind, &setup, 20);
                self.check_resumed(kind, &setup, 9);
            }
        }
    }

    /// On every network and in each of these ways a kind learns for so many updates, or is refused with a
    /// reason. Returns what was refused.
    pub fn check_networks(&self, setups: &[Setup], updates: usize) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        for network in &self.networks {
            for setup in setups {
                let setup = Setup { network: Some(network.clone()), ..setup.clone() };
                let takes_head = |kind: &&str| {
                    setup.head == Head::Scalar || self.plan(kind).head == Head::Scalar
                };
                let kinds = self.kinds().into_iter().filter(takes_head);
                refusals.extend(kinds.filter_map(|kind| self.refusal(&[kind], &setup, updates)));
            }
        }
        refusals
    }

    /// Every kind together with every one, in both orders, learns for 20 updates or is refused with a
    /// reason. Returns what was refused.
    pub fn check_pairs(&self) -> Vec<Refusal> {
        let kinds = self.kinds();
        let pairs =
            kinds.iter().flat_map(|first| kinds.iter().map(move |second| [*first, *second]));
        pairs.filter_map(|pair| self.refusal(&pair, &Setup::default(), 20)).collect()
    }

    /// Lets these kinds learn together, unless they are refused.
    fn refusal(&self, kinds: &[&'static str], setup: &Setup, updates: usize) -> Option<Refusal> {
        let reason = match self.trial(kinds, setup) {
            Ok(mut trial) => {
                trial.update(updates);
                return None;
            }
            Err(reason) => reason,
        };
        assert!(said(&reason).len() >= REASON, "{kinds:?} are refused without a reason: {reason}");
        let (kind, before) = kinds.split_last().expect("at least one kind");
        let network = || setup.network.as_ref().map(|network| network.name.clone());
        let by = before.first().map(|first| (*first).to_owned()).or_else(network);
        Some(Refusal { by: by.unwrap_or_default(), kind, reason })
    }

    fn assert_refused(&self, kinds: &[&'static str], setup: &Setup) {
        let is_refused = self.refusal(kinds, setup, 0).is_some();
        assert!(is_refused, "{kinds:?} plan a second head beside {}", setup.head);
    }
}

/// A message without the words that say whose it is.
fn said(message: &str) -> &str {
    let after_label =
        message.strip_prefix("interventions[").and_then(|rest| rest.split_once("`: "));
    after_label.map_or(message, |(_, said)| said)
}
