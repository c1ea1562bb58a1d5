//! Which variables take a step in one pass over memory.

use pliant_torch_ext::fused::Part;
use tch::Tensor;

use super::{Moments, Slot};
use crate::variables::Variables;

/// A variable with its gradient.
pub(super) struct Due<'a> {
    pub name: &'a str,
    pub variable: Tensor,
    pub gradient: Tensor,
}

/// The variables that have a gradient: those whose step can be made in one pass, which are counted
/// here, and the others. `needs_one_count`: the step depends on how many were made, so that units
/// with counters of their own cannot share it.
pub(super) fn split<'a>(
    moments: &mut Moments,
    variables: &'a Variables,
    needs_one_count: bool,
) -> (Vec<Due<'a>>, Vec<Due<'a>>) {
    let due = variables.iter().filter_map(|(name, variable)| {
        let gradient = variable.grad();
        let (name, variable) = (name, variable.shallow_clone());
        gradient.defined().then_some(Due { name, variable, gradient })
    });
    let (fused, alone): (Vec<_>, Vec<_>) = due.partition(|due| {
        let slot = moments.prepare(due.name, &due.variable);
        let has_one_count = slot.steps.dim() == 0;
        (has_one_count || !needs_one_count) && due.part(slot).is_fusible()
    });
    moments.count(fused.iter().map(|due| due.name));
    (fused, alone)
}

impl Due<'_> {
    fn part<'m>(&self, Slot { steps, tensors: moments }: &'m Slot) -> Part<'m> {
        let (variable, gradient) = (self.variable.shallow_clone(), self.gradient.shallow_clone());
        Part { variable, gradient, moments, steps }
    }
}

