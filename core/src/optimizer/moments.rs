//! What an optimiser remembers about each variable.

use std::collections::BTreeMap;

use pliant_torch_ext::fused;
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

    /// True if this can be what is remembered about `variable`.
    fn fits(&self, variable: &Tensor) -> bool {
        let shape = variable.size();
        let per_unit = self.steps.size();
        let broadcasts = per_unit.is_empty()
            || per_unit.len() == shape.len()
                && per_unit.iter().zip(&shape).all(|(own, size)| *own == 1 || own == size);
        broadcasts
            && self.steps.kind() == Kind::Float
            && self.tensors.iter().all(|m| m.size() == shape && m.kind() == variable.kind())
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

    /// All counters and moments, by the variables' names.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.slots.values().flat_map(|slot| [&slot.steps].into_iter().chain(&slot.tensors))
    }

    /// The slot of a variable for the step being made: made if it is the first, and counted.
    pub fn advance(&mut self, name: &str, variable: &Tensor) -> &mut Slot {
        let slot = self.prepare(name, variable);
        let _ = slot.steps.g_add_scalar_(1.0);
        slot
    }

    /// Counts a step of these variables, whose slots are there. On a GPU at once: each counter by itself would take
    /// longer than the step.
    pub(super) fn count<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        fused::count(names.map(|name| &self.slots[name].steps));
    }

    /// The slot of a variable, made if there is none.
    pub(super) fn prepare(&mut self, name: &str, variable: &Tensor) -> &mut Slot {
        if !self.slots.contains_key(name) {
            self.slots.insert(name.to_owned(), Slot::new(self.names.len(), variable));
        }
        let slot = self.slots.get_mut(name).expect("inserted above");
        slot.move_to(variable.device());
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

    /// Moves everything into a device's memory; a loaded state begins in the CPU's.
    pub fn move_to(&mut self, device: Device) {
        self.slots.values_mut().for_each(|slot| slot.move_to(device));
    }

    /// An error if a slot does not fit the variable of its name.
    pub fn check(&self, variables: &Variables) -> Result<()> {
        for (name, slot) in &self.slots {
            if !variables.get(name).is_some_and(|variable| slot.fits(variable)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{
        Adam, AdamConfig, Optimizer,
        testing::{numbers, step, variable},
    };

    fn adam() -> Box<dyn Optimizer> {
        Adam::build(AdamConfig::default()).expect("valid settings")
    }

    /// What one step with gradient 1 does to each element of `w`.
    fn change(optimizer: &mut dyn Optimizer, variables: &Variables) -> Vec<f32> {
        let zeros = vec![0f32; variables.count()];
        let shape = variables.get("w").expect("w").size();
        no_grad(|| {
            let mut variable = variables.get("w").expect("w").shallow_clone();
            variable.copy_(&Tensor::from_slice(&zeros).reshape(&shape));
        });
        step(optimizer, variables, 1.0);
        numbers(variables)
    }

    /// An optimiser that has seen a `[2, 3]` variable and gradients of -2 and 5.
    fn experienced() -> (Box<dyn Optimizer>, Variables) {
        let variables = variable(&[2, 3], &[0.0; 6]);
        let mut optimizer = adam();
        step(optimizer.as_mut(), &variables, -2.0);
        step(optimizer.as_mut(), &variables, 5.0);
        (optimizer, variables)
    }

    fn first_change() -> f32 {
        change(adam().as_mut(), &variable(&[1], &[0.0]))[0]
    }

    #[test]
    fn after_a_reset_the_next_step_is_a_first_one() {
        let (mut optimizer, variables) = experienced();
        let later = change(optimizer.fork().as_mut(), &variables)[0];
        assert_ne!(later, first_change());
        let mut forgetful = optimizer.fork();
        forgetful.moments_mut().reset();
        assert_eq!(change(forgetful.as_mut(), &variables), [first_change(); 6]);
        optimizer.moments_mut().reset_variable("another");
        assert_eq!(change(optimizer.fork().as_mut(), &variables), [later; 6]);
        optimizer.moments_mut().reset_variable("w");
        assert_eq!(change(optimizer.as_mut(), &variables), [first_change(); 6]);
    }

    #[test]
    fn resetting_units_leaves_the_others_moments_and_counters() {
        let (optimizer, variables) = experienced();
        let old = change(optimizer.fork().as_mut(), &variables)[0];
        let new = first_change();
        let after = |resets: &[(i64, i64)]| {
            let mut optimizer = optimizer.fork();
            for (dim, unit) in resets {
                optimizer.moments_mut().reset_units("w", *dim, &Tensor::from_slice(&[*unit]));
            }
            change(optimizer.as_mut(), &variables)
        };
        // Units with counters of their own do not take the fused step: the same but for rounding.
        let assert_after = |resets, expected: [f32; 6]| {
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs();
            let after = after(resets);
            assert!(after.iter().zip(&expected).all(close), "{after:?}, expected {expected:?}");
        };
        assert_after(&[(0, 1)], [old, old, old, new, new, new]);
        assert_after(&[(1, 0)], [new, old, old, new, old, old]);
        assert_after(&[(0, 1), (1, 0)], [new, old, old, new, new, new]);
        assert_after(&[(0, 1), (0, 1)], [old, old, old, new, new, new]);
    }

    #[test]
    fn a_fork_shares_nothing() {
        let (mut optimizer, variables) = experienced();
        let fork = optimizer.fork();
        let before = change(fork.fork().as_mut(), &variables);
        optimizer.moments_mut().reset_units("w", 0, &Tensor::from_slice(&[0i64]));
        step(optimizer.as_mut(), &variables, 100.0);
        assert_eq!(change(fork.fork().as_mut(), &variables), before);
    }

    #[test]
    fn saved_moments_go_on_to_the_bit() {
        let (mut optimizer, variables) = experienced();
        optimizer.moments_mut().reset_units("w", 1, &Tensor::from_slice(&[2i64]));
        let mut state = StateDict::default();
        state.put_part("optimizer", optimizer.as_ref());
        let mut loaded = adam();
        state.load_part("optimizer", loaded.as_mut()).expect("saved above");
        loaded.moments().check(&variables).expect("the same variables");
        assert_eq!(change(loaded.as_mut(), &variables), change(optimizer.as_mut(), &variables));
    }

    #[test]
    fn moments_of_another_network_are_refused_by_name() {
        let (optimizer, variables) = experienced();
        optimizer.moments().check(&variables).expect("its own variables");
        let other = variable(&[3, 2], &[0.0; 6]);
        let message = optimizer.moments().check(&other).expect_err("[2, 3] is not [3, 2]");
        assert!(message.to_string().contains("`w`"), "{message}");
    }
}
