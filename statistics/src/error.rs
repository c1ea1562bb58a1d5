//! What can be wrong with the numbers handed in.

/// An error of a statistic: what was wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Fewer than the statistic needs.
    #[error("{place}: {found} {what}, expected at least {least}")]
    TooFew {
        /// Whose they are.
        place: String,
        /// What is counted, in the plural.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        least: usize,
    },
    /// NaN or infinite.
    #[error("{place}: {value}, expected a finite number")]
    NotFinite {
        /// Whose it is.
        place: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// A task, a seed or a group that is there twice.
    #[error("{place}: {what} is there twice, expected each once")]
    Twice {
        /// Where.
        place: String,
        /// What is there twice, with its name.
        what: String,
    },
    /// Numbers that belong together and differ in count.
    #[error("{place}: {found} {what} but {expected} {other}, expected as many of each{hint}")]
    Unequal {
        /// Whose they are.
        place: String,
        /// The one.
        what: String,
        /// How many of the one.
        found: usize,
        /// The other.
        other: String,
        /// How many of the other.
        expected: usize,
        /// What does without, as the end of the sentence.
        hint: &'static str,
    },
    /// Two sets of scores that are not of the same tasks.
    #[error("`{has}` has task `{task}` and `{lacks}` has not, expected the same tasks of both")]
    OtherTasks {
        /// Whose scores have it.
        has: String,
        /// The task.
        task: String,
        /// Whose scores lack it.
        lacks: String,
    },
    /// A correlation with what does not vary.
    #[error(
        "{place}: all {count} values are {value}, expected some that differ: a correlation with a constant is undefined"
    )]
    Constant {
        /// Which side of what.
        place: String,
        /// How many.
        count: usize,
        /// What they all are.
        value: f64,
    },
    /// An x that is not greater than the one before it.
    #[error("{place}: x {next} after {previous}, expected increasing x")]
    Order {
        /// Whose it is.
        place: String,
        /// The x before.
        previous: f64,
        /// The x that should be greater.
        next: f64,
    },
    /// A setting that cannot be used.
    #[error("`{name}` is {value}, expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// Shorthand for results of statistics.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error unless all values are finite; `place` says where the value of an index is.
pub(crate) fn check_finite(values: &[f64], place: impl Fn(usize) -> String) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite { place: place(index), value: values[index] }),
        None => Ok(()),
    }
}

/// An error if there are fewer than it takes.
pub(crate) fn check_count(
    place: &str,
    what: &'static str,
    found: usize,
    least: usize,
) -> Result<()> {
    if found >= least {
        return Ok(());
    }
    Err(Error::TooFew { place: place.to_owned(), what, found, least })
}

/// An error unless there are numbers, all finite, each greater than the one before.
pub(crate) fn check_increasing(place: &str, values: &[f64]) -> Result<()> {
    check_count(place, "values", values.len(), 1)?;
    check_finite(values, |index| format!("{place}, value {index}"))?;
    match values.windows(2).find(|pair| pair[1] <= pair[0]) {
        None => Ok(()),
        Some(pair) => {
            Err(Error::Order { place: place.to_owned(), previous: pair[0], next: pair[1] })
        }
    }
}
