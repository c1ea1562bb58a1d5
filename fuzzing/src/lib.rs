//! Damaged inputs, and what must not come of them: for the tests of whatever reads something.
//!
//! A surface is a reader with real inputs. [`Surface::check`] damages these in as many ways as it is told and
//! hands each to the reader, which may take it or refuse it with one error. A panic, in whichever thread and
//! whether caught or not, fails the test, as do a case of a minute, one that takes more memory than the
//! surface's bound, and an end of the process. What is said then names the surface and the case:
//!
//! ```sh
//! FUZZ_CASE="replay 8231" cargo test -p pliant replay     # that case alone
//! ```
//!
//! A surface is a function of the range of its cases, beside the tests of its reader:
//!
//! ```
//! use pliant_fuzzing::Surface;
//!
//! // In a test binary this makes a quick and a slow test: pliant_fuzzing::surfaces! { damaged_numbers_are_refused: 20_000 }
//! fn damaged_numbers_are_refused(cases: std::ops::Range<u64>) {
//!     Surface::new("numbers").check(cases, |damage| damage.text("17, 4").trim().parse::<u8>().into());
//! }
//! # damaged_numbers_are_refused(0..100);
//! ```
//!
//! A case is a function of the surface's name and its number. Damage is done to real inputs, not drawn from a
//! grammar, so a case that fails is a few steps away from one that is right, and needs no shrinking: that is why
//! this is a loop of our own over a seeded generator rather than a library of strategies.

mod bytes;
mod cases;
mod json;
mod memory;
mod text;
mod watch;

pub use cases::{QUICK, Surface, Verdict};
pub use memory::Counted;
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};

/// Does damage. All that it does follows from the surface's name and the case's number.
pub struct Damage(ChaCha8Rng);

impl Damage {
    /// That of one case.
    pub fn of(surface: &str, case: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(case.to_le_bytes());
        hash.update(surface.as_bytes());
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// A number from 0 that is less than `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end.max(1))
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    /// If there are none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// How many steps of damage are done: mostly one, seldom four.
    fn steps(&mut self) -> usize {
        1 + [0, 0, 0, 1, 1, 2, 3][self.below(7)]
    }
}
