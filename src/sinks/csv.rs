//! `metrics.csv`: scalars as comma-separated values (RFC 4180, with plain line feeds).

use std::{borrow::Cow, fs, path::Path};

use super::table::{Format, Row, TableSink};
use crate::failure::{Failure, Outcome};

/// Writes scalars as `frames,agent_steps,updates,wall_s,tag,value`.
///
/// A value is written with as many digits as it takes to read the same `f64` back; what is not a
/// number is `nan`, `inf` or `-inf`.
pub type CsvSink = TableSink<Csv>;

/// The format of a [`CsvSink`].
pub struct Csv;

impl Format for Csv {
    const HEADER: &str = "frames,agent_steps,updates,wall_s,tag,value\n";

    fn row(row: &Row) -> String {
        let Row { clock, wall_s, tag, value } = row;
        let value = if value.is_nan() { "nan".to_owned() } else { format!("{value:?}") };
        format!(
            "{},{},{},{wall_s:.3},{},{value}\n",
            clock.frames,
            clock.agent_steps,
            clock.updates,
            quoted(tag)
        )
    }

    fn row_length(text: &[u8]) -> Option<usize> {
        let mut in_quotes = false;
        let end = text.iter().position(|&byte| {
            in_quotes ^= byte == b'"';
            byte == b'\n' && !in_quotes
        });
        end.map(|end| end + 1)
    }

    fn frames(row: &[u8]) -> Option<u64> {
        let field = row.split(|&byte| byte == b',').next()?;
        str::from_utf8(field).ok()?.parse().ok()
    }
}

/// The last value of a tag that needs no quotes, of a file that a [`CsvSink`] wrote.
pub fn last(path: &Path, tag: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let of_tag = |row: &str| {
        row.rsplit_once(',')
            .filter(|(front, _)| front.ends_with(&format!(",{tag}")))?
            .1
            .parse()
            .ok()
    };
    text.lines().rev().find_map(of_tag)
}

/// A row of a table of metrics, without its tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// When, in each of the units.
    pub frames: u64,
    /// Decisions.
    pub agent_steps: u64,
    /// Optimiser steps.
    pub updates: u64,
    /// What was measured.
    pub value: f64,
}

/// All whole rows of a file that a [`CsvSink`] wrote, with their tags.
pub fn read(path: &Path) -> Outcome<Vec<(String, Measurement)>> {
    rows(path).map(|(rows, _)| rows)
}

/// The same of a run that came to its end at so many frames; an error if the file does not reach there.
pub fn read_to_the_end(path: &Path, frames: u64) -> Outcome<Vec<(String, Measurement)>> {
    let failed = |error: String| Failure::Input(format!("{}: {error}", path.display()));
    let (rows, is_torn) = rows(path)?;
    let last = rows.last().map_or(0, |(_, row)| row.frames);
    if is_torn {
        return Err(failed("it ends within a row, though the run came to its end".to_owned()));
    }
    if last < frames {
        return Err(failed(format!("it ends at frame {last}, the run at frame {frames}")));
    }
    Ok(rows)
}

/// Whole rows, and whether a part of one follows.
fn rows(path: &Path) -> Outcome<(Vec<(String, Measurement)>, bool)> {
    let failed = |error: String| Failure::Input(format!("{}: {error}", path.display()));
    let text = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut rest = text
        .strip_prefix(Csv::HEADER.as_bytes())
        .ok_or_else(|| failed(format!("the first line is not `{}`", Csv::HEADER.trim_end())))?;
    let mut rows = Vec::new();
    while let Some(length) = Csv::row_length(rest) {
        let row = String::from_utf8_lossy(&rest[..length]);
        let read = measurement(row.trim_end_matches('\n'));
        rows.push(
            read.ok_or_else(|| failed(format!("`{}` is not a row of metrics", row.trim_end())))?,
        );
        rest = &rest[length..];
    }
    Ok((rows, !rest.is_empty()))
}

