//! Matrices as heat maps.

use std::{ops::Range, sync::Arc};

use kuva::{
    plot::{ColorMap, Heatmap},
    prelude::{Layout, Plot},
    render::layout::ComputedLayout,
};
use pliant_core::{envs::env::Picture, error::Result, metrics::Matrix};

use super::raster;

/// Pixels of a side.
const SIDE: f64 = 480.0;

/// Draws a matrix, row 0 below, in the colours of its range; `None` if it is empty.
pub fn matrix_picture(title: &str, matrix: &Matrix) -> Result<Option<Picture>> {
    if matrix.values.is_empty() {
        return Ok(None);
    }
    // The library draws axes and the bar of the range's colours. It would blend cells that are smaller than a
    // pixel with the paper.
    let ends = vec![vec![f64::from(matrix.range.0), f64::from(matrix.range.1)]];
    let map = ColorMap::Custom(Arc::new(|share| {
        let [red, green, blue] = diverging(share);
        format!("#{red:02x}{green:02x}{blue:02x}")
    }));
    let plots: Vec<Plot> = vec![Heatmap::new().with_data(ends).with_color_map(map).into()];
    let (columns, rows) = (matrix.columns as f64, matrix.rows as f64);
    let layout = Layout::auto_from_plots(&plots)
        .with_width(SIDE)
        .with_height(SIDE)
        .with_title(title)
        .with_x_label(&matrix.label)
        .with_y_label(&matrix.label)
        .with_x_axis_min(0.0)
        .with_x_axis_max(columns)
        .with_y_axis_min(0.0)
        .with_y_axis_max(rows);
    let place = ComputedLayout::from_layout(&layout);
    let pixels = |from: f64, to: f64| from.round() as usize..to.round() as usize;
    let across = pixels(place.map_x(0.0), place.map_x(columns));
    let down = pixels(place.map_y(rows), place.map_y(0.0));
    let mut picture = raster::pixels(plots, layout)?;
    paint(&mut picture, across, down, matrix);
    Ok(Some(picture))
}

/// Fills a rectangle of a picture with a matrix.
fn paint(picture: &mut Picture, across: Range<usize>, down: Range<usize>, matrix: &Matrix) {
    let (low, high) = matrix.range;
    let share = |value: f32| f64::from(value.clamp(low, high) - low) / f64::from(high - low);
    let columns = parts(across.len(), matrix.columns);
    let rows = parts(down.len(), matrix.rows);
    for (y, rows) in down.clone().rev().zip(&rows) {
        for (x, columns) in across.clone().zip(&columns) {
            let mean = weighted(rows, |row| {
                weighted(columns, |column| share(matrix.values[row * matrix.columns + column]))
            });
            let begin = 3 * (y * picture.width + x);
            picture.rgb[begin..begin + 3].copy_from_slice(&diverging(mean));
        }
    }
}

/// For each of `pixels` next to each other the cells that it covers, with their shares of it, which add up to 1.
fn parts(pixels: usize, cells: usize) -> Vec<Vec<(usize, f64)>> {
    let per_pixel = cells as f64 / pixels as f64;
    let of = |pixel: usize| {
        let (begin, end) = (pixel as f64 * per_pixel, (pixel + 1) as f64 * per_pixel);
        let covered = begin as usize..(end.ceil() as usize).min(cells);
        let share = |cell: usize| {
            let (first, last) = (begin.max(cell as f64), end.min((cell + 1) as f64));
            (cell, (last - first) / per_pixel)
        };
        covered.map(share).collect()
    };
    (0..pixels).map(of).collect()
}

fn weighted(parts: &[(usize, f64)], value: impl Fn(usize) -> f64) -> f64 {
    parts.iter().map(|(cell, share)| share * value(*cell)).sum()
}

/// Blue at 0, white at 1/2, red at 1.
fn diverging(share: f64) -> [u8; 3] {
    let blend = |from: [f64; 3], to: [f64; 3], part: f64| {
        [0, 1, 2].map(|i| (from[i] + (to[i] - from[i]) * part).round() as u8)
    };
    let (blue, white, red) = ([33.0, 102.0, 172.0], [255.0; 3], [178.0, 24.0, 43.0]);
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
    if share < 0.5 { blend(blue, white, share * 2.0) } else { blend(white, red, share * 2.0 - 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 3] = [178, 24, 43];
    const WHITE: [u8; 3] = [255; 3];

    fn pixel(picture: &Picture, (x, y): (usize, usize)) -> [u8; 3] {
        let begin = 3 * (y * picture.width + x);
        picture.rgb[begin..begin + 3].try_into().expect("three channels")
    }

    #[test]
    fn a_matrix_has_the_colours_of_its_range_row_0_below() {
        let matrix = Matrix {
            rows: 2,
            columns: 2,
            values: vec![1.0, 0.0, -0.5, 7.0],
            range: (-1.0, 1.0),
            label: "transition".to_owned(),
        };
        let picture = matrix_picture("t", &matrix).expect("drawn").expect("not empty");
        assert_eq!((picture.width, picture.height), (480, 480));
        // Quarters of the plot, which begins near (60, 45) and ends near (380, 430).
        let at = |x, y| pixel(&picture, (x, y));
        assert_eq!([at(120, 380), at(320, 380)], [RED, WHITE]);
        assert_eq!([at(120, 100), at(320, 100)], [[144, 179, 214], RED]);
    }

    #[test]
    fn cells_smaller_than_a_pixel_are_averaged_and_larger_ones_exact() {
        let paper = || Picture { height: 3, width: 4, rgb: vec![0; 36] };
        let matrix = |columns, values: &[f32]| Matrix {
            rows: 1,
            columns,
            values: values.to_vec(),
            range: (0.0, 1.0),
            label: String::new(),
        };
        let mut picture = paper();
        paint(&mut picture, 1..3, 1..2, &matrix(4, &[1.0, 0.0, 1.0, 1.0]));
        assert_eq!([pixel(&picture, (1, 1)), pixel(&picture, (2, 1))], [WHITE, RED]);
        assert_eq!([pixel(&picture, (0, 1)), pixel(&picture, (3, 1))], [[0; 3]; 2], "outside");
        let mut picture = paper();
        paint(&mut picture, 0..4, 0..3, &matrix(2, &[0.5, 1.0]));
        assert_eq!([0, 1, 2, 3].map(|x| pixel(&picture, (x, 2))), [WHITE, WHITE, RED, RED]);
        let mut picture = paper();
        paint(&mut picture, 0..2, 0..1, &matrix(3, &[0.5, 1.0, 1.0]));
        // The first pixel covers a whole cell and half of the next.
        assert_eq!(pixel(&picture, (0, 0)), diverging(0.5 * 2.0 / 3.0 + 1.0 / 3.0));
    }
}
