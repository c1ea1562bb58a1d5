//! The settings of the classifier.

use pliant_core::{
    agent::{Agent, AgentContext, AgentFactory},
    envs::env::EnvSpec,
    error::{Error, Result},
};
use serde::{Deserialize, Serialize};

use super::{Classifier, memory::Memory};
use crate::OnNotFinite;

/// A larger memory is taken for a mistake: no data set here has as many images.
const MAX_MEMORY: u64 = 1 << 20;

/// Supervised learning by cross-entropy on a softmax over the actions: one update for every step of the
/// environments, on the images that they showed together (`run.num_envs` is the batch size), in the step
/// after it. For supervised environments (`random_labels`, `permuted_inputs`, ..), to which it answers in
/// evaluation alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Agent steps (images shown, over all environments) before the first update.
    pub learning_starts: u64,
    /// Updates between what interventions do at a target update; the target network itself is not used.
    /// The environment's `steps_per_task`, with a `learning_starts` of 0, lets it be done with the last
    /// update of each task.
    pub target_period_updates: u64,
    /// Different images of the present task kept for probes, at most 1048576: those that came last; a task
    /// begins with none.
    pub memory_images: u64,
    /// What is done about an update whose loss, gradients or parameters are not finite: `stop` ends the run
    /// with a dump of the update and a checkpoint from before it, `skip` leaves the minibatch out. One that is
    /// left out changes nothing and is not counted: target updates and schedules wait for the next.
    pub non_finite: OnNotFinite,
    /// With `skip`: where so many updates in a row were left out, the next ends the run as `stop` does.
    pub max_skipped_in_a_row: u64,
}

impl Default for ClassifierConfig {
    /// The period is that of `random_labels`.
    fn default() -> Self {
        Self {
            learning_starts: 0,
            target_period_updates: 15_000,
            memory_images: 10_000,
            non_finite: OnNotFinite::Stop,
            max_skipped_in_a_row: 100,
        }
    }
}

/// A checked configuration of the classifier.
#[derive(Clone, Debug)]
pub struct Factory(ClassifierConfig);

impl Factory {
    /// Checks every setting.
    pub fn build(config: ClassifierConfig) -> Result<Box<dyn AgentFactory>> {
        let counts = [
            ("target_period_updates", config.target_period_updates),
            ("memory_images", config.memory_images),
            ("max_skipped_in_a_row", config.max_skipped_in_a_row),
        ];
        for (key, value) in counts {
            if value == 0 {
                return Err(Error::Invalid(format!("`{key}` is 0, expected at least 1")));
            }
        }
        if config.memory_images > MAX_MEMORY {
            let images = config.memory_images;
            let text = format!("`memory_images` is {images}, expected at most {MAX_MEMORY}");
            return Err(Error::Invalid(text));
        }
        Ok(Box::new(Self(config)))
    }
}

impl AgentFactory for Factory {
    fn replay_bytes(&self, env: &EnvSpec) -> u64 {
        Memory::bytes(env, self.0.memory_images)
    }

    fn is_supervised(&self) -> bool {
        true
    }

    fn build(&self, context: AgentContext<'_>) -> Result<Box<dyn Agent>> {
        Ok(Box::new(Classifier::new(self.0.clone(), context)?))
    }
}
