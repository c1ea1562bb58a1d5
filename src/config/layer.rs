//! One source of settings: a preset, a file, the environment, a command-line option.

use std::{fs::File, io::Read, ops::Range, path::Path};

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

/// Larger files are taken for something else.
const MAX_BYTES: u64 = 4 << 20;

/// No setting lies in more tables; what walks over them would run out of stack.
const MAX_KEYS: usize = 16;

/// Settings with the name of where they come from.
#[derive(Clone, Debug)]
pub struct Layer {
    source: String,
    text: String,
    /// The settings.
    pub table: Table,
}

impl Layer {
    /// Reads TOML text; `source` names it in messages.
    pub fn parse(source: impl Into<String>, text: impl Into<String>) -> Result<Self, String> {
        let (source, text) = (source.into(), text.into());
        let table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map(|span| line_number(&text, span.start));
            format!("{}: {}", place(&source, line), error.message().trim())
        })?;
        Ok(Self { source, text, table })
    }

    /// Settings that have no text of their own.
    pub fn of_table(source: String, table: Table) -> Self {
        Self { source, text: String::new(), table }
    }

    /// Reads a TOML file.
    pub fn file(path: &Path) -> Result<Self, String> {
        let failed =
            |error: String| format!("cannot read configuration {}: {error}", path.display());
        let mut text = String::new();
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| failed(error.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(failed(format!(
                "it has more than {MAX_BYTES} bytes, expected settings in TOML"
            )));
        }
        Self::parse(path.display().to_string(), text)
    }

    /// One setting given as `a.b.c=value`. The value is TOML; what is not TOML is a string.
    pub fn assignment(option: &str, assignment: &str) -> Result<Self, String> {
        let source = format!("{option} {assignment}");
        let (path, value) = assignment
            .split_once('=')
            .filter(|(path, _)| !path.trim().is_empty())
            .ok_or_else(|| format!("{source}: expected KEY=VALUE, such as env.game=breakout"))?;
        let keys: Vec<&str> = path.split('.').map(str::trim).collect();
        Self::nested(source, &keys, parse_value(value))
    }

    /// One value under a path of keys.
    pub fn nested(source: String, keys: &[&str], value: Value) -> Result<Self, String> {
        if keys.iter().any(|key| key.is_empty()) {
            return Err(format!("{source}: a key is empty"));
        }
        if keys.len() > MAX_KEYS {
            let (shown, count) = (keys[..MAX_KEYS].join("."), keys.len());
            return Err(format!("{shown}..: a path of {count} keys, expected at most {MAX_KEYS}"));
        }
        let wrap =
            |inner: Value, key: &&str| Value::Table(Table::from_iter([((*key).to_owned(), inner)]));
        match keys.iter().rev().fold(value, wrap) {
            Value::Table(table) => Ok(Self::of_table(source, table)),
            _ => Err(format!("{source}: expected SECTION.KEY=VALUE")),
        }
    }

    /// A plug-in given as `KIND` or `KIND:key=value,key=value`, as a table with its `kind`.
    pub fn plugin(option: &str, text: &str) -> Result<Table, String> {
        let (kind, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut table =
            Table::from_iter([("kind".to_owned(), Value::String(kind.trim().to_owned()))]);
        for setting in split_settings(settings) {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                format!(
                    "{option} {text}: expected KIND or KIND:key=value,..; `{setting}` has no `=`"
                )
            })?;
            table.insert(key.trim().to_owned(), parse_value(value));
        }
        Ok(table)
    }

    /// Where this layer's settings come from, with the line of the deepest key of `path` found.
    pub fn place_of(&self, path: &[&str]) -> String {
        let span =
            DeTable::parse(&self.text).ok().and_then(|table| deepest_span(table.get_ref(), path));
        place(&self.source, span.map(|span| line_number(&self.text, span.start)))
    }
}

fn place(source: &str, line: Option<usize>) -> String {
    line.map_or_else(|| source.to_owned(), |line| format!("{source}, line {line}"))
}

fn line_number(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn deepest_span(table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let inner = match (value.get_ref(), rest) {
        (DeValue::Table(inner), _) => deepest_span(inner, rest),
        (DeValue::Array(items), [index, rest @ ..]) => {
            let item = index.parse().ok().and_then(|index: usize| items.get(index));
            item.and_then(|item| {
                let inner = item.get_ref().as_table().and_then(|inner| deepest_span(inner, rest));
                inner.or_else(|| Some(item.span()))
            })
        }
        _ => None,
    };
    inner.or_else(|| Some(key.span()))
}

/// A TOML value, or the text itself as a string if it is none.
fn parse_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    let value =
        parsed.ok().filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.trim().to_owned()))
}

/// Splits at the commas that lie outside brackets and quotes.
fn split_settings(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0usize, false);
    for (index, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_takes_toml_and_falls_back_to_a_string() {
        let value = |text: &str| {
            let layer = Layer::assignment("--set", &format!("a.b={text}")).expect("well-formed");
            layer.table["a"]["b"].clone()
        };
        assert_eq!(value("3"), Value::Integer(3));
        assert_eq!(value("1e-3"), Value::Float(1e-3));
        assert_eq!(value("true"), Value::Boolean(true));
        assert_eq!(value("\"3\""), Value::String("3".to_owned()));
        assert_eq!(value("breakout"), Value::String("breakout".to_owned()));
        assert_eq!(value("1\nb = 2"), Value::String("1\nb = 2".to_owned()));
    }

    #[test]
    fn a_plugin_option_splits_at_outer_commas() {
        let table =
            Layer::plugin("--with", "redo:tau=0.1,layers=[1, 2],name=\"a,b\"").expect("valid");
        assert_eq!(table["kind"].as_str(), Some("redo"));
        assert_eq!(table["layers"].as_array().map(Vec::len), Some(2));
        assert_eq!(table["name"].as_str(), Some("a,b"));
        assert!(Layer::plugin("--with", "redo:tau").is_err());
    }

    #[test]
    fn messages_name_the_line_of_the_key() {
        let text =
            "[run]\nseed = 1\n\n[[probes]]\nkind = \"a\"\n[[probes]]\nkind = \"b\"\ntua = 2\n";
        let layer = Layer::parse("my.toml", text).expect("valid TOML");
        assert_eq!(layer.place_of(&["run", "seed"]), "my.toml, line 2");
        assert_eq!(layer.place_of(&["probes", "1", "tua"]), "my.toml, line 8");
        assert_eq!(layer.place_of(&["nothing"]), "my.toml");
        let error = Layer::parse("my.toml", "[run]\nseed = = 3").expect_err("not TOML");
        assert!(error.starts_with("my.toml, line 2: "), "{error}");
    }
}
