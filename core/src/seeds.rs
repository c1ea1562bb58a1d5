//! One named random stream per consumer.
//!
//! Nothing in pliant draws from torch's global generator, so that one more consumer (a probe, an
//! intervention) shifts no one else's numbers.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Tensor;

/// The root from which every stream of a run is derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds(u64);

impl Seeds {
    /// The seeds of a run.
    pub fn new(root: u64) -> Self {
        Self(root)
    }

    /// The stream of this name: a function of the root seed and the name alone.
    pub fn stream(&self, name: &str) -> Stream {
        Stream(ChaCha8Rng::from_seed(self.digest(name)))
    }

    /// A plain seed of this name, for whoever has a generator of its own (an emulator). At most
    /// 31 bits, so that it fits a C `int`.
    pub fn seed(&self, name: &str) -> u64 {
        let digest = self.digest(name);
        u64::from(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 1)
    }

    fn digest(&self, name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.to_le_bytes());
        hash.update(name.as_bytes());
        hash.finalize().into()
    }
}

/// A random stream whose state can be saved. An [`RngCore`], so all of `rand` applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ChaCha8Rng")]
pub struct Stream(ChaCha8Rng);

/// What a stream has drawn at most when it is saved: JSON could not hold much more.
const MOST_WORDS: u128 = 1 << 60;

impl TryFrom<ChaCha8Rng> for Stream {
    type Error = String;

    fn try_from(saved: ChaCha8Rng) -> Result<Self, String> {
        match saved.get_word_pos() {
            ..=MOST_WORDS => Ok(Self(saved)),
            drawn => Err(format!("a stream that has drawn {drawn} numbers, expected 2^60 at most")),
        }
    }
}

impl Stream {
    /// f32 tensor of this shape with values uniform in `[-bound, bound)`.
    pub fn uniform(&mut self, shape: &[i64], bound: f64) -> Tensor {
        self.fill(shape, |stream| (stream.0.random::<f32>() * 2.0 - 1.0) * bound as f32)
    }

    /// f32 tensor of this shape with values from the normal distribution of mean 0.
    pub fn normal(&mut self, shape: &[i64], std: f64) -> Tensor {
        self.fill(shape, |stream| stream.0.sample::<f32, _>(StandardNormal) * std as f32)
    }

    /// f32 tensor of this shape whose values are 1 with probability `share`, and 0 otherwise.
    pub fn mask(&mut self, shape: &[i64], share: f64) -> Tensor {
        let below = (share * 2f64.powi(32)) as u64;
        self.fill(shape, |stream| f32::from(u8::from(u64::from(stream.0.next_u32()) < below)))
    }

    /// `count` indices uniform in `0..below`, with replacement.
    pub fn indices(&mut self, count: usize, below: usize) -> Vec<usize> {
        (0..count).map(|_| self.0.random_range(0..below)).collect()
    }

    /// `count` different indices uniform in `0..below`, in random order; `None` if there are not as many.
    pub fn distinct(&mut self, count: usize, below: usize) -> Option<Vec<usize>> {
        (count <= below).then(|| rand::seq::index::sample(&mut self.0, below, count).into_vec())
    }

    /// A stream of its own, decided by this one's next number.
    pub fn split(&mut self) -> Self {
        Self(ChaCha8Rng::seed_from_u64(self.0.next_u64()))
    }

    /// A number uniform in `[0, 1)`.
    pub fn fraction(&mut self) -> f64 {
        self.0.random()
    }

    fn fill(&mut self, shape: &[i64], mut draw: impl FnMut(&mut Self) -> f32) -> Tensor {
        let count = shape.iter().product::<i64>() as usize;
        let values: Vec<f32> = (0..count).map(|_| draw(self)).collect();
        Tensor::from_slice(&values).reshape(shape)
    }
}

impl RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_root_and_name_alone() {
        let draw = |root, name| Seeds::new(root).stream(name).next_u64();
        assert_eq!(draw(1, "replay"), draw(1, "replay"));
        assert_ne!(draw(1, "replay"), draw(1, "exploration"));
        assert_ne!(draw(1, "replay"), draw(2, "replay"));
    }

    #[test]
    fn a_saved_stream_goes_on_where_it_was() {
        let mut stream = Seeds::new(3).stream("x");
        stream.indices(7, 100);
        let saved = serde_json::to_string(&stream).expect("a stream is plain data");
        let mut restored: Stream = serde_json::from_str(&saved).expect("what was just written");
        assert_eq!(stream.indices(50, 1000), restored.indices(50, 1000));
    }

    #[test]
    fn a_stream_that_has_drawn_more_than_can_be_saved_is_refused() {
        let stream = Seeds::new(3).stream("x");
        let mut saved = serde_json::to_value(&stream).expect("a stream is plain data");
        saved["word_pos"] = u64::MAX.into();
        let error = serde_json::from_value::<Stream>(saved).expect_err("too many").to_string();
        assert!(error.contains("18446744073709551615 numbers"), "{error}");
    }

    #[test]
    fn seeds_fit_a_c_int() {
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert!(Seeds::new(0).seed(name) <= i32::MAX as u64);
        }
    }
}
