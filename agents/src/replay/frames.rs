//! Where a replay's frames lie, and how stacks are made of them.

use std::{cell::RefCell, io::Write, ops::Range};

use pliant_core::{
    envs::env::FrameShape,
    error::{Error, Result},
    gpu::page_locked,
};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Which memory keeps the frames of a replay. Numbers do not depend on it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMemory {
    /// The device's where the network computes on a GPU that has the room, main memory otherwise.
    #[default]
    Auto,
    /// Main memory: batches are put together there and travel to the device.
    Main,
    /// That of the device where the network computes, where batches are put together as well.
    Device,
}

/// Rows that are copied at once.
const CHUNK: usize = 1024;

/// Frames in numbered rows.
pub(super) struct Frames {
    shape: FrameShape,
    store: Store,
}

enum Store {
    Main(Vec<u8>),
    Device(OnDevice),
}

impl Frames {
    /// Black frames in main memory, which is taken as rows are written.
    ///
    /// # Errors
    /// More than can be addressed. What cannot be had in the end is only known as it is written.
    pub fn in_main_memory(shape: FrameShape, rows: usize) -> Result<Self> {
        let bytes = rows.saturating_mul(shape.len());
        // `vec![0; n]` takes pages as they are touched, but ends the program if it cannot.
        let room = Vec::<u8>::new().try_reserve_exact(bytes);
        room.map_err(|_| too_large(bytes, "this machine"))?;
        Ok(Self { shape, store: Store::Main(vec![0; bytes]) })
    }

    /// The same in a device's memory, all of it taken now. A ring of `ring` rows has each of its rows written once
    /// before it comes back to the first.
    ///
    /// # Errors
    /// More than the device has free.
    pub fn on_device(shape: FrameShape, rows: usize, ring: usize, device: Device) -> Result<Self> {
        let bytes = rows.saturating_mul(shape.len());
        let refused = || too_large(bytes, &format!("the memory of {device:?}"));
        let (Ok(all), Ok(length)) = (i64::try_from(rows), i64::try_from(shape.len())) else {
            return Err(refused());
        };
        let size = [all.saturating_add(1), length];
        let frames = Tensor::f_zeros(size, (Kind::Uint8, device)).map_err(|_| refused())?;
        let (waiting, most_waiting) = (RefCell::default(), ring.min(CHUNK));
        let store = Store::Device(OnDevice { frames, waiting, most_waiting });
        Ok(Self { shape, store })
    }

    /// Where they lie.
    pub fn device(&self) -> Device {
        match &self.store {
            Store::Main(_) => Device::Cpu,
            Store::Device(own) => own.frames.device(),
        }
    }

    /// Writes a row.
    pub fn put(&mut self, row: usize, frame: &[u8]) {
        match &mut self.store {
            Store::Main(bytes) => bytes[row * frame.len()..][..frame.len()].copy_from_slice(frame),
            Store::Device(own) => own.put(row, frame),
        }
    }

    /// Stacks of these rows, `stack` after each other in one; `None` is black.
    /// u8 `[rows / stack, stack * channels, height, width]`, where the frames lie.
    pub fn stacks(&self, rows: &[Option<usize>], stack: usize) -> Tensor {
        let FrameShape { channels, height, width } = self.shape;
        let shape = [rows.len() / stack, stack * channels, height, width].map(|size| size as i64);
        match &self.store {
            Store::Main(_) => filled(shape, |out| self.copy_rows(rows.iter().copied(), out)),
            Store::Device(own) => own.select(rows).reshape(shape),
        }
    }

    /// Writes the frames of these rows, which lie in main memory, one after the other; `None` is black.
    pub fn copy_rows(&self, rows: impl Iterator<Item = Option<usize>>, out: &mut [u8]) {
        let Store::Main(bytes) = &self.store else { unreachable!("frames on a device") };
        let length = self.shape.len();
        for (place, row) in out.chunks_exact_mut(length).zip(rows) {
            match row {
                None => place.fill(0),
                Some(row) => place.copy_from_slice(&bytes[row * length..][..length]),
            }
        }
    }

    /// True if they lie in a tensor of their device.
    pub fn is_on_device(&self) -> bool {
        matches!(self.store, Store::Device(_))
    }

    /// All of them on the device, u8 `[rows + 1, bytes of a frame]`, the [black one](Self::black_row) too.
    pub fn whole(&self) -> &Tensor {
        let Store::Device(own) = &self.store else { unreachable!("frames in main memory") };
        own.bring();
        &own.frames
    }

