//! Named configurations that come with the program.

/// A named configuration. Its first comment lines say what it is and whose values it has.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

impl Preset {
    /// The first comment: what it is for and where its values come from.
    pub fn doc(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix('#'));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        &[$(Preset { name: $name, text: include_str!(concat!("../../presets/", $name, ".toml")) }),*]
    };
}

/// All presets.
pub const PRESETS: &[Preset] = presets![
    "quickstart",
    "double_dqn_zoo",
    "paper_atari",
    "dopamine_sticky",
    "atari_cpu",
    "mnist_true_label",
    "label_memorisation",
    "permuted_inputs",
    "class_incremental",
    "warm_start",
    "env_dqn_zoo",
    "env_machado",
    "env_dopamine",
    "env_dopamine_nature",
    "env_gymnasium_v5",
];

/// The preset of this name.
pub fn preset(name: &str) -> Option<Preset> {
    PRESETS.iter().copied().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use toml::{Table, Value};

    use super::*;
    use crate::{
        config::{Options, layers, resolve},
        plugins,
    };

    /// The settings of an environment preset, `kind` apart, as they stand in a table.
    fn env_settings(name: &str) -> Vec<(String, String)> {
        let preset = preset(name).unwrap_or_else(|| panic!("there is no preset `{name}`"));
        let mut table: Table = preset.text.parse().expect("valid TOML");
        let env = table.remove("env").expect("it sets [env]");
        assert!(table.is_empty(), "{name} sets more than [env]: {table}");
        let shown = |value: &Value| value.to_string().trim_matches('"').to_owned();
        let env = env.as_table().expect("a table");
        let rows = env.iter().filter(|(key, _)| *key != "kind");
        let mut rows: Vec<_> = rows.map(|(key, value)| (key.clone(), shown(value))).collect();
        rows.sort();
        rows
    }

    /// The cells of the first table under `heading`.
    fn table_under(text: &str, heading: &str) -> Vec<Vec<String>> {
        let below = text.split_once(heading).expect("the heading is there").1;
        let lines = below.lines().skip_while(|line| !line.starts_with('|'));
        let rows =
            lines.take_while(|line| line.starts_with('|')).filter(|line| !line.contains("---"));
        let cells = |line: &str| {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        rows.map(cells).collect()
    }

    #[test]
    fn the_table_of_protocols_shows_the_presets() {
        let table = table_under(include_str!("../../docs/atari.md"), "## Protocols");
        let (header, rows) = table.split_first().expect("a table");
        let mut documented: Vec<&str> = header[1..].iter().map(String::as_str).collect();
        let mut presets: Vec<&str> = PRESETS
            .iter()
            .map(|preset| preset.name)
            .filter(|name| name.starts_with("env_"))
            .collect();
        for (column, name) in header.iter().enumerate().skip(1) {
            let mut shown: Vec<(String, String)> = rows
                .iter()
                .map(|row| (row[0].clone(), row[column].trim_matches('*').to_owned()))
                .collect();
            shown.sort();
            assert_eq!(shown, env_settings(name), "{name}");
        }
        for row in rows {
            for cell in &row[1..] {
                let differs = cell.trim_matches('*') != row[1];
                assert_eq!(cell.starts_with("**"), differs, "{}: {cell} in bold?", row[0]);
            }
        }
        documented.sort_unstable();
        presets.sort_unstable();
        assert_eq!(documented, presets);
    }

    #[cfg(feature = "atari")]
    #[test]
    fn protocols_set_every_setting_of_atari_but_the_game_and_its_variant() {
        let plugins = plugins::builtin();
        let atari = plugins.envs.get("atari").expect("registered");
        let not_theirs = ["game", "mode", "difficulty", "rom_folder"];
        let mut all: Vec<&str> =
            atari.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        all.retain(|name| !not_theirs.contains(name));
        all.sort_unstable();
        let settings = env_settings("env_dqn_zoo");
        assert_eq!(settings.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), all);
    }

    #[test]
    fn dqn_zoos_presets_evaluate_by_frames_and_the_others_by_episodes() {
        let evaluates = |preset: &str, frames, episodes, num_envs| {
            let options = Options { base: Some(preset.to_owned()), ..Options::default() };
            let layers = layers(&options).expect("a preset");
            let eval = resolve(&layers, &plugins::builtin()).expect("a configuration").eval;
            assert_eq!((eval.frames, eval.num_envs), (frames, num_envs), "{preset}");
            assert!(frames > 0 || eval.episodes == episodes, "{preset}: {}", eval.episodes);
        };
        evaluates("double_dqn_zoo", 500_000, 0, 1);
        evaluates("paper_atari", 500_000, 0, 1);
        evaluates("dopamine_sticky", 0, 30, 8);
        evaluates("atari_cpu", 0, 10, 8);
        evaluates("quickstart", 0, 10, 10);
    }

    #[test]
    fn whichever_of_frames_and_episodes_is_set_last_counts() {
        let evaluated = |set: &[&str]| {
            let set = set.iter().map(|setting| (*setting).to_owned()).collect();
            let base = Some("double_dqn_zoo".to_owned());
            let options = Options { base, set, ..Options::default() };
            let layers = layers(&options).expect("settings");
            let config = resolve(&layers, &plugins::builtin()).expect("a configuration");
            (config.eval.episodes, config.eval.frames)
        };
        assert_eq!(evaluated(&["eval.episodes=5"]), (5, 0));
        assert_eq!(evaluated(&["eval.frames=7", "eval.episodes=5"]), (5, 0));
        assert_eq!(evaluated(&["eval.episodes=5", "eval.frames=7"]), (5, 7));
        assert_eq!(evaluated(&["eval={episodes=5, frames=7}"]), (5, 7), "both at once");
        assert_eq!(evaluated(&["eval.epsilon=0.5"]).1, 500_000);
    }
}
