//! Probes: plug-ins that measure whether a network can still learn. They read only.

use std::collections::BTreeMap;

use pliant_envs::env::KnownStates;
use tch::{Device, Tensor};

use crate::{
    clock::{Clock, Every},
    error::{Error, Result},
    learner::Learner,
    metrics::Metrics,
    network::Taps,
    not_finite::learned,
    recording::Made,
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

impl Made for Transitions {
    fn share(&self) -> Self {
        self.map(Tensor::shallow_clone)
    }
}

impl Transitions {
    fn map(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        Self {
            s_tm1: of(&self.s_tm1),
            a_tm1: of(&self.a_tm1),
            r_t: of(&self.r_t),
            discount_t: of(&self.discount_t),
            s_t: of(&self.s_t),
        }
    }

    /// The same values in tensors of their own.
    #[must_use]
    pub fn copied(&self) -> Self {
        self.map(Tensor::copy)
    }

    /// Takes the values of as many others.
    pub(crate) fn copy_from(&self, others: &Self) {
        let copy = |own: &Tensor, other: &Tensor| own.shallow_clone().copy_(other);
        copy(&self.s_tm1, &others.s_tm1);
        copy(&self.a_tm1, &others.a_tm1);
        copy(&self.r_t, &others.r_t);
        copy(&self.discount_t, &others.discount_t);
        copy(&self.s_t, &others.s_t);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.a_tm1.size()[0].unsigned_abs()
    }

    /// `batch` different ones of them, drawn uniformly by `stream`; `None` if there are not as many.
    pub fn draw(&self, batch: usize, stream: &mut Stream) -> Option<Self> {
        let drawn = stream.distinct(batch, usize::try_from(self.count()).ok()?)?;
        let drawn: Vec<i64> = drawn.into_iter().map(|index| index as i64).collect();
        let drawn = Tensor::from_slice(&drawn).to_device(self.a_tm1.device());
        Some(self.map(|tensor| tensor.index_select(0, &drawn)))
    }

    /// The same transitions in a device's memory.
    pub fn to_device(&self, device: Device) -> Self {
        self.map(|tensor| tensor.to_device(device))
    }
}

/// Where probes take their data from: the replay, or a supervised stream; and what is learned on it.
pub trait ProbeData {
    /// How many transitions there are to draw from.
    fn len(&self) -> u64;

    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there can be at most.
    fn capacity(&self) -> u64;

    /// What the values of next states are multiplied by where an episode goes on.
    fn discount(&self) -> f64;

    /// `batch` different transitions drawn uniformly by `stream`, on whatever device they are kept; `None` while there are
    /// not as many.
    fn transitions(&self, batch: usize, stream: &mut Stream) -> Option<Transitions>;

    /// The loss that the learner learns from, of each transition, f32 `[batch]`, with a gradient for
    /// the online network. Passes are for evaluation: nothing moves and nothing is dropped. `taps` are
    /// those of the online network at `s_tm1`.
    fn losses(&self, learner: &Learner, batch: &Transitions, taps: Option<&mut Taps>) -> Tensor;
}

/// What a probe looks at.
pub struct Subject<'a> {
    /// What learns.
    pub learner: &'a Learner,
    /// What it learns from.
    pub data: &'a dyn ProbeData,
    /// The states behind observations, where the task has such that are known.
    pub states: Option<&'a dyn KnownStates>,
    /// The present time.
    pub clock: &'a Clock,
    /// Whom a long measurement tells how far it is.
    pub watch: &'a dyn Watch,
}

impl Subject<'_> {
    /// `batch` different transitions where the learner computes.
    ///
    /// # Panics
    /// If there are not as many, which a probe that [needs](Probe::needs) them is never shown.
    pub fn draw(&self, batch: u32, stream: &mut Stream) -> Transitions {
        let drawn = self.data.transitions(batch as usize, stream);
        let drawn = drawn.expect("a probe measures when there is what it needs");
        drawn.to_device(self.learner.online.device())
    }
}

/// Is told how far a measurement is.
pub trait Watch {
    /// `done` of `total` parts of the measurement `name` are done.
    fn progress(&self, name: &str, done: u64, total: u64);

    /// True if nobody waits for the measurement any more: it ends with [`Error::Stopped`] as soon as it
    /// can, and is made anew when the run goes on.
    fn is_stopped(&self) -> bool {
        false
    }