    /// The row of a black frame on the device.
    pub fn black_row(&self) -> usize {
        let Store::Device(own) = &self.store else { unreachable!("frames in main memory") };
        own.black_row() as usize
    }

    /// Writes the frames of these rows, one after the other.
    pub fn write(&self, rows: Range<usize>, out: &mut dyn Write) -> Result<()> {
        let length = self.shape.len();
        match &self.store {
            Store::Main(bytes) => {
                Ok(out.write_all(&bytes[rows.start * length..rows.end * length])?)
            }
            Store::Device(own) => {
                own.bring();
                chunks(rows).try_for_each(|chunk| {
                    let frames = own.rows(&chunk).to_device(Device::Cpu).reshape([-1]);
                    let bytes = Vec::<u8>::try_from(&frames)?;
                    Ok(out.write_all(&bytes)?)
                })
            }
        }
    }

    /// Has these rows' bytes filled by `fill`, one piece after the other.
    pub fn read(
        &mut self,
        rows: Range<usize>,
        mut fill: impl FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let length = self.shape.len();
        match &mut self.store {
            Store::Main(bytes) => fill(&mut bytes[rows.start * length..rows.end * length]),
            Store::Device(own) => {
                own.bring(); // what waits may not come later
                chunks(rows).try_for_each(|chunk| {
                    let mut bytes = vec![0; chunk.len() * length];
                    fill(&mut bytes)?;
                    let frames = Tensor::from_slice(&bytes).reshape([-1, length as i64]);
                    own.rows(&chunk).copy_(&frames);
                    Ok(())
                })
            }
        }
    }
}

fn too_large(bytes: usize, whose: &str) -> Error {
    Error::Invalid(format!(
        "the replay's frames take {bytes} bytes, more than {whose} can give: lower `replay_capacity`"
    ))
}

fn chunks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(CHUNK).map(move |start| start..end.min(start + CHUNK))
}

/// Frames in a tensor. What is written waits in main memory until it is asked for, so that the frames of many
/// environments travel together.
struct OnDevice {
    /// u8 `[rows + 1, bytes of a frame]`; the last row is black.
    frames: Tensor,
    waiting: RefCell<Waiting>,
    /// So few that no row is among them twice.
    most_waiting: usize,
}

#[derive(Default)]
struct Waiting {
    rows: Vec<i64>,
    bytes: Vec<u8>,
}

impl OnDevice {
    fn put(&mut self, row: usize, frame: &[u8]) {
        if self.waiting.get_mut().rows.len() == self.most_waiting {
            self.bring();
        }
        let waiting = self.waiting.get_mut();
        waiting.rows.push(row as i64);
        waiting.bytes.extend_from_slice(frame);
    }

    /// Copies what waits.
    fn bring(&self) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.rows.is_empty() {
            return;
        }
        let count = waiting.rows.len() as i64;
        let device = self.frames.device();
        // Through page-locked memory, so that nobody waits; libtorch keeps it until it has been read.
        let here = |tensor: Tensor| match device {
            Device::Cuda(_) => page_locked(&tensor).to_device_(device, tensor.kind(), true, false),
            _ => tensor.to_device(device),
        };
        let rows = here(Tensor::from_slice(&waiting.rows));
        let frames = here(Tensor::from_slice(&waiting.bytes)).reshape([count, -1]);
        let _ = self.frames.shallow_clone().index_copy_(0, &rows, &frames);
        waiting.rows.clear();
        waiting.bytes.clear();
    }

    fn select(&self, rows: &[Option<usize>]) -> Tensor {
        self.bring();
        let black = self.black_row();
        let rows: Vec<i64> = rows.iter().map(|row| row.map_or(black, |row| row as i64)).collect();
        self.frames.index_select(0, &Tensor::from_slice(&rows).to_device(self.frames.device()))
    }

    fn black_row(&self) -> i64 {
        self.frames.size()[0] - 1
    }

    /// A view of some rows.
    fn rows(&self, rows: &Range<usize>) -> Tensor {
        self.frames.narrow(0, rows.start as i64, rows.len() as i64)
    }
}

/// A new u8 tensor in main memory whose bytes `fill` writes.
fn filled(shape: [i64; 4], fill: impl FnOnce(&mut [u8])) -> Tensor {
    let tensor = Tensor::zeros(shape, (Kind::Uint8, Device::Cpu));
    // SAFETY: a new CPU tensor is contiguous, holds `numel` initialised bytes, and no one else
    // has it yet.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<u8>(), tensor.numel()) };
    fill(bytes);
    tensor
}
