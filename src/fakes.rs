//! An environment for tests, of tasks that are gone through in turn, and runs on it.

use std::{path::Path, sync::Arc};

use pliant_core::registry::Plugins;
use pliant_envs::env::{
    Env, EnvError, EnvFactory, EnvSpec, FrameShape, Picture, ReferenceScores, Role, StackPadding,
    Step,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{self, Layer, Options},
    experiment::{self, Experiment},
    plugins,
    run_dir::RunDirectory,
};

/// Steps of an episode.
pub const EPISODE: u64 = 5;

/// Steps after which the next task comes.
pub const TURN: u64 = 50;

/// What each task's episode returns, whatever is done.
pub const RETURNS: [f64; 2] = [5.0, 50.0];

/// The tasks as they are called and as they stand in tags.
pub const TASKS: [(&str, &str); 2] = [("Low", "low"), ("high:x=1", "high_x_1")];

/// Its settings.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Its pictures are empty.
    blind: bool,
    /// The first task stands at the end of the list once more.
    again: bool,
    /// It panics at this step; 0 never.
    panics_at: u64,
    /// Rows and columns of a frame; 0 are 2.
    side: u8,
}

#[derive(Debug)]
struct TurnsFactory {
    spec: EnvSpec,
    /// The one task of the environments it makes, or all in turn.
    only: Option<usize>,
    settings: Settings,
}

impl TurnsFactory {
    fn new(only: Option<usize>, settings: Settings) -> Self {
        let is_played = |index: &usize| only.is_none_or(|only| only == *index);
        let again = (only.is_none() && settings.again).then_some(0);
        let played = (0..TASKS.len()).filter(is_played).chain(again);
        let side = if settings.side == 0 { 2 } else { settings.side.into() };
        let spec = EnvSpec {
            frame: FrameShape { channels: 1, height: side, width: side },
            frame_stack: 1,
            stack_padding: StackPadding::Zeros,
            actions: vec!["left".to_owned(), "right".to_owned()],
            tasks: played.map(|index| TASKS[index].0.to_owned()).collect(),
            continuing: false,
            reward_per_step_name: None,
            supervised: false,
        };
        Self { spec, only, settings }
    }
}

impl EnvFactory for TurnsFactory {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn make(&self, _role: Role, _num_envs: usize) -> Result<Box<dyn Env>, EnvError> {
        let (spec, only) = (self.spec.clone(), self.only);
        let Settings { blind, panics_at, .. } = self.settings;
        Ok(Box::new(Turns { spec, only, blind, panics_at, steps: 0 }))
    }

    fn task(&self, index: usize) -> Option<Arc<dyn EnvFactory>> {
        let is_one = self.only.is_none() && index < self.spec.tasks.len();
        let index = index % TASKS.len();
        is_one.then(|| Arc::new(Self::new(Some(index), self.settings)) as Arc<dyn EnvFactory>)
    }

    fn reference_scores(&self, task: usize) -> Option<ReferenceScores> {
        (task == 0).then_some(ReferenceScores { random: 0.0, human: 4.0 })
    }

    fn provenance(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

struct Turns {
    spec: EnvSpec,
    only: Option<usize>,
    blind: bool,
    panics_at: u64,
    steps: u64,
}

impl Env for Turns {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: Option<u64>, frame: &mut [u8]) -> Result<(), EnvError> {
        if seed.is_some() {
            self.steps = 0;
        }
        frame.fill(self.steps as u8);
        Ok(())
    }

    fn step(&mut self, _action: usize, frame: &mut [u8]) -> Result<Step, EnvError> {
        let turn = (self.steps / TURN) as usize % TASKS.len();
        self.steps += 1;
        assert!(self.panics_at == 0 || self.steps < self.panics_at, "a broken cartridge");
        frame.fill(self.steps as u8);
        let reward = RETURNS[self.only.unwrap_or(turn)] as f32 / EPISODE as f32;
        let terminated = self.steps.is_multiple_of(EPISODE);
        Ok(Step {
            reward,
            raw_reward: reward,
            terminated,
            discount: if terminated { 0.0 } else { 1.0 },
            frames: 1,
            task: if self.only.is_some() { 0 } else { turn as u32 },
            ..Step::default()
        })
    }

    fn render(&mut self) -> Picture {
        let side = if self.blind { 0 } else { 2 };
        Picture { height: side, width: side, rgb: vec![self.steps as u8; 3 * side * side] }
    }

    fn save_state(&self) -> Result<Vec<u8>, EnvError> {
        Ok(self.steps.to_le_bytes().to_vec())
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let bytes = state.try_into().map_err(|_| EnvError::State("not 8 bytes".to_owned()))?;
        self.steps = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// The built-in kinds and the environment `turns`.
pub fn plugins() -> Plugins {
    let mut plugins = plugins::builtin();
    plugins.envs.register("turns", |settings: Settings| {
        Ok(Arc::new(TurnsFactory::new(None, settings)) as _)
    });
    plugins
}

/// The settings of a small agent on `turns`.
pub fn small_layers() -> Vec<Layer> {
    layers_with(&[])
}

fn layers_with(set: &[&str]) -> Vec<Layer> {
    let small = [
        "env.kind=turns",
        "network.kind=mlp",
        "network.width=4",
        "run.device=cpu",
        "run.threads=1",
        "agent.batch_size=2",
        "agent.replay_capacity=100",
        "agent.learning_starts=10",
        "eval.episodes=2",
        "eval.num_envs=1",
        "log.every_frames=10",
    ];
    let set = small.iter().chain(set).map(|setting| (*setting).to_owned()).collect();
    config::layers(&Options { set, ..Options::default() }).expect("settings")
}

/// A small agent on `turns`, with these settings.
pub fn experiment(set: &[&str]) -> Experiment {
    let (layers, plugins) = (layers_with(set), plugins());
    let config = config::resolve(&layers, &plugins).expect("a configuration");
    experiment::build(config, &plugins).expect("an experiment")
}

/// A run directory for it.
pub fn run_directory(path: &Path, experiment: &Experiment) -> RunDirectory {
    let provenance = crate::commands::provenance(experiment);
    RunDirectory::create(path, &experiment.config, &provenance).expect("a folder").0
}
