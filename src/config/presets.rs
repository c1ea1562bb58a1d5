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
];

/// The preset of this name.
pub fn preset(name: &str) -> Option<Preset> {
    PRESETS.iter().copied().find(|preset| preset.name == name)
}
