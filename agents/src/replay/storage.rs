//! Writing a replay and taking it up again, without a second copy in memory.
//!
//! Little-endian: a magic word, the header's u64s, then for each environment the number of stored
//! slots (u64) and the columns, oldest slot first. Nothing that is read decides how much memory is
//! taken.

use std::io::{ErrorKind, Read, Write};

use pliant_core::{
    envs::env::StackPadding,
    error::{Error, Result},
};

use super::{Replay, frames::Frames, ring::Ring};

const MAGIC: &[u8; 8] = b"PLNTRPL1";
/// Values of a column converted at once.
const CHUNK: usize = 4096;

impl Replay {
    /// Writes everything that [`Self::load`] needs.
    pub fn save(&self, out: &mut dyn Write) -> Result<()> {
        out.write_all(MAGIC)?;
        for (_, value) in self.header() {
            write_u64(out, value)?;
        }
        write_u64(out, self.added)?;
        self.rings.iter().try_for_each(|ring| save_ring(ring, &self.frames, out))
    }

    /// Takes up a replay saved under the same configuration. On an error this replay is empty.
    pub fn load(&mut self, input: &mut dyn Read) -> Result<()> {
        let loaded = self.try_load(input);
        if loaded.is_err() {
            self.added = 0;
            self.rings.iter_mut().for_each(Ring::clear);
        }
        loaded
    }

    fn try_load(&mut self, input: &mut dyn Read) -> Result<()> {
        let mut magic = [0; 8];
        read(input, &mut magic)?;
        if &magic != MAGIC {
            return invalid("this is no replay of a known version");
        }
        for (name, expected) in self.header() {
            let value = read_u64(input)?;
            if value != expected {
                return invalid(&format!("{name} is {value}, expected {expected}"));
            }
        }
        self.added = read_u64(input)?;
        let Self { rings, frames, actions, .. } = self;
        rings.iter_mut().try_for_each(|ring| load_ring(ring, frames, *actions, input))?;
        if self.added < self.len() as u64 {
            return invalid(&format!("{} transitions of {} ever added", self.len(), self.added));
        }
        match input.read(&mut [0])? {
            0 => Ok(()),
            _ => invalid("there is something after the end"),
        }
    }

    /// What must agree between the replay saved and the one that takes it up.
    fn header(&self) -> [(&'static str, u64); 8] {
        let frame = self.shape.frame;
        [
            ("the number of environments", self.rings.len() as u64),
            ("the number of slots per environment", self.rings[0].slots() as u64),
            ("the frames' channels", frame.channels as u64),
            ("the frames' height", frame.height as u64),
            ("the frames' width", frame.width as u64),
            ("the frame stack", self.shape.stack as u64),
            ("the stack padding (0 repeat, 1 zeros)", padding_code(self.shape.padding)),
            ("the number of actions", self.actions as u64),
        ]
    }
}

fn padding_code(padding: StackPadding) -> u64 {
    match padding {
        StackPadding::Repeat => 0,
        StackPadding::Zeros => 1,
    }
}

fn save_ring(ring: &Ring, frames: &Frames, out: &mut dyn Write) -> Result<()> {
    let runs = ring.runs();
    write_u64(out, runs.iter().map(|run| run.len() as u64).sum())?;
    let columns = &ring.columns;
    for run in runs.clone() {
        out.write_all(&columns.ages[run])?;
    }
    for run in runs.clone() {
        write_words(out, &columns.actions[run], u32::to_le_bytes)?;
    }
    for run in runs.clone() {
        write_words(out, &columns.rewards[run], f32::to_le_bytes)?;
    }
    for run in runs.clone() {
        write_words(out, &columns.discounts[run], f32::to_le_bytes)?;
    }
    runs.iter().try_for_each(|run| frames.write(ring.rows(run), out))
}

fn load_ring(
    ring: &mut Ring,
    frames: &mut Frames,
    actions: usize,
    input: &mut dyn Read,
) -> Result<()> {
    let count = read_u64(input)?;
    if count == 0 || count > ring.slots() as u64 {
        return invalid(&format!("{count} stored slots, expected 1 to {}", ring.slots()));
    }
    let count = count as usize;
    let columns = &mut ring.columns;
    read(input, &mut columns.ages[..count])?;
    read_words(input, &mut columns.actions[..count], u32::from_le_bytes)?;
    read_words(input, &mut columns.rewards[..count], f32::from_le_bytes)?;
    read_words(input, &mut columns.discounts[..count], f32::from_le_bytes)?;
    frames.read(ring.rows(&(0..count)), |bytes| read(input, bytes))?;
    ring.adopt(count, actions)
}

fn write_words<T: Copy>(
    out: &mut dyn Write,
    values: &[T],
    bytes_of: impl Fn(T) -> [u8; 4],
) -> Result<()> {
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for chunk in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|value| bytes_of(*value)));
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn read_words<T>(
    input: &mut dyn Read,
    values: &mut [T],
    of_bytes: impl Fn([u8; 4]) -> T,
) -> Result<()> {
    let mut bytes = [0; 4 * CHUNK];
    for chunk in values.chunks_mut(CHUNK) {
        let bytes = &mut bytes[..4 * chunk.len()];
        read(input, bytes)?;
        for (value, word) in chunk.iter_mut().zip(bytes.chunks_exact(4)) {
            *value = of_bytes([word[0], word[1], word[2], word[3]]);
        }
    }
    Ok(())
}

fn write_u64(out: &mut dyn Write, value: u64) -> Result<()> {
    Ok(out.write_all(&value.to_le_bytes())?)
}

fn read_u64(input: &mut dyn Read) -> Result<u64> {
    let mut bytes = [0; 8];
    read(input, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read(input: &mut dyn Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::State("replay: it ends early".to_owned()),
        _ => error.into(),
    })
}

fn invalid<T>(what: &str) -> Result<T> {
    Err(Error::State(format!("replay: {what}")))
}
