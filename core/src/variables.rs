//! Named parameters of a network, and where their first values come from.

use tch::{Device, Tensor, no_grad};

use crate::{
    error::{Error, Result},
    memory,
    seeds::Stream,
    state::{Checkpoint, StateDict},
};

/// A named tensor of a network, and how it was first filled.
#[derive(Debug)]
struct Variable {
    name: String,
    tensor: Tensor,
    init: Init,
}

/// The tensors of a network, by name, in the order they were made: parameters, which take gradients,
/// and buffers, which do not.
#[derive(Debug, Default)]
pub struct Variables(Vec<Variable>);

impl Variables {
    /// Names and tensors, in order, buffers among them. The tensors share storage with the network's.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|variable| (variable.name.as_str(), &variable.tensor))
    }

    /// Names and tensors of the parameters, in order: what takes gradients.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.iter().filter(|(_, tensor)| tensor.requires_grad())
    }

    /// True if a training pass may change something: running statistics, say.
    pub fn has_buffers(&self) -> bool {
        self.iter().any(|(_, tensor)| !tensor.requires_grad())
    }

    /// Names and tensors of the parameters that the last backward pass reached.
    pub fn with_gradients(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters().filter(|(_, tensor)| tensor.grad().defined())
    }

    /// The parameters named `../weight` with at least two dimensions: matrices and kernels.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters().filter(|(name, tensor)| name.ends_with("/weight") && tensor.dim() >= 2)
    }

    /// The tensor of this name, sharing storage with the network's.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.find(name).map(|variable| &variable.tensor)
    }

    /// How the tensor of this name was first filled.
    pub fn init(&self, name: &str) -> Option<Init> {
        self.find(name).map(|variable| variable.init)
    }

    fn find(&self, name: &str) -> Option<&Variable> {
        self.0.iter().find(|variable| variable.name == name)
    }

    /// Number of parameters, over all tensors.
    pub fn count(&self) -> usize {
        self.parameters().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// Copies the values of `other`, which must come from the same architecture, buffers included.
    pub fn copy_from(&self, other: &Self) {
        no_grad(|| {
            for (own, theirs) in self.0.iter().zip(&other.0) {
                own.tensor.shallow_clone().copy_(&theirs.tensor);
            }
        });
    }

    /// Forgets all gradients: until the next backward pass reaches a parameter it has none.
    pub fn zero_grad(&self) {
        self.iter().for_each(|(_, tensor)| pliant_torch_ext::forget_gradient(tensor));
    }
}

impl Checkpoint for Variables {
    fn save(&self, state: &mut StateDict) {
        for (name, tensor) in self.iter() {
            state.put_tensor(name, tensor);
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for Variable { name, tensor, .. } in &mut self.0 {
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
    Extend(&'a Variables, &'a mut Stream),
}

/// Hands a network its variables while it is built: freshly drawn, or deep copies of another's.
pub struct VariableSource<'a> {
    origin: Origin<'a>,
    device: Device,
    made: Variables,
    /// What all that were asked for take.
    bytes: u64,
    most_bytes: u64,
}

/// Copies of its parameters that a network needs from its first update on: itself, the target network, the
/// gradients.
const COPIES: u64 = 3;

impl<'a> VariableSource<'a> {
    /// Draws new values.
    pub fn draw(stream: &'a mut Stream, device: Device) -> Self {
        Self::of(Origin::Draw(stream), device)
    }

    /// Copies the values of an existing network of the same architecture.
    pub fn copy(variables: &'a Variables, device: Device) -> Self {
        Self::of(Origin::Copy(variables), device)
    }

    /// Copies the values of an existing network and draws what it does not have.
    pub fn extend(variables: &'a Variables, stream: &'a mut Stream, device: Device) -> Self {
        Self::of(Origin::Extend(variables, stream), device)
    }

    fn of(origin: Origin<'a>, device: Device) -> Self {
        let most_bytes = memory::available().map_or(u64::MAX, |available| available / COPIES);
        Self { origin, device, made: Variables::default(), bytes: 0, most_bytes }
    }

    /// An error if the variables need more memory than there is: none was drawn from where they would have.
    pub fn check(&self) -> Result<()> {
        if self.bytes <= self.most_bytes {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "its parameters take {} GB, and a learner needs {COPIES} times as much, more than this machine has \
             free: make it smaller",
            self.bytes / 1_000_000_000
        )))
    }

    /// A new parameter: a leaf that takes gradients.
    ///
    /// # Panics
    /// If the name was used before, or, when copying, if the other network has none of this name:
    /// an architecture must build the same variables every time.
    pub fn variable(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.make(name, shape, init, true)
    }

    /// A new tensor that belongs to the network's state but takes no gradients, such as running
    /// statistics. It is copied, saved and redrawn like a parameter; optimisers pass over it.
    ///
    /// # Panics
    /// As [`Self::variable`].
    pub fn buffer(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.make(name, shape, init, false)
    }

    /// The tensor of this name that is being copied, if there is one.
    fn original(&self, name: &str) -> Option<&Tensor> {
        match &self.origin {
            Origin::Draw(_) => None,
            Origin::Copy(variables) | Origin::Extend(variables, _) => variables.get(name),
        }
    }

    fn make(&mut self, name: &str, shape: &[i64], init: Init, takes_gradients: bool) -> Tensor {
        assert!(self.made.get(name).is_none(), "variable `{name}` is made twice");
        let original = self.original(name).map(|tensor| tensor.detach().copy());
        let values = match (&mut self.origin, original) {
            (_, Some(original)) => original,
            (Origin::Draw(stream) | Origin::Extend(_, stream), None) => {
                self.bytes = self.bytes.saturating_add(bytes(shape));
                if self.bytes > self.most_bytes {
                    stand_in(shape)
                } else {
                    init.draw(shape, stream)
                }
            }
            (Origin::Copy(_), None) => panic!("no variable `{name}` to copy"),
        };
        let tensor = values.to_device(self.device).set_requires_grad(takes_gradients);
        let (name, shared) = (name.to_owned(), tensor.shallow_clone());
        self.made.0.push(Variable { name, tensor: shared, init });
        tensor
    }

    /// All variables made so far. Drawn ones are of use only after [`Self::check`].
    pub fn finish(self) -> Variables {
        self.made
    }
}

/// Of f32.
fn bytes(shape: &[i64]) -> u64 {
    let size = |size: &i64| u64::try_from(*size).unwrap_or(0);
    shape.iter().map(size).fold(4, u64::saturating_mul)
}

/// Zeros of this shape that all lie in one place.
fn stand_in(shape: &[i64]) -> Tensor {
    Tensor::zeros([1], (tch::Kind::Float, Device::Cpu)).expand(shape, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds::Seeds;

    #[test]
    fn variables_beyond_all_memory_are_refused_without_being_drawn() {
        let mut stream = Seeds::new(0).stream("network");
        let mut source = VariableSource::draw(&mut stream, Device::Cpu);
        assert_eq!(source.variable("small", &[2, 3], Init::fan_in(2)).numel(), 6);
        source.check().expect("24 bytes");
        let large = source.variable("large", &[1 << 20, 1 << 20, 8], Init::fan_in(2));
        assert_eq!(large.size(), [1 << 20, 1 << 20, 8]);
        let error = source.check().expect_err("35 TB").to_string();
        assert!(error.starts_with("its parameters take 35184 GB"), "{error}");
    }
}
