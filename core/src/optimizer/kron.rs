//! PSGD with Kronecker-factored preconditioners.

mod factors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use factors::Factors;
use rand::Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Moments, Optimizer, bias_correction, load_rate, save_rate, step_each};
use crate::{
    error::{Error, Result},
    ranges,
    seeds::{Seeds, Stream},
    state::{Checkpoint, StateDict},
    variables::Variables,
};

/// Stands in saved states, so that another optimiser's are refused.
const KIND: &str = "kron";

/// PSGD-Kron (Li, 2018; kron_torch 0.2.4): the step is `lr * clip(P m)`, where `m` is the mean gradient
/// and `P`, a Kronecker product of one matrix per dimension of a variable, is learned to whiten it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KronConfig {
    /// Step size. Steps are of the size of 1 per parameter, as Adam's are.
    pub learning_rate: f64,
    /// Decay of the mean gradient, per update.
    pub beta1: f64,
    /// Weight decay: each update takes away `learning_rate * weight_decay` of every parameter that
    /// belongs to a matrix or kernel.
    pub weight_decay: f64,
    /// The least probability with which an update also changes the preconditioners. It is 1 at
    /// first and falls exponentially.
    pub min_update_probability: f64,
    /// How fast it falls, per update.
    pub update_probability_decay: f64,
    /// Updates before it falls.
    pub update_probability_flat_start: u64,
    /// Step size of the preconditioners, relative to their size.
    pub precond_lr: f64,
    /// The preconditioners begin as the identity times the square of this.
    pub precond_init_scale: f64,
    /// Dimensions larger than this get a diagonal factor. A triangular one of `n` units takes `4 n^2` bytes
    /// and about `n^3` multiplications whenever it learns: with the 3136 inputs of DQN's dense layer an
    /// update takes seconds on a CPU.
    pub max_size_triangular: u32,
    /// Variables of fewer dimensions get diagonal factors alone.
    pub min_ndim_triangular: u32,
    /// Which further dimensions get a diagonal factor.
    pub memory_save_mode: MemorySaveMode,
    /// Steps are held to about this size per parameter:
    /// `s * (0.9 tanh(x / s) + 0.1 sign(x) ln(1 + |x / s|))`.
    pub trust_region_scale: f64,
}

/// Which dimensions of a variable are preconditioned diagonally to save memory.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemorySaveMode {
    /// None.
    #[default]
    None,
    /// The largest.
    OneDiag,
    /// All: the factors are then small beside the momentum.
    AllDiag,
}

impl Default for KronConfig {
    /// kron_torch 0.2.4.
    fn default() -> Self {
        Self {
            learning_rate: 0.001,
            beta1: 0.9,
            weight_decay: 0.0,
            min_update_probability: 0.03,
            update_probability_decay: 0.001,
            update_probability_flat_start: 250,
            precond_lr: 0.1,
            precond_init_scale: 1.0,
            max_size_triangular: 8192,
            min_ndim_triangular: 2,
            memory_save_mode: MemorySaveMode::None,
            trust_region_scale: 1.5,
        }
    }
}

impl KronConfig {
    fn check(&self) -> Result<(), String> {
        ranges::positive("learning_rate", self.learning_rate)?;
        ranges::decay("beta1", self.beta1)?;
        ranges::not_negative("weight_decay", self.weight_decay)?;
        ranges::share("min_update_probability", self.min_update_probability)?;
        ranges::not_negative("update_probability_decay", self.update_probability_decay)?;
        ranges::positive("precond_lr", self.precond_lr)?;
        ranges::require(self.precond_lr < 1.0, "precond_lr", self.precond_lr, "a number below 1")?;
        ranges::positive("precond_init_scale", self.precond_init_scale)?;
        ranges::positive("trust_region_scale", self.trust_region_scale)
    }

    /// The probability that this update, counted from 0, changes the preconditioners.
    fn update_probability(&self, update: u64) -> f64 {
        let since = update as f64 - self.update_probability_flat_start as f64;
        (-self.update_probability_decay * since).exp().clamp(self.min_update_probability, 1.0)
    }

