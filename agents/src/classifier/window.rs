//! What is logged of updates.

use std::collections::BTreeMap;

use pliant_core::{
    error::Result,
    learner::Losses,
    metrics::Metrics,
    state::{Checkpoint, StateDict},
};
use tch::{Device, Kind, Tensor};

/// Means over the updates since they were last asked for.
#[derive(Default)]
pub(super) struct Window {
    updates: u64,
    loss: f64,
    /// Sums of what interventions added to the loss, by kind.
    penalties: BTreeMap<String, f64>,
    /// Share of right answers, summed over updates.
    accuracy: f64,
}

impl Window {
    /// `losses` of a pass that tells the share of right answers.
    pub fn add(&mut self, losses: &Losses) {
        self.accuracy += losses.also.iter().sum::<f64>();
        self.loss += losses.primary;
        for (name, penalty) in &losses.penalties {
            *self.penalties.entry(name.clone()).or_default() += penalty;
        }
        self.updates += 1;
    }

    /// Leaves the means in `metrics` and starts anew; nothing if there was no update.
    pub fn drain(&mut self, metrics: &mut Metrics) {
        if self.updates == 0 {
            return;
        }
        let updates = self.updates as f64;
        metrics.scalar("train/loss", self.loss / updates);
        metrics.scalar("train/accuracy", self.accuracy / updates);
        for (name, penalty) in std::mem::take(&mut self.penalties) {
            metrics.scalar(format!("train/penalty/{name}"), penalty / updates);
        }
        (self.loss, self.accuracy, self.updates) = (0.0, 0.0, 0);
    }
}

impl Checkpoint for Window {
    fn save(&self, state: &mut StateDict) {
        state.put("updates", &self.updates);
        state.put("loss", &self.loss);
        state.put("penalties", &self.penalties);
        state.put_tensor("accuracy", &Tensor::from_slice(&[self.accuracy]));
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.updates = state.get("updates")?;
        self.loss = state.get("loss")?;
        self.penalties = state.get("penalties")?;
        let mut accuracy = Tensor::zeros([1], (Kind::Double, Device::Cpu));
        state.copy_tensor("accuracy", &mut accuracy)?;
        self.accuracy = accuracy.double_value(&[0]);
        Ok(())
    }
}
