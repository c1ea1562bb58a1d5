//! Probes: plug-ins that measure whether a network can still learn. They read only.

use tch::{Device, Tensor};

use crate::{
    clock::{Clock, Every},
    error::{Error, Result},
    learner::Learner,
    metrics::Metrics,
    seeds::{Seeds, Stream},
    state::{Checkpoint, StateDict},
};

/// A batch of transitions. Observations are u8 `[batch, channels, height, width]`.
#[derive(Debug)]
pub struct Transitions {
    /// Observations before the action.
    pub s_tm1: Tensor,
    /// Actions, i64 `[batch]`.
    pub a_tm1: Tensor,
    /// Rewards, f32 `[batch]`.
    pub r_t: Tensor,
    /// What the next state's value is multiplied by, f32 `[batch]`: 0 if terminated.
    pub discount_t: Tensor,
    /// Observations after the action.
    pub s_t: Tensor,
}

impl Transitions {
    /// The same transitions in a device's memory.
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            s_tm1: self.s_tm1.to_device(device),
            a_tm1: self.a_tm1.to_device(device),
            r_t: self.r_t.to_device(device),
            discount_t: self.discount_t.to_device(device),
            s_t: self.s_t.to_device(device),
        }
    }
}

/// Where probes take their data from: the replay, or a supervised stream.
pub trait ProbeData {
    /// `batch` transitions drawn uniformly by `stream`; `None` while there are none to draw from.
    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions>;
}

/// A measurement of a learner.
pub trait Probe: Checkpoint {
    /// How often it measures.
    fn every(&self) -> Every;

    /// Measures and leaves the results in `metrics`. `stream` is this probe's own.
    fn measure(
        &mut self,
        learner: &Learner,
        data: &dyn ProbeData,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()>;
}

struct Installed {
    /// For saved states and streams: position and kind.
    name: String,
    /// For messages: ``probes[1]: probe `dormant_units` ``.
    label: String,
    probe: Box<dyn Probe>,
    stream: Stream,
}

/// The probes of a run.
#[derive(Default)]
pub struct Probes(Vec<Installed>);

impl Probes {
    /// Gives each its own stream; names are made of kind and position.
    pub fn new(parts: Vec<(String, Box<dyn Probe>)>, seeds: &Seeds) -> Self {
        let install = |(index, (kind, probe)): (usize, (String, _))| {
            let name = format!("{index}_{kind}");
            let label = format!("probes[{index}]: probe `{kind}`");
            Installed { stream: seeds.stream(&format!("probes/{name}")), name, label, probe }
        };
        Self(parts.into_iter().enumerate().map(install).collect())
    }

    /// Runs those that came due between two readings of the clock.
    pub fn measure_due(
        &mut self,
        before: &Clock,
        after: &Clock,
        learner: &Learner,
        data: &dyn ProbeData,
        metrics: &mut Metrics,
    ) -> Result<()> {
        for Installed { label, probe, stream, .. } in &mut self.0 {
            if probe.every().is_due(before, after) {
                probe
                    .measure(learner, data, stream, metrics)
                    .map_err(|error| Error::Invalid(format!("{label}: {error}")))?;
            }
        }
        Ok(())
    }
}

impl Checkpoint for Probes {
    fn save(&self, state: &mut StateDict) {
        for Installed { name, probe, stream, .. } in &self.0 {
            state.put(&format!("{name}_stream"), stream);
            state.put_part(name, probe.as_ref());
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for Installed { name, probe, stream, .. } in &mut self.0 {
            *stream = state.get(&format!("{name}_stream"))?;
            state.load_part(name, probe.as_mut())?;
        }
        Ok(())
    }
}