    /// [`Self::progress`], and an error if the measurement [is to stop](Self::is_stopped).
    fn tell(&self, name: &str, done: u64, total: u64) -> Result<()> {
        self.progress(name, done, total);
        if self.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Nobody looks.
impl Watch for () {
    fn progress(&self, _name: &str, _done: u64, _total: u64) {}
}

/// A measurement of a learner.
pub trait Probe: Checkpoint {
    /// Before the first frame: an error says why it cannot measure here.
    fn fits(
        &self,
        _learner: &Learner,
        _data: &dyn ProbeData,
        _states: Option<&dyn KnownStates>,
    ) -> Result<(), String> {
        Ok(())
    }

    /// How often it measures, after a first time as soon as there is what it needs.
    fn every(&self) -> Every;

    /// Transitions that have to be there before it can measure.
    fn needs(&self) -> u64 {
        0
    }

    /// Measures and leaves the results in `metrics`. `stream` is this probe's own.
    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()>;
}

struct Installed {
    /// For saved states and streams: position and kind.
    name: String,
    /// For messages: ``probes[1]: probe `units` ``.
    label: String,
    /// Its kind, and what stands in the place of the kind in its tags: the kind, with a number if it is
    /// not the first of its kind.
    area: (String, String),
    probe: Box<dyn Probe>,
    /// The stream's name.
    source: String,
    stream: Stream,
    /// It came due and has not measured yet.
    is_due: bool,
}

/// The probes of a run.
#[derive(Default)]
pub struct Probes(Vec<Installed>);

impl Probes {
    /// Gives each its own stream, as [`Interventions`](crate::intervention::Interventions) do.
    pub fn new(parts: Vec<(String, Box<dyn Probe>)>, seeds: &Seeds) -> Self {
        let mut met: BTreeMap<String, u32> = BTreeMap::new();
        let install = |(index, (kind, probe)): (usize, (String, _))| {
            let name = format!("{index}_{kind}");
            let label = format!("probes[{index}]: probe `{kind}`");
            let count = met.entry(kind.clone()).or_default();
            *count += 1;
            let area = if *count == 1 { kind.clone() } else { format!("{kind}_{count}") };
            let source = format!("probes/{area}");
            let stream = seeds.stream(&source);
            Installed { name, label, area: (kind, area), stream, source, probe, is_due: true }
        };
        Self(parts.into_iter().enumerate().map(install).collect())
    }

    /// All are due again, with streams as at the beginning of a run under `seeds`.
    pub fn begin_anew(&mut self, seeds: &Seeds) {
        for Installed { source, stream, is_due, .. } in &mut self.0 {
            *stream = seeds.stream(source);
            *is_due = true;
        }
    }

    /// Each alone, with what its tags begin with.
    pub fn apart(self) -> impl Iterator<Item = (String, Self)> {
        self.0.into_iter().map(|part| (part.area.1.clone(), Self(vec![part])))
    }

    /// What those are called in messages that came due and have not measured yet.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|part| part.is_due).map(|part| part.label.as_str())
    }

    /// An error if one cannot measure here: see [`Probe::fits`], or if it needs more transitions than
    /// there can be.
    pub fn fit(
        &self,
        learner: &Learner,
        data: &dyn ProbeData,
        states: Option<&dyn KnownStates>,
    ) -> Result<(), String> {
        for Installed { label, probe, .. } in &self.0 {
            let (needs, most) = (probe.needs(), data.capacity());
            if needs > most {
                return Err(format!(
                    "{label}: it measures on {needs} transitions, but there are never more than {most}: set fewer, with `batch_size` or \
                     `observations`"
                ));
            }
            probe.fits(learner, data, states).map_err(|error| format!("{label}: {error}"))?;
        }
        Ok(())
    }

    /// Those that need more transitions than these, with how many they need.
    pub fn idle_within(&self, transitions: u64) -> impl Iterator<Item = (&str, u64)> {
        let parts = self.0.iter().map(|part| (part.label.as_str(), part.probe.needs()));
        parts.filter(move |(_, needs)| *needs > transitions)
    }

    /// Those that can measure, whose period is longer than so many frames or updates, with the period: they measure
    /// once, as soon as they can.
    pub fn once_within(&self, frames: u64, updates: u64) -> impl Iterator<Item = (&str, Every)> {
        let can = self.0.iter().filter(move |part| part.probe.needs() <= frames);
        let parts = can.map(|part| (part.label.as_str(), part.probe.every()));
        parts.filter(move |(_, every)| match every {
            Every::Frames(period) => *period > frames,
            Every::Updates(period) => *period > updates,
        })
    }

    /// Runs those that came due since an earlier reading of the clock, and those that have waited.
    /// Where a parameter or a moment of the optimiser is not a finite number none measures; the metrics
    /// say which. Nor does what libtorch cannot compute (the eigenvalues of numbers that are too large)
    /// end a run: `probe/failed` says what. If somebody [stops](Watch::is_stopped) it, false: all of them are
    /// due as before, and nothing has been measured.
    ///
    /// The tags of a second probe of a kind begin with `KIND_2`.
    pub fn measure_due(
        &mut self,
        before: &Clock,
        subject: &Subject<'_>,
        metrics: &mut Metrics,
    ) -> Result<bool> {
        for Installed { probe, is_due, .. } in &mut self.0 {
            *is_due |= probe.every().is_due(before, subject.clock);
        }
        if self.0.iter().all(|installed| !installed.is_due) {
            return Ok(true);
        }
        let there = subject.data.len();
        let mut due = StateDict::default();
        if self.0.iter().any(|one| one.is_due && there >= one.probe.needs()) {
            self.save(&mut due); // nothing where all of them wait for data
        }
        let mut measured = Metrics::default();
        let is_whole = self.measure_all_due(before, subject, &mut measured)?;
        if is_whole {
            metrics.append(measured);
        } else {
            self.load(&due)?; // all of them are made again, or some would be told of twice
        }
        Ok(is_whole)
    }

    /// False if it was stopped before its end.
    fn measure_all_due(
        &mut self,
        before: &Clock,
        subject: &Subject<'_>,
        metrics: &mut Metrics,
    ) -> Result<bool> {
        let there = subject.data.len();
        let mut is_finite = None;
        for Installed { label, area, probe, stream, is_due, .. } in &mut self.0 {
            if !*is_due {
                continue;
            }
            let came_due = probe.every().is_due(before, subject.clock);
            if there < probe.needs() {
                if came_due {
                    let needs = probe.needs();
                    let text = format!("{label} waits for {needs} transitions, {there} are there");
                    metrics.text("probe/waits", text);
                }
                continue;
            }
            if subject.watch.is_stopped() {
                return Ok(false);
            }
            *is_due = false;
            if !*is_finite.get_or_insert_with(|| report_not_finite(subject.learner, metrics)) {
                continue;
            }
            let mut own = Metrics::default();
            match probe.measure(subject, stream, &mut own) {
                Ok(()) => metrics.append(own.renamed(&area.0, &area.1)),
                Err(Error::Stopped) => return Ok(false),
                Err(Error::Torch(error)) => report_failure(label, &error.to_string(), metrics),
                Err(error) => return Err(Error::Invalid(format!("{label}: {error}"))),
            }
        }
        Ok(true)
    }
}

/// Says what libtorch could not compute, without its stack of calls.
fn report_failure(label: &str, error: &str, metrics: &mut Metrics) {
    let first = error.lines().next().unwrap_or_default();
    metrics.scalar("probe/failed", 1.0);
    metrics.text("probe/failed_at", format!("{label}: libtorch: {first}"));
}

/// Says which tensors that are learned hold numbers that are not finite; true if none does.
fn report_not_finite(learner: &Learner, metrics: &mut Metrics) -> bool {
    let is_bad = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 0;
    let all = learned(learner).into_iter();
    let bad: Vec<String> = all.filter(|(_, tensor)| is_bad(tensor)).map(|(name, _)| name).collect();
    metrics.scalar("probe/not_finite", bad.len() as f64);
    if !bad.is_empty() {
        let text = format!("no probe measures: not finite are {}", bad.join(", "));
        metrics.text("probe/not_finite_names", text);
    }
    bad.is_empty()
}

/// A run may go on with other probes than it had: those that it did not have begin anew.
impl Checkpoint for Probes {
    fn save(&self, state: &mut StateDict) {
        for Installed { name, probe, stream, is_due, .. } in &self.0 {
            state.put(&format!("{name}_stream"), stream);
            state.put(&format!("{name}_is_due"), is_due);
            state.put_part(name, probe.as_ref());
        }
    }

    fn load(&mut self, state: &StateDict) -> Result<()> {
        for Installed { name, probe, stream, is_due, .. } in &mut self.0 {
            let saved = format!("{name}_stream");
            if !state.values().contains_key(&saved) {
                continue; // measures since the run goes on
            }
            *stream = state.get(&saved)?;
            *is_due = state.get(&format!("{name}_is_due"))?;
            state.load_part(name, probe.as_mut())?;
        }
        Ok(())
    }
}
