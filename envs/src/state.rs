//! Saved states as bytes: fields in a fixed order between a header and a checksum.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};

use crate::env::EnvError;

/// Bytes of the checksum at a state's end.
const CHECKSUM: usize = 8;

/// A billion a second for a month.
const MAX_COUNT: u64 = 1 << 51;

/// Writes a state.
pub(crate) struct StateWriter {
    bytes: Vec<u8>,
}

impl StateWriter {
    /// `kind` names the layout and its version; a reader refuses every other.
    pub(crate) fn new(kind: &str) -> Self {
        let mut writer = Self { bytes: Vec::new() };
        writer.bytes(kind.as_bytes());
        writer
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn rng(&mut self, rng: &ChaCha8Rng) {
        self.bytes(&rng.get_seed());
        self.u64(rng.get_stream());
        self.bytes(&rng.get_word_pos().to_le_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        sealed(self.bytes)
    }
}

/// The content with its checksum.
fn sealed(mut content: Vec<u8>) -> Vec<u8> {
    let checksum = Sha256::digest(&content);
    content.extend_from_slice(&checksum[..CHECKSUM]);
    content
}

/// Reads what a [`StateWriter`] wrote, in the same order.
pub(crate) struct StateReader<'a> {
    rest: &'a [u8],
}

impl<'a> StateReader<'a> {
    /// Checks the checksum and the kind.
    pub(crate) fn new(kind: &str, state: &'a [u8]) -> Result<Self, EnvError> {
        let split = state.len().checked_sub(CHECKSUM).ok_or_else(torn)?;
        let (content, checksum) = state.split_at(split);
        if Sha256::digest(content)[..CHECKSUM] != *checksum {
            return Err(torn());
        }
        let mut reader = Self { rest: content };
        let found = reader.bytes()?;
        if found != kind.as_bytes() {
            let found = shown(found);
            return Err(EnvError::State(format!("it holds `{found}`, not `{kind}`")));
        }
        Ok(reader)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, EnvError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or_else(torn)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    /// A number that grows by one at a time: far enough from its end to be counted on.
    pub(crate) fn count(&mut self, what: &str) -> Result<u64, EnvError> {
        match self.u64()? {
            count if count <= MAX_COUNT => Ok(count),
            count => Err(EnvError::State(format!("its {what} are {count}, more than any run has"))),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], EnvError> {
        let length = usize::try_from(self.u64()?).map_err(|_| torn())?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or_else(torn)?;
        self.rest = rest;
        Ok(head)
    }

    /// Bytes that must be as many as `length`.
    pub(crate) fn exactly(&mut self, length: usize, what: &str) -> Result<&'a [u8], EnvError> {
        let bytes = self.bytes()?;
        if bytes.len() == length {
            return Ok(bytes);
        }
        Err(EnvError::State(format!("its {what} has {} bytes, not {length}", bytes.len())))
    }

    pub(crate) fn rng(&mut self) -> Result<ChaCha8Rng, EnvError> {
        let seed = self.exactly(32, "generator's seed")?;
        let mut rng = ChaCha8Rng::from_seed(seed.try_into().map_err(|_| torn())?);
        rng.set_stream(self.u64()?);
        let position = self.exactly(16, "generator's position")?;
        rng.set_word_pos(u128::from_le_bytes(position.try_into().map_err(|_| torn())?));
        Ok(rng)
    }
}

/// What should be a name, fit to print.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
    text.chars().flat_map(char::escape_default).collect()
}

fn torn() -> EnvError {
    EnvError::State(
        "its checksum does not fit: the file is torn or not a saved environment".to_owned(),
    )
}

#[cfg(test)]
pub(crate) mod testing {
    use pliant_fuzzing::{Damage, Verdict};

    use super::{CHECKSUM, sealed};
    use crate::env::{Env, EnvError};

    /// A damaged state under a right checksum, mostly, and mostly behind a kind that is right.
    pub(crate) fn damaged(damage: &mut Damage, state: &[u8]) -> Vec<u8> {
        if damage.once_in(8) {
            return damage.bytes(state, &[]);
        }
        let kind = if damage.once_in(4) { 0 } else { 8 + usize::from(state[0]) };
        let (kind, content) = state[..state.len() - CHECKSUM].split_at(kind);
        sealed([kind, &damage.bytes(content, &[])].concat())
    }

    /// The content of a state under a checksum that fits it.
    pub(crate) fn sealed_anew(mut state: Vec<u8>) -> Vec<u8> {
        state.truncate(state.len().saturating_sub(CHECKSUM));
        sealed(state)
    }

    /// Loads a state, and plays on if it is taken; if it is not, the environment must be as it was.
    pub(crate) fn loaded_and_played(env: &mut dyn Env, state: &[u8], steps: usize) -> Verdict {
        let before = env.save_state().expect("an environment that can be saved");
        if let Err(error) = env.load_state(state) {
            let after = env.save_state().expect("an environment that can be saved");
            assert!(before == after, "a refused state changed the environment");
            return Verdict::Refused(error.to_string());
        }
        let mut frame = vec![0; env.spec().frame.len()];
        env.render();
        for action in 0..steps {
            match env.step(action % env.spec().actions.len(), &mut frame) {
                Ok(step) if !step.is_last() => {}
                Ok(_) | Err(EnvError::NeedsReset) => env.reset(None, &mut frame).expect("a reset"),
                Err(error) => panic!("a step after a state that was taken: {error}"),
            }
        }
        Verdict::Taken
    }
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    fn state() -> Vec<u8> {
        let mut writer = StateWriter::new("test 1");
        writer.u64(7);
        writer.bytes(b"abc");
        writer.finish()
    }

    #[test]
    fn what_was_written_is_read_in_the_same_order() {
        let state = state();
        let mut reader = StateReader::new("test 1", &state).expect("a good state");
        assert_eq!(reader.u64().expect("a number"), 7);
        assert_eq!(reader.exactly(3, "text").expect("three bytes"), b"abc");
        assert!(reader.u64().is_err(), "nothing is left");
    }

    #[test]
    fn a_state_of_another_kind_is_refused() {
        let error = StateReader::new("test 2", &state()).err().expect("another kind");
        assert_eq!(error.to_string(), "saved environment state: it holds `test 1`, not `test 2`");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let whole = state();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(StateReader::new("test 1", &flipped).is_err(), "byte {at}");
            assert!(StateReader::new("test 1", &whole[..at]).is_err(), "cut at {at}");
        }
    }

    pliant_fuzzing::surfaces! { damaged_states_are_read_within_their_bounds: 20_000 }

    fn damaged_states_are_read_within_their_bounds(cases: std::ops::Range<u64>) {
        let mut writer = StateWriter::new("test 1");
        writer.u64(7);
        writer.rng(&ChaCha8Rng::seed_from_u64(3));
        writer.bytes(b"abc");
        let state = writer.finish();
        pliant_fuzzing::Surface::new("state").check(cases, |damage| {
            let state = testing::damaged(damage, &state);
            let read = || {
                let mut reader = StateReader::new("test 1", &state)?;
                reader.u64()?;
                reader.rng()?.next_u32();
                reader.exactly(3, "text").map(drop)
            };
            read().into()
        });
    }

    #[test]
    fn a_generator_continues_where_it_was_saved() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..5 {
            rng.next_u32();
        }
        let mut writer = StateWriter::new("rng");
        writer.rng(&rng);
        let state = writer.finish();
        let mut again = StateReader::new("rng", &state).expect("good").rng().expect("a generator");
        assert_eq!((again.next_u32(), again.next_u64()), (rng.next_u32(), rng.next_u64()));
    }
}
