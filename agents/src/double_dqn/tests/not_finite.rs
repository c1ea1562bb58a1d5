//! Updates that would leave numbers that are not finite.

use pliant_core::{
    head::{Categorical, Encoding, Head, Support},
    intervention::{Hook, Intervention},
    network::{Architecture, HiddenLayer, Network, Pass},
    not_finite::{NotFinite, Stage},
    optimizer::{EpsPosition, Kron, KronConfig, RmsProp, RmsPropConfig, Sgd, SgdConfig},
    variables::{Init, VariableSource},
};
use rand::RngCore;

use super::*;
use crate::{OnNotFinite, attempt::Skipped};

/// Where a number is made one that is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Loss,
    Gradient,
    Step,
    Parameter,
    Moment,
    Target,
}

/// Poisons one number in the updates `from` to `to`. It has a state and draws, so that it shows whether both are
/// taken back.
struct Poison {
    place: Place,
    with: f64,
    from: u64,
    to: u64,
    calls: u64,
}

impl Poison {
    fn at(place: Place, update: u64) -> Self {
        Self { place, with: f64::NAN, from: update, to: update, calls: 0 }
    }

    fn installed(self) -> Interventions {
        Interventions::new(vec![("poison".to_owned(), Box::new(self))], &Seeds::new(3))
    }

    fn is_due(&self, place: Place, update: u64) -> bool {
        self.place == place && (self.from..=self.to).contains(&update)
    }

    fn put(&self, tensor: &Tensor) {
        let _ = tensor.detach().reshape([-1]).narrow(0, 1, 1).fill_(self.with);
    }

    fn weight(learner: &Learner) -> &Tensor {
        learner.online.variables().get("dense2/weight").expect("a hidden layer")
    }
}

impl Intervention for Poison {
    fn extra_loss(&mut self, learner: &Learner, hook: &mut Hook<'_>) -> Result<Option<Tensor>> {
        self.calls += 1;
        hook.stream.next_u64();
        let is_due = self.is_due(Place::Loss, learner.updates + 1);
        Ok(is_due.then(|| Tensor::from(self.with as f32)))
    }

    fn after_backward(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if self.is_due(Place::Gradient, learner.updates + 1) {
            self.put(&Self::weight(learner).grad());
        }
        Ok(())
    }

    fn after_step(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if self.is_due(Place::Step, learner.updates) {
            self.put(Self::weight(learner));
        }
        Ok(())
    }

    fn after_update(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if self.is_due(Place::Parameter, learner.updates) {
            self.put(Self::weight(learner));
        }
        if self.is_due(Place::Moment, learner.updates) {
            self.put(
                &learner.optimizer.moments().get("dense2/weight").expect("stepped").tensors[0],
            );
        }
        Ok(())
    }

    fn on_target_update(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if self.is_due(Place::Target, learner.updates) {
            self.put(learner.target.variables().get("dense2/weight").expect("a hidden layer"));
        }
        Ok(())
    }
}

impl Checkpoint for Poison {
    fn save(&self, state: &mut StateDict) {
        state.put("calls", &self.calls);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.calls = state.get("calls")?;
        Ok(())
    }
}

/// Everything that is saved, as text and bits.
fn saved(run: &Run) -> (String, Vec<(String, Vec<u8>)>) {
    let mut state = StateDict::default();
    state.put_part("agent", &run.agent);
    state.put_part("interventions", &run.interventions);
    state.put("clock", &run.clock);
    let bytes = |tensor: &Tensor| {
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        bytes
    };
    let tensors = state.tensors().iter().map(|(name, tensor)| (name.clone(), bytes(tensor)));
    (format!("{:?}", state.values()), tensors.collect())
}

/// Runs until an update fails, and returns what was found; the run is as it was before that call.
fn failure(run: &mut Run) -> NotFinite {
    for _ in 0..400 {
        let before = saved(run);
        let learned =
            run.agent.learn(&mut run.clock, &mut run.interventions, &mut Metrics::default());
        match learned {
            Ok(()) => {}
            Err(Error::NotFinite(found)) => {
                assert!(saved(run) == before, "{found} has left something behind");
                return *found;
            }
            Err(error) => panic!("{error}"),
        }
        let actions = run.agent.act(&run.clock);
        let batch =
            run.task.step(&actions, Step { terminated: true, frames: 4, ..Step::default() });
        run.agent.observe(&actions, &batch);
        run.clock.agent_steps += actions.len() as u64;
    }
    panic!("no update failed");
}