    /// Which dimensions of a variable get a diagonal factor.
    fn diagonals(&self, shape: &[i64]) -> Vec<bool> {
        let largest = (0..shape.len()).max_by_key(|dim| shape[*dim]);
        let is_saved = |dim| match self.memory_save_mode {
            MemorySaveMode::None => false,
            MemorySaveMode::OneDiag => Some(dim) == largest,
            MemorySaveMode::AllDiag => true,
        };
        let is_small = shape.len() < self.min_ndim_triangular as usize;
        let is_diagonal = |(dim, size): (usize, &i64)| {
            *size == 1 || *size > i64::from(self.max_size_triangular) || is_small || is_saved(dim)
        };
        shape.iter().enumerate().map(is_diagonal).collect()
    }

    /// The step, of about [`Self::trust_region_scale`] per parameter at most.
    fn clip(&self, preconditioned: &Tensor) -> Tensor {
        let x = preconditioned / self.trust_region_scale;
        (x.sign() * (x.abs() + 1.0).log() * 0.1 + x.tanh() * 0.9) * self.trust_region_scale
    }
}

/// What an update does to the preconditioners of all variables.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    /// They take a step.
    is_learned: bool,
    /// Their factors are scaled to the same size, against overflow.
    is_balanced: bool,
}

/// The PSGD-Kron optimiser. Moment: `momentum`, of the gradient.
///
/// A variable whose moments were reset begins anew with its factors too. Of single units that were reset,
/// the factors forget what they have to do with others and take the others' mean scale.
#[derive(Debug)]
pub struct Kron {
    config: KronConfig,
    /// The step size before anyone changed it.
    configured_rate: f64,
    moments: Moments,
    factors: BTreeMap<String, Factors>,
    updates: u64,
    stream: Stream,
    /// Of the update being made.
    plan: Plan,
}

impl Kron {
    /// An optimiser that has seen nothing yet.
    pub fn build(config: KronConfig) -> Result<Box<dyn Optimizer>, String> {
        Ok(Box::new(Self::new(config)?))
    }

    fn new(config: KronConfig) -> Result<Self, String> {
        config.check()?;
        Ok(Self {
            configured_rate: config.learning_rate,
            config,
            moments: Moments::new(&["momentum"]),
            factors: BTreeMap::new(),
            updates: 0,
            stream: Seeds::new(0).stream("optimizer"),
            plan: Plan::default(),
        })
    }

    /// An error if these factors are not of the variable whose moments were loaded.
    fn check_factors(&self, name: &str, factors: &[Tensor]) -> Result<()> {
        let Some(slot) = self.moments.get(name) else { return Ok(()) }; // made anew at the next step
        let shape = slot.tensors.first().map(dimensions).unwrap_or_default();
        let fits = |(factor, size): (&Tensor, &i64)| {
            let is_of_size = factor.size() == [*size] || factor.size() == [*size; 2];
            factor.kind() == Kind::Float && is_of_size
        };
        if factors.len() == shape.len() && factors.iter().zip(&shape).all(fits) {
            return Ok(());
        }
        Err(Error::State(format!("the factors of `{name}` do not fit its shape, {shape:?}")))
    }

    /// Counts an update and draws what it does to the preconditioners.
    fn draw_plan(&mut self) -> Plan {
        let probability = self.config.update_probability(self.updates);
        self.updates += 1;
        let is_learned = self.stream.random::<f64>() < probability;
        let is_balanced = self.stream.random::<f64>() < 0.01 && is_learned;
        Plan { is_learned, is_balanced }
    }

    /// Makes the factors of a variable at its first step, and does to them what was done to its moments.
    fn prepare_factors(&mut self, name: &str, variable: &Tensor) {
        let (Some(slot), Some(factors)) = (self.moments.get(name), self.factors.get_mut(name))
        else {
            self.factors.insert(name.to_owned(), self.first_factors(variable));
            return;
        };
        factors.move_to(variable.device());
        let steps = slot.steps.to_device(variable.device());
        for dim in (0..steps.dim()).filter(|dim| steps.size()[*dim] > 1) {
            factors.reset_units(dim, &has_no_steps(&steps, dim as i64));
        }
    }

    fn first_factors(&self, variable: &Tensor) -> Factors {
        let shape = dimensions(variable);
        let is_diagonal = self.config.diagonals(&shape);
        Factors::new(&shape, &is_diagonal, self.config.precond_init_scale, variable.device())
    }

