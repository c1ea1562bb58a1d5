//! Tensors that an intervention remembers for each of a network's variables.

use std::collections::BTreeMap;

use pliant_core::{
    error::{Error, Result},
    state::{Checkpoint, StateDict},
    tch::{Device, Kind, Tensor},
};

/// Tensors by name.
#[derive(Debug, Default)]
pub(crate) struct Memory(BTreeMap<String, Tensor>);

impl Memory {
    /// The tensor of this name where the learner computes; made by `first` if there is none. A loaded
    /// one begins in the CPU's memory; an error if it is not f32 of this shape.
    pub fn get_or(
        &mut self,
        name: &str,
        shape: &[i64],
        device: Device,
        first: impl FnOnce() -> Tensor,
    ) -> Result<&mut Tensor> {
        let tensor = self.0.entry(name.to_owned()).or_insert_with(first);
        let (kind, size) = (tensor.kind(), tensor.size());
        if kind != Kind::Float || size != shape {
            return Err(Error::State(format!(
                "what is remembered of `{name}` is {kind:?} {size:?}, expected Float {shape:?}"
            )));
        }
        if tensor.device() != device {
            *tensor = tensor.to_device(device);
        }
        Ok(tensor)
    }

    /// The same of something that is remembered in the shape of `like`, where that lies.
    pub fn of_shape_or(
        &mut self,
        name: &str,
        like: &Tensor,
        first: impl FnOnce() -> Tensor,
    ) -> Result<&mut Tensor> {
        self.get_or(name, &like.size(), like.device(), first)
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
