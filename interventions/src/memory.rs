//! Tensors that an intervention remembers for each of a network's variables.

use std::collections::BTreeMap;

use pliant_core::{
    error::Result,
    state::{Checkpoint, StateDict},
    tch::{Device, Tensor},
};

/// Tensors by name.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<String, Tensor>);

impl Memory {
    /// The tensor of this name where the learner computes; made by `first` if there is none. A loaded
    /// one begins in the CPU's memory.
    pub fn get_or(
        &mut self,
        name: &str,
        device: Device,
        first: impl FnOnce() -> Tensor,
    ) -> &mut Tensor {
        let tensor = self.0.entry(name.to_owned()).or_insert_with(first);
        if tensor.device() != device {
            *tensor = tensor.to_device(device);
        }
        tensor
    }

    /// Puts a tensor in the place of the one of this name.
    pub fn set(&mut self, name: &str, tensor: Tensor) {
        self.0.insert(name.to_owned(), tensor);
    }
}

impl Checkpoint for Memory {
    fn save(&self, state: &mut StateDict) {
        state.put("names", &self.0.keys().collect::<Vec<_>>());
        for (name, tensor) in &self.0 {
            state.put_tensor(name, tensor);
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        let names: Vec<String> = state.get("names")?;
        let tensor = |name: String| Ok((name.clone(), state.tensor(&name)?.copy()));
        self.0 = names.into_iter().map(tensor).collect::<Result<_>>()?;
        Ok(())
    }
}