fn poisoned(poison: Poison) -> Run {
    Run { interventions: poison.installed(), ..Run::new(small(), 1) }
}

#[test]
fn numbers_gone_wrong_are_found_wherever_they_arise_and_the_update_is_taken_back() {
    let weight = "`dense2/weight`";
    for (place, update, stage, name) in [
        (Place::Loss, 7, Stage::Loss, "NaN"),
        (Place::Gradient, 7, Stage::Gradients, weight),
        (Place::Step, 7, Stage::Parameters, weight),
        (Place::Parameter, 7, Stage::Parameters, weight),
        (Place::Moment, 7, Stage::Parameters, "`dense2/weight`'s `mean` in the optimizer"),
        (Place::Target, 10, Stage::Parameters, "`dense2/weight` of the target"),
        (Place::Parameter, 10, Stage::Parameters, weight),
    ] {
        let found = failure(&mut poisoned(Poison::at(place, update)));
        assert_eq!((found.update, found.stage), (update, stage), "{place:?}");
        let bad = &found.tensors[0];
        assert_eq!((bad.name.as_str(), bad.nan, bad.infinite), (name, 1, 0), "{place:?}");
        assert_eq!(found.tensors.len(), 1, "{place:?}: {found}");
        let by = found.by.expect("the update was made once more to find out");
        assert!(by.contains("poison"), "{place:?}: {by}");
    }
}

#[test]
fn an_infinite_number_is_found_as_one_that_is_none() {
    for place in [Place::Loss, Place::Gradient, Place::Parameter] {
        let poison = Poison { with: f64::INFINITY, ..Poison::at(place, 3) };
        let found = failure(&mut poisoned(poison));
        assert_eq!((found.tensors[0].nan, found.tensors[0].infinite), (0, 1), "{place:?}");
    }
}

#[test]
fn the_failed_update_is_kept_with_its_batch_and_fails_again_on_it() {
    let mut run = poisoned(Poison::at(Place::Gradient, 4));
    let found = failure(&mut run);
    let failed = run.agent.failed_update().expect("kept");
    assert_eq!(failed.found, found);
    let batch = failed.batch.to_device(Device::Cpu);
    assert_eq!(batch.count(), 16);
    let mut metrics = Metrics::default();
    let again = run.agent.update_on(&batch, &mut run.clock, &mut run.interventions, &mut metrics);
    let again = again.expect_err("the same update").to_string();
    assert!(again.contains("gradients of update 4"), "{again}");
    // And by drawing once more: the same transitions.
    let found = failure(&mut run);
    let drawn = &run.agent.failed_update().expect("kept").batch;
    assert!(drawn.s_tm1.equal(&batch.s_tm1) && drawn.r_t.equal(&batch.r_t), "{found}");
}

/// Whether batches are brought ahead or not, and whichever of those that are due at once fails.
#[test]
fn who_goes_on_after_a_failure_draws_the_batch_that_failed() {
    let config = DoubleDqnConfig { update_every_agent_steps: 1, ..small() };
    for update in 20..24 {
        let runs = [false, true].map(|is_staged| {
            let interventions = Poison::at(Place::Gradient, update).installed();
            let mut run = Run { interventions, ..Run::new(config.clone(), 4) };
            let agent = &mut run.agent;
            let batch = agent.config.batch_size as usize;
            let staging = || Staging::new(&agent.replay, batch, Device::Cpu, true).expect("room");
            agent.staging = is_staged.then(staging);
            while run.try_step().is_ok() {}
            assert_eq!(run.clock.updates, update - 1);
            let failed = run.agent.failed_update().expect("kept").batch.s_tm1.copy();
            run.interventions = Interventions::default();
            let mut resumed = run.agent.sampling.clone();
            let drawn = run.agent.replay.sample(batch, &mut resumed).expect("not empty");
            assert!(drawn.s_tm1.equal(&failed), "another batch than that of update {update}");
            run.run(3);
            (bits(&run.agent.learner), run.agent.sampling)
        });
        assert!(runs[0] == runs[1], "update {update}");
    }
}

