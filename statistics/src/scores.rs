//! Scores of one algorithm: runs of tasks.

use rand::{Rng, RngCore};

use crate::{
    average::mean,
    error::{Error, Result, check_count, check_finite},
};

/// One finite score per run and task. Tasks may have different numbers of runs; statistics that pool runs refuse
/// such scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    name: String,
    tasks: Vec<String>,
    /// Task by task.
    values: Vec<f64>,
    /// Where each task's values end.
    ends: Vec<usize>,
}

impl Scores {
    /// From tasks, each with the scores of its runs; `name` is whose scores they are.
    ///
    /// # Errors
    /// No task, a task twice, a task without runs, or a score that is not finite.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        tasks: impl IntoIterator<Item = (T, Vec<f64>)>,
    ) -> Result<Self> {
        let mut scores =
            Self { name: name.into(), tasks: Vec::new(), values: Vec::new(), ends: Vec::new() };
        for (task, runs) in tasks {
            scores.push(task.into(), &runs)?;
        }
        check_count(&format!("`{}`", scores.name), "tasks", scores.tasks.len(), 1)?;
        Ok(scores)
    }

    /// From runs, each with one score per task, as rliable has them: `[runs, tasks]`.
    ///
    /// # Errors
    /// As [`Scores::new`], or a run with more or fewer scores than there are tasks.
    pub fn from_rows(name: impl Into<String>, tasks: &[&str], rows: &[Vec<f64>]) -> Result<Self> {
        let name = name.into();
        for (run, row) in rows.iter().enumerate() {
            check_row(&name, run, row.len(), tasks.len())?;
        }
        let column = |task: usize| rows.iter().map(|row| row[task]).collect();
        let columns = tasks.iter().enumerate().map(|(index, task)| (*task, column(index)));
        Self::new(name, columns)
    }

    fn push(&mut self, task: String, runs: &[f64]) -> Result<()> {
        let place = format!("`{}`, task `{task}`", self.name);
        check_count(&place, "runs", runs.len(), 1)?;
        check_finite(runs, |run| format!("{place}, run {run}"))?;
        if self.tasks.contains(&task) {
            let place = format!("`{}`", self.name);
            return Err(Error::Twice { place, what: format!("task `{task}`") });
        }
        self.tasks.push(task);
        self.values.extend(runs);
        self.ends.push(self.values.len());
        Ok(())
    }

    /// Whose scores they are.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the tasks with the scores of their runs.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.tasks.iter().map(String::as_str).zip(self.runs())
    }

    /// How many tasks there are.
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// The scores of each task's runs.
    pub fn runs(&self) -> impl Iterator<Item = &[f64]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.values[start..*end])
    }

    /// All scores, task by task.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Runs of the task that has the fewest.
    pub fn fewest_runs(&self) -> usize {
        self.runs().map(<[f64]>::len).min().unwrap_or(0)
    }

    /// The mean score of each task.
    pub fn task_means(&self) -> Vec<f64> {
        self.runs().map(mean).collect()
    }

    /// An error unless every task has as many runs, which pooling them takes.
    pub(crate) fn check_equal_runs(&self) -> Result<()> {
        let mut tasks = self.tasks();
        let Some((first, runs)) = tasks.next() else { return Ok(()) };
        match tasks.find(|(_, others)| others.len() != runs.len()) {
            None => Ok(()),
            Some((task, others)) => Err(Error::Unequal {
                place: format!("`{}`", self.name),
                what: format!("runs of `{task}`"),
                found: others.len(),
                other: format!("of `{first}`"),
                expected: runs.len(),
                hint: " (mean and median do without)",
            }),
        }
    }

    /// With the tasks in another's order.
    ///
    /// # Errors
    /// A task that only one of the two has.
    pub(crate) fn in_order_of(&self, other: &Self) -> Result<Self> {
        if let Some(task) = self.tasks.iter().find(|task| !other.tasks.contains(task)) {
            return Err(self.has_alone(task, other));
        }
        let of = |task: &String| {
            let found = self.tasks().find(|(name, _)| name == task);
            found.map(|(_, runs)| (task.clone(), runs.to_vec())).ok_or(other.has_alone(task, self))
        };
        Self::new(self.name.clone(), other.tasks.iter().map(of).collect::<Result<Vec<_>>>()?)
    }

    fn has_alone(&self, task: &str, other: &Self) -> Error {
        let (has, lacks) = (self.name.clone(), other.name.clone());
        Error::OtherTasks { has, task: task.to_owned(), lacks }
    }

    /// Draws runs within each task, with replacement, into scores of the same shape.
    pub(crate) fn resample(&self, drawn: &mut Self, random: &mut impl RngCore) {
        let mut start = 0;
        for end in &self.ends {
            let runs = &self.values[start..*end];
            for value in &mut drawn.values[start..*end] {
                *value = runs[random.random_range(0..runs.len())];
            }
            start = *end;
        }
    }

    /// Each task's scores, to change in place.
    pub(crate) fn runs_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        let mut rest = self.values.as_mut_slice();
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let (task, others) = std::mem::take(&mut rest).split_at_mut(end - start);
            (rest, start) = (others, *end);
            task
        })
    }
}

