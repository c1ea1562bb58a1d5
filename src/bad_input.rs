//! Damaged input of the program: what is read is refused with one error or can be worked with.
//!
//! Readers that stand alone have their surfaces beside them; here are those that need a whole experiment.

mod checkpoints;
mod settings;
mod states;
mod text;