    /// One step on one variable; `noise` is standard normal, of the variable's shape, if the
    /// preconditioner learns from this update.
    fn step_with(
        &mut self,
        name: &str,
        variable: &Tensor,
        gradient: &Tensor,
        noise: Option<&Tensor>,
    ) {
        self.prepare_factors(name, variable);
        let KronConfig { learning_rate, beta1, weight_decay, precond_lr, .. } = self.config;
        let slot = self.moments.advance(name, variable);
        let [momentum] = slot.tensors.as_mut_slice() else { unreachable!("made with one") };
        let _ = momentum.lerp_(gradient, 1.0 - beta1);
        let shape = dimensions(variable);
        let mean = (&*momentum / bias_correction(beta1, &slot.steps)).reshape(&shape);
        let factors = self.factors.get_mut(name).expect("prepared above");
        if self.plan.is_balanced && variable.dim() > 1 {
            factors.balance();
        }
        if let Some(noise) = noise {
            factors.update(&mean, &noise.reshape(&shape), precond_lr);
        }
        let mut step = self.config.clip(&factors.precondition(&mean)).reshape(variable.size());
        if weight_decay > 0.0 && variable.dim() > 1 {
            step += variable * weight_decay;
        }
        let _ = variable.shallow_clone().g_sub_(&(step * learning_rate));
    }
}

/// A variable's shape, of one dimension at least.
fn dimensions(variable: &Tensor) -> Vec<i64> {
    if variable.dim() == 0 { vec![1] } else { variable.size() }
}

/// Bool `[n]`: the units along `dim` that were reset since the last step.
fn has_no_steps(steps: &Tensor, dim: i64) -> Tensor {
    let by_unit = steps.transpose(0, dim).reshape([steps.size()[dim as usize], -1]);
    by_unit.eq(0.0).all_dim(1, false)
}

impl Optimizer for Kron {
    fn step(&mut self, variables: &Variables) {
        self.plan = self.draw_plan();
        step_each(self, variables);
    }

    fn step_variable(&mut self, name: &str, variable: &Tensor, gradient: &Tensor) {
        let noise = self.plan.is_learned.then(|| {
            let noise = self.stream.normal(&variable.size(), 1.0);
            noise.to_device(variable.device())
        });
        self.step_with(name, variable, gradient, noise.as_ref());
    }

    fn kind(&self) -> &'static str {
        KIND
    }

    fn seed(&mut self, stream: Stream) {
        self.stream = stream;
    }

    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn weight_decay(&self) -> f64 {
        self.config.weight_decay
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
    }

    fn moments(&self) -> &Moments {
        &self.moments
    }

    fn moments_mut(&mut self) -> &mut Moments {
        &mut self.moments
    }

    fn fresh(&self) -> Box<dyn Optimizer> {
        let mut fresh = Self::new(self.config.clone()).expect("checked before");
        fresh.configured_rate = self.configured_rate;
        Box::new(fresh)
    }

    fn fork(&self) -> Box<dyn Optimizer> {
        let factors = self.factors.iter().map(|(name, own)| (name.clone(), own.fork())).collect();
        Box::new(Self {
            config: self.config.clone(),
            configured_rate: self.configured_rate,
            moments: self.moments.fork(),
            factors,
            updates: self.updates,
            stream: self.stream.clone(),
            plan: self.plan,
        })
    }
}

fn factor_key(variable: &str, dim: usize) -> String {
    format!("factors/{variable}/{dim}")
}

impl Checkpoint for Kron {
    fn save(&self, state: &mut StateDict) {
        save_rate(state, KIND, self.configured_rate, self.config.learning_rate);
        state.put_part("moments", &self.moments);
        state.put("updates", &self.updates);
        state.put("stream", &self.stream);
        let counts: BTreeMap<&String, usize> =
            self.factors.iter().map(|(name, factors)| (name, factors.tensors().len())).collect();
        state.put("factors", &counts);
        for (name, factors) in &self.factors {
            for (dim, factor) in factors.tensors().iter().enumerate() {
                state.put_tensor(&factor_key(name, dim), factor);
            }
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.config.learning_rate = load_rate(state, KIND, self.configured_rate)?;
        state.load_part("moments", &mut self.moments)?;
        self.updates = state.count("updates")?;
        self.stream = state.get("stream")?;
        self.factors.clear();
        for (name, count) in state.get::<BTreeMap<String, usize>>("factors")? {
            let tensor = |dim| Ok(state.tensor(&factor_key(&name, dim))?.copy());
            let tensors = (0..count).map(tensor).collect::<Result<Vec<_>>>()?;
            self.check_factors(&name, &tensors)?;
            self.factors.insert(name, Factors::from_tensors(tensors));
        }
        Ok(())
    }
}
