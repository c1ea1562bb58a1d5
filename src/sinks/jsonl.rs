//! `metrics.jsonl`: scalars as one JSON object per line.

use serde_json::{Value, json};

use super::table::{Format, Row, TableSink};

/// Writes scalars as objects with the columns of a [`CsvSink`](super::CsvSink).
///
/// JSON has no numbers that are not finite: they become `null`.
pub type JsonlSink = TableSink<Jsonl>;

/// The format of a [`JsonlSink`].
pub struct Jsonl;

impl Format for Jsonl {
    const HEADER: &str = "";

    fn row(row: &Row) -> String {
        let object = json!({
            "frames": row.clock.frames,
            "agent_steps": row.clock.agent_steps,
            "updates": row.clock.updates,
            "wall_s": (row.wall_s * 1000.0).round() / 1000.0,
            "tag": row.tag,
            "value": row.value,
        });
        format!("{object}\n")
    }

    fn row_length(text: &[u8]) -> Option<usize> {
        text.iter().position(|&byte| byte == b'\n').map(|end| end + 1)
    }

    fn frames(row: &[u8]) -> Option<u64> {
        serde_json::from_slice::<Value>(row).ok()?.get("frames")?.as_u64()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pliant_core::{clock::Clock, metrics::Metrics, sink::Sink};

    use super::*;

    #[test]
    fn resuming_keeps_the_rows_up_to_the_checkpoint() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.jsonl");
        let mut sink = JsonlSink::create(&path).expect("a sink");
        for frames in [4, 8, 12] {
            let mut metrics = Metrics::default();
            metrics.scalar("a\n\"b\"", if frames == 4 { f64::NAN } else { 0.1 });
            let clock = Clock { frames, agent_steps: 1, updates: 2, episodes: 3 };
            sink.write(&clock, 0.12345, &metrics).expect("a row");
        }
        drop(sink);
        drop(JsonlSink::resume(&path, 8, 1).expect("a sink"));
        let text = fs::read_to_string(&path).expect("a file");
        let expected = r#"{"frames":4,"agent_steps":1,"updates":2,"wall_s":0.123,"tag":"a\n\"b\"","value":null}
{"frames":8,"agent_steps":1,"updates":2,"wall_s":0.123,"tag":"a\n\"b\"","value":0.1}
"#;
        assert_eq!(text, expected);
    }

    pliant_fuzzing::surfaces! { damaged_files_are_refused_or_gone_on_with: 10_000 }

    fn damaged_files_are_refused_or_gone_on_with(cases: std::ops::Range<u64>) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("metrics.jsonl");
        let row =
            r#"{"frames":4,"agent_steps":1,"updates":2,"wall_s":0.123,"tag":"a","value":null}"#;
        let whole = format!("{row}\n{row}\n{row}\n");
        pliant_fuzzing::Surface::new("jsonl").check(cases, |damage| {
            fs::write(&path, damage.bytes(whole.as_bytes(), &[])).expect("written");
            let resumed = JsonlSink::resume(&path, 4, damage.below(4) as u64);
            resumed.map_err(|error| crate::failure::legible(&error.to_string())).into()
        });
    }
}
