//! The runs of a study by their conditions.

use super::{
    file::{Axis, Condition},
    plan::PlannedRun,
    results::{Measured, Results},
};

/// The conditions that runs have in common, one on each of some axes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// Their names, for files.
    pub names: Vec<String>,
    /// Their labels, for people.
    pub labels: Vec<String>,
}

/// The runs that differ in one axis and in their seeds alone.
pub struct Group<'a> {
    /// On the other axes.
    pub common: Common,
    /// The conditions of the axis that were planned, in the order of the study's file.
    pub members: Vec<Member<'a>>,
}

/// The runs that differ in two axes and in their seeds alone.
pub struct Grid<'a> {
    /// On the other axes.
    pub common: Common,
    /// For each condition of the first axis a group along the second.
    pub rows: Vec<Row<'a>>,
}

/// A row of a grid.
pub struct Row<'a> {
    /// The condition on the first axis; `None` if there is no such axis.
    pub condition: Option<&'a Condition>,
    /// Along the second axis.
    pub members: Vec<Member<'a>>,
}

impl Row<'_> {
    /// What figures and tables call it.
    pub fn label(&self) -> &str {
        self.condition.map(Condition::label).unwrap_or_default()
    }
}

/// Runs of one condition.
pub struct Member<'a> {
    /// The condition; `None` if there is one member alone, along no axis.
    pub condition: Option<&'a Condition>,
    /// Those that are finished.
    pub runs: Vec<&'a Measured<'a>>,
    /// How many there are to be.
    pub planned: usize,
    /// How many failed.
    pub failed: usize,
}

impl Member<'_> {
    /// The condition's name.
    pub fn name(&self) -> &str {
        self.condition.map(|condition| &*condition.name).unwrap_or_default()
    }

    /// What figures and tables call it.
    pub fn label(&self) -> &str {
        self.condition.map(Condition::label).unwrap_or_default()
    }
}

/// A condition on each axis, in the axes' order; `None` is any.
type Pattern<'a> = Vec<Option<&'a str>>;

impl<'a> Results<'a> {
    /// Along one axis: a group for each combination of conditions on the others. Along none each is a group of one.
    pub fn along(&'a self, axis: Option<&str>) -> Vec<Group<'a>> {
        let place = axis.map(|axis| self.place(axis));
        let group = |pattern: Pattern<'a>| Group {
            common: self.common(&pattern),
            members: match place {
                Some(place) => self.members(&pattern, place),
                None => self.member(None, &pattern).into_iter().collect(),
            },
        };
        let free: Vec<usize> = place.into_iter().collect();
        self.patterns(&free).into_iter().map(group).collect()
    }

    /// Along two axes, the first of which there need not be: a grid for each combination of conditions on the others.
    pub fn across(&'a self, rows: Option<&str>, columns: &str) -> Vec<Grid<'a>> {
        let (row, column) = (rows.map(|axis| self.place(axis)), self.place(columns));
        let free: Vec<usize> = row.into_iter().chain([column]).collect();
        let grid = |pattern: Pattern<'a>| {
            let of_row = |condition: &'a Condition, place: usize| {
                let mut pattern = pattern.clone();
                pattern[place] = Some(&condition.name);
                Row { condition: Some(condition), members: self.members(&pattern, column) }
            };
            let rows = match row {
                None => vec![Row { condition: None, members: self.members(&pattern, column) }],
                Some(place) => {
                    let conditions = self.file.axes[place].conditions.iter();
                    let rows = conditions.map(|condition| of_row(condition, place));
                    rows.filter(|row| !row.members.is_empty()).collect()
                }
            };
            Grid { common: self.common(&pattern), rows }
        };
        self.patterns(&free).into_iter().map(grid).collect()
    }

    /// The conditions of an axis, whatever the runs are otherwise.
    pub fn pooled(&'a self, axis: &str) -> Vec<Member<'a>> {
        self.members(&vec![None; self.file.axes.len()], self.place(axis))
    }

    fn place(&self, axis: &str) -> usize {
        self.file.axes.iter().position(|one| one.name == axis).expect("was checked")
    }

    /// The combinations of conditions that were planned, with the axes in `free` left open.
    fn patterns(&'a self, free: &[usize]) -> Vec<Pattern<'a>> {
        let mut patterns: Vec<Pattern<'a>> = Vec::new();
        for run in &self.plan.runs {
            let conditions = run.conditions.iter().enumerate();
            let pattern: Pattern<'a> = conditions
                .map(|(place, name)| (!free.contains(&place)).then_some(name.as_str()))
                .collect();
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        patterns
    }

    /// The conditions of the axis at `place` that were planned beside a pattern.
    fn members(&'a self, pattern: &Pattern<'a>, place: usize) -> Vec<Member<'a>> {
        let of = |condition: &'a Condition| {
            let mut pattern = pattern.clone();
            pattern[place] = Some(&condition.name);
            self.member(Some(condition), &pattern)
        };
        self.file.axes[place].conditions.iter().filter_map(of).collect()
    }

    /// `None` if there is no such run.
    fn member(
        &'a self,
        condition: Option<&'a Condition>,
        pattern: &Pattern<'a>,
    ) -> Option<Member<'a>> {
        let planned: Vec<&PlannedRun> =
            self.plan.runs.iter().filter(|run| fits(pattern, run)).collect();
        let is_failed = |run: &&&PlannedRun| self.failed.contains(&run.name());
        (!planned.is_empty()).then(|| Member {
            condition,
            runs: self.runs.iter().filter(|measured| fits(pattern, measured.run)).collect(),
            failed: planned.iter().filter(is_failed).count(),
            planned: planned.len(),
        })
    }

    fn common(&self, pattern: &Pattern<'_>) -> Common {
        let mut common = Common::default();
        for (axis, name) in self.file.axes.iter().zip(pattern) {
            if let Some(name) = name {
                common.names.push((*name).to_owned());
                common.labels.push(label(axis, name));
            }
        }
        common
    }
}

fn label(axis: &Axis, name: &str) -> String {
    let condition = axis.conditions.iter().find(|condition| condition.name == name);
    condition.map_or_else(|| name.to_owned(), |condition| condition.label().to_owned())
}

fn fits(pattern: &Pattern<'_>, run: &PlannedRun) -> bool {
    pattern.iter().zip(&run.conditions).all(|(wanted, name)| wanted.is_none_or(|it| it == name))
}
