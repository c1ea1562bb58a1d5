//! Whether a table of metrics is whole.

use std::{fs, path::Path};

/// What was read of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub rows: usize,
    /// The last row lacks its end: it was being written.
    pub is_torn: bool,
}

/// Reads `metrics.csv` to its end; an error names the first line that is no row, or that goes back in time.
pub(super) fn check_csv(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (header, rows) = text.split_once('\n').unwrap_or((&text, ""));
    if header != "frames,agent_steps,updates,wall_s,tag,value" {
        return Err("line 1 is not the header of a table of metrics".to_owned());
    }
    check(rows, 2, csv_clock)
}

/// The same of `metrics.jsonl`.
pub(super) fn check_jsonl(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    check(&text, 1, json_clock)
}

/// Frames, agent steps, updates.
type Times = [u64; 3];

fn check(
    rows: &str,
    first_line: usize,
    clock: impl Fn(&str) -> Option<Times>,
) -> Result<Table, String> {
    let (whole, rest) = rows.rsplit_once('\n').unwrap_or(("", rows));
    let (mut before, mut count) = ([0; 3], 0);
    for (index, row) in whole.split('\n').enumerate().filter(|(_, row)| !row.is_empty()) {
        let line = index + first_line;
        let now = clock(row).ok_or_else(|| format!("line {line} is no row of metrics"))?;
        if now.iter().zip(&before).any(|(now, before)| now < before) {
            return Err(format!("line {line} is of frame {}, after frame {}", now[0], before[0]));
        }
        (before, count) = (now, count + 1);
    }
    Ok(Table { rows: count, is_torn: !rest.is_empty() })
}

fn csv_clock(row: &str) -> Option<Times> {
    let (front, value) = row.rsplit_once(',')?;
    value.parse::<f64>().ok()?;
    let mut columns = front.splitn(5, ',');
    let mut next = || columns.next();
    let times = [next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?];
    next()?.parse::<f64>().ok()?;
    next().filter(|tag| !tag.is_empty()).map(|_| times)
}

fn json_clock(row: &str) -> Option<Times> {
    let row: serde_json::Value = serde_json::from_str(row).ok()?;
    let number = |key: &str| row.get(key)?.as_u64();
    Some([number("frames")?, number("agent_steps")?, number("updates")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(rows: &str) -> Result<Table, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.csv");
        let header = "frames,agent_steps,updates,wall_s,tag,value\n";
        fs::write(&path, [header, rows].concat()).expect("writable");
        check_csv(&path)
    }

    #[test]
    fn rows_are_counted_and_a_torn_end_is_seen() {
        let whole = "4,1,0,0.5,a,1.0\n4,1,0,0.5,\"b,c\",nan\n8,2,1,0.6,a,-inf\n";
        assert_eq!(checked(whole), Ok(Table { rows: 3, is_torn: false }));
        assert_eq!(checked(&[whole, "12,3"].concat()), Ok(Table { rows: 3, is_torn: true }));
        assert_eq!(checked(""), Ok(Table { rows: 0, is_torn: false }));
    }

    #[test]
    fn a_line_that_is_no_row_or_goes_back_is_named() {
        for (rows, words) in [
            ("4,1,0,0.5,a,1.0\n4,1,0\n", "line 3 is no row"),
            ("4,1,0,0.5,a,x\n", "line 2 is no row"),
            ("4,1,0,0.5,,1.0\n", "line 2 is no row"),
            ("8,2,0,0.5,a,1.0\n4,1,0,0.5,a,1.0\n", "line 3 is of frame 4, after frame 8"),
            ("8,2,3,0.5,a,1.0\n8,2,2,0.5,a,1.0\n", "line 3 is of frame 8, after frame 8"),
        ] {
            let error = checked(rows).expect_err(rows);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn lines_of_json_are_checked_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let row = "{\"frames\":4,\"agent_steps\":1,\"updates\":0,\"tag\":\"a\",\"value\":null}\n";
        fs::write(&path, row).expect("writable");
        assert_eq!(check_jsonl(&path), Ok(Table { rows: 1, is_torn: false }));
        fs::write(&path, [row, "{}\n"].concat()).expect("writable");
        assert!(check_jsonl(&path).expect_err("no row").contains("line 2"));
    }
}
