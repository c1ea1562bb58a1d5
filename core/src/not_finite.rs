//! Numbers gone wrong: what is found in an update whose loss, gradients or parameters are not finite.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{
    error::{Error, Result},
    learner::Learner,
    probe::Transitions,
};

/// An update that was not made, since it would have led to numbers that are not finite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotFinite {
    /// The update, counted from 1.
    pub update: u64,
    /// How far it came.
    pub stage: Stage,
    /// Whose the numbers are, where that is known: an intervention, the backward pass, the optimiser.
    pub by: Option<String>,
    /// The tensors concerned, in the network's order.
    pub tensors: Vec<BadTensor>,
}

/// Where in an update numbers went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// In the loss.
    Loss,
    /// In the gradients, under a finite loss.
    Gradients,
    /// In parameters or what the optimiser remembers, after finite gradients.
    Parameters,
}

/// A tensor that holds numbers that are not finite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadTensor {
    /// What it is called.
    pub name: String,
    /// How many of its numbers are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
    /// How many it has.
    pub of: u64,
}

/// The update that went wrong, with what it was to learn from.
#[derive(Debug)]
pub struct FailedUpdate {
    /// What went wrong.
    pub found: NotFinite,
    /// Its transitions, where they were learned from.
    pub batch: Transitions,
}

impl NotFinite {
    /// An error if one of the named tensors holds numbers that are not finite.
    pub(crate) fn check(
        update: u64,
        stage: Stage,
        by: Option<&str>,
        named: &[(String, Tensor)],
    ) -> Result<()> {
        let all = named.iter().map(|(name, tensor)| (name.as_str(), tensor.shallow_clone()));
        let tensors = BadTensor::among(all);
        if tensors.is_empty() {
            return Ok(());
        }
        let by = by.map(str::to_owned);
        Err(Error::NotFinite(Box::new(Self { update, stage, by, tensors })))
    }
}

impl BadTensor {
    /// `None` if all numbers of the tensor are finite. Waits for the device.
    pub fn of(name: String, tensor: &Tensor) -> Option<Self> {
        let count = |is_so: &Tensor| is_so.sum(Kind::Int64).int64_value(&[]).unsigned_abs();
        let (nan, infinite) = (count(&tensor.isnan()), count(&tensor.isinf()));
        let of = tensor.numel() as u64;
        (nan + infinite > 0).then_some(Self { name, nan, infinite, of })
    }

    /// Those of named tensors that hold such numbers.
    pub fn among<'a>(tensors: impl IntoIterator<Item = (&'a str, Tensor)>) -> Vec<Self> {
        let bad = |(name, tensor): (&str, Tensor)| Self::of(name.to_owned(), &tensor);
        tensors.into_iter().filter_map(bad).collect()
    }
}

/// All that learning changes: parameters, the target's, the optimiser's moments, each with what it is called
/// in messages.
pub fn learned(learner: &Learner) -> Vec<(String, Tensor)> {
    let Learner { online, target, optimizer, .. } = learner;
    let own = online.variables().iter().map(|(name, tensor)| (format!("`{name}`"), tensor));
    let theirs = target.variables().iter();
    let theirs = theirs.map(|(name, tensor)| (format!("`{name}` of the target"), tensor));
    let mut all: Vec<(String, Tensor)> =
        own.chain(theirs).map(|(name, tensor)| (name, tensor.detach())).collect();
    let moments = optimizer.moments();
    for (name, _) in online.variables().iter() {
        let slot = moments.get(name).map_or(&[][..], |slot| &slot.tensors);
        let named = moments.names().iter().zip(slot);
        all.extend(named.map(|(moment, tensor)| {
            (format!("`{name}`'s `{moment}` in the optimizer"), tensor.detach())
        }));
    }
    all
}

impl fmt::Display for BadTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, nan, infinite, of } = self;
        match (nan, infinite) {
            (nan, 0) => write!(f, "{name} ({nan} of {of} NaN)"),
            (0, infinite) => write!(f, "{name} ({infinite} of {of} infinite)"),
            (nan, infinite) => write!(f, "{name} ({nan} NaN and {infinite} infinite of {of})"),
        }
    }
}

/// What the names of interventions in messages begin with: their numbers are no fault of other settings.
const INTERVENTION: &str = "interventions[";

/// Tensors that a message names; of others it says how many they are.
const NAMED: usize = 4;

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { update, stage, by, tensors } = self;
        match (stage, by) {
            (Stage::Loss, None) => write!(f, "the loss of update {update} is not finite")?,
            (Stage::Loss, Some(by)) => {
                write!(
                    f,
                    "the term that `{by}` adds to the loss of update {update} is not finite"
                )?;
            }
            (Stage::Gradients, _) => write!(f, "gradients of update {update} are not finite")?,
            (Stage::Parameters, _) => {
                write!(f, "update {update} would leave parameters that are not finite")?;
            }
        }
        let named = |bad: &BadTensor| match stage {
            Stage::Loss => bad.name.clone(), // a single number
            _ => bad.to_string(),
        };
        let names: Vec<String> = tensors.iter().take(NAMED).map(named).collect();
        write!(f, ": {}", names.join(", "))?;
        if tensors.len() > NAMED {
            write!(f, " and {} more", tensors.len() - NAMED)?;
        }
        if let (Stage::Gradients | Stage::Parameters, Some(by)) = (stage, by) {
            write!(f, "; first after {by}")?;
            if by.starts_with(INTERVENTION) {
                return Ok(());
            }
        }
        f.write_str(match stage {
            Stage::Loss => "; the learning rate may be too high",
            Stage::Gradients => {
                "; a step of the backward pass or of an intervention divides by zero or overflows"
            }
            Stage::Parameters => {
                "; the learning rate may be too high, or the optimizer's eps too small"
            }
        })
    }
}

impl std::error::Error for NotFinite {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinite_numbers_are_counted_apart() {
        let numbers = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        let bad = BadTensor::of("`w`".to_owned(), &Tensor::from_slice(&numbers)).expect("bad");
        assert_eq!((bad.nan, bad.infinite, bad.of), (1, 2, 5));
        assert_eq!(bad.to_string(), "`w` (1 NaN and 2 infinite of 5)");
        assert_eq!(BadTensor::of("`w`".to_owned(), &Tensor::from_slice(&[f32::MAX, 0.0])), None);
    }

    #[test]
    fn a_message_names_the_first_tensors_and_counts_the_others() {
        let bad = |index: u32| BadTensor { name: format!("`{index}`"), nan: 1, infinite: 0, of: 2 };
        let stage = Stage::Gradients;
        let by = Some("interventions[0]".to_owned());
        let found = NotFinite { update: 7, stage, by, tensors: (0..6).map(bad).collect() };
        let text = found.to_string();
        for words in
            ["gradients of update 7", "`3` (1 of 2 NaN) and 2 more", "after interventions[0]"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("`4`"), "{text}");
    }
}
