//! The states behind observations.

use pliant_core::{
    envs::env::KnownStates,
    error::{Error, Result},
    tch::{Device, Tensor},
};

/// The state of each observation u8 `[batch, ..]`, as tensors count.
pub(crate) fn states_of(states: &dyn KnownStates, observations: &Tensor) -> Result<Vec<i64>> {
    let flat = observations.to_device(Device::Cpu).flatten(1, -1).contiguous();
    let [batch, size] = [flat.size()[0] as usize, flat.size()[1] as usize];
    let bytes = Vec::<u8>::try_from(&flat.reshape([-1]))?;
    let state = |index: usize| {
        let unknown = || Error::Invalid("an observation shows none of the known states".to_owned());
        states
            .state_of(&bytes[index * size..][..size])
            .map(|state| state as i64)
            .ok_or_else(unknown)
    };
    (0..batch).map(state).collect()
}
