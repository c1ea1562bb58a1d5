//! Updates that would leave numbers that are not finite. How they are found and taken back is tested with Double DQN, whose
//! way it is too.

use super::*;
use crate::{OnNotFinite, attempt::Skipped};

/// Makes the gradients of so many updates infinite.
struct Poison(u64);

impl Checkpoint for Poison {
    fn save(&self, _state: &mut StateDict) {}

    fn load(&mut self, _state: &StateDict) -> Result<()> {
        Ok(())
    }
}

impl Intervention for Poison {
    fn after_backward(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if self.0 > 0 {
            self.0 -= 1;
            let (_, variable) = learner.online.variables().with_gradients().next().expect("one");
            let _ = no_grad(|| variable.grad().fill_(f64::INFINITY));
        }
        Ok(())
    }
}

fn poisoned(config: ClassifierConfig, updates: u64) -> Run {
    let mut run = Run::new(agent(config), Pictures::new(64, 1, 1000));
    run.run(3);
    let poison: Vec<(String, Box<dyn Intervention>)> =
        vec![("poison".to_owned(), Box::new(Poison(updates)))];
    run.interventions = Interventions::new(poison, &Seeds::new(0));
    run
}

fn learn(run: &mut Run) -> Result<()> {
    run.agent.learn(&mut run.clock, &mut run.interventions, &mut Metrics::default())
}

/// Each failure is two: the update, and once more to see where it comes from.
#[test]
fn an_update_that_fails_is_kept_with_its_images_and_is_still_due() {
    let mut run = poisoned(ClassifierConfig::default(), 4);
    let (before, updates) = (bits(&run.agent.learner), run.clock.updates);
    let error = learn(&mut run).expect_err("infinite gradients").to_string();
    assert!(error.contains("gradients of update 3") && error.contains("poison"), "{error}");
    assert!(bits(&run.agent.learner) == before && run.clock.updates == updates);
    let kept = run.agent.failed_update().expect("kept").batch.to_device(Device::Cpu);
    assert!(kept.s_tm1.equal(&run.agent.latest.images));
    assert!(kept.a_tm1.equal(&run.agent.latest.labels));
    learn(&mut run).expect_err("the same minibatch");
    learn(&mut run).expect("the poison is used up");
    assert_eq!(run.clock.updates, updates + 1);
    learn(&mut run).expect("nothing is due");
    assert_eq!(run.clock.updates, updates + 1);
    let mut metrics = Metrics::default();
    let again = run.agent.update_on(&kept, &mut run.clock, &mut run.interventions, &mut metrics);
    again.expect("sound now");
    assert_eq!(run.clock.updates, updates + 2);
}

#[test]
fn one_that_may_be_skipped_is_counted_and_its_minibatch_left_out() {
    let config = ClassifierConfig {
        non_finite: OnNotFinite::Skip,
        max_skipped_in_a_row: 2,
        ..ClassifierConfig::default()
    };
    let mut run = poisoned(config.clone(), 2);
    let updates = run.clock.updates;
    run.run(5);
    assert_eq!(run.clock.updates, updates + 3);
    assert_eq!(run.agent.failing.skipped, Skipped { total: 2, in_a_row: 0 });
    let (mut metrics, mut state) = (Metrics::default(), StateDict::default());
    run.agent.drain_metrics(&mut metrics);
    assert_eq!(metrics.get_scalar("train/skipped_updates"), Some(2.0));
    run.agent.save(&mut state);
    let mut resumed = agent(config.clone());
    resumed.load(&state).expect("saved above");
    assert_eq!(resumed.failing.skipped, run.agent.failing.skipped);
    let mut run = poisoned(config, 9);
    run.run(2);
    learn(&mut run).expect_err("the third in a row");
}
