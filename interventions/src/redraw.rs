//! Drawing a network's parameters anew.

use pliant_core::{
    learner::Learner,
    network::{Model, SETTLED},
    seeds::Stream,
    tch::Tensor,
};

/// An error unless the network has layers with a weight: variables named `../weight`.
pub(crate) fn check_weights(model: &Model) -> Result<(), String> {
    if model.main_layers().is_empty() {
        return Err("the network has no variable named `../weight` with two dimensions".to_owned());
    }
    Ok(())
}

/// An error if plasticity may be injected: the layers that learn are then a difference from frozen ones,
/// which drawing them anew would make meaningless.
pub(crate) fn refuse_injection(learner: &Learner) -> Result<(), String> {
    if learner.online.spec().plan.expects_injection {
        return Err(
            "it draws layers anew of which plasticity injection keeps frozen copies".to_owned()
        );
    }
    Ok(())
}

/// Freshly drawn values, as when the network was made, of the parameters that `includes`: by name.
pub(crate) fn fresh(
    model: &Model,
    stream: &mut Stream,
    includes: impl Fn(&str) -> bool,
) -> Vec<(String, Tensor)> {
    draw(model, stream, model.variables().parameters().filter(|(name, _)| includes(name)))
}

fn draw<'a>(
    model: &Model,
    stream: &mut Stream,
    variables: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Vec<(String, Tensor)> {
    let mut draw = |(name, variable): (&str, &Tensor)| {
        let init = model.variables().init(name).expect("every variable was filled once");
        let values = init.draw(&variable.size(), stream).to_device(variable.device());
        (name.to_owned(), values)
    };
    variables.map(&mut draw).collect()
}

/// What else a reset concerns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    /// The target network takes the same new values.
    pub target: bool,
    /// The optimiser forgets moments and step counters of the parameters.
    pub optimizer: bool,
}

/// Redraws the parameters and running statistics that `includes`.
pub(crate) fn reset(
    learner: &mut Learner,
    stream: &mut Stream,
    beside: Beside,
    includes: impl Fn(&str) -> bool,
) {
    let variables = learner.online.variables().iter().filter(|(name, _)| includes(name));
    for (name, values) in draw(&learner.online, stream, variables) {
        let copy_into = |model: &Model| {
            let variable = model.variables().get(&name).expect("both networks are built alike");
            variable.shallow_clone().copy_(&values);
        };
        copy_into(&learner.online);
        if beside.target {
            copy_into(&learner.target);
        }
        if beside.optimizer {
            learner.optimizer.moments_mut().reset_variable(&name);
        }
    }
    learner.online.settle(SETTLED, &includes);
    if beside.target {
        learner.target.settle(SETTLED, &includes);
    }
}

/// True if a variable belongs to one of these layers: `layer/..`.
pub(crate) fn is_of(layers: &[String], variable: &str) -> bool {
    let is_below = |layer: &String| {
        variable
            .strip_prefix(layer.as_str())
            .is_some_and(|rest| rest.starts_with('/') && !rest[1..].contains('/'))
    };
    layers.iter().any(is_below)
}
