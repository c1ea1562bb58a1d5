//! Named parameters of a network, and where their first values come from.

use tch::{Device, Tensor, no_grad};

use crate::{
    error::Result,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};

/// The parameters of a network, by name, in the order they were made.
#[derive(Debug, Default)]
pub struct Variables(Vec<(String, Tensor)>);

impl Variables {
    /// Names and tensors, in order. The tensors share storage with the network's.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of this name, sharing storage with the network's.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.iter().find(|(own, _)| *own == name).map(|(_, tensor)| tensor)
    }

    /// Number of parameters, over all tensors.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// Copies the values of `other`, which must come from the same architecture.
    pub fn copy_from(&self, other: &Self) {
        no_grad(|| {
            for ((_, own), (_, theirs)) in self.0.iter().zip(&other.0) {
                own.shallow_clone().copy_(theirs);
            }
        });
    }

    /// Forgets all gradients.
    pub fn zero_grad(&self) {
        for (_, tensor) in &self.0 {
            tensor.shallow_clone().zero_grad();
        }
    }
}

impl Checkpoint for Variables {
    fn save(&self, state: &mut StateDict) {
        for (name, tensor) in self.iter() {
            state.put_tensor(name, tensor);
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for (name, tensor) in &mut self.0 {
            state.copy_tensor(name, tensor)?;
        }
        Ok(())
    }
}

/// How a new variable is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// The bound.
        bound: f64,
    },
    /// Normal with mean 0.
    Normal {
        /// The standard deviation.
        std: f64,
    },
}

impl Init {
    /// Uniform within `1 / sqrt(fan_in)`: DQN Zoo's and PyTorch's rule for weights and biases.
    pub fn fan_in(fan_in: i64) -> Self {
        Self::Uniform { bound: 1.0 / (fan_in as f64).sqrt() }
    }

    /// f32 values of this shape.
    pub fn draw(self, shape: &[i64], stream: &mut Stream) -> Tensor {
        let options = (tch::Kind::Float, Device::Cpu);
        match self {
            Self::Zeros => Tensor::zeros(shape, options),
            Self::Ones => Tensor::ones(shape, options),
            Self::Uniform { bound } => stream.uniform(shape, bound),
            Self::Normal { std } => stream.normal(shape, std),
        }
    }
}

/// Where the variables of a network under construction come from.
enum Origin<'a> {
    Draw(&'a mut Stream),
    Copy(&'a Variables),
}

/// Hands a network its variables while it is built: freshly drawn, or deep copies of another's.
pub struct VariableSource<'a> {
    origin: Origin<'a>,
    device: Device,
    made: Variables,
}

impl<'a> VariableSource<'a> {
    /// Draws new values.
    pub fn draw(stream: &'a mut Stream, device: Device) -> Self {
        Self { origin: Origin::Draw(stream), device, made: Variables::default() }
    }

    /// Copies the values of an existing network of the same architecture.
    pub fn copy(variables: &'a Variables, device: Device) -> Self {
        Self { origin: Origin::Copy(variables), device, made: Variables::default() }
    }

    /// A new leaf variable that takes gradients.
    ///
    /// # Panics
    /// If the name was used before, or, when copying, if the other network has none of this name:
    /// an architecture must build the same variables every time.
    pub fn variable(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        assert!(self.made.get(name).is_none(), "variable `{name}` is made twice");
        let values = match &mut self.origin {
            Origin::Draw(stream) => init.draw(shape, stream),
            Origin::Copy(variables) => variables
                .get(name)
                .unwrap_or_else(|| panic!("no variable `{name}` to copy"))
                .detach()
                .copy(),
        };
        let tensor = values.to_device(self.device).set_requires_grad(true);
        self.made.0.push((name.to_owned(), tensor.shallow_clone()));
        tensor
    }

    /// All variables made so far.
    pub fn finish(self) -> Variables {
        self.made
    }
}
