//! What is logged of updates.

use std::collections::BTreeMap;

use pliant_core::{
    error::Result,
    learner::Losses,
    metrics::Metrics,
    state::{Checkpoint, StateDict},
};
use tch::{Device, Kind, Tensor, no_grad};

/// Means over the updates since they were last asked for. What needs the device is summed there, so that
/// an update need not wait for it.
pub(super) struct Window {
    updates: u64,
    loss: f64,
    /// Sums of what interventions added to the loss, by kind.
    penalties: BTreeMap<String, f64>,
    /// f64 scalar: share of right answers, summed over updates.
    accuracy: Tensor,
}

impl Window {
    pub fn new(device: Device) -> Self {
        let accuracy = Tensor::zeros([1], (Kind::Double, device));
        Self { updates: 0, loss: 0.0, penalties: BTreeMap::new(), accuracy }
    }

    /// `outputs` f32 `[batch, classes]`, from before the update; `labels` i64 `[batch]`.
    pub fn add(&mut self, losses: &Losses, outputs: &Tensor, labels: &Tensor) {
        no_grad(|| {
            let is_right = outputs.argmax(1, false).eq_tensor(labels);
            self.accuracy += is_right.to_kind(Kind::Double).mean(Kind::Double);
        });
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
        metrics.scalar("train/accuracy", self.accuracy.double_value(&[0]) / updates);
        for (name, penalty) in std::mem::take(&mut self.penalties) {
            metrics.scalar(format!("train/penalty/{name}"), penalty / updates);
        }
        let _ = self.accuracy.zero_();
        (self.loss, self.updates) = (0.0, 0);
    }
}

impl Checkpoint for Window {
    fn save(&self, state: &mut StateDict) {
        state.put("updates", &self.updates);
        state.put("loss", &self.loss);
        state.put("penalties", &self.penalties);
        state.put_tensor("accuracy", &self.accuracy);
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        self.updates = state.get("updates")?;
        self.loss = state.get("loss")?;
        self.penalties = state.get("penalties")?;
        state.copy_tensor("accuracy", &mut self.accuracy)
    }
}
