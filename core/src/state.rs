//! Saving and loading: every part that changes owns its state.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tch::{Device, Tensor, no_grad};

use crate::error::{Error, Result};

/// A part whose state can be saved and taken up again.
///
/// `load` into a part of the same configuration makes it continue as the saved one would have.
pub trait Checkpoint {
    /// Writes everything that changes during a run.
    fn save(&self, state: &mut StateDict);

    /// Takes up a saved state. An error leaves the part unusable: build it anew.
    fn load(&mut self, state: &StateDict) -> Result<()>;
}

/// Says that nothing of these types changes during a run: `stateless!(Mine, Other);` makes each a
/// [`Checkpoint`] of nothing.
#[macro_export]
macro_rules! stateless {
    ($($part:ty),+ $(,)?) => {$(
        impl $crate::state::Checkpoint for $part {
            fn save(&self, _state: &mut $crate::state::StateDict) {}

            fn load(&mut self, _state: &$crate::state::StateDict) -> $crate::error::Result<()> {
                Ok(())
            }
        }
    )+};
}

/// A billion a second for a month.
const MAX_COUNT: u64 = 1 << 51;

/// Named tensors and plain values; names are paths with `/` between the parts' names.
#[derive(Debug, Default)]
pub struct StateDict {
    tensors: BTreeMap<String, Tensor>,
    values: BTreeMap<String, Value>,
    /// Why a part could not save itself, with the part's path.
    refused: Option<String>,
}

impl StateDict {
    /// Marks the whole state as one that must not be kept, because a part could not save itself.
    pub fn refuse(&mut self, reason: String) {
        self.refused.get_or_insert(reason);
    }

    /// An error if a part could not save itself.
    pub fn check(&self) -> Result<()> {
        self.refused.clone().map_or(Ok(()), |reason| Err(Error::State(reason)))
    }

    /// Stores a copy of a tensor, in the CPU's memory.
    pub fn put_tensor(&mut self, name: &str, tensor: &Tensor) {
        let copy = no_grad(|| tensor.detach().to_device(Device::Cpu).contiguous().copy());
        self.tensors.insert(name.to_owned(), copy);
    }

    /// The tensor of this name, in the CPU's memory.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| Error::State(format!("tensor `{name}` is missing")))
    }

    /// Copies a stored tensor over `destination`, which must have its shape and kind.
    pub fn copy_tensor(&self, name: &str, destination: &mut Tensor) -> Result<()> {
        let stored = self.tensor(name)?;
        if stored.size() != destination.size() || stored.kind() != destination.kind() {
            return Err(Error::State(format!(
                "tensor `{name}` is {:?} {:?}, expected {:?} {:?}",
                stored.kind(),
                stored.size(),
                destination.kind(),
                destination.size(),
            )));
        }
        no_grad(|| destination.copy_(stored));
        Ok(())
    }

    /// Stores a plain value.
    pub fn put<T: Serialize>(&mut self, name: &str, value: &T) {
        let value = serde_json::to_value(value).expect("state values are plain data");
        self.values.insert(name.to_owned(), value);
    }

    /// The plain value of this name.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self
            .values
            .get(name)
            .ok_or_else(|| Error::State(format!("value `{name}` is missing")))?;
        T::deserialize(value).map_err(|error| Error::State(format!("value `{name}`: {error}")))
    }

    /// The number of this name that grows by one at a time: an error if it is beyond all runs, since it could
    /// not be counted on.
    pub fn count(&self, name: &str) -> Result<u64> {
        match self.get(name)? {
            count if count <= MAX_COUNT => Ok(count),
            count => {
                Err(Error::State(format!("value `{name}` is {count}, more than any run counts")))
            }
        }
    }

    /// Saves a part under a name of its own.
    pub fn put_part(&mut self, name: &str, part: &(impl Checkpoint + ?Sized)) {
        let mut inner = Self::default();
        part.save(&mut inner);
        if let Some(reason) = inner.refused {
            self.refuse(format!("{name}: {reason}"));
        }
        let path = |key: String| format!("{name}/{key}");
        self.tensors.extend(inner.tensors.into_iter().map(|(key, tensor)| (path(key), tensor)));
        self.values.extend(inner.values.into_iter().map(|(key, value)| (path(key), value)));
    }

    /// Loads a part saved under this name.
    pub fn load_part(&self, name: &str, part: &mut (impl Checkpoint + ?Sized)) -> Result<()> {
        part.load(&self.part(name)).map_err(|error| Error::State(format!("{name}: {error}")))
    }

    /// What was saved under a part's name.
    pub fn part(&self, name: &str) -> Self {
        let strip = |key: &String| key.strip_prefix(name)?.strip_prefix('/').map(str::to_owned);
        Self {
            tensors: self
                .tensors
                .iter()
                .filter_map(|(key, tensor)| Some((strip(key)?, tensor.shallow_clone())))
                .collect(),
            values: self
                .values
                .iter()
                .filter_map(|(key, value)| Some((strip(key)?, value.clone())))
                .collect(),
            refused: None,
        }
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// All plain values by name.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// A dictionary of what was read from storage.
    pub fn from_parts(tensors: BTreeMap<String, Tensor>, values: BTreeMap<String, Value>) -> Self {
        Self { tensors, values, refused: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counter(u64);

    impl Checkpoint for Counter {
        fn save(&self, state: &mut StateDict) {
            state.put("count", &self.0);
        }

        fn load(&mut self, state: &StateDict) -> Result<()> {
            self.0 = state.get("count")?;
            Ok(())
        }
    }

    #[test]
    fn parts_are_kept_apart_by_name() {
        let mut state = StateDict::default();
        state.put_part("a", &Counter(1));
        state.put_part("ab", &Counter(2));
        let mut counter = Counter::default();
        state.load_part("ab", &mut counter).expect("saved above");
        assert_eq!(counter.0, 2);
        let message = state.load_part("b", &mut counter).expect_err("never saved").to_string();
        assert_eq!(message, "saved state: b: saved state: value `count` is missing");
    }

    #[test]
    fn a_tensor_of_another_shape_is_refused_with_both_shapes() {
        let mut state = StateDict::default();
        state.put_tensor("w", &Tensor::from_slice(&[1f32, 2.0]));
        let mut place = Tensor::from_slice(&[0f32; 3]);
        let message = state.copy_tensor("w", &mut place).expect_err("2 is not 3").to_string();
        assert!(message.contains("[2]") && message.contains("[3]"), "{message}");
    }
}
