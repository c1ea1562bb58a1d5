//! From a plot to pixels.

use kuva::prelude::{Layout, Plot};
use pliant_core::{
    envs::env::Picture,
    error::{Error, Result},
};

/// Each pixel is the mean of so many by so many: the library draws small rotated letters thick.
const OVERSAMPLING: usize = 3;

/// Draws a plot.
pub(super) fn pixels(plots: Vec<Plot>, layout: Layout) -> Result<Picture> {
    let failed = |text: String| Error::Invalid(format!("a figure could not be drawn: {text}"));
    let file = kuva::render_to_raster(plots, layout, OVERSAMPLING as f32).map_err(failed)?;
    let large = decoded(&file).map_err(|error| failed(error.to_string()))?;
    Ok(shrunk(&large, OVERSAMPLING))
}

/// The pixels of a PNG file of 8 bits, without transparency.
fn decoded(file: &[u8]) -> std::result::Result<Picture, png::DecodingError> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().unwrap_or_default()];
    let info = reader.next_frame(&mut pixels)?;
    let (width, height) = (info.width as usize, info.height as usize);
    let channels = info.color_type.samples();
    let rgb = pixels
        .chunks_exact(channels)
        .flat_map(|pixel| [0, 1, 2].map(|i| pixel[i.min(channels - 1)]));
    Ok(Picture { height, width, rgb: rgb.collect() })
}

/// Means of blocks of `factor` by `factor` pixels; what does not fill one at the right and below is left out.
fn shrunk(large: &Picture, factor: usize) -> Picture {
    let (height, width) = (large.height / factor, large.width / factor);
    let mean = |row: usize, column: usize, channel: usize| {
        let rows = row * factor..(row + 1) * factor;
        let of_row = |row: usize| {
            let begin = 3 * (row * large.width + column * factor) + channel;
            large.rgb[begin..]
                .iter()
                .step_by(3)
                .take(factor)
                .map(|value| usize::from(*value))
                .sum::<usize>()
        };
        let sum: usize = rows.map(of_row).sum();
        ((sum + factor * factor / 2) / (factor * factor)) as u8
    };
    let rgb = (0..height * width * 3)
        .map(|index| mean(index / 3 / width, index / 3 % width, index % 3))
        .collect();
    Picture { height, width, rgb }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrunk_picture_has_the_means_of_its_blocks() {
        let rgb = (0..2 * 5).flat_map(|pixel| [pixel, 10 * pixel, 255]).collect();
        let small = shrunk(&Picture { height: 2, width: 5, rgb }, 2);
        assert_eq!((small.height, small.width), (1, 2));
        // Pixels 0, 1, 5, 6 and 2, 3, 7, 8.
        assert_eq!(small.rgb, [3, 30, 255, 5, 50, 255]);
    }
}
