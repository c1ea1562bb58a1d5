//! Giving single units a new start.

use pliant_core::{
    learner::Learner,
    network::{HiddenLayer, SETTLED, Taps},
    seeds::Stream,
    tch::{Kind, Tensor},
};

/// The hidden layers whose units can be cut off and that the update's loss came through, each with its
/// activation. (Right after plasticity was injected there are none: the network is another one.)
pub(crate) fn recyclable<'a>(learner: &Learner, taps: &'a Taps) -> Vec<(HiddenLayer, &'a Tensor)> {
    let variables = learner.online.variables();
    let learned: Vec<&str> = variables.with_gradients().map(|(name, _)| name).collect();
    let took_part = |layer: &HiddenLayer| {
        layer.incoming.first().is_some_and(|weight| learned.contains(&weight.as_str()))
    };
    let layers = learner.online.hidden().iter().zip(taps.activations());
    let can_be = |(layer, _): &(&HiddenLayer, _)| !layer.is_residual && took_part(layer);
    layers.filter(can_be).map(|(layer, activation)| (layer.clone(), activation)).collect()
}

/// An error unless the network shows hidden layers whose units can be cut off.
pub(crate) fn check_units(learner: &Learner) -> Result<(), String> {
    if learner.online.hidden().iter().any(|layer| !layer.is_residual) {
        return Ok(());
    }
    Err("the network shows no hidden layer whose units can be cut off".to_owned())
}

/// Cuts units (i64 `[k]`) off and lets them begin anew in the online network: incoming weights, biases
/// and scales are drawn as when the network was made, running statistics begin anew, outgoing weights are
/// 0, and the optimiser's moments and step counters of both are forgotten. The target network stays as it is.
///
/// Of several layers first [`redraw_incoming`] all, then [`silence_outgoing`] all: a weight between two
/// reset units has to end at 0.
pub(crate) fn redraw_incoming(
    learner: &mut Learner,
    layer: &HiddenLayer,
    units: &Tensor,
    stream: &mut Stream,
) {
    let count = units.size()[0];
    if count == 0 {
        return;
    }
    for name in &layer.incoming {
        let variables = learner.online.variables();
        let (Some(variable), Some(init)) = (variables.get(name), variables.init(name)) else {
            continue;
        };
        let mut shape = variable.size();
        shape[0] = count;
        let fresh = init.draw(&shape, stream).to_device(variable.device());
        let _ = variable.shallow_clone().index_copy_(0, units, &fresh);
        learner.optimizer.moments_mut().reset_units(name, 0, units);
    }
    learner.online.settle(SETTLED, |name| layer.incoming.iter().any(|incoming| incoming == name));
}

/// See [`redraw_incoming`].
pub(crate) fn silence_outgoing(learner: &mut Learner, layer: &HiddenLayer, units: &Tensor) {
    if units.size()[0] == 0 {
        return;
    }
    for name in &layer.outgoing {
        let Some(weight) = learner.online.variables().get(name) else { continue };
        let columns = columns_of(layer, weight, units);
        let _ = weight.shallow_clone().index_fill_(1, &columns, 0.0);
        learner.optimizer.moments_mut().reset_units(name, 1, &columns);
    }
    learner.online.settle(SETTLED, |name| layer.outgoing.iter().any(|outgoing| outgoing == name));
}

/// The columns of an outgoing weight `[outputs, inputs, ..]` that read these units: i64 `[n]`.
fn columns_of(layer: &HiddenLayer, weight: &Tensor, units: &Tensor) -> Tensor {
    let inputs = weight.size()[1];
    let all = Tensor::arange(inputs, (Kind::Int64, weight.device()));
    all.reshape([layer.copies, layer.units, -1]).index_select(1, units).reshape([-1])
}

/// The sum of the absolute outgoing weights of each unit, f32 `[units]`.
pub(crate) fn outgoing_magnitude(learner: &Learner, layer: &HiddenLayer) -> Tensor {
    let magnitude = |name: &String| {
        let weight = learner.online.variables().get(name).expect("a layer's weight");
        let view = layer.outgoing_view(weight).abs();
        view.sum_dim_intlist([0i64, 1, 3].as_slice(), false, Kind::Float)
    };
    let each = layer.outgoing.iter().map(magnitude);
    each.reduce(|total, one| total + one).expect("something reads every layer")
}

#[cfg(test)]
mod tests {
    use pliant_core::tch::Device;

    use super::*;

    #[test]
    fn columns_are_found_behind_copies_and_pixels() {
        let layer = HiddenLayer {
            bound: None,
            is_rectified: false,
            name: "layer".to_owned(),
            units: 2,
            copies: 2,
            is_residual: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        };
        // A dense weight that reads 2 copies of 2 units of 2 pixels, in this order.
        let weight = Tensor::zeros([3, 8], (Kind::Float, Device::Cpu));
        let columns = columns_of(&layer, &weight, &Tensor::from_slice(&[1i64]));
        assert_eq!(Vec::<i64>::try_from(&columns).expect("i64"), [2, 3, 6, 7]);
        let both = columns_of(&layer, &weight, &Tensor::from_slice(&[0i64, 1]));
        assert_eq!(Vec::<i64>::try_from(&both).expect("i64"), [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}
