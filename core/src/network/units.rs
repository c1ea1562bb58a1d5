//! The parts of a network that belong to single units.

use tch::{Kind, Tensor};

use super::HiddenLayer;

impl HiddenLayer {
    /// The weights of a variable in [`HiddenLayer::outgoing`] sorted by the unit they read, as a view
    /// `[outputs, copies, units, connections]`.
    pub fn outgoing_view(&self, weight: &Tensor) -> Tensor {
        weight.view([weight.size()[0], self.copies, self.units, -1])
    }

    /// `E|h_i|` of each unit, f32 `[units]`, of its recorded activation: the mean over the batch, over
    /// space and over a unit's copies.
    pub fn mean_activity(&self, activation: &Tensor) -> Tensor {
        let batch = activation.size()[0];
        let by_unit = activation.abs().reshape([batch, self.copies, self.units, -1]);
        by_unit.mean_dim([0i64, 1, 3].as_slice(), false, Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(units: i64, copies: i64) -> HiddenLayer {
        HiddenLayer {
            bound: None,
            is_rectified: false,
            name: "layer".to_owned(),
            units,
            copies,
            is_residual: false,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(&tensor.contiguous().reshape([-1])).expect("f32")
    }

    #[test]
    fn activity_is_averaged_over_batch_space_and_copies() {
        // [1 observation, 2 copies of 2 units, 2 pixels].
        let activation = Tensor::from_slice(&[1f32, 3.0, 0.0, 0.0, -2.0, 2.0, 4.0, 0.0]);
        let activity = layer(2, 2).mean_activity(&activation.reshape([1, 4, 2]));
        assert_eq!(numbers(&activity), [2.0, 1.0]);
    }

    #[test]
    fn outgoing_weights_are_found_by_unit_behind_copies_and_pixels() {
        // One output that reads 2 copies of 2 units of 2 pixels, in this order.
        let weight = Tensor::from_slice(&[0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).reshape([1, 8]);
        let view = layer(2, 2).outgoing_view(&weight);
        assert_eq!(view.size(), [1, 2, 2, 2]);
        assert_eq!(numbers(&view.select(2, 1)), [2.0, 3.0, 6.0, 7.0]);
    }
}
