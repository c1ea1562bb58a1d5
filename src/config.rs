//! Configuration: typed sections, layered sources, presets.

mod layer;
mod origins;
mod presets;
mod resolve;
mod sections;
mod sources;

pub use layer::Layer;
pub use origins::Origins;
pub use presets::{PRESETS, Preset, preset};
pub use resolve::{Config, KindTable, resolve};
pub use sections::{CheckpointSection, EvalSection, LogSection, RunSection};
pub use sources::{Options, append, env_section, expand, layers, variables};
