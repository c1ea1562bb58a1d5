//! What a study's file says.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use pliant_core::registry::nearest;
use serde::Deserialize;
use toml::{Table, Value};

use super::check;
use super::spec::{
    CurvesSpec, MatrixSpec, ScatterSpec, ScoresSpec, SnapshotSpec, TableSpec, TrendSpec,
};
use crate::engine::{Seeds, slurm};

/// A study, as its TOML file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// What it is called and about.
    pub study: About,
    /// What all runs have in common: a layer of configuration, as in a run's file.
    #[serde(default)]
    pub base: Table,
    /// What varies. Every condition of an axis is met with every one of the others.
    #[serde(default)]
    pub axes: Vec<Axis>,
    /// Combinations that are not run: each names conditions by axis, and leaves out those that have one of each.
    #[serde(default)]
    pub leave_out: Vec<BTreeMap<String, Vec<String>>>,
    /// Settings of combinations of conditions.
    #[serde(default)]
    pub combinations: Vec<Combination>,
    /// How large it can be run, by name.
    pub scales: BTreeMap<String, Scale>,
    /// What the report shows: algorithms over tasks,
    #[serde(default)]
    pub scores: Vec<ScoresSpec>,
    /// learning curves,
    #[serde(default)]
    pub curves: Vec<CurvesSpec>,
    /// numbers against the values of an axis,
    #[serde(default)]
    pub trends: Vec<TrendSpec>,
    /// numbers against numbers,
    #[serde(default)]
    pub scatters: Vec<ScatterSpec>,
    /// curves that probes measured,
    #[serde(default)]
    pub snapshots: Vec<SnapshotSpec>,
    /// heat maps,
    #[serde(default)]
    pub matrices: Vec<MatrixSpec>,
    /// tables.
    #[serde(default)]
    pub tables: Vec<TableSpec>,
}

/// `[study]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Begins the name of its folder.
    pub name: String,
    /// A line for headings.
    pub title: String,
    /// Markdown: what is asked, and what is known.
    #[serde(default)]
    pub about: String,
}

/// `[[axes]]`: something that varies, as a list of `conditions` or as `values` of one `setting`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// What varies, such as `network`.
    pub name: String,
    /// Conditions written out.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// A setting's path, such as `network.width`, in the place of conditions.
    pub setting: Option<String>,
    /// The setting's values; each is a condition named after its value.
    #[serde(default)]
    pub values: Vec<Value>,
}

/// One of the things that an axis can be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Names folders and rows.
    pub name: String,
    /// What figures and tables call it; the name if there is none.
    pub label: Option<String>,
    /// Where it stands on the horizontal axis of a trend; that of a setting's value is the value.
    pub value: Option<f64>,
    /// Settings, as a layer of configuration.
    #[serde(default)]
    pub set: Table,
    /// Interventions that are added, as `--with` takes them.
    #[serde(default)]
    pub with: Vec<String>,
    /// Probes that are added, as `--probe` takes them.
    #[serde(default)]
    pub probe: Vec<String>,
}

/// `[[combinations]]`: settings of runs that have one of the conditions named on each axis named.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combination {
    /// Conditions by axis.
    pub of: BTreeMap<String, Vec<String>>,
    /// The scales at which it applies; all if there are none.
    #[serde(default)]
    pub scales: Vec<String>,
    /// Settings, laid over those of the axes.
    pub set: Table,
}

/// `[scales.NAME]`: how large a study is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// A line: what it is for, and how long it takes on what.
    pub about: String,
    /// `0..4` or `1,2,7`; the same under every condition, so that conditions can be compared seed by seed.
    pub seeds: String,
    /// Settings, laid over the base and below the axes.
    #[serde(default)]
    pub set: Table,
    /// Fewer conditions: those that are run, by axis.
    #[serde(default)]
    pub only: BTreeMap<String, Vec<String>>,
    /// What its runs need of Slurm, where they are submitted to it.
    #[serde(default)]
    pub slurm: slurm::Settings,
}

impl StudyFile {
    /// Reads a file and checks all that can be checked without resolving a configuration.
    pub fn read(path: &Path) -> Result<(Self, String), String> {
        let text = std::fs::read_to_string(path).map_err(|error| cannot_read(path, &error))?;
        let source = path.display().to_string();
        Ok((Self::parse(&source, &text)?, text))
    }

    /// The same from a text; messages name it by `source`.
    pub fn parse(source: &str, text: &str) -> Result<Self, String> {
        let mut file: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
            format!("{source}{line}: {}", error.message().trim())
        })?;
        file.axes.iter_mut().try_for_each(Axis::write_out).map_err(|e| format!("{source}: {e}"))?;
        check::check(&file).map_err(|error| format!("{source}: {error}"))?;
        Ok(file)
    }

    /// The metrics that the report shows, as `metrics.csv` has them.
    pub fn tags(&self) -> BTreeSet<&str> {
        let scores = self.scores.iter().map(|spec| &spec.tag);
        let curves = self.curves.iter().map(|spec| &spec.tag);
        let trends = self.trends.iter().map(|spec| &spec.tag);
        let scatters = self.scatters.iter().flat_map(|spec| [&spec.x.tag, &spec.y.tag]);
        let tables = self.tables.iter().map(|spec| &spec.tag);
        scores
            .chain(curves)
            .chain(trends)
            .chain(scatters)
            .chain(tables)
            .map(String::as_str)
            .collect()
    }

    /// A scale by its name.
    pub fn scale(&self, name: &str) -> Result<&Scale, String> {
        self.scales.get(name).ok_or_else(|| {
            let names: Vec<String> = self.scales.keys().map(|name| format!("`{name}`")).collect();
            format!("unknown scale `{name}` of {}, expected {}", self.study.name, names.join(", "))
        })
    }
}

