//! The agent on a GPU. Without one these say so and pass; for one, libtorch's CUDA part must be loaded first
//! (LD_PRELOAD).

use std::io::Write as _;

use pliant_core::intervention::{Hook, Intervention};
use tch::Cuda;

use super::*;
use crate::double_dqn::tests::Computing;

/// `None`, with a line on standard error, where there is no GPU.
fn gpu(test: &str) -> Option<Device> {
    if Cuda::is_available() {
        Precision::F32.settle(Device::Cuda(0)).expect("any device does f32");
        return Some(Device::Cuda(0));
    }
    let _ = writeln!(std::io::stderr(), "{test}: skipped, there is no CUDA device");
    None
}

fn run_on(device: Device, config: &DoubleDqnConfig, cuda_graphs: bool) -> Run {
    let computing = Computing { device, cuda_graphs };
    let agent = agent_at(computing, NetworkPlan::default(), Precision::F32, config.clone(), 4, 0);
    Run::of(agent, 4)
}

/// Of the first hundred updates.
fn losses(run: &mut Run) -> Vec<f64> {
    let mut losses = Vec::new();
    while run.clock.updates < 100 {
        run.step();
        let mut metrics = Metrics::default();
        run.agent.drain_metrics(&mut metrics);
        losses.extend(metrics.get_scalar("train/loss"));
    }
    losses
}

/// To f32 rounding, over a hundred updates.
fn assert_close(ours: &[f64], theirs: &[f64], what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let apart = |(ours, theirs): (&f64, &f64)| (ours - theirs).abs() / (theirs.abs() + 1e-3);
    let most = ours.iter().zip(theirs).map(apart).fold(0.0, f64::max);
    let _ =
        writeln!(std::io::stderr(), "losses of {} updates, beside {what}: {most:e}", ours.len());
    assert!(most <= 1e-5, "beside {what}: {most}; {ours:?}, {theirs:?}");
}

#[test]
fn recorded_updates_are_those_of_the_eager_path_and_of_the_cpu() {
    let Some(device) = gpu("recorded updates") else { return };
    for replay_memory in [ReplayMemory::Main, ReplayMemory::Device] {
        let config = DoubleDqnConfig { replay_memory, target_period_updates: 30, ..small() };
        let [mut eager, mut recorded] = [false, true].map(|graphs| run_on(device, &config, graphs));
        let ours = losses(&mut recorded);
        assert!(recorded.agent.learner.has_recorded(), "nothing was recorded");
        assert_eq!(ours, losses(&mut eager), "the same kernels, whoever launches them");
        assert!(!eager.agent.learner.has_recorded());
        assert_eq!(recorded.actions, eager.actions);
        let main = DoubleDqnConfig { replay_memory: ReplayMemory::Main, ..config };
        assert_close(&ours, &losses(&mut run_on(Device::Cpu, &main, false)), "the CPU");
    }
}

#[test]
fn recorded_updates_follow_what_is_replaced() {
    let Some(device) = gpu("what is replaced") else { return };
    let runs = [false, true].map(|graphs| {
        let mut run = run_on(device, &small(), graphs);
        let to = |run: &mut Run, updates| {
            while run.clock.updates < updates {
                run.step();
            }
        };
        to(&mut run, 100);
        assert_eq!(run.agent.learner.has_recorded(), graphs);
        run.agent.learner = run.agent.learner.fork(); // other tensors, of the same values
        to(&mut run, 101);
        assert!(!run.agent.learner.has_recorded(), "of tensors that are gone");
        to(&mut run, 200);
        assert_eq!(run.agent.learner.has_recorded(), graphs);
        run.agent.learner.optimizer.set_learning_rate(0.0);
        let before = parameters(&run.agent.learner).copy();
        to(&mut run, 300);
        assert!(before.equal(&parameters(&run.agent.learner)), "steps of the rate before");
        assert_eq!(run.agent.learner.has_recorded(), graphs);
        before.to_device(Device::Cpu)
    });
    let apart = (&runs[0] - &runs[1]).abs().mean(Kind::Double).double_value(&[]);
    assert!(apart < 1e-3, "{apart} apart after 200 updates of 0.01 at most");
}

/// Makes the optimiser forget, as interventions do, and so often that the first step after it is known well.
struct Forgetting;

impl Intervention for Forgetting {
    fn leaves_gradients(&self) -> bool {
        true
    }

    fn after_update(&mut self, learner: &mut Learner, _hook: &mut Hook<'_>) -> Result<()> {
        if learner.updates.is_multiple_of(2) && learner.updates <= 200 {
            learner.optimizer.moments_mut().reset();
        }
        Ok(())
    }
}

pliant_core::stateless!(Forgetting);

#[test]
fn an_optimizer_that_forgets_again_and_again_remembers_in_between() {
    let Some(device) = gpu("an optimiser that forgets") else { return };
    let [eager, recorded] = [false, true].map(|graphs| {
        let mut run = run_on(device, &small(), graphs);
        let forgetting = vec![("forgetting".to_owned(), Box::new(Forgetting) as Box<_>)];
        run.interventions = Interventions::new(forgetting, &Seeds::new(3));
        while run.clock.updates < 300 {
            run.step();
            let knows = run.agent.learner.optimizer.moments().tensors().next().is_some();
            let updates = run.clock.updates;
            assert_eq!(knows, updates % 2 == 1 || updates > 200, "after {updates} updates");
        }
        assert_eq!(run.agent.learner.has_recorded(), graphs);
        parameters(&run.agent.learner).to_device(Device::Cpu)
    });
    assert!(eager.equal(&recorded));
}

#[test]
fn learns_which_action_is_right_on_a_gpu() {
    let Some(device) = gpu("learning") else { return };
    let mut run = run_on(device, &small(), true);
    run.run(600);
    let observations = Tensor::from_slice(&[255u8, 0, 0, 255]).reshape([2, 1, 1, 2]);
    let mut stream = Seeds::new(0).stream("evaluation");
    assert_eq!(run.agent.evaluate(&observations, 0.0, &mut stream), [1, 0]);
}
