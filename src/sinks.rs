//! Where a run's metrics go: TensorBoard event files, tables, the terminal.

use std::{io, path::Path};

pub mod console;
pub mod csv;
pub mod figures;
pub mod histogram;
pub mod jsonl;
pub mod picture;
pub mod table;
pub mod tensorboard;

pub use console::{Progress, Status};
pub use csv::CsvSink;
pub use figures::FigureSink;
pub use jsonl::JsonlSink;
pub use tensorboard::{Start, TensorBoardSink};

/// Names the file in an I/O error.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
