//! The settings of a sequence of Atari tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::{Map, Value};

use super::{super::AtariConfig, task::Task};
use crate::env::EnvError;

/// Atari games, or modes and difficulties of them, one after the other: continual learning. All share
/// the joystick's 18 actions; a change of task truncates the episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ContinualAtariConfig {
    /// The tasks in their order, each `GAME` or `GAME:mode=M,difficulty=D`. The same one may stand
    /// there several times.
    pub tasks: Vec<String>,
    /// Frames of the run, over all its environments together, for which a task is played.
    pub period_frames: u64,
    /// After the last task the first comes again; otherwise the last one stays.
    pub repeat: bool,
    /// What all tasks share, in a table of its own, `[env.atari]`: the settings of the environment
    /// `atari` but for `game`, `mode` and `difficulty`, which stand in `tasks`, and
    /// `full_action_space`, which is always on.
    #[schemars(with = "AtariConfig")]
    pub atari: SharedSettings,
}

impl Default for ContinualAtariConfig {
    fn default() -> Self {
        Self {
            tasks: vec!["breakout".to_owned(), "pong".to_owned()],
            period_frames: 10_000_000,
            repeat: false,
            atari: SharedSettings::default(),
        }
    }
}

impl ContinualAtariConfig {
    /// Refuses what no list of tasks could be played with; the games' own limits are checked when
    /// they are loaded.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        let invalid = |text: &str| Err(EnvError::Invalid(text.to_owned()));
        if self.tasks.is_empty() {
            return invalid(
                "tasks is empty: name at least one, such as [\"breakout\", \"pong:mode=1\"]",
            );
        }
        if self.period_frames == 0 {
            return invalid("period_frames is 0: a task is played for at least 1 frame");
        }
        self.atari.0.check()
    }
}

/// The settings of `atari` that tasks can share.
///
/// Not a struct of its own: that would be thirteen fields of [`AtariConfig`] and their
/// documentation again, or `flatten`, under which unknown keys pass unnoticed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedSettings(AtariConfig);

/// Keys of [`AtariConfig`] that are not shared, with the reason.
const NOT_SHARED: [(&str, &str); 4] = [
    ("game", "the games stand in `tasks`"),
    ("mode", "it belongs to a task: `tasks = [\"pong:mode=1\"]`"),
    ("difficulty", "it belongs to a task: `tasks = [\"pong:difficulty=1\"]`"),
    ("full_action_space", "it is always on, since all tasks share one set of 18 actions"),
];

impl SharedSettings {
    /// The whole settings of one task.
    pub(super) fn of_task(&self, task: Task) -> AtariConfig {
        let Task { game, mode, difficulty } = task;
        AtariConfig { game, mode, difficulty, full_action_space: true, ..self.0.clone() }
    }
}

impl From<AtariConfig> for SharedSettings {
    /// Takes the settings that can be shared.
    fn from(config: AtariConfig) -> Self {
        let AtariConfig { game, mode, difficulty, full_action_space, .. } = AtariConfig::default();
        Self(AtariConfig { game, mode, difficulty, full_action_space, ..config })
    }
}

impl Serialize for SharedSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serde_json::to_value(&self.0).map_err(S::Error::custom)?;
        if let Some(table) = table.as_object_mut() {
            table.retain(|key, _| !NOT_SHARED.iter().any(|(name, _)| name == key));
        }
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Map::deserialize(deserializer)?;
        if let Some((key, reason)) = NOT_SHARED.iter().find(|(key, _)| table.contains_key(*key)) {
            return Err(D::Error::custom(format!("`atari`: `{key}` cannot be set here: {reason}")));
        }
        let config = AtariConfig::deserialize(Value::Object(table));
        config.map(Self).map_err(|error| D::Error::custom(format!("`atari`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ContinualAtariConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn what_belongs_to_a_task_is_refused_among_the_shared_settings() {
        let cases = [
            (r#"{"atari": {"game": "breakout"}}"#, "`game` cannot be set here: the games stand in"),
            (r#"{"atari": {"mode": 0}}"#, "`mode` cannot be set here: it belongs to a task"),
            (r#"{"atari": {"difficulty": 0}}"#, "`difficulty` cannot be set here"),
            (r#"{"atari": {"full_action_space": true}}"#, "it is always on"),
            (r#"{"atari": {"frame_skpi": 4}}"#, "unknown field `frame_skpi`"),
            (r#"{"atari": {"frame_skip": "four"}}"#, "`atari`: invalid type"),
            (r#"{"game": "breakout"}"#, "unknown field `game`, expected one of `tasks`"),
        ];
        for (json, expected) in cases {
            let error = read(json).expect_err("a bad setting");
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn shared_settings_are_written_as_they_are_read() {
        let config = read(r#"{"atari": {"frame_skip": 3, "reward_clip": 2}}"#).expect("good");
        assert_eq!(config.atari.0.frame_skip, 3);
        let written = serde_json::to_value(&config).expect("plain data");
        let keys: Vec<&String> = written["atari"].as_object().expect("a table").keys().collect();
        assert!(!keys.iter().any(|key| NOT_SHARED.iter().any(|(name, _)| name == key)), "{keys:?}");
        assert_eq!(keys.len(), 12, "{keys:?}");
        assert_eq!(read(&written.to_string()), Ok(config));
    }

    #[test]
    fn empty_lists_and_periods_are_refused() {
        let refused = |config: ContinualAtariConfig| config.check().expect_err("bad").to_string();
        let config = ContinualAtariConfig::default;
        config().check().expect("the defaults are good");
        assert!(
            refused(ContinualAtariConfig { tasks: vec![], ..config() }).contains("at least one")
        );
        assert!(refused(ContinualAtariConfig { period_frames: 0, ..config() }).contains("is 0"));
        let atari = AtariConfig { frame_skip: 0, ..AtariConfig::default() }.into();
        assert!(refused(ContinualAtariConfig { atari, ..config() }).contains("frame_skip is 0"));
    }
}
