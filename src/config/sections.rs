//! The sections that every run has. Their documentation appears in `pliant list settings`.

use pliant_core::precision::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is run, for how long, on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunSection {
    /// Begins the name of the run directory.
    pub name: String,
    /// Root of all random streams.
    pub seed: u64,
    /// Frames to train for; on the MDPs a frame is an agent step.
    pub budget_frames: u64,
    /// `auto`, `cpu` or `cuda:N`.
    pub device: String,
    /// Threads that compute; 0 takes one per core, and one where a GPU computes. The numbers depend on it.
    pub threads: usize,
    /// What updates compute in: `f32`, or `bf16` for bfloat16 in linear maps and convolutions, which on a CPU wants
    /// AVX-512 BF16 or AMX, a large network, and cores that nothing else uses (else one thread); on a GPU also
    /// `tf32` for all products there.
    pub precision: Precision,
    /// On a GPU, launch updates and acting as recorded CUDA graphs where interventions allow it: several
    /// times as fast, the same numbers to rounding.
    pub cuda_graphs: bool,
    /// Environments that step together.
    pub num_envs: usize,
    /// Threads that step them; 0 takes as many as there are environments, at most one per core, of which two are
    /// left out where a GPU learns. The numbers do not depend on it.
    pub env_threads: usize,
}

impl Default for RunSection {
    fn default() -> Self {
        Self {
            name: "run".to_owned(),
            seed: 0,
            budget_frames: 200_000_000,
            device: "auto".to_owned(),
            threads: 0,
            precision: Precision::F32,
            cuda_graphs: true,
            num_envs: 1,
            env_threads: 0,
        }
    }
}

/// When and how the agent is evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvalSection {
    /// Frames of training between evaluations; 0 evaluates at the ends alone.
    pub every_frames: u64,
    /// Evaluate a random policy and the untrained agent before training.
    pub before_training: bool,
    /// Evaluate once more when training ends.
    pub after_training: bool,
    /// Episodes per evaluation, where the task has episodes and `frames` is 0: setting `episodes`
    /// without `frames` sets aside the `frames` of what it is laid over, such as a preset.
    pub episodes: usize,
    /// Frames per evaluation, where the task has episodes; 0 evaluates `episodes` instead. The score
    /// is the mean return of the episodes that end within them; if none does, the return so far of
    /// the one that is running.
    pub frames: u64,
    /// Agent steps per evaluation, where the task has no episodes.
    pub steps: usize,
    /// Exploration rate of the evaluation policy.
    pub epsilon: f64,
    /// Environments that are evaluated together; episodes, frames or steps are dealt out evenly.
    /// With `frames`, 1 is DQN Zoo's protocol; more are faster, but the fewer frames each has, the
    /// more short episodes are favoured.
    pub num_envs: usize,
    /// Where there are several tasks: evaluate all of them each time, not only the one that is
    /// being trained on.
    pub all_tasks: bool,
    /// Agent steps that are filmed at each evaluation, of its first episode at most (15 a second on
    /// Atari at a frame skip of 4); 0 films nothing.
    pub video_steps: u64,
}

impl Default for EvalSection {
    fn default() -> Self {
        Self {
            every_frames: 1_000_000,
            before_training: true,
            after_training: true,
            episodes: 30,
            frames: 0,
            steps: 10_000,
            epsilon: 0.01,
            num_envs: 8,
            all_tasks: false,
            video_steps: 300,
        }
    }
}

/// When the run's state is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSection {
    /// Frames between checkpoints; with 0 here and in `every_minutes` only the end is saved.
    pub every_frames: u64,
    /// Minutes between checkpoints, whatever the speed; 0 goes by frames alone. When they are taken changes no number.
    pub every_minutes: f64,
    /// The newest checkpoints that are kept.
    pub keep: usize,
    /// Save the replay with the newest checkpoint; without it a resumed run refills its replay.
    pub replay: bool,
}

impl Default for CheckpointSection {
    fn default() -> Self {
        Self { every_frames: 1_000_000, every_minutes: 30.0, keep: 2, replay: true }
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Frames between rows of training metrics.
    pub every_frames: u64,
    /// Write TensorBoard event files.
    pub tensorboard: bool,
    /// Write `metrics.csv`.
    pub csv: bool,
    /// Write `metrics.jsonl`.
    pub jsonl: bool,
    /// Write the probes' curves and matrices into `figures/`.
    pub figures: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { every_frames: 10_000, tensorboard: true, csv: true, jsonl: false, figures: true }
    }
}
