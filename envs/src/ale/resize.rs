//! OpenCV's `resize(..., INTER_AREA)` for shrinking grey pictures, bit for bit.
//!
//! An output pixel is the mean of the source cell it covers; pixels on the cell's edge count by the
//! part inside. Everything is f32, summed along a row first, then over rows, each in source order,
//! without fused multiply-add, and rounded half to even.

/// The source pixels of one output pixel along one axis, and their weights.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    start: usize,
    weights: Vec<f32>,
}

/// Shrinks `u8 [source height, source width]` to `u8 [height, width]`.
#[derive(Clone, Debug)]
pub struct AreaResize {
    source_width: usize,
    width: usize,
    rows: Vec<Cell>,
    taps: usize,
    starts: Vec<usize>,
    weights: Vec<f32>, // [width, taps]
    pixels: Vec<f32>,
    row_sum: Vec<f32>,
    cell_sum: Vec<f32>,
    target: Vec<u8>,
}

impl AreaResize {
    /// `source` and `target` are `(height, width)`. The target must be smaller than the source, and
    /// not by whole factors in both directions: OpenCV then goes another way.
    pub fn new(source: (usize, usize), target: (usize, usize)) -> Self {
        let columns = cells(source.1, target.1);
        let taps = columns.iter().map(|cell| cell.weights.len()).max().unwrap_or(0);
        let (starts, weights) = aligned(&columns, taps, source.1);
        Self {
            source_width: source.1,
            width: target.1,
            rows: cells(source.0, target.0),
            taps,
            starts,
            weights,
            pixels: vec![0.0; source.1],
            row_sum: vec![0.0; target.1],
            cell_sum: vec![0.0; target.1],
            target: vec![0; target.0 * target.1],
        }
    }

    /// Shrinks `source` into `target`.
    pub fn resize(&mut self, source: &[u8], target: &mut [u8]) {
        let all = vec![true; source.len() / self.source_width];
        self.resize_changed(source, &all, target);
    }

    /// Shrinks `source` into `target`, where only the rows marked in `changed` are different from
    /// the last call's source: the others are not looked at, unless a changed one's neighbours.
    pub fn resize_changed(&mut self, source: &[u8], changed: &[bool], target: &mut [u8]) {
        let mut summed = None; // the source row whose sum stands in `row_sum`
        for y in 0..self.rows.len() {
            let Cell { start, weights } = &self.rows[y];
            if changed[*start..start + weights.len()].contains(&true) {
                self.resize_row(y, source, &mut summed);
            }
        }
        target.copy_from_slice(&self.target);
    }

    fn resize_row(&mut self, y_out: usize, source: &[u8], summed: &mut Option<usize>) {
        let width = self.source_width;
        let row = |y: usize| &source[y * width..(y + 1) * width];
        for tap in 0..self.rows[y_out].weights.len() {
            let Cell { start, weights } = &self.rows[y_out];
            let (y, weight) = (start + tap, weights[tap]);
            // Atari's rows mostly repeat the row above: their sums are the same bits.
            if !summed.is_some_and(|last| last == y || row(last) == row(y)) {
                self.sum_row(row(y));
            }
            *summed = Some(y);
            accumulate(&mut self.cell_sum, &self.row_sum, weight, tap == 0);
        }
        let out = &mut self.target[y_out * self.width..][..self.width];
        for (out, &sum) in out.iter_mut().zip(&self.cell_sum) {
            *out = rounded(sum);
        }
    }

    fn sum_row(&mut self, row: &[u8]) {
        for (pixel, &byte) in self.pixels.iter_mut().zip(row) {
            *pixel = f32::from(byte);
        }
        let cells = self.starts.iter().zip(self.weights.chunks_exact(self.taps));
        for (sum, (&start, weights)) in self.row_sum.iter_mut().zip(cells) {
            let pixels = &self.pixels[start..start + self.taps];
            *sum = match (pixels, weights) {
                // The same sum as below: this is the case of 84 columns.
                (&[a, b, c], &[u, v, w]) => a * u + b * v + c * w,
                _ => pixels
                    .iter()
                    .zip(weights)
                    .fold(0.0, |sum, (pixel, weight)| sum + pixel * weight),
            };
        }
    }
}

/// The cells along one axis, as OpenCV's `computeResizeAreaTab` has them.
fn cells(source: usize, target: usize) -> Vec<Cell> {
    let scale = 1.0 / (target as f64 / source as f64);
    (0..target).map(|at| cell(at, scale, source)).collect()
}

fn cell(at: usize, scale: f64, size: usize) -> Cell {
    let from = at as f64 * scale;
    let to = from + scale;
    let width = scale.min(size as f64 - from);
    let last = (to.floor() as usize).min(size - 1);
    let first = (from.ceil() as usize).min(last);
    let mut weights = Vec::new();
    let mut start = first;
    if first as f64 - from > 1e-3 {
        start = first - 1;
        weights.push(((first as f64 - from) / width) as f32);
    }
    weights.extend((first..last).map(|_| (1.0 / width) as f32));
    if to - last as f64 > 1e-3 {
        weights.push(((to - last as f64).min(1.0).min(width) / width) as f32);
    }
    Cell { start, weights }
}