fn measurement(row: &str) -> Option<(String, Measurement)> {
    let mut fields = row.splitn(5, ',');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (frames, agent_steps, updates) = (number()?, number()?, number()?);
    let _wall_s = fields.next()?;
    let (tag, value) = fields.next()?.rsplit_once(',')?;
    let tag = match tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => tag.to_owned(),
    };
    Some((tag, Measurement { frames, agent_steps, updates, value: value.parse().ok()? }))
}

fn quoted(tag: &str) -> Cow<'_, str> {
    if tag.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", tag.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(tag)
    }
}

#[cfg(test)]
mod tests {
    use pliant_core::{clock::Clock, metrics::Metrics, sink::Sink};

    use super::*;

    fn clock(frames: u64) -> Clock {
        Clock { frames, agent_steps: frames / 4, updates: frames / 16, episodes: 0 }
    }

    fn scalar(tag: &str, value: f64) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.scalar(tag, value);
        metrics
    }

    /// One row at each of `frames`, tagged `loss`.
    fn write_rows(mut sink: CsvSink, frames: &[u64]) {
        for &frames in frames {
            sink.write(&clock(frames), 0.5, &scalar("loss", 1.0)).expect("a row");
        }
    }

    fn frames_in(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).expect("a file");
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(Csv::HEADER.trim_end()));
        lines.map(|line| Csv::frames(line.as_bytes()).expect("frames")).collect()
    }

    #[test]
    fn scalars_become_rows_and_other_values_do_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        let mut sink = CsvSink::create(&path).expect("a sink");
        let mut metrics = scalar("train/loss", 0.25);
        metrics.text("notes", "text");
        metrics.scalar("a,\"b\"", f64::NAN);
        sink.write(&clock(64), 1.23456, &metrics).expect("rows");
        sink.flush().expect("flushed");
        let text = fs::read_to_string(&path).expect("a file");
        let rows = "64,16,4,1.235,train/loss,0.25\n64,16,4,1.235,\"a,\"\"b\"\"\",nan\n";
        assert_eq!(text, [Csv::HEADER, rows].concat());
    }

    #[test]
    fn values_read_back_as_the_same_numbers() {
        for value in [0.1 + 0.2, 1e300, -5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
            let row = Csv::row(&Row { clock: &clock(0), wall_s: 0.0, tag: "x", value });
            let read: f64 =
                row.trim_end().rsplit(',').next().expect("a field").parse().expect(&row);
            assert_eq!(read.to_bits(), value.to_bits());
        }
    }

    #[test]
    fn the_last_value_of_a_tag_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        let mut sink = CsvSink::create(&path).expect("a sink");
        for (tag, value) in [("eval/return", 1.0), ("eval/return", 2.5), ("old/eval/return", 9.0)] {
            sink.write(&clock(8), 0.0, &scalar(tag, value)).expect("a row");
        }
        sink.flush().expect("flushed");
        assert_eq!(last(&path, "eval/return"), Some(2.5));
        assert_eq!([last(&path, "none"), last(&dir.path().join("none"), "loss")], [None, None]);
    }

    #[test]
    fn rows_are_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        let mut sink = CsvSink::create(&path).expect("a sink");
        for (tag, value) in [("a,\"b\"", 0.25), ("two\nlines", f64::NAN), ("c", f64::INFINITY)] {
            sink.write(&clock(64), 1.0, &scalar(tag, value)).expect("a row");
        }
        sink.flush().expect("flushed");
        let rows = read(&path).expect("rows");
        let tags: Vec<&str> = rows.iter().map(|(tag, _)| &**tag).collect();
        assert_eq!(tags, ["a,\"b\"", "two\nlines", "c"]);
        let first = Measurement { frames: 64, agent_steps: 16, updates: 4, value: 0.25 };
        assert_eq!(rows[0].1, first);
        assert!(rows[1].1.value.is_nan() && rows[2].1.value == f64::INFINITY);
        fs::write(&path, [Csv::HEADER, "1,2,x,0.0,a,1.0\n"].concat()).expect("a file");
        let error = read(&path).expect_err("garbage").to_string();
        assert!(error.contains("1,2,x,0.0,a,1.0"), "{error}");
    }

    #[test]
    fn resuming_drops_later_rows_and_a_torn_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        write_rows(CsvSink::create(&path).expect("a sink"), &[10, 20, 20, 30]);
        let mut torn = fs::read(&path).expect("a file");
        torn.extend(b"30,7");
        fs::write(&path, &torn).expect("a file");

        write_rows(CsvSink::resume(&path, 20, 2).expect("a sink"), &[25]);
        assert_eq!(frames_in(&path), [10, 20, 20, 25]);
        fs::write(&path, &torn).expect("a file");
        write_rows(CsvSink::resume(&path, 20, 1).expect("a sink"), &[25]);
        assert_eq!(
            frames_in(&path),
            [10, 20, 25],
            "the second row at 20 came after the checkpoint"
        );
        fs::write(&path, &torn).expect("a file");
        write_rows(CsvSink::resume(&path, 99, 0).expect("a sink"), &[100]);
        assert_eq!(frames_in(&path), [10, 20, 20, 30, 100]);
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_tag_with_a_line_end_stays_one_row() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        let mut sink = CsvSink::create(&path).expect("a sink");
        sink.write(&clock(8), 0.0, &scalar("two\n9 lines", 1.0)).expect("a row");
        drop(sink);
        let before = fs::read(&path).expect("a file");
        drop(CsvSink::resume(&path, 8, 1).expect("a sink"));
        assert_eq!(fs::read(&path).expect("a file"), before);
    }

    #[test]
    fn a_file_without_a_whole_header_is_started_anew() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        for torn in [None, Some(""), Some("frames,agent")] {
            torn.inspect(|torn| fs::write(&path, torn).expect("a file"));
            write_rows(CsvSink::resume(&path, 5, 0).expect("a sink"), &[6]);
            assert_eq!(frames_in(&path), [6]);
        }
    }

    pliant_fuzzing::surfaces! { damaged_files_are_refused_or_gone_on_with: 10_000 }

    fn damaged_files_are_refused_or_gone_on_with(cases: std::ops::Range<u64>) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        write_rows(CsvSink::create(&path).expect("a sink"), &[10, 20, 30]);
        let whole = fs::read(&path).expect("a file");
        pliant_fuzzing::Surface::new("csv").check(cases, |damage| {
            fs::write(&path, damage.bytes(&whole, &[])).expect("written");
            last(&path, "loss");
            let before = fs::read(&path).expect("a file");
            let resumed = CsvSink::resume(&path, 20, damage.below(3) as u64);
            if resumed.is_err() {
                assert!(fs::read(&path).expect("a file") == before, "refused, but changed");
            }
            let resumed = resumed.and_then(|mut sink| {
                sink.write(&clock(25), 0.5, &scalar("loss", 1.0))?;
                sink.flush()
            });
            resumed.map_err(|error| crate::failure::legible(&error.to_string())).into()
        });
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.csv");
        fs::write(&path, "step,loss\n1,2\n").expect("a file");
        assert!(CsvSink::create(&path).is_err());
        let message = CsvSink::resume(&path, 9, 0).map(|_| ()).expect_err("foreign").to_string();
        assert!(message.contains("the first line is not `frames,"), "{message}");
        assert_eq!(fs::read(&path).expect("a file"), b"step,loss\n1,2\n");

        let (row, garbage) = ("1,0,0,0.000,a,1.0\n", "x,y\n");
        fs::write(&path, [Csv::HEADER, row, garbage, row].concat()).expect("a file");
        let message = CsvSink::resume(&path, 9, 0).map(|_| ()).expect_err("garbage").to_string();
        assert!(message.contains("line 3: `x,y` is not a row of metrics"), "{message}");
        // What comes after the last row that stays goes anyway.
        fs::write(&path, [Csv::HEADER, row, garbage, "9,0,0,0.000,a,1.0\n"].concat())
            .expect("a file");
        CsvSink::resume(&path, 9, 0).map(drop).expect("rows until then");
        assert_eq!(fs::read_to_string(&path).expect("a file"), [Csv::HEADER, row].concat());
    }
}
