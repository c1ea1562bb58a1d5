//! What an optimiser remembers about each variable.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor, no_grad};

use crate::{
    error::{Error, Result},
    state::{Checkpoint, StateDict},
    variables::Variables,
};

/// What is remembered about one variable.
#[derive(Debug)]
pub struct Slot {
    /// Steps since the moments were zero: f32, shape `[]`, or after a reset of single units
    /// `[units, 1, ..]` so that it broadcasts over the variable.
    pub steps: Tensor,
    /// The moments, each of the variable's shape, in the order of [`Moments::names`].
    pub tensors: Vec<Tensor>,
}

impl Slot {
    fn new(count: usize, variable: &Tensor) -> Self {
        Self {
            steps: Tensor::zeros([0i64; 0], (Kind::Float, variable.device())),
            tensors: (0..count).map(|_| variable.zeros_like()).collect(),
        }
    }

    fn fork(&self) -> Self {
        Self { steps: self.steps.copy(), tensors: self.tensors.iter().map(Tensor::copy).collect() }
    }

    /// A loaded slot begins in the CPU's memory.
    fn move_to(&mut self, device: Device) {
        if self.steps.device() != device {
            self.steps = self.steps.to_device(device);
            self.tensors = self.tensors.iter().map(|moment| moment.to_device(device)).collect();
        }
    }

    fn reset_units(&mut self, dim: i64, units: &Tensor) {
        for moment in &mut self.tensors {
            let _ = moment.index_fill_(dim, units, 0.0);
        }
        let Some(shape) = self.tensors.first().map(Tensor::size) else { return };
        let mut per_unit = vec![1; shape.len()];
        per_unit[dim as usize] = shape[dim as usize];
        let expanded = self.steps.broadcast_to(self.broadcast_shape(&per_unit)).contiguous().copy();
        self.steps = expanded.index_fill(dim, units, 0.0);
    }

    /// The shape that holds both the present counters and one per unit.
    fn broadcast_shape(&self, per_unit: &[i64]) -> Vec<i64> {
        let present = self.steps.size();
        if present.is_empty() {
            return per_unit.to_vec();
        }
        present.iter().zip(per_unit).map(|(a, b)| *a.max(b)).collect()
    }
}

/// Moments and step counters by variable; a variable's are made at its first step.
#[derive(Debug)]
pub struct Moments {
    names: &'static [&'static str],
    slots: BTreeMap<String, Slot>,
}

impl Moments {
    /// No variables yet; `names` are those of the moments each will have.
    pub fn new(names: &'static [&'static str]) -> Self {
        Self { names, slots: BTreeMap::new() }
    }

    /// Names of the moments.
    pub fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// What is remembered about a variable; `None` before its first step.
    pub fn get(&self, variable: &str) -> Option<&Slot> {
        self.slots.get(variable)
    }

    /// The slot of a variable for the step being made: made if it is the first, and counted.
    pub fn advance(&mut self, name: &str, variable: &Tensor) -> &mut Slot {
        if !self.slots.contains_key(name) {
            self.slots.insert(name.to_owned(), Slot::new(self.names.len(), variable));
        }
        let slot = self.slots.get_mut(name).expect("inserted above");
        slot.move_to(variable.device());
        let _ = slot.steps.g_add_scalar_(1.0);
        slot
    }

    /// Forgets everything: the next step is as a new optimiser's first.
    pub fn reset(&mut self) {
        self.slots.clear();
    }

    /// Forgets one variable.
    pub fn reset_variable(&mut self, name: &str) {
        self.slots.remove(name);
    }

    /// Forgets single units of a variable: those at `units` (i64 `[k]`) along dimension `dim`.
    pub fn reset_units(&mut self, name: &str, dim: i64, units: &Tensor) {
        if let Some(slot) = self.slots.get_mut(name) {
            no_grad(|| slot.reset_units(dim, units));
        }
    }

    /// A deep copy.
    pub fn fork(&self) -> Self {
        let slots = self.slots.iter().map(|(name, slot)| (name.clone(), slot.fork())).collect();
        Self { names: self.names, slots }
    }

    /// An error if a slot does not fit the variable of its name.
    pub fn check(&self, variables: &Variables) -> Result<()> {
        for (name, slot) in &self.slots {
            let shape = variables.get(name).map(Tensor::size);
            let fits = |moment: &Tensor| Some(moment.size()) == shape;
            if !slot.tensors.iter().all(fits) {
                return Err(Error::State(format!(
                    "the moments of `{name}` do not fit the network"
                )));
            }
        }
        Ok(())
    }

    fn moment_key(variable: &str, moment: &str) -> String {
        format!("{variable}/{moment}")
    }
}

impl Checkpoint for Moments {
    fn save(&self, state: &mut StateDict) {
        let variables: Vec<&String> = self.slots.keys().collect();
        state.put("variables", &variables);
        for (variable, slot) in &self.slots {
            state.put_tensor(&Self::moment_key(variable, "steps"), &slot.steps);
            for (name, tensor) in self.names.iter().zip(&slot.tensors) {
                state.put_tensor(&Self::moment_key(variable, name), tensor);
            }
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.slots.clear();
        for variable in state.get::<Vec<String>>("variables")? {
            let tensor = |name: &str| Ok(state.tensor(&Self::moment_key(&variable, name))?.copy());
            let tensors = self.names.iter().map(|name| tensor(name)).collect::<Result<_>>()?;
            self.slots.insert(variable.clone(), Slot { steps: tensor("steps")?, tensors });
        }
        Ok(())
    }
}