impl Axis {
    /// Makes conditions of a setting's values.
    fn write_out(&mut self) -> Result<(), String> {
        let Some(setting) = &self.setting else {
            return match self.values.is_empty() {
                true => Ok(()),
                false => {
                    Err(format!("axis {} has values but no setting that takes them", self.name))
                }
            };
        };
        if !self.conditions.is_empty() {
            return Err(format!(
                "axis {} has conditions and a setting, expected one of them",
                self.name
            ));
        }
        let condition = |value: &Value| {
            let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Condition {
                name,
                label: None,
                value: value.as_float().or(value.as_integer().map(|value| value as f64)),
                set: nested(setting, value),
                with: Vec::new(),
                probe: Vec::new(),
            }
        };
        self.conditions = self.values.iter().map(condition).collect();
        Ok(())
    }
}

impl Condition {
    /// What figures and tables call it.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }
}

impl Scale {
    /// The seeds, in order.
    pub fn seeds(&self) -> Result<Seeds, String> {
        self.seeds.parse()
    }
}

/// A name that is no file may be meant for one of ours.
fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    let names = || super::STUDIES.iter().map(|study| study.name);
    let given = path.display();
    let nearest = nearest(&path.to_string_lossy(), names());
    let question = nearest.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
    let names = names().collect::<Vec<_>>().join("`, `");
    format!("cannot read study {given}: {error}{question}; there are also those by name: `{names}`")
}

/// The table in which a value stands under a path of keys.
fn nested(path: &str, value: &Value) -> Table {
    let (first, rest) =
        path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let inner = rest.map_or_else(|| value.clone(), |rest| Value::Table(nested(rest, value)));
    Table::from_iter([(first.to_owned(), inner)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
[study]
name = "small"
title = "Small"
[[axes]]
name = "width"
setting = "network.width"
values = [16, 32]
[[axes]]
name = "norm"
conditions = [{ name = "none" }, { name = "layer_norm", label = "LayerNorm", with = ["layer_norm"] }]
[scales.smoke]
about = "seconds"
seeds = "0..1"
"#;

    fn error(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from), "{from}");
        StudyFile::parse("s.toml", &SMALL.replace(from, to)).expect_err("a fault")
    }

    #[test]
    fn values_of_a_setting_are_conditions() {
        let file = StudyFile::parse("s.toml", SMALL).expect("a study");
        let names: Vec<&str> = file.axes[0].conditions.iter().map(|c| &*c.name).collect();
        assert_eq!(names, ["16", "32"]);
        assert_eq!(file.axes[0].conditions[1].set["network"]["width"].as_integer(), Some(32));
        assert_eq!(file.axes[1].conditions[1].label(), "LayerNorm");
        assert_eq!(file.axes[1].conditions[0].label(), "none");
    }

    #[test]
    fn faults_are_told_with_their_place_and_what_is_right() {
        for (from, to, words) in [
            ("title =", "titel =", &["s.toml, line 4", "titel", "title"][..]),
            ("values = [16, 32]", "values = [16, 16]", &["axis width", "`16`", "twice"]),
            ("values = [16, 32]", "values = []", &["axis width is empty"]),
            ("name = \"norm\"", "name = \"width\"", &["axes", "`width`", "twice"]),
            ("setting = \"network.width\"\n", "", &["axis width", "no setting"]),
            ("\"none\"", "\"a/b\"", &["a condition of axis norm", "a/b"]),
            ("\"none\"", "\"..\"", &["a condition of axis norm"]),
            ("seeds = \"0..1\"", "seeds = \"1..0\"", &["scales.smoke.seeds"]),
            (
                "seeds = \"0..1\"",
                "seeds = \"0..1\"\nonly = { norms = [] }",
                &["unknown axis `norms`", "`norm`"],
            ),
            (
                "seeds = \"0..1\"",
                "seeds = \"0..1\"\nonly = { norm = [\"x\"] }",
                &["unknown condition `x`", "`none`"],
            ),
            (
                "[scales.smoke]",
                "[[leave_out]]\nnorm = []\n[scales.smoke]",
                &["leave_out.norm", "empty"],
            ),
            ("[scales.smoke]", "[[leave_out]]\n[scales.smoke]", &["[[leave_out]] is empty"]),
            (
                "[scales.smoke]",
                "[[snapshots]]\nname = \"s\"\ntitle = \"S\"\ntag = \"x\"\nx_label = \"x\"\nat = \"first\"\n[scales.smoke]",
                &["snapshots s.at does nothing", "`lines`"],
            ),
            (
                "[scales.smoke]",
                "[[tables]]\nname = \"t\"\ntitle = \"T\"\ntag = \"x\"\nrows = \"norm\"\ncolumns = \"width\"\nagainst = \"none\"\n[scales.smoke]",
                &["tables t", "`against`", "`columns`"],
            ),
            (
                "[scales.smoke]",
                "[[tables]]\nname = \"t\"\ntitle = \"T\"\ntag = \"x\"\nrows = \"norms\"\n[scales.smoke]",
                &["tables t", "unknown axis `norms`", "`norm`"],
            ),
            (
                "[scales.smoke]",
                "[[tables]]\nname = \"t\"\ntitle = \"T\"\ntag = \"x\"\nrows = \"norm\"\nagainst = \"x\"\n[scales.smoke]",
                &["tables t, against", "`x`", "`none`"],
            ),
        ] {
            let error = error(from, to);
            assert!(words.iter().all(|word| error.contains(word)), "{to}: {error}");
        }
        let file = StudyFile::parse("s.toml", SMALL).expect("a study");
        assert!(file.scale("paper").expect_err("none").contains("`smoke`"));
    }
}
