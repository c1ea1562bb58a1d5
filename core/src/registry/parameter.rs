//! Settings as they are listed: name, type, default, documentation.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

/// A setting of a kind, for listings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Its key.
    pub name: String,
    /// Its type in words: `integer`, `number`, `true or false`, `text`, `list of integers`, ..
    pub kind: String,
    /// Its default; `None` if it is unset by default.
    pub default: Option<Json>,
    /// What it is, with its unit.
    pub doc: String,
    /// The values it takes, if it is a choice.
    pub choices: Vec<String>,
}

/// The documentation of a settings struct and of each of its fields.
pub fn describe<C: Serialize + Default + JsonSchema>() -> (String, Vec<Parameter>) {
    let schema = schemars::schema_for!(C).to_value();
    (doc_of(&schema), parameters(&schema, &C::default()))
}

fn doc_of(schema: &Json) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn parameters<C: Serialize>(schema: &Json, default: &C) -> Vec<Parameter> {
    let defaults = serde_json::to_value(default).expect("settings are plain data");
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .map(|(name, property)| Parameter {
            name: name.clone(),
            default: defaults.get(name).filter(|value| !value.is_null()).cloned(),
            kind: type_of(schema, property),
            doc: doc_of(property),
            choices: choices(schema, property),
        })
        .collect()
}

/// What a setting may be: itself, what it refers to, or its alternatives, but for "unset".
fn alternatives(schema: &Json, property: &Json) -> Vec<Json> {
    let referred = |option: &Json| {
        let path = option["$ref"].as_str()?.trim_start_matches('#');
        schema.pointer(path).cloned()
    };
    let of_optional = property["anyOf"].as_array().into_iter().flatten();
    std::iter::once(property)
        .chain(of_optional)
        .map(|option| referred(option).unwrap_or_else(|| option.clone()))
        .collect()
}

/// The values of an enum setting: given in place or by reference to a definition.
fn choices(schema: &Json, property: &Json) -> Vec<String> {
    let is_choice = |option: &&Json| option["enum"].is_array() || option["oneOf"].is_array();
    let all = alternatives(schema, property);
    let Some(target) = all.iter().find(is_choice) else { return Vec::new() };
    let plain = target["enum"].as_array().cloned().unwrap_or_default();
    let documented = target["oneOf"].as_array().cloned().unwrap_or_default();
    let constants = documented.iter().map(|option| option["const"].clone());
    plain.iter().cloned().chain(constants).filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// The type of a setting in words.
fn type_of(schema: &Json, property: &Json) -> String {
    let all = alternatives(schema, property);
    let Some((option, name)) = all.iter().find_map(|option| Some((option, plain_type(option)?)))
    else {
        return if choices(schema, property).is_empty() { "any" } else { "text" }.to_owned();
    };
    match name {
        "boolean" => "true or false".to_owned(),
        "string" => "text".to_owned(),
        "object" => "table".to_owned(),
        "array" => format!("list of {}", plural(&type_of(schema, &option["items"]))),
        other => other.to_owned(),
    }
}

/// The schema's word for a type, of an optional one that of its value.
fn plain_type(option: &Json) -> Option<&str> {
    let several = option["type"].as_array().into_iter().flatten();
    let mut names = several.chain(std::iter::once(&option["type"])).filter_map(Json::as_str);
    names.find(|name| *name != "null")
}

fn plural(name: &str) -> String {
    match name {
        "true or false" | "any" => name.to_owned(),
        _ if name.starts_with("list of ") => name.replacen("list", "lists", 1),
        _ => format!("{name}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    /// A choice.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        #[default]
        First,
        Second,
    }

    /// All types there are.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Settings {
        count: u32,
        maybe: Option<u64>,
        share: f64,
        maybe_share: Option<f32>,
        switch: bool,
        name: String,
        choice: Choice,
        maybe_choice: Option<Choice>,
        steps: Vec<u64>,
        names: Option<Vec<String>>,
        choices: Vec<Choice>,
        rows: Vec<Vec<f64>>,
        table: BTreeMap<String, u32>,
        anything: Json,
    }

    #[test]
    fn types_are_told_in_words() {
        let (_, parameters) = describe::<Settings>();
        let types: Vec<(&str, &str)> =
            parameters.iter().map(|p| (p.name.as_str(), p.kind.as_str())).collect();
        let expected = [
            ("count", "integer"),
            ("maybe", "integer"),
            ("share", "number"),
            ("maybe_share", "number"),
            ("switch", "true or false"),
            ("name", "text"),
            ("choice", "text"),
            ("maybe_choice", "text"),
            ("steps", "list of integers"),
            ("names", "list of texts"),
            ("choices", "list of texts"),
            ("rows", "list of lists of numbers"),
            ("table", "table"),
            ("anything", "any"),
        ];
        assert_eq!(types, expected);
        assert_eq!(parameters[7].choices, ["first", "second"]);
    }
}