/// A step of 4 x 1e39 is infinite as f32, though loss and gradients are finite; without eps a unit whose gradient is 0
/// steps by 0 / 0.
#[test]
fn a_step_to_infinity_is_taken_back_with_every_optimizer() {
    let sgd = |learning_rate| Sgd::build(SgdConfig { learning_rate, momentum: 0.9 });
    let adam = |learning_rate| Adam::build(AdamConfig { learning_rate, ..AdamConfig::default() });
    let kron = |learning_rate| Kron::build(KronConfig { learning_rate, ..KronConfig::default() });
    let rmsprop = |learning_rate, eps, centered| {
        let eps_position = EpsPosition::OutsideRoot;
        let rest = RmsPropConfig::default();
        RmsProp::build(RmsPropConfig { learning_rate, eps, centered, eps_position, ..rest })
    };
    for (name, optimizer) in [
        ("sgd", sgd(1e39)),
        ("adam", adam(1e39)),
        ("kron", kron(1e39)),
        ("rmsprop", rmsprop(1e39, 1e-5, true)),
        ("rmsprop without eps", rmsprop(1e-3, 0.0, false)),
    ] {
        let mut run = Run::new(small(), 1);
        run.agent.learner.optimizer = optimizer.expect("valid settings");
        let found = failure(&mut run);
        assert_eq!((found.update, found.stage), (1, Stage::Parameters), "{name}: {found}");
        let by = found.by.expect("known");
        assert!(by.contains("optimizer"), "{name}: {by}");
    }
}

/// The square of a gradient of 1e22 is infinite: the optimiser would never move that number again.
#[test]
fn a_gradient_too_large_for_its_square_is_found_in_the_moments() {
    let found = failure(&mut poisoned(Poison { with: 1e22, ..Poison::at(Place::Gradient, 5) }));
    assert_eq!((found.update, found.stage), (5, Stage::Parameters));
    assert_eq!(found.tensors[0].name, "`dense2/weight`'s `square` in the optimizer");
}

#[test]
fn it_is_the_same_in_bfloat16_and_with_a_categorical_head() {
    let mut run = Run::of(agent_in(Precision::Bf16, small(), 1, 0), 1);
    run.interventions = Poison::at(Place::Gradient, 6).installed();
    assert_eq!(failure(&mut run).update, 6);
    let support = Support { min: -1.0, max: 3.0, bins: 11 };
    let head = Head::Categorical(Categorical { support, encoding: Encoding::TwoHot });
    let plan = NetworkPlan { head, ..NetworkPlan::default() };
    let mut run = Run::of(agent_with(plan, Precision::F32, small(), 1, 0), 1);
    run.interventions = Poison::at(Place::Parameter, 6).installed();
    assert_eq!(failure(&mut run).update, 6);
}

fn skipping(max_skipped_in_a_row: u64) -> DoubleDqnConfig {
    DoubleDqnConfig { non_finite: OnNotFinite::Skip, max_skipped_in_a_row, ..small() }
}

/// Three draws fail at update 5. It is made by the fourth, and what comes after is counted from there.
#[test]
fn what_is_skipped_is_counted_and_is_no_update() {
    let mut run = Run::new(skipping(3), 1);
    run.interventions = Countdown { at: 5, left: 3 }.installed();
    run.run(20 + 4 * 12);
    assert_eq!((run.clock.updates, run.agent.learner.updates), (9, 9), "12 were due");
    let mut metrics = Metrics::default();
    run.agent.drain_metrics(&mut metrics);
    assert_eq!(metrics.get_scalar("train/skipped_updates"), Some(3.0));
    assert!(run.agent.failing.skipped.in_a_row == 0 && metrics.get_scalar("train/loss").is_some());
}

#[test]
fn a_run_that_only_skips_stops_in_the_end() {
    let mut run = Run::new(skipping(3), 1);
    run.interventions = Poison { to: u64::MAX, ..Poison::at(Place::Gradient, 5) }.installed();
    let mut learned = Ok(());
    for _ in 0..100 {
        learned = run.try_step();
        if learned.is_err() {
            break;
        }
    }
    assert!(matches!(learned, Err(Error::NotFinite(_))));
    assert_eq!((run.agent.failing.skipped.total, run.clock.updates), (3, 4));
}

