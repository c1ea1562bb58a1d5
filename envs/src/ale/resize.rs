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
    weights: Vec<f32>, // [taps, width]
    row_sum: Vec<f32>,
    cell_sum: Vec<f32>,
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
            row_sum: vec![0.0; target.1],
            cell_sum: vec![0.0; target.1],
        }
    }

    /// Shrinks `source` into `target`.
    pub fn resize(&mut self, source: &[u8], target: &mut [u8]) {
        assert_eq!(target.len(), self.rows.len() * self.width, "one byte per output pixel");
        let width = self.source_width;
        let row = |y: usize| &source[y * width..(y + 1) * width];
        let mut summed = None; // the source row whose sum stands in `row_sum`
        for (y_out, out) in target.chunks_exact_mut(self.width).enumerate() {
            for tap in 0..self.rows[y_out].weights.len() {
                let Cell { start, weights } = &self.rows[y_out];
                let (y, weight) = (start + tap, weights[tap]);
                // Atari's rows mostly repeat the row above: their sums are the same bits.
                if !summed.is_some_and(|last| last == y || row(last) == row(y)) {
                    sum_row(row(y), self.taps, &self.starts, &self.weights, &mut self.row_sum);
                }
                summed = Some(y);
                accumulate(&mut self.cell_sum, &self.row_sum, weight, tap == 0);
            }
            for (out, &sum) in out.iter_mut().zip(&self.cell_sum) {
                *out = rounded(sum);
            }
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
    let starts = cells.iter().enumerate().map(|(at, cell)| {
        let start = cell.start.min(source - taps);
        for (tap, &weight) in cell.weights.iter().enumerate() {
            weights[(cell.start - start + tap) * cells.len() + at] = weight;
        }
        start
    });
    (starts.collect(), weights)
}

fn sum_row(row: &[u8], taps: usize, starts: &[usize], weights: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for tap in 0..taps {
        let weights = &weights[tap * out.len()..(tap + 1) * out.len()];
        for ((sum, &start), &weight) in out.iter_mut().zip(starts).zip(weights) {
            *sum += f32::from(row[start + tap]) * weight;
        }
    }
}

fn accumulate(sums: &mut [f32], row: &[f32], weight: f32, first: bool) {
    if first {
        sums.fill(0.0);
    }
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += value * weight;
    }
}

/// Rounds half to even: adding 1.5 * 2^23 leaves no bits for a fraction. (`round_ties_even` is a
/// library call on plain x86-64.)
fn rounded(sum: f32) -> u8 {
    const SHIFT: f32 = 12_582_912.0;
    ((sum + SHIFT) - SHIFT) as u8
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
