//! The environment interface: Gymnasium's names, one frame at a time, no allocation per step.
//!
//! An environment writes one frame `u8 [channels, height, width]` into the caller's slice.
//! Stacking belongs to whoever needs a stack (the acting buffer, the replay), so that each frame is
//! stored once.

use serde::{Deserialize, Serialize};

/// Shape of one frame, `u8 [channels, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameShape {
    /// Colour channels: 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl FrameShape {
    /// Bytes in one frame.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// What stands in a frame stack before an episode has that many frames.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StackPadding {
    /// The first frame of the episode, repeated (Gymnasium's `FrameStackObservation`).
    #[default]
    Repeat,
    /// Black frames (DQN Zoo).
    Zeros,
}

/// What an agent must know of an environment before the first step.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvSpec {
    /// Shape of the frame that `reset` and `step` write.
    pub frame: FrameShape,
    /// Frames in one observation, newest last.
    pub frame_stack: usize,
    /// What fills the stack at the start of an episode.
    pub stack_padding: StackPadding,
    /// Names of the actions; an action is an index into this list.
    pub actions: Vec<String>,
    /// What is played, by name: one game or data set, or several that are gone through in turn.
    /// [`Step::task`] is an index into this list.
    pub tasks: Vec<String>,
    /// True if there are no episodes: evaluation then reports the mean reward per step.
    pub continuing: bool,
    /// What an observation's optimal action is worth: `Some("accuracy")` where the mean reward per
    /// step is a classification accuracy; the name under which evaluation reports it.
    pub reward_per_step_name: Option<&'static str>,
    /// True if every step tells the right action ([`Step::right_action`]) and what comes next does not
    /// depend on actions: for agents that learn from answers instead of rewards, and for no others.
    pub supervised: bool,
}

/// One step's outcome. Every field is about the decision just taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The reward to learn from: clipped if the environment is configured to.
    pub reward: f32,
    /// The reward as the task pays it; sums to the episode's return.
    pub raw_reward: f32,
    /// The episode ended by its own rules: nothing is worth anything after it.
    pub terminated: bool,
    /// The episode was cut off (time limit): the next state still has a value.
    pub truncated: bool,
    /// Multiplies the agent's discount: 0 if terminated, or where a lost life counts as an end
    /// of the future though the episode goes on; otherwise 1.
    pub discount: f32,
    /// Emulator frames this step took (fewer than the frame skip when an episode ends within it).
    pub frames: u32,
    /// Lives left after the step, where the task has lives.
    pub lives: u32,
    /// The episode ended with a lost life, but its game goes on in the next one: the return of
    /// the whole game is not complete yet.
    pub game_goes_on: bool,
    /// Which of [`EnvSpec::tasks`] this step was played in.
    pub task: u32,
    /// The action that would have been right, below the number of actions: the image's label.
    /// `Some` in every step where [`EnvSpec::supervised`], `None` elsewhere.
    pub right_action: Option<u32>,
}

impl Step {
    /// True if the episode is over, for whichever reason.
    pub fn is_last(&self) -> bool {
        self.terminated || self.truncated
    }

    /// True if the whole game is over: what returns are counted by.
    pub fn ends_game(&self) -> bool {
        self.is_last() && !self.game_goes_on
    }
}

/// A picture for people: `u8 [height, width, 3]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Red, green, blue, row by row.
    pub rgb: Vec<u8>,
}

/// One environment.
pub trait Env: Send {
    /// What the agent must know; the same for the environment's whole life.
    fn spec(&self) -> &EnvSpec;

    /// Starts an episode and writes its first frame. `seed` makes everything that follows a
    /// function of it and of the actions; `None` goes on with the present random state.
    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError>;

    /// Takes an action and writes the frame that follows it. An error if the action is out of
    /// range, or if the episode is over or none has begun.
    fn step(&mut self, action: usize, frame: &mut [u8]) -> Result<Step, EnvError>;

    /// Which of [`EnvSpec::tasks`] it plays now.
    fn task(&self) -> u32 {
        0
    }

    /// The present state as a picture.
    fn render(&mut self) -> Picture;

    /// Everything that decides what comes next, as bytes: `load_state` into a new instance of the
    /// same configuration continues exactly.
    fn save_state(&self) -> Result<Vec<u8>, EnvError>;

    /// Takes up a state from `save_state`. On an error the environment is as before.
    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError>;
}

/// Which instance of a task an environment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Gathering experience.
    Training,
    /// Measuring the agent: held-out data where the task has such that can be learned; lost lives do not end episodes.
    Evaluation,
}

/// Mean returns of a random policy and of a human, unclipped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceScores {
    /// A policy that chooses uniformly.
    pub random: f64,
    /// A human player.
    pub human: f64,
}

impl ReferenceScores {
    /// The human-normalised score: 0 for a random policy's return, 1 for a human's.
    pub fn human_normalised(&self, score: f64) -> f64 {
        (score - self.random) / (self.human - self.random)
    }
}

/// The states behind observations, of a task in which they and their values are known.
pub trait KnownStates: Send + Sync + std::fmt::Debug {
    /// How many there are.
    fn count(&self) -> usize;

    /// The state that a frame shows; `None` if it is none of the task's.
    fn state_of(&self, frame: &[u8]) -> Option<usize>;

    /// Optimal action values `[states][actions]` under a discount below 1 per step.
    fn action_values(&self, discount: f64) -> Vec<Vec<f64>>;
}

/// A checked configuration from which any number of instances can be made.
pub trait EnvFactory: Send + Sync + std::fmt::Debug {
    /// The specification all instances share.
    fn spec(&self) -> &EnvSpec;

    /// Makes an instance, one of `num_envs` that share the run's frames.
    fn make(&self, role: Role, num_envs: usize) -> Result<Box<dyn Env>, EnvError>;

    /// A factory of one of [`EnvSpec::tasks`] alone, with the same specification but for its tasks.
    /// `None` says that any instance will do: there is but one task, or instances do not tell them
    /// apart. An `index` beyond the tasks gives `None` as well: checking it is the caller's part.
    fn task(&self, _index: usize) -> Option<std::sync::Arc<dyn EnvFactory>> {
        None
    }

    /// Published scores of one of [`EnvSpec::tasks`] to measure returns by, where there are any.
    fn reference_scores(&self, _task: usize) -> Option<ReferenceScores> {
        None
    }

    /// What instances of [`Role::Evaluation`] show, in words, where that is a choice: `held-out
    /// images`.
    fn evaluation_data(&self) -> Option<&'static str> {
        None
    }

    /// The states behind observations, where they are known.
    fn known_states(&self) -> Option<std::sync::Arc<dyn KnownStates>> {
        None
    }

    /// What the results depend on beside the configuration, as `(what, checksum or version)`:
    /// the ROM, the data set.
    fn provenance(&self) -> Vec<(String, String)>;
}

/// Why an environment could not be made or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// A setting, a ROM or a data set that cannot be used; the text says which, and what would do.
    #[error("{0}")]
    Invalid(String),
    /// An action outside the action set.
    #[error("action {action} is out of range: the environment has {count} actions (0 to {})", count - 1)]
    Action {
        /// The action asked for.
        action: usize,
        /// How many there are.
        count: usize,
    },
    /// A step without an episode.
    #[error("no episode is running: call reset first")]
    NeedsReset,
    /// A saved state that does not fit.
    #[error("saved environment state: {0}")]
    State(String),
    /// A failure inside the emulator or a worker.
    #[error("{0}")]
    Failed(String),
}
