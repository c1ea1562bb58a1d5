//! Settings with a schedule beside them, in one flat table.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
    ser::Error as _,
};
use toml::Table;

use crate::registry::one_line;

/// Settings of a kind that has a schedule.
pub trait HasSchedule: Default + Serialize + DeserializeOwned + JsonSchema {
    /// The schedule's settings.
    type Schedule: ScheduleSettings;

    /// The schedule where none is given.
    fn default_schedule() -> Self::Schedule;
}

/// The settings of a schedule.
pub trait ScheduleSettings: Clone + Default + Serialize + DeserializeOwned + JsonSchema {
    /// What is not given, where the table has the keys of `given`; `self` is the kind's default.
    fn defaults_beside(&self, given: &Table) -> Self;

    /// An error if the settings contradict each other.
    fn check(&self) -> Result<(), String>;
}

/// The settings of a kind and its schedule, as one table: `redo:tau=0.025,every_updates=1000`. (serde's
/// `flatten` could not refuse unknown keys.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled<C: HasSchedule> {
    /// The kind's own settings.
    pub config: C,
    /// When it acts.
    pub schedule: C::Schedule,
}

impl<C: HasSchedule> Default for Scheduled<C> {
    fn default() -> Self {
        Self { config: C::default(), schedule: C::default_schedule() }
    }
}

impl<C: HasSchedule> From<C> for Scheduled<C> {
    fn from(config: C) -> Self {
        Self { config, schedule: C::default_schedule() }
    }
}

fn table_of(settings: &impl Serialize) -> Result<Table, toml::ser::Error> {
    Table::try_from(settings)
}

impl<C: HasSchedule> Serialize for Scheduled<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = table_of(&self.config).map_err(S::Error::custom)?;
        table.extend(table_of(&self.schedule).map_err(S::Error::custom)?);
        table.serialize(serializer)
    }
}

impl<'de, C: HasSchedule> Deserialize<'de> for Scheduled<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        Self::from_table(table).map_err(D::Error::custom)
    }
}

impl<C: HasSchedule> Scheduled<C> {
    fn from_table(table: Table) -> Result<Self, String> {
        let keys = |settings: &Table| settings.keys().cloned().collect::<Vec<_>>();
        let text = |error: toml::de::Error| one_line(&error);
        let schedule_keys = keys(&schema_keys::<C::Schedule>());
        let config_keys = keys(&schema_keys::<C>());
        let is_known = |key: &&String| !schedule_keys.contains(key) && !config_keys.contains(key);
        if let Some(unknown) = table.keys().find(is_known) {
            let known = config_keys.iter().chain(&schedule_keys);
            let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
            return Err(format!("unknown field `{unknown}`, expected one of {}", known.join(", ")));
        }
        let (of_schedule, of_config): (Table, Table) =
            table.into_iter().partition(|(key, _)| schedule_keys.contains(key));
        let config = C::deserialize(of_config).map_err(text)?;
        let defaults = C::default_schedule().defaults_beside(&of_schedule);
        let mut all = table_of(&defaults).map_err(|error| error.to_string())?;
        all.extend(of_schedule);
        let schedule = C::Schedule::deserialize(all).map_err(text)?;
        schedule.check()?;
        Ok(Self { config, schedule })
    }
}

/// A table with the keys of some settings, unset ones included.
fn schema_keys<S: JsonSchema>() -> Table {
    let schema = schemars::schema_for!(S).to_value();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties.into_iter().map(|(key, _)| (key, toml::Value::Boolean(true))).collect()
}

impl<C: HasSchedule> JsonSchema for Scheduled<C> {
    fn schema_name() -> Cow<'static, str> {
        format!("Scheduled{}", C::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = C::json_schema(generator);
        let schedule = <C::Schedule as JsonSchema>::json_schema(generator).to_value();
        let own = schema.get("properties").and_then(|all| all.as_object()).cloned();
        let mut properties = own.unwrap_or_default();
        properties.extend(schedule["properties"].as_object().cloned().unwrap_or_default());
        schema.insert("properties".to_owned(), properties.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::UpdateSchedule;

    /// Documented.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        /// The threshold.
        tau: f64,
        /// Not set by default.
        seed: Option<u64>,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self { tau: 0.1, seed: None }
        }
    }

    impl HasSchedule for Settings {
        type Schedule = UpdateSchedule;

        fn default_schedule() -> UpdateSchedule {
            UpdateSchedule { start_updates: 10, ..UpdateSchedule::on_target_update() }
        }
    }

    fn parse(text: &str) -> Result<Scheduled<Settings>, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn one_flat_table_holds_both() {
        let parsed = parse("tau = 0.5\nevery_updates = 100\nseed = 3").expect("valid");
        assert_eq!(parsed.config, Settings { tau: 0.5, seed: Some(3) });
        let schedule = UpdateSchedule { start_updates: 10, ..UpdateSchedule::every(100) };
        assert_eq!(parsed.schedule, schedule, "a given period sets the default aside");
        assert_eq!(parse("").expect("valid"), Scheduled::default());
        assert_eq!(parse("tau = 0.1").expect("valid"), Scheduled::default());
    }

    #[test]
    fn what_is_written_out_reads_the_same() {
        for text in ["", "every_updates = 5", "at_updates = [30, 90]\non_target_update = true"] {
            let parsed = parse(text).expect("valid");
            let written = toml::to_string(&parsed).expect("plain data");
            assert_eq!(parse(&written).expect("just written"), parsed, "{written}");
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_those_of_both() {
        let message = parse("tua = 1").expect_err("unknown");
        for word in ["`tua`", "`tau`", "`seed`", "`every_updates`", "`end_updates`"] {
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_schedule_that_never_acts_or_ends_before_it_starts_is_refused() {
        let never = parse("every_updates = 0").expect_err("never acts");
        assert!(never.contains("never act"), "{never}");
        let zero = parse("at_updates = [0]").expect_err("there is no update 0");
        assert!(zero.contains("`at_updates`"), "{zero}");
        let backwards = parse("end_updates = 5").expect_err("ends before 10");
        assert!(backwards.contains("`end_updates`"), "{backwards}");
    }

    #[test]
    fn listings_have_the_settings_of_both() {
        let (doc, parameters) = crate::registry::describe::<Scheduled<Settings>>();
        assert_eq!(doc, "Documented.");
        let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert!(names.starts_with(&["tau", "seed", "every_updates"]), "{names:?}");
        let on_target = parameters.iter().find(|p| p.name == "on_target_update").expect("listed");
        assert_eq!(on_target.default, Some(true.into()));
    }
}