/// What a fused step takes, in order.
pub(super) fn parts<'m>(due: &[Due<'_>], moments: &'m Moments) -> Vec<Part<'m>> {
    let part = |due: &Due<'_>| due.part(moments.get(due.name).expect("prepared"));
    due.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor, no_grad};

    use crate::{
        optimizer::{
            Adam, AdamConfig, EpsPosition, Optimizer, RmsProp, RmsPropConfig, Sgd, SgdConfig,
            step_each,
        },
        seeds::Seeds,
        variables::{Init, VariableSource, Variables},
    };

    /// Variables of odd sizes, one of them larger than a piece of the fused step.
    fn variables() -> Variables {
        let mut stream = Seeds::new(7).stream("variables");
        let mut source = VariableSource::draw(&mut stream, Device::Cpu);
        for (name, shape) in [("a", &[3i64, 5][..]), ("b", &[173, 211]), ("c", &[1]), ("d", &[33])]
        {
            let _ = source.variable(name, shape, Init::Normal { std: 1.0 });
        }
        source.finish()
    }

    /// Gradients of about 1e-4 to 1, other ones for each step.
    fn backward(variables: &Variables, step: u64) {
        variables.zero_grad();
        let mut stream = Seeds::new(step).stream("gradients");
        let terms: Vec<Tensor> = variables
            .parameters()
            .map(|(_, variable)| {
                let size = stream.normal(&variable.size(), 1.0);
                let scale = (stream.uniform(&variable.size(), 4.0) - 4.0).exp();
                (variable * size * scale).sum(Kind::Float)
            })
            .collect();
        Tensor::stack(&terms, 0).sum(Kind::Float).backward();
    }

    fn values(variables: &Variables) -> Tensor {
        let flat: Vec<Tensor> = variables.iter().map(|(_, v)| v.detach().reshape([-1])).collect();
        Tensor::cat(&flat, 0)
    }

    fn assert_fused_is_plain(build: &dyn Fn() -> Box<dyn Optimizer>, learning_rate: f64) {
        let (fused, plain) = (variables(), variables());
        let (mut by_one_pass, mut by_operations) = (build(), build());
        for step in 0..20 {
            backward(&fused, step);
            by_one_pass.step(&fused);
            backward(&plain, step);
            step_each(by_operations.as_mut(), &plain);
            // A step is at most about ten times the learning rate here.
            let most = (values(&fused) - values(&plain)).abs().max().double_value(&[]);
            let bound = 2e-6 * learning_rate * 10.0 * (step + 1) as f64 + 3e-7;
            assert!(most <= bound, "step {step}: {most} apart, at most {bound} expected");
        }
        for name in ["a", "b", "c", "d"] {
            let [ours, theirs] = [&by_one_pass, &by_operations].map(|optimizer| {
                let slot = optimizer.moments().get(name).expect("stepped");
                let moments = slot.tensors.iter().map(|moment| moment.reshape([-1]));
                (slot.steps.double_value(&[]), Tensor::cat(&moments.collect::<Vec<_>>(), 0))
            });
            assert_eq!(ours.0, theirs.0);
            let scale = theirs.1.abs().max().double_value(&[]);
            assert!((ours.1 - theirs.1).abs().max().double_value(&[]) <= 1e-6 * scale.max(1e-3));
        }
    }

    #[test]
    fn rmsprop_in_one_pass_is_rmsprop_by_libtorchs_operations() {
        for (centered, momentum, eps_position) in [
            (true, 0.0, EpsPosition::InsideRoot),
            (true, 0.9, EpsPosition::OutsideRoot),
            (false, 0.0, EpsPosition::OutsideRoot),
            (false, 0.5, EpsPosition::InsideRoot),
            (true, 0.9, EpsPosition::InsideRoot),
            (true, 0.0, EpsPosition::OutsideRoot),
            (false, 0.9, EpsPosition::OutsideRoot),
            (false, 0.0, EpsPosition::InsideRoot),
        ] {
            let config = RmsPropConfig {
                learning_rate: 0.01,
                eps: 1e-3,
                eps_position,
                centered,
                momentum,
                ..RmsPropConfig::default()
            };
            let build = || RmsProp::build(config.clone()).expect("valid");
            assert_fused_is_plain(&build, 0.01 / (1.0 - momentum));
        }
    }

    #[test]
    fn adam_in_one_pass_is_adam_by_libtorchs_operations() {
        for (eps, eps_root, weight_decay) in [(1e-3, 0.0, 0.0), (0.0, 1e-3, 0.0), (1e-4, 0.0, 0.1)]
        {
            let config = AdamConfig {
                learning_rate: 0.01,
                eps,
                eps_root,
                weight_decay,
                ..AdamConfig::default()
            };
            assert_fused_is_plain(&|| Adam::build(config.clone()).expect("valid"), 0.01);
        }
    }

    #[test]
    fn sgd_in_one_pass_is_sgd_by_libtorchs_operations_to_the_bit() {
        for momentum in [0.0, 0.9] {
            let config = SgdConfig { learning_rate: 0.01, momentum };
            let [mut by_one_pass, mut by_operations] =
                [0; 2].map(|_| Sgd::build(config.clone()).expect("valid"));
            let (fused, plain) = (variables(), variables());
            for step in 0..20 {
                backward(&fused, step);
                by_one_pass.step(&fused);
                backward(&plain, step);
                step_each(by_operations.as_mut(), &plain);
                assert!(values(&fused).equal(&values(&plain)), "step {step}, momentum {momentum}");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let after = |threads| {
            tch::set_num_threads(threads);
            let variables = variables();
            let mut optimizer = RmsProp::build(RmsPropConfig::default()).expect("valid");
            for step in 0..3 {
                backward(&variables, step);
                optimizer.step(&variables);
            }
            values(&variables)
        };
        assert!(after(1).equal(&after(2)));
    }

    #[test]
    fn units_with_counters_of_their_own_step_by_them() {
        let (mixed, plain) = (variables(), variables());
        let mut optimizers = [0; 2].map(|_| Adam::build(AdamConfig::default()).expect("valid"));
        for step in 0..6 {
            let [one, other] = &mut optimizers;
            backward(&mixed, step);
            one.step(&mixed);
            backward(&plain, step);
            step_each(other.as_mut(), &plain);
            if step == 3 {
                let units = Tensor::from_slice(&[1i64]);
                no_grad(|| {
                    one.moments_mut().reset_units("a", 0, &units);
                    other.moments_mut().reset_units("a", 0, &units);
                });
            }
        }
        let most = (values(&mixed) - values(&plain)).abs().max().double_value(&[]);
        assert!(most <= 1e-6, "{most}");
        assert_eq!(optimizers[0].moments().get("a").expect("stepped").steps.size(), [3, 1]);
    }
}
