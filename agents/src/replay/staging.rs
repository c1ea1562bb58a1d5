//! Batches that lie in the same place of a GPU's memory each time.

use std::ops::Range;

use pliant_core::{
    envs::env::FrameShape,
    error::{Error, Result},
    gpu::{copy_without_waiting, page_locked},
    probe::Transitions,
    recording::{Made as _, Recorder, Signature},
    seeds::Stream,
};
use tch::{Device, Kind, TchError, Tensor};

use super::{Begin, Replay};

/// Two places for batches of one size on a device, which take turns, so that one can be brought while the device
/// computes on the other. It can be told once what to do with each.
pub struct Staging {
    places: [Berth; 2],
    turn: usize,
    /// If the batch of the next turn has been brought: the stream from before it was drawn.
    next: Option<Stream>,
}

/// A batch that was drawn.
#[derive(Debug)]
pub struct Drawn {
    /// The batch.
    pub batch: Transitions,
    /// The stream from before it was drawn.
    pub before: Stream,
}

impl Staging {
    /// Room for batches of `size` transitions of this replay on a device. `is_recorded`: what the device does for
    /// each may be recorded.
    ///
    /// # Errors
    /// More than the device has free.
    pub fn new(replay: &Replay, size: usize, device: Device, is_recorded: bool) -> Result<Self> {
        let place = || {
            Berth::new(replay, size, device, is_recorded).map_err(|error| refused(device, &error))
        };
        Ok(Self { places: [place()?, place()?], turn: 0, next: None })
    }

    /// Draws the transitions that [`Replay::sample`] would draw and puts them here, unless that
    /// [was done](Self::bring_next); `None` while there are none. On a GPU nobody waits for it; something that is
    /// computed from the batch must have been read before the next but one is drawn.
    pub fn sample(&mut self, replay: &Replay, stream: &mut Stream) -> Option<Drawn> {
        if self.next.is_none() && replay.is_empty() {
            return None;
        }
        self.bring_next(replay, stream);
        let before = self.next.take()?;
        let batch = self.places[self.turn].batch.share();
        self.turn = 1 - self.turn;
        Some(Drawn { batch, before })
    }

    /// Draws the next batch and brings it, if that is not done; the replay may not change until it is asked for.
    ///
    /// # Panics
    /// If the replay is empty.
    pub fn bring_next(&mut self, replay: &Replay, stream: &mut Stream) {
        if self.next.is_none() {
            self.next = Some(stream.clone());
            self.places[self.turn].fill(replay, stream);
        }
    }

    /// The next batch is to be drawn anew.
    pub fn drop_next(&mut self) {
        self.next = None;
    }
}

fn refused(device: Device, error: &TchError) -> Error {
    let text = error.to_string();
    let reason = text.lines().next().unwrap_or_default();
    Error::Invalid(format!(
        "there is no room for batches in the memory of {device:?} ({reason}); try a smaller agent.batch_size, or \
         agent.replay_memory = \"main\""
    ))
}

/// A place for batches of one size on a device. What is drawn is gathered in page-locked memory and travels in
/// one piece; where the replay's frames lie on the device these are only their rows, and stacks are made there.
struct Berth {
    size: usize,
    /// What is written here travels; u8, as long as `packed`.
    host: Tensor,
    packed: Tensor,
    parts: Parts,
    batch: Transitions,
    /// i64 `[batch * stack]`, before and after the action, where frames lie on the device; views of `packed`.
    rows: Option<[Tensor; 2]>,
    stacks: Recorder<()>,
}

/// Where what lies in the packed bytes.
#[derive(Clone, Debug)]
struct Parts {
    actions: Range<usize>,
    rewards: Range<usize>,
    discounts: Range<usize>,
    /// Rows or frames, before and after the action.
    stacks: [Range<usize>; 2],
}

impl Parts {
    /// For a batch whose observations take so many bytes here.
    fn new(batch: usize, observations: usize) -> Self {
        let mut end = 0;
        let mut next = |bytes: usize| {
            let start = end;
            // Views of other kinds begin at multiples of their size.
            end = (start + bytes).next_multiple_of(8);
            start..start + bytes
        };
        let (actions, rewards, discounts) = (next(8 * batch), next(4 * batch), next(4 * batch));
        Self { actions, rewards, discounts, stacks: [next(observations), next(observations)] }
    }

