//! `figures/`: curves and matrices as files, one for each measurement.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use pliant_core::{
    clock::Clock,
    error::Result,
    metrics::{Curves, Line, Matrix, Metrics, Value},
    sink::Sink,
};

use super::{at, picture};
use crate::plot;

/// Writes `figures/AREA/NAME/<updates>_<frames>.svg` with a `.csv` of the same name for curves, `.png` and `.npy`
/// for matrices. A probe that measures by frames can do so twice between two updates.
pub struct FigureSink {
    folder: PathBuf,
}

impl FigureSink {
    /// Below a run directory; folders are made when there is something to put into them.
    pub fn new(run: &Path) -> Self {
        Self { folder: run.join("figures") }
    }

    fn write(&self, tag: &str, clock: &Clock, extension: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.folder.join(tag);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let path = folder.join(format!("{:09}_{:011}.{extension}", clock.updates, clock.frames));
        Ok(fs::write(&path, bytes).map_err(at(&path))?)
    }

    fn curves(&self, tag: &str, clock: &Clock, curves: &Curves) -> Result<()> {
        self.write(tag, clock, "csv", curves_csv(curves).as_bytes())?;
        match plot::curves_svg(&title(tag, clock), curves) {
            Some(svg) => self.write(tag, clock, "svg", svg.as_bytes()),
            None => Ok(()),
        }
    }

    fn matrix(&self, tag: &str, clock: &Clock, matrix: &Matrix) -> Result<()> {
        self.write(tag, clock, "npy", &matrix_npy(matrix))?;
        match plot::matrix_picture(&title(tag, clock), matrix)? {
            Some(drawn) => self.write(tag, clock, "png", &picture::png(&drawn)?),
            None => Ok(()),
        }
    }
}

impl Sink for FigureSink {
    fn write(&mut self, clock: &Clock, _wall_s: f64, metrics: &Metrics) -> Result<()> {
        for (tag, value) in metrics.iter() {
            match value {
                Value::Curves(curves) => self.curves(tag, clock, curves)?,
                Value::Matrix(matrix) => self.matrix(tag, clock, matrix)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// What stands above a figure.
pub(super) fn title(tag: &str, clock: &Clock) -> String {
    format!("{tag}, update {}", clock.updates)
}

const HEADER: &str = "line,x,y,low,high\n";

/// `line,x,y,low,high`; the last two are empty without a band.
fn curves_csv(curves: &Curves) -> String {
    let mut text = HEADER.to_owned();
    for line in &curves.lines {
        let name = line.name.replace('"', "\"\"");
        for (index, (x, y)) in line.points.iter().enumerate() {
            let band = line.band.get(index).map(|(low, high)| format!("{low},{high}"));
            let band = band.unwrap_or_else(|| ",".to_owned());
            let _ = writeln!(text, "\"{name}\",{x},{y},{band}");
        }
    }
    text
}

/// The first line of a file that [`FigureSink`] wrote of curves; `None` if it is none.
pub fn read_first_line(path: &Path) -> Option<Line> {
    let text = fs::read_to_string(path).ok()?;
    let mut rows = text.strip_prefix(HEADER)?.lines().peekable();
    let name = rows.peek()?.rsplitn(5, ',').last()?.to_owned();
    let mut line = Line { name: name.trim_matches('"').replace("\"\"", "\""), ..Line::default() };
    for row in rows {
        let fields: Vec<&str> = row.rsplitn(5, ',').collect();
        let [high, low, y, x, of] = fields[..] else { return None };
        if of != name {
            break;
        }
        line.points.push((x.parse().ok()?, y.parse().ok()?));
        if let (Ok(low), Ok(high)) = (low.parse(), high.parse()) {
            line.band.push((low, high));
        }
    }
    Some(line)
}

/// NumPy's format, f32 `[rows, columns]`.
fn matrix_npy(matrix: &Matrix) -> Vec<u8> {
    use ndarray_npy::WriteNpyExt as _;
    let shape = (matrix.rows, matrix.columns);
    let view =
        ndarray::ArrayView2::from_shape(shape, &matrix.values).expect("as long as its shape");
    let mut bytes = Vec::new();
    view.write_npy(&mut bytes).expect("memory takes everything");
    bytes
}

#[cfg(test)]
mod tests {
    use pliant_core::metrics::Axis;

    use super::*;

    #[test]
    fn each_figure_is_written_with_its_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut metrics = Metrics::default();
        let line = Line {
            name: "a".to_owned(),
            points: vec![(1.0, 2.0), (2.0, 3.5)],
            band: vec![(1.0, 3.0), (2.0, 4.0)],
        };
        let (x, y) = (Axis::linear("x"), Axis::linear("y"));
        let other = Line { points: vec![(7.0, 7.0)], ..Line::default() };
        let lines = vec![line.clone(), other];
        metrics.add("hessian/density", Value::Curves(Curves { x, y, lines }));
        let (range, label) = ((-1.0, 1.0), "transition".to_owned());
        let matrix = Matrix { rows: 1, columns: 2, values: vec![0.5, -0.5], range, label };
        metrics.add("gradients/cosine", Value::Matrix(matrix));
        let clock = Clock { updates: 42, frames: 168, ..Clock::default() };
        FigureSink::new(folder.path()).write_all(&clock, &metrics);
        let read = |name: &str| fs::read(folder.path().join("figures").join(name)).expect(name);
        let csv =
            String::from_utf8(read("hessian/density/000000042_00000000168.csv")).expect("text");
        assert_eq!(csv, "line,x,y,low,high\n\"a\",1,2,1,3\n\"a\",2,3.5,2,4\n\"\",7,7,,\n");
        let path = folder.path().join("figures/hessian/density/000000042_00000000168.csv");
        assert_eq!(read_first_line(&path), Some(line));
        assert_eq!(read_first_line(folder.path()), None);
        assert!(read("hessian/density/000000042_00000000168.svg").starts_with(b"<"));
        assert!(read("gradients/cosine/000000042_00000000168.png").starts_with(b"\x89PNG"));
        let array: ndarray::Array2<f32> = {
            use ndarray_npy::ReadNpyExt as _;
            ndarray::Array2::read_npy(read("gradients/cosine/000000042_00000000168.npy").as_slice())
                .expect("an array")
        };
        assert_eq!(array, ndarray::array![[0.5, -0.5]]);
    }

    #[test]
    fn two_measurements_at_one_update_are_two_files() {
        let folder = tempfile::tempdir().expect("a folder");
        for frames in [100, 200] {
            let mut metrics = Metrics::default();
            let (range, label) = ((0.0, 1.0), "transition".to_owned());
            let matrix = Matrix { rows: 1, columns: 1, values: vec![1.0], range, label };
            metrics.add("gradients/cosine", Value::Matrix(matrix));
            let clock = Clock { updates: 42, frames, ..Clock::default() };
            FigureSink::new(folder.path()).write_all(&clock, &metrics);
        }
        let written = fs::read_dir(folder.path().join("figures/gradients/cosine")).expect("made");
        assert_eq!(written.count(), 4, "a picture and an array each");
    }

    impl FigureSink {
        fn write_all(&mut self, clock: &Clock, metrics: &Metrics) {
            Sink::write(self, clock, 0.0, metrics).expect("written");
        }
    }
}
