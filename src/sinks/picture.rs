//! Pictures as files: PNG for one, an animated GIF for several.

use std::io;

use pliant_core::{envs::env::Picture, error::Result};

use crate::film::{self, Film, FrameRate, GifFilm};

/// A picture as a PNG file.
pub fn png(picture: &Picture) -> Result<Vec<u8>> {
    let (width, height) = film::size(picture)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width.into(), height.into());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&picture.rgb).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(file)
}

/// Pictures of one size as a GIF file that repeats forever, at most 50 per second. The colours are
/// exact as long as what changes from one picture to the next has no more than 256 of them.
pub fn gif(pictures: &[Picture], fps: u32) -> Result<Vec<u8>> {
    let mut film = GifFilm::default();
    for picture in pictures {
        film.add(picture, FrameRate::per_second(fps))?;
    }
    film.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_decodes_to_the_same_pixels() {
        let rgb = (0..35).flat_map(|i| [i, 2 * i, 255 - i]).collect();
        let picture = Picture { height: 5, width: 7, rgb };
        let file = png(&picture).expect("a PNG");
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().expect("a PNG file");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!((info.width, info.height), (7, 5));
        assert_eq!(pixels, picture.rgb);
    }

    #[test]
    fn pictures_that_do_not_fit_are_refused_with_their_sizes() {
        let broken = Picture { height: 2, width: 2, rgb: vec![0; 11] };
        let message = png(&broken).expect_err("too few bytes").to_string();
        assert_eq!(message, "a picture of 2x2 pixels has 11 bytes: 3 per pixel are needed");
        assert!(png(&Picture { height: 0, width: 4, rgb: vec![] }).is_err());
        assert!(gif(&[], 10).is_err());
    }
}