    fn len(&self) -> usize {
        self.stacks[1].end.next_multiple_of(8)
    }
}

impl Berth {
    fn new(
        replay: &Replay,
        size: usize,
        device: Device,
        is_recorded: bool,
    ) -> Result<Self, TchError> {
        let FrameShape { channels, height, width } = replay.shape.frame;
        let stack = replay.shape.stack;
        let frames_lie_there = replay.frames.is_on_device();
        let frame = if frames_lie_there { size_of::<i64>() } else { replay.shape.frame.len() };
        let parts = Parts::new(size, size * stack * frame);
        let length = [parts.len() as i64];
        let packed = Tensor::f_zeros(length, (Kind::Uint8, device))?;
        let host = Tensor::zeros(length, (Kind::Uint8, Device::Cpu));
        let host = if device.is_cuda() { page_locked(&host) } else { host };
        let view = |range: &Range<usize>, kind: Kind| {
            packed.narrow(0, range.start as i64, range.len() as i64).view_dtype(kind)
        };
        let shape = [size, stack * channels, height, width].map(|size| size as i64);
        let (observations, rows) = if frames_lie_there {
            let rows = parts.stacks.each_ref().map(|range| view(range, Kind::Int64));
            let stacks = || Tensor::f_zeros(shape, (Kind::Uint8, device));
            ([stacks()?, stacks()?], Some(rows))
        } else {
            let frames = |range: &Range<usize>| view(range, Kind::Uint8).reshape(shape);
            (parts.stacks.each_ref().map(frames), None)
        };
        let [s_tm1, s_t] = observations;
        let batch = Transitions {
            s_tm1,
            a_tm1: view(&parts.actions, Kind::Int64),
            r_t: view(&parts.rewards, Kind::Float),
            discount_t: view(&parts.discounts, Kind::Float),
            s_t,
        };
        let stacks = Recorder::new(device, is_recorded && frames_lie_there);
        Ok(Self { size, host, packed, parts, batch, rows, stacks })
    }

    fn fill(&mut self, replay: &Replay, stream: &mut Stream) {
        let begins: Vec<Begin<'_>> = (0..self.size).map(|_| replay.draw(stream)).collect();
        self.gather(replay, &begins);
        copy_without_waiting(&mut self.packed, &self.host);
        if let Some(rows) = &self.rows {
            let frames = replay.frames.whole();
            let Transitions { s_tm1, s_t, .. } = &self.batch;
            let of = |_: &()| Signature::default().tensors([frames, s_tm1, s_t]);
            self.stacks.run((), of, |()| {
                for (stacks, rows) in [s_tm1, s_t].into_iter().zip(rows) {
                    let out = stacks.view([-1, frames.size()[1]]);
                    let _ = frames.index_select_out(&out, 0, rows);
                }
            });
        }
    }

    fn gather(&mut self, replay: &Replay, begins: &[Begin<'_>]) {
        let Self { host, parts, rows, .. } = self;
        // SAFETY: the tensor is contiguous, in main memory and of this length; nobody else has it, and the device
        // has read what was in it before.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(host.data_ptr().cast::<u8>(), host.numel()) };
        for (index, at) in begins.iter().enumerate() {
            put(bytes, &parts.actions, index, replay.action(at).to_ne_bytes());
            put(bytes, &parts.rewards, index, replay.reward(at).to_ne_bytes());
            put(bytes, &parts.discounts, index, replay.discount(at).to_ne_bytes());
        }
        for (later, range) in (0..).zip(&parts.stacks) {
            let of = begins.iter().flat_map(|at| at.ring.stack(at.index + later));
            if rows.is_some() {
                let black = replay.frames.black_row();
                for (index, row) in of.enumerate() {
                    put(bytes, range, index, (row.unwrap_or(black) as i64).to_ne_bytes());
                }
            } else {
                replay.frames.copy_rows(of, &mut bytes[range.clone()]);
            }
        }
    }
}

/// Writes the value of this index of a column.
fn put<const N: usize>(bytes: &mut [u8], column: &Range<usize>, index: usize, value: [u8; N]) {
    bytes[column.start + N * index..][..N].copy_from_slice(&value);
}
