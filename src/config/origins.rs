//! Where settings were set, for errors that are only found when all of them are known.

use std::sync::Arc;

use toml::Value;

use super::Layer;

/// The layers that a configuration was made from, the lowest first. They are not part of what is configured: any two
/// are equal.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<[Layer]>);

impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Origins {
    /// Those of these layers.
    pub(super) fn of(layers: &[Layer]) -> Self {
        Self(layers.into())
    }

    /// The error with the place of the setting that it names, if a layer sets it: `FAMILY `KIND`: `SETTING` ..`, perhaps behind
    /// `interventions[N]: `, or `SECTION.SETTING ..`.
    pub fn locate(&self, error: &str) -> String {
        let path = setting(error).unwrap_or_default();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let layer = match path.as_slice() {
            // A layer that adds to a list repeats what stands in it.
            [list @ ("interventions" | "probes"), index, ..] => self.first_of_item(list, index),
            _ => self.0.iter().rev().find(|layer| sets(layer, &path)),
        };
        layer
            .map_or_else(|| error.to_owned(), |layer| format!("{}: {error}", layer.place_of(&path)))
    }
}

impl Origins {
    /// The lowest of the layers from which on down a list's item is what it is at last.
    fn first_of_item(&self, list: &str, index: &str) -> Option<&Layer> {
        let index: usize = index.parse().ok()?;
        let with_list = self.0.iter().rev().filter(|layer| layer.table.contains_key(list));
        let mut items = with_list.map(|layer| (layer, layer.table[list].get(index)));
        let (top, item) = items.next()?;
        let same = items.take_while(|(_, below)| item.is_some() && *below == item);
        same.last().map(|(layer, _)| layer).or_else(|| item.map(|_| top))
    }
}

/// What an error calls a family, and the section that it is in.
const FAMILIES: [(&str, &[&str]); 4] = [
    ("environment", &["env"]),
    ("network", &["network"]),
    ("agent", &["agent"]),
    ("optimizer", &["agent", "optimizer"]),
];

/// The path of the setting that an error is about.
fn setting(error: &str) -> Option<Vec<String>> {
    let owned = |path: &[&str]| path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    if let Some((list, rest)) = error.split_once('[')
        && ["interventions", "probes"].contains(&list)
    {
        let (index, rest) = rest.split_once("]: ")?;
        let (_, rest) = rest.split_once("`: ")?;
        return Some([owned(&[list, index]), key(rest).into_iter().collect()].concat());
    }
    if let Some((_, section)) = FAMILIES.iter().find(|(name, _)| error.starts_with(name)) {
        let (_, rest) = error.split_once("`: ")?;
        return Some([owned(section), vec![key(rest)?]].concat());
    }
    let (path, _) = error.trim_start_matches('`').split_once([' ', '`', ':'])?;
    let (section, key) = path.split_once('.')?;
    ["run", "eval", "checkpoint", "log"].contains(&section).then(|| owned(&[section, key]))
}

/// The name in backquotes that a text begins with.
fn key(text: &str) -> Option<String> {
    text.strip_prefix('`')?.split_once('`').map(|(key, _)| key.to_owned())
}

/// True if a layer has something under a path.
fn sets(layer: &Layer, path: &[&str]) -> bool {
    let Some((section, rest)) = path.split_first() else { return false };
    layer.table.get(*section).is_some_and(|value| has(value, rest))
}

fn has(value: &Value, path: &[&str]) -> bool {
    let Some((key, rest)) = path.split_first() else { return true };
    let inner = match value {
        Value::Table(table) => table.get(*key),
        Value::Array(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
        _ => None,
    };
    inner.is_some_and(|value| has(value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_gets_the_place_of_the_layer_that_set_the_setting_last() {
        let file = "[agent]\ndiscount = 1.5\n[agent.optimizer]\nlearning_rate = 0\n[[probes]]\nkind = \"x\"\n\
                    [[probes]]\nkind = \"units\"\ntau = -1\n[run]\nnum_envs = 0\n";
        let layers = [
            Layer::parse("f.toml", file).expect("TOML"),
            Layer::assignment("--set", "agent.batch_size=0").expect("TOML"),
        ];
        let origins = Origins::of(&layers);
        let (list, one) = ("[[probes]]\nkind = \"x\"\n", "[[probes]]\nkind = \"units\"\n");
        let layer = |source: &str, text: &str| Layer::parse(source, text).expect("TOML");
        let lists = [
            layer("low.toml", one),
            layer("f.toml", &format!("[run]\nseed = 1\n{list}")),
            layer("--probe units", &format!("{list}{one}")),
        ];
        let of_lists = Origins::of(&lists);
        assert_eq!(
            of_lists.locate("probes[0]: probe `x`: `tau` is -1"),
            "f.toml, line 3: probes[0]: probe `x`: `tau` is -1"
        );
        assert_eq!(
            of_lists.locate("probes[1]: probe `units`: `tau` is -1"),
            "--probe units, line 3: probes[1]: probe `units`: `tau` is -1"
        );
        for (error, place) in [
            ("agent `double_dqn`: `discount` is 1.5", "f.toml, line 2: "),
            ("agent `double_dqn`: `batch_size` is 0", "--set agent.batch_size=0: "),
            ("optimizer `adam`: `learning_rate` is 0", "f.toml, line 4: "),
            ("probes[1]: probe `units`: `tau` is -1", "f.toml, line 9: "),
            ("run.num_envs is 0", "f.toml, line 11: "),
            ("agent `double_dqn`: `eps` is 0, which is a default", ""),
            ("network `mlp`: no words of it", ""),
            ("`run.budget_frames` is 0", ""),
            ("nothing of the kind", ""),
        ] {
            assert_eq!(origins.locate(error), format!("{place}{error}"));
        }
    }
}
