//! How large a study was asked for.

use super::file::StudyFile;
use crate::engine::Seeds;

/// One of a study's scales, and what the command line lays over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The name of the scale.
    pub scale: String,
    /// Other seeds than the scale's.
    pub seeds: Option<Seeds>,
    /// Settings of all runs, as `--set` takes them.
    pub set: Vec<String>,
}

impl Extent {
    /// The seeds of its runs, in order.
    pub fn seeds(&self, file: &StudyFile) -> Result<Seeds, String> {
        self.seeds.clone().map_or_else(|| file.scale(&self.scale)?.seeds(), Ok)
    }
}
