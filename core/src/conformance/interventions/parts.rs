//! How a trial of interventions is put together.

use toml::{Table, Value};

use super::InterventionTrials;
use crate::{
    conformance::{Setup, Trial, TrialNetwork, trial::PlannedHead},
    head::Head,
    intervention::{Intervention, Interventions},
    network::NetworkPlan,
    optimizer::Optimizer,
    registry::{Kind, Parameter},
    seeds::Seeds,
};

/// A period that is due in every trial, and not with the target network's.
const SOON_UPDATES: i64 = 7;

type Parts = Vec<(&'static str, Box<dyn Intervention>)>;

impl InterventionTrials {
    /// A learner under these kinds, or why they do not go together or with the network.
    ///
    /// # Panics
    /// If none of the networks has a place for what they plan.
    pub fn trial(&self, kinds: &[&'static str], setup: &Setup) -> Result<Trial, String> {
        let part = |kind: &&'static str| (*kind, self.build(kind, &self.settings(kind)));
        self.of_parts(kinds.iter().map(part).collect(), setup)
    }

    pub(super) fn expect(&self, kinds: &[&'static str], setup: &Setup) -> Trial {
        self.trial(kinds, setup).unwrap_or_else(|error| panic!("{kinds:?} with {setup:?}: {error}"))
    }

    /// After so many updates under one part, which stands for a kind.
    pub(super) fn of_one(
        &self,
        kind: &'static str,
        part: Box<dyn Intervention>,
        updates: usize,
    ) -> Trial {
        let network = Some(self.home(&self.plan(kind)).clone());
        let trial = self.of_parts(vec![(kind, part)], &Setup { network, ..Setup::default() });
        let mut trial = trial.unwrap_or_else(|error| panic!("intervention `{kind}`: {error}"));
        trial.update(updates);
        trial
    }

    fn of_parts(&self, parts: Parts, setup: &Setup) -> Result<Trial, String> {
        let kinds: Vec<&str> = parts.iter().map(|(kind, _)| *kind).collect();
        let label = format!("{kinds:?} with {setup:?}");
        let head: Box<dyn Intervention> = Box::new(PlannedHead(setup.head));
        let head = (setup.head != Head::Scalar).then_some(("head", head));
        let all = head.into_iter().chain(parts).map(|(kind, part)| (kind.to_owned(), part));
        let interventions = Interventions::new(all.collect(), &Seeds::new(setup.root));
        let plan = interventions.plan()?;
        let network = setup.network.as_ref().unwrap_or_else(|| self.home(&plan));
        Trial::new(network, setup, self.optimizer(setup.optimizer), interventions, label)
    }

    /// The first network that has a place for this.
    pub(super) fn home(&self, plan: &NetworkPlan) -> &TrialNetwork {
        let has_a_place = |network: &&TrialNetwork| network.architecture.supports(plan).is_ok();
        self.networks.iter().find(has_a_place).unwrap_or_else(|| {
            panic!(
                "none of the networks has a place for {}: add one that has with `on`, such as one of \
                 `pliant-agents`",
                plan.first_change().unwrap_or("what is planned")
            )
        })
    }

    /// An optimiser with the step size of the trials, if that is one of its settings.
    fn optimizer(&self, name: &str) -> Box<dyn Optimizer> {
        let kind = self.plugins.optimizers.get(name);
        let built = kind.and_then(|kind| {
            let mut settings = Table::new();
            if parameter(kind, "learning_rate").is_some() {
                settings.insert("learning_rate".to_owned(), Value::Float(1e-3));
            }
            kind.build(&settings)
        });
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    fn kind(&self, name: &str) -> &Kind<Box<dyn Intervention>> {
        self.plugins.interventions.get(name).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(super) fn build(&self, name: &str, settings: &Table) -> Box<dyn Intervention> {
        let built = self.kind(name).build(settings);
        built.unwrap_or_else(|error| panic!("intervention `{name}`: {error}"))
    }

    pub(super) fn has(&self, kind: &str, setting: &str) -> bool {
        parameter(self.kind(kind), setting).is_some()
    }

    /// What a kind is tried with: periods and times that come within a trial, and what was asked for.
    pub(super) fn settings(&self, name: &str) -> Table {
        let kind = self.kind(name);
        let default = |setting| parameter(kind, setting).and_then(|found| found.default.as_ref());
        let period = default("every_updates").and_then(serde_json::Value::as_u64);
        let times = default("at_updates").and_then(serde_json::Value::as_array);
        let mut settings = Table::new();
        let soon = Value::Integer(SOON_UPDATES);
        if period.is_some_and(|period| period > SOON_UPDATES as u64) {
            settings.insert("every_updates".to_owned(), soon.clone());
        }
        if times.is_some_and(|times| !times.is_empty()) {
            settings.insert("at_updates".to_owned(), Value::Array(vec![soon]));
        }
        settings.extend(self.lively.get(name).cloned().unwrap_or_default());
        settings
    }
}

fn parameter<'a, T>(kind: &'a Kind<T>, name: &str) -> Option<&'a Parameter> {
    kind.parameters.iter().find(|parameter| parameter.name == name)
}
