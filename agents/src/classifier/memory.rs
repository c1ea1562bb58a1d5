//! What a probe can look at while a classifier learns from a stream.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    io::{ErrorKind, Read, Write},
};

use pliant_core::{
    envs::env::EnvSpec,
    error::{Error, Result},
    probe::Transitions,
    seeds::Stream,
};
use tch::{Kind, Tensor};

const MAGIC: &[u8; 8] = b"PLNTMEM1";

/// The different images of the present task that were shown last, each once, with the label that it had
/// last.
///
/// Each once, since an image that comes again and again would count as often in a probe's batch.
#[derive(Debug)]
pub struct Memory {
    capacity: usize,
    /// `[channels, height, width]` of an observation.
    shape: [i64; 3],
    classes: u32,
    task: u32,
    /// u8 `[count, shape]`
    images: Vec<u8>,
    labels: Vec<u32>,
    /// Slot by a hash of the image.
    slots: HashMap<u64, usize>,
    hashes: Vec<u64>,
    /// The slot that is written next when all are taken.
    oldest: usize,
}

impl Memory {
    /// An empty memory of so many images. It takes room as it fills.
    pub fn new(env: &EnvSpec, capacity: u64) -> Self {
        let planes = env.frame.channels * env.frame_stack;
        Self {
            capacity: capacity as usize,
            shape: [planes as i64, env.frame.height as i64, env.frame.width as i64],
            classes: env.actions.len() as u32,
            task: 0,
            images: Vec::new(),
            labels: Vec::new(),
            slots: HashMap::new(),
            hashes: Vec::new(),
            oldest: 0,
        }
    }

    /// Bytes that a full one takes.
    pub fn bytes(env: &EnvSpec, capacity: u64) -> u64 {
        let columns = 3 * size_of::<u64>() + size_of::<u32>();
        capacity.saturating_mul((env.frame_stack * env.frame.len() + columns) as u64)
    }

    /// How many images it holds.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if it holds none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many it holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes in an image that was shown; the first one of another task empties it.
    pub fn show(&mut self, task: u32, image: &[u8], label: u32) {
        if task != self.task {
            self.clear();
            self.task = task;
        }
        let hash = hash(image);
        match self.slots.get(&hash) {
            Some(slot) => self.labels[*slot] = label,
            None => self.keep(hash, image, label),
        }
    }

    fn keep(&mut self, hash: u64, image: &[u8], label: u32) {
        let slot = self.len();
        if slot < self.capacity {
            self.images.extend_from_slice(image);
            self.labels.push(label);
            self.hashes.push(hash);
            self.slots.insert(hash, slot);
            return;
        }
        let slot = self.oldest;
        self.oldest = (slot + 1) % self.capacity;
        self.slots.remove(&self.hashes[slot]);
        self.images[slot * image.len()..][..image.len()].copy_from_slice(image);
        (self.labels[slot], self.hashes[slot]) = (label, hash);
        self.slots.insert(hash, slot);
    }

    fn clear(&mut self) {
        self.images.clear();
        self.labels.clear();
        self.slots.clear();
        self.hashes.clear();
        self.oldest = 0;
    }

    /// `batch` different images, uniformly; `None` while there are fewer.
    pub fn draw(&self, batch: usize, stream: &mut Stream) -> Option<Transitions> {
        let drawn = stream.distinct(batch, self.len())?;
        let size = self.image_len();
        let images = drawn.iter().flat_map(|slot| &self.images[slot * size..][..size]);
        let images: Vec<u8> = images.copied().collect();
        let labels: Vec<i64> = drawn.iter().map(|slot| i64::from(self.labels[*slot])).collect();
        let [channels, height, width] = self.shape;
        let s_tm1 = Tensor::from_slice(&images).reshape([-1, channels, height, width]);
        Some(transitions(s_tm1, Tensor::from_slice(&labels)))
    }

    fn image_len(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Writes everything that [`Self::load`] needs: a magic word, numbers, labels and images.
    pub fn save(&self, out: &mut dyn Write) -> Result<()> {
        out.write_all(MAGIC)?;
        let numbers = [
            self.image_len() as u64,
            self.capacity as u64,
            u64::from(self.task),
            self.oldest as u64,
            self.len() as u64,
        ];
        for number in numbers {
            out.write_all(&number.to_le_bytes())?;
        }
        for label in &self.labels {
            out.write_all(&label.to_le_bytes())?;
        }
        out.write_all(&self.images)?;
        Ok(())
    }

    /// Takes up what was saved under the same configuration. On an error this memory is empty.
    pub fn load(&mut self, input: &mut dyn Read) -> Result<()> {
        self.clear();
        let loaded = self.try_load(input);
        if loaded.is_err() {
            self.clear();
        }
        loaded
    }

    fn try_load(&mut self, input: &mut dyn Read) -> Result<()> {
        if read(input)? != *MAGIC {
            return invalid("it is no memory of images of a known version");
        }
        let mut number = || read(input).map(u64::from_le_bytes);
        for (name, expected) in
            [("bytes of an image", self.image_len()), ("capacity", self.capacity)]
        {
            let found = number()?;
            if found != expected as u64 {
                return invalid(&format!("its {name} is {found}, expected {expected}"));
            }
        }
        let (task, oldest, count) = (number()?, number()?, number()?);
        let most = self.capacity as u64;
        if count > most || oldest >= most || task > u64::from(u32::MAX) {
            return invalid(&format!(
                "it holds {count} images from place {oldest} on, task {task}"
            ));
        }
        for _ in 0..count {
            self.labels.push(u32::from_le_bytes(read(input)?));
        }
        if let Some(label) = self.labels.iter().find(|label| **label >= self.classes) {
            return invalid(&format!("it has label {label}, of {} classes", self.classes));
        }
        self.images.resize(count as usize * self.image_len(), 0);
        fill(input, &mut self.images)?;
        (self.task, self.oldest) = (task as u32, oldest as usize);
        self.hashes = self.images.chunks_exact(self.image_len()).map(hash).collect();
        self.slots = self.hashes.iter().copied().zip(0..).collect();
        match input.read(&mut [0])? {
            0 => Ok(()),
            _ => invalid("there is something after its end"),
        }
    }
}

/// Images u8 `[n, channels, height, width]` with their labels i64 `[n]`: the right answer stands in the place of the
/// action, its reward is 1, and nothing follows.
pub(super) fn transitions(s_tm1: Tensor, a_tm1: Tensor) -> Transitions {
    let r_t = a_tm1.ones_like().to_kind(Kind::Float);
    let discount_t = r_t.zeros_like();
    let s_t = s_tm1.shallow_clone();
    Transitions { s_tm1, a_tm1, r_t, discount_t, s_t }
}

/// The same in every run of one program; it is not saved.
fn hash(image: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}

fn invalid<T>(text: &str) -> Result<T> {
    Err(Error::State(format!("the saved images: {text}")))
}

fn read<const N: usize>(input: &mut dyn Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(input, &mut bytes)?;
    Ok(bytes)
}

fn fill(input: &mut dyn Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).or_else(|error| match error.kind() {
        ErrorKind::UnexpectedEof => invalid("they end too early"),
        _ => Err(error.into()),
    })
}
