//! Damage to JSON, which keeps it JSON.

use serde_json::{Map, Value, json};

use super::Damage;

impl Damage {
    /// A damaged copy: values of another type, extreme numbers, longer, shorter and empty lists, keys taken out,
    /// put in or exchanged.
    pub fn json(&mut self, whole: &Value) -> Value {
        let mut value = whole.clone();
        for _ in 0..self.steps() {
            self.change_somewhere(&mut value);
        }
        value
    }

    fn change_somewhere(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) if !items.is_empty() && !self.once_in(4) => {
                let at = self.below(items.len());
                self.change_somewhere(&mut items[at]);
            }
            Value::Object(fields) if !fields.is_empty() && !self.once_in(4) => {
                let at = self.below(fields.len());
                if let Some(inner) = fields.values_mut().nth(at) {
                    self.change_somewhere(inner);
                }
            }
            _ => self.change(value),
        }
    }

    fn change(&mut self, value: &mut Value) {
        if self.once_in(4) {
            *value = self.any_value();
            return;
        }
        match value {
            Value::Number(_) => *value = self.any_number(),
            Value::String(text) => *text = self.text(text),
            Value::Bool(switch) => *switch = !*switch,
            Value::Array(items) => self.change_list(items),
            Value::Object(fields) => self.change_fields(fields),
            Value::Null => *value = self.any_value(),
        }
    }

    fn change_list(&mut self, items: &mut Vec<Value>) {
        let at = self.below(items.len());
        match self.below(4) {
            0 => items.clear(),
            1 if !items.is_empty() => drop(items.remove(at)),
            2 if !items.is_empty() => items.push(items[at].clone()),
            _ => items.push(self.any_value()),
        }
    }

    fn change_fields(&mut self, fields: &mut Map<String, Value>) {
        let keys: Vec<String> = fields.keys().cloned().collect();
        if keys.is_empty() || self.once_in(3) {
            fields.insert("no_such_key".to_owned(), self.any_value());
            return;
        }
        let (one, other) = (self.one_of(&keys).clone(), self.one_of(&keys).clone());
        let taken = fields.remove(&one).unwrap_or_default();
        match self.below(3) {
            0 => {}
            1 => drop(fields.insert(other, taken)),
            _ => drop(fields.insert(self.text(&one), taken)),
        }
    }

    /// A number at which something may go wrong.
    pub fn any_number(&mut self) -> Value {
        let near = self.below(300) as i64 - 3;
        let all = [
            json!(0),
            json!(-1),
            json!(1),
            json!(0.5),
            json!(-0.5),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(u32::MAX),
            json!(1u64 << 32),
            json!(1e308),
            json!(-1e308),
            json!(1e-310),
            json!(near),
        ];
        self.one_of(&all).clone()
    }

    /// A value of any type.
    pub fn any_value(&mut self) -> Value {
        let all = [
            Value::Null,
            json!(true),
            json!(false),
            json!(""),
            json!("text"),
            json!([]),
            json!([1, -1, "x"]),
            json!([[]]),
            json!({}),
            json!({ "kind": 1 }),
        ];
        if self.once_in(2) { self.any_number() } else { self.one_of(&all).clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_value_is_damaged_sometimes() {
        let whole = json!({ "a": 1, "b": [1, 2], "c": { "d": "x" }, "e": null });
        let damaged: Vec<Value> =
            (0..300).map(|case| Damage::of("json", case).json(&whole)).collect();
        for key in ["a", "b", "c", "e"] {
            assert!(damaged.iter().any(|value| value[key] != whole[key]), "{key}");
            assert!(damaged.iter().any(|value| value.get(key).is_none()), "{key} is taken out");
        }
    }
}
