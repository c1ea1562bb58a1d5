//! What networks with skip connections share.

use pliant_core::network::{Activation, ActivationFunction, NetworkPlan, NormPosition};

/// An error if something planned has no place in a network whose layers are added up.
pub(super) fn check_residual_plan(plan: &NetworkPlan, own: Activation) -> Result<(), String> {
    let copies = plan.activation.as_ref().map_or(own.copies(), |planned| planned.function.copies());
    if copies > 1 {
        return Err("an activation with several outputs per unit does not fit skip connections, \
                    which add units up"
            .to_owned());
    }
    if plan.norm.is_some_and(|norm| norm.position == NormPosition::AfterActivation) {
        return Err("a normalisation stands before the activation in a network with skip \
                    connections: `position = \"before_activation\"`"
            .to_owned());
    }
    Ok(())
}

/// Rows or columns after a 3x3 convolution or pooling of stride 2 and padding 1.
pub(super) fn half(side: i64) -> i64 {
    (side + 1) / 2
}
