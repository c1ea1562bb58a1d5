//! Scalars as rows of a text file, one per measurement.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, ErrorKind, Write},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use pliant_core::{
    clock::Clock,
    error::{Error, Result},
    metrics::{Metrics, Value},
    sink::Sink,
};

use super::at;

/// One scalar, and when it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The four units of progress; `episodes` is not a column.
    pub clock: &'a Clock,
    /// Seconds into the run.
    pub wall_s: f64,
    /// What was measured.
    pub tag: &'a str,
    /// The number.
    pub value: f64,
}

/// How rows are written.
pub trait Format {
    /// The file's first line, with its line end; empty if there is none.
    const HEADER: &str;

    /// A row, with its line end.
    fn row(row: &Row) -> String;

    /// The length in bytes of the row at the start of `text`, with its line end; `None` if the
    /// line end is missing.
    fn row_length(text: &[u8]) -> Option<usize>;

    /// A written row's frames.
    fn frames(row: &[u8]) -> Option<u64>;
}

/// Writes scalars as rows; other kinds of values are left out.
pub struct TableSink<F> {
    file: BufWriter<File>,
    path: PathBuf,
    format: PhantomData<F>,
}

impl<F: Format> TableSink<F> {
    /// Starts a file; an error if there is one.
    pub fn create(path: &Path) -> Result<Self> {
        let mut file = File::create_new(path).map_err(at(path))?;
        file.write_all(F::HEADER.as_bytes()).map_err(at(path))?;
        Ok(Self::new(path, file))
    }

    /// Goes on with a file from a checkpoint at `frames` on, which the first `rows` of its own frames came before:
    /// later rows and a torn last one are removed. A file that is not there, or has no whole first line, is
    /// started anew.
    pub fn resume(path: &Path, frames: u64, rows: u64) -> Result<Self> {
        let old = match fs::read(path) {
            Ok(old) => old,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(at(path)(error).into()),
        };
        let rows = kept_rows::<F>(path, &old, (frames, rows))?;
        replace(path, &[F::HEADER.as_bytes(), rows].concat())?;
        let file = OpenOptions::new().append(true).open(path).map_err(at(path))?;
        Ok(Self::new(path, file))
    }

    fn new(path: &Path, file: File) -> Self {
        Self { file: BufWriter::new(file), path: path.to_owned(), format: PhantomData }
    }
}

impl<F: Format> Sink for TableSink<F> {
    fn write(&mut self, clock: &Clock, wall_s: f64, metrics: &Metrics) -> Result<()> {
        for (tag, value) in metrics.iter() {
            if let Value::Scalar(value) = *value {
                let row = F::row(&Row { clock, wall_s, tag, value });
                self.file.write_all(row.as_bytes()).map_err(at(&self.path))?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.file.flush().map_err(at(&self.path))?)
    }
}

/// The rows before `frames` and so many at `frames`. Rows are in order of time, so they are one piece of the file.
fn kept_rows<'a, F: Format>(
    path: &Path,
    text: &'a [u8],
    (frames, mut rows_left): (u64, u64),
) -> Result<&'a [u8]> {
    let header = F::HEADER.as_bytes();
    let Some(rows) = text.strip_prefix(header) else {
        if header.starts_with(text) {
            return Ok(&[]);
        }
        let (path, header) = (path.display(), F::HEADER.trim_end());
        return Err(Error::Invalid(format!("{path}: the first line is not `{header}`")));
    };
    let mut end = 0;
    while let Some(length) = F::row_length(&rows[end..]) {
        match F::frames(&rows[end..end + length]) {
            Some(at) if at < frames => end += length,
            Some(at) if at == frames && rows_left > 0 => {
                end += length;
                rows_left -= 1;
            }
            Some(_) => break,
            // The end of what stays, if nothing that is to stay is missing; of a finished run all stays.
            None if (rows_left == 0 || rows_left > MOST_ROWS)
                && !is_kept_later::<F>(&rows[end + length..], (frames, rows_left)) =>
            {
                break;
            }
            None => {
                let line = 1
                    + header.len().min(1)
                    + rows[..end].iter().filter(|byte| **byte == b'\n').count();
                let row = String::from_utf8_lossy(&rows[end..end + length]);
                let (path, row) = (path.display(), row.trim_end());
                return Err(Error::Invalid(format!(
                    "{path}, line {line}: `{row}` is not a row of metrics; remove the line"
                )));
            }
        }
    }
    Ok(&rows[..end])
}

/// No step has so many rows: all are to stay.
const MOST_ROWS: u64 = u64::MAX / 2;

/// True if a row further on is to stay.
fn is_kept_later<F: Format>(rows: &[u8], (frames, rows_left): (u64, u64)) -> bool {
    let mut end = 0;
    while let Some(length) = F::row_length(&rows[end..]) {
        let at = F::frames(&rows[end..end + length]);
        if at.is_some_and(|at| at < frames || at == frames && rows_left > 0) {
            return true;
        }
        end += length;
    }
    false
}

/// Writes a file aside, then renames it, so that a reader sees the old or the new one.
fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".partial");
    let aside = PathBuf::from(aside);
    let mut file = File::create(&aside).map_err(at(&aside))?;
    file.write_all(text).map_err(at(&aside))?;
    file.sync_all().map_err(at(&aside))?;
    Ok(fs::rename(&aside, path).map_err(at(path))?)
}