#[test]
fn what_was_skipped_is_saved_and_older_checkpoints_have_nothing_of_it() {
    let mut run = Run::new(skipping(9), 1);
    run.agent.failing.skipped = Skipped { total: 5, in_a_row: 2 };
    let mut state = StateDict::default();
    run.agent.save(&mut state);
    let mut resumed = agent(skipping(9), 1, 1);
    resumed.load(&state).expect("saved above");
    assert_eq!(resumed.failing.skipped, Skipped { total: 5, in_a_row: 2 });
    let tensors = state.tensors().iter().map(|(name, one)| (name.clone(), one.shallow_clone()));
    let values = state.values().iter().filter(|(name, _)| *name != "skipped");
    let values = values.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut resumed = agent(skipping(9), 1, 1);
    resumed.load(&StateDict::from_parts(tensors.collect(), values)).expect("all else is there");
    assert_eq!(resumed.failing.skipped, Skipped::default());
}

/// Fails so many times at an update, whatever is taken back.
struct Countdown {
    at: u64,
    left: u64,
}

impl Countdown {
    fn installed(self) -> Interventions {
        Interventions::new(vec![("countdown".to_owned(), Box::new(self))], &Seeds::new(3))
    }
}

impl Intervention for Countdown {
    fn is_risky(&self, _update: u64, _ends_in_target_update: bool) -> bool {
        false
    }

    fn after_backward(&mut self, learner: &mut Learner, hook: &mut Hook<'_>) -> Result<()> {
        hook.stream.next_u64();
        if learner.updates + 1 == self.at && self.left > 0 {
            self.left -= 1;
            let _ = Poison::weight(learner).grad().fill_(f64::NAN);
        }
        Ok(())
    }
}

pliant_core::stateless!(Countdown);

#[test]
fn an_update_that_fails_once_alone_is_said_to_be_no_fault_of_the_numbers() {
    let mut run = Run::new(small(), 1);
    run.interventions = Countdown { at: 3, left: 1 }.installed();
    let found = failure(&mut run);
    assert!(found.by.as_ref().is_some_and(|by| by.contains("once more")), "{found}");
}

#[test]
fn what_changes_gradients_alone_costs_no_copy_and_is_taken_back_too() {
    let mut run = Run::new(small(), 1);
    run.interventions = Countdown { at: 3, left: 9 }.installed();
    let found = failure(&mut run);
    assert_eq!((found.update, found.stage), (3, Stage::Gradients));
}

/// One layer, with dropout and a statistic that moves in every training pass.
#[derive(Debug)]
struct Moving;

struct MovingNetwork {
    weight: Tensor,
    mean: Tensor,
}

impl Architecture for Moving {
    fn build(
        &self,
        spec: &NetworkSpec,
        variables: &mut VariableSource<'_>,
    ) -> Result<Box<dyn Network>> {
        let weight = variables.variable("dense2/weight", &[spec.outputs(), 2], Init::fan_in(2));
        Ok(Box::new(MovingNetwork { weight, mean: variables.buffer("mean", &[1], Init::Zeros) }))
    }
}

impl Network for MovingNetwork {
    fn forward(&self, observations: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        if pass.is_training() {
            let present = observations.mean(Kind::Float).reshape([1]);
            let _ = self.mean.shallow_clone().lerp_(&present, 0.1);
        }
        let input = pass.dropout(&observations.flatten(1, -1), 0.5);
        input.linear(&self.weight, None::<Tensor>) + &self.mean
    }

    fn hidden(&self) -> &[HiddenLayer] {
        &[]
    }
}

/// The same run with that network.
fn with_moving_statistics(mut run: Run) -> Run {
    let network = NetworkSpec::new(&spec(), NetworkPlan::default());
    let mut stream = Seeds::new(0).stream("network");
    let model = Model::new(Arc::new(Moving), network, &mut stream, Device::Cpu).expect("fits");
    let adam = Adam::build(AdamConfig::default()).expect("valid settings");
    run.agent.learner = Learner::new(model, adam);
    run
}

/// Where everything is copied beforehand, and where nothing is.
#[test]
fn what_a_training_pass_moves_is_put_back_too() {
    let countdown = Countdown { at: 5, left: 9 }.installed();
    for run in [
        poisoned(Poison::at(Place::Parameter, 5)),
        Run { interventions: countdown, ..Run::new(small(), 1) },
    ] {
        let mut run = with_moving_statistics(run);
        assert_eq!(failure(&mut run).update, 5);
        let mean = run.agent.learner.online.variables().get("mean").expect("made");
        assert!(mean.double_value(&[0]) > 0.0, "it moves");
    }
}