/// The same number of taps for every cell, padded with weights of 0, which change no sum's bits.
fn aligned(cells: &[Cell], taps: usize, source: usize) -> (Vec<usize>, Vec<f32>) {
    let mut weights = vec![0.0; taps * cells.len()];
    let starts = cells.iter().zip(weights.chunks_exact_mut(taps)).map(|(cell, weights)| {
        let start = cell.start.min(source - taps);
        let from = cell.start - start;
        weights[from..from + cell.weights.len()].copy_from_slice(&cell.weights);
        start
    });
    (starts.collect(), weights)
}

fn accumulate(sums: &mut [f32], row: &[f32], weight: f32, first: bool) {
    if first {
        sums.fill(0.0);
    }
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += value * weight;
    }
}

/// Rounds half to even: adding 1.5 * 2^23 leaves no bits for a fraction, and the integer in the
/// last bits. For sums from 0 to 255.5.
fn rounded(sum: f32) -> u8 {
    (sum + 12_582_912.0).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_even() {
        let rounded: Vec<u8> =
            [0.5, 1.5, 2.5, 2.500_001, 254.5, 255.0, 255.2].map(rounded).to_vec();
        assert_eq!(rounded, [0, 2, 2, 3, 254, 255, 255]);
    }

    #[test]
    fn weights_of_a_cell_are_the_parts_it_covers() {
        // 5 pixels to 2: cells of 2.5; the middle pixel belongs half to each.
        let cells = cells(5, 2);
        assert_eq!(cells[0], Cell { start: 0, weights: vec![0.4, 0.4, 0.2] });
        assert_eq!(cells[1], Cell { start: 2, weights: vec![0.2, 0.4, 0.4] });
    }

    /// Bytes of a linear congruential generator, each row repeated: as `fixtures/make_resize.py`.
    fn picture(height: usize, width: usize, repeat: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let rows: Vec<Vec<u8>> =
            (0..height.div_ceil(repeat)).map(|_| (0..width).map(|_| next()).collect()).collect();
        (0..height).flat_map(|y| rows[y / repeat].clone()).collect()
    }

    /// Where `ours` and `theirs` differ.
    fn differing(ours: &[u8], theirs: &[u8]) -> usize {
        ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs).count()
    }

    #[test]
    fn resized_pictures_equal_opencvs() {
        let mut rest = &include_bytes!("../../fixtures/resize.bin")[..];
        for seed in 0..5 {
            let [height, width, size, repeat] =
                [0, 2, 4, 6].map(|at| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]])));
            let (expected, after) = rest[8..].split_at(size * size);
            let mut target = vec![0; size * size];
            AreaResize::new((height, width), (size, size))
                .resize(&picture(height, width, repeat, seed), &mut target);
            assert_eq!(differing(&target, expected), 0, "{height}x{width} to {size}");
            rest = after;
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn rows_that_did_not_change_are_kept_and_those_that_did_are_not() {
        let mut resize = AreaResize::new((210, 160), (84, 84));
        let (mut source, mut target) = (picture(210, 160, 2, 9), vec![0; 84 * 84]);
        resize.resize(&source, &mut target);
        for row in [0, 1, 77, 209] {
            let mut changed = vec![false; 210];
            source[row * 160..(row + 1) * 160].fill(row as u8);
            changed[row] = true;
            resize.resize_changed(&source, &changed, &mut target);
            assert_eq!(target, naive(&source), "row {row}");
        }
    }

    #[test]
    fn skipping_equal_rows_changes_nothing() {
        let source: Vec<u8> =
            (0..210 * 160_u32).map(|at| (at / 160 / 7 * 31 + at % 160 * 3) as u8).collect();
        let mut skipping = vec![0; 84 * 84];
        AreaResize::new((210, 160), (84, 84)).resize(&source, &mut skipping);
        assert_eq!(skipping, naive(&source));
    }

    /// The same sums without reuse.
    fn naive(source: &[u8]) -> Vec<u8> {
        let (rows, columns) = (cells(210, 84), cells(160, 84));
        let sum = |row: &[u8], cell: &Cell| {
            cell.weights
                .iter()
                .enumerate()
                .fold(0.0_f32, |sum, (tap, weight)| sum + f32::from(row[cell.start + tap]) * weight)
        };
        let pixel = |row: &Cell, column: &Cell| {
            let of = |tap: usize| &source[(row.start + tap) * 160..(row.start + tap + 1) * 160];
            row.weights
                .iter()
                .enumerate()
                .fold(0.0_f32, |total, (tap, weight)| total + sum(of(tap), column) * weight)
        };
        rows.iter()
            .flat_map(|row| columns.iter().map(move |column| rounded(pixel(row, column))))
            .collect()
    }
}