fn check_row(name: &str, run: usize, found: usize, tasks: usize) -> Result<()> {
    if found == tasks {
        return Ok(());
    }
    Err(Error::Unequal {
        place: format!("`{name}`"),
        what: format!("scores of run {run}"),
        found,
        other: "tasks".to_owned(),
        expected: tasks,
        hint: "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(scores: Result<Scores>) -> String {
        scores.expect_err("bad scores").to_string()
    }

    #[test]
    fn rows_are_runs_and_columns_tasks() {
        let rows = [vec![1.0, 10.0], vec![2.0, 20.0]];
        let scores = Scores::from_rows("dqn", &["pong", "seaquest"], &rows).expect("two by two");
        let tasks: Vec<_> = scores.tasks().collect();
        assert_eq!(tasks, [("pong", &[1.0, 2.0][..]), ("seaquest", &[10.0, 20.0][..])]);
        assert_eq!(scores.task_means(), [1.5, 15.0]);
    }

    #[test]
    fn errors_say_whose_what_and_what_would_be_right() {
        let none: [(&str, Vec<f64>); 0] = [];
        assert_eq!(message(Scores::new("a", none)), "`a`: 0 tasks, expected at least 1");
        assert_eq!(
            message(Scores::new("a", [("pong", vec![])])),
            "`a`, task `pong`: 0 runs, expected at least 1"
        );
        assert_eq!(
            message(Scores::new("a", [("pong", vec![1.0, f64::NAN])])),
            "`a`, task `pong`, run 1: NaN, expected a finite number"
        );
        assert_eq!(
            message(Scores::new("a", [("pong", vec![1.0]), ("pong", vec![2.0])])),
            "`a`: task `pong` is there twice, expected each once"
        );
        assert_eq!(
            message(Scores::from_rows("a", &["x", "y"], &[vec![1.0, 2.0], vec![3.0]])),
            "`a`: 1 scores of run 1 but 2 tasks, expected as many of each"
        );
    }

    #[test]
    fn another_order_of_tasks_is_brought_into_line() {
        let x = Scores::new("x", [("a", vec![1.0]), ("b", vec![2.0])]).expect("good");
        let y = Scores::new("y", [("b", vec![3.0, 4.0]), ("a", vec![5.0])]).expect("good");
        let ordered = y.in_order_of(&x).expect("same tasks");
        assert_eq!(ordered.values(), [5.0, 3.0, 4.0]);
        let more = Scores::new("more", [("a", vec![1.0]), ("b", vec![2.0]), ("c", vec![3.0])]);
        let more = more.expect("good");
        let expected = "`more` has task `c` and `y` has not, expected the same tasks of both";
        assert_eq!(message(y.in_order_of(&more)), expected);
        assert_eq!(message(more.in_order_of(&y)), expected);
    }
}
