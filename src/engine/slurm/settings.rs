//! What of Slurm a study's runs are given.

use std::{collections::BTreeMap, ffi::OsString};

use serde::Deserialize;
use toml::{Table, Value};

/// The keys, and the beginning of the option of `sbatch` that a value completes.
const KEYS: [(&str, &str); 9] = [
    ("account", "--account="),
    ("constraint", "--constraint="),
    ("cpus", "--cpus-per-task="),
    ("gpus", "--gres=gpu:"),
    ("memory", "--mem="),
    ("notice_s", "--signal=B:USR1@"),
    ("partition", "--partition="),
    ("qos", "--qos="),
    ("time", "--time="),
];

/// How long before its time is up a run is told to save and stop, in seconds: Slurm may be a minute late.
const NOTICE_S: &str = "120";

/// Settings by their keys, each an option of `sbatch`; what is not set is left to Slurm and to sbatch's own variables
/// (`SBATCH_PARTITION`, ..). Values are checked by `sbatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct Settings(BTreeMap<&'static str, String>);

impl TryFrom<Table> for Settings {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let mut settings = Self::default();
        table.into_iter().try_for_each(|(key, value)| match value {
            Value::String(text) => settings.set(&key, &text),
            Value::Integer(number) => settings.set(&key, &number.to_string()),
            other => Err(format!("slurm: {key} is {other}, expected a text or a whole number")),
        })?;
        Ok(settings)
    }
}

impl Settings {
    /// These with assignments `KEY=VALUE` laid over them.
    pub fn with(&self, assignments: &[String]) -> Result<Self, String> {
        let mut settings = self.clone();
        for assignment in assignments {
            let (key, value) = assignment.split_once('=').ok_or_else(|| {
                format!("--slurm {assignment}: expected KEY=VALUE, such as partition=gpu")
            })?;
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    /// The options of `sbatch`, for runs that compute with so many threads.
    pub fn options(&self, threads: usize) -> Vec<OsString> {
        let threads = threads.to_string();
        let value = |key| match (self.0.get(key), key) {
            (Some(value), _) => Some(value.as_str()),
            (None, "cpus") => Some(threads.as_str()),
            (None, "notice_s") => Some(NOTICE_S),
            (None, _) => None,
        };
        let option =
            |(key, option): &(&'static str, &str)| Some(format!("{option}{}", value(key)?));
        KEYS.iter().filter_map(option).map(OsString::from).collect()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some((key, _)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let known: Vec<String> = KEYS.iter().map(|(key, _)| format!("`{key}`")).collect();
            return Err(format!(
                "slurm: unknown key `{key}`, expected one of {} (--jobs says how many runs at a time; others of \
                 sbatch's options have variables, such as SBATCH_RESERVATION)",
                known.join(", ")
            ));
        };
        if value.trim().is_empty() {
            return Err(format!("slurm: {key} is empty"));
        }
        self.0.insert(key, value.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn given(assignments: &[&str]) -> Vec<String> {
        assignments.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn settings_become_options_of_sbatch_and_what_is_given_wins() {
        let scale = of("time = 90\ngpus = 1\nmemory = \"24G\"").expect("settings");
        let settings = scale.with(&given(&["gpus=a100:2", "account=x=y", "notice_s=300"]));
        let wanted = [
            "--account=x=y",
            "--cpus-per-task=4",
            "--gres=gpu:a100:2",
            "--mem=24G",
            "--signal=B:USR1@300",
            "--time=90",
        ];
        assert_eq!(settings.expect("settings").options(4), wanted);
        let least = Settings::default().options(1);
        assert_eq!(least, ["--cpus-per-task=1", "--signal=B:USR1@120"]);
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_is_known() {
        for error in [
            of("throttle = 3").expect_err("unknown"),
            Settings::default().with(&given(&["throttle=3"])).expect_err("unknown"),
        ] {
            for words in ["`throttle`", "`account`", "`time`", "--jobs"] {
                assert!(error.contains(words), "{error}");
            }
        }
        assert!(of("gpus = true").expect_err("no text").contains("gpus is true"));
        let refused = |text| Settings::default().with(&given(&[text])).expect_err("refused");
        assert!(refused("partition").contains("KEY=VALUE"));
        assert!(refused("partition= ").contains("partition is empty"));
    }
}
