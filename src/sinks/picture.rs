//! Pictures as files: PNG for one, an animated GIF for several.

use std::{borrow::Cow, collections::HashMap, io, slice};

use gif::{Encoder, Frame, Repeat};
use pliant_core::{
    envs::env::Picture,
    error::{Error, Result},
};

/// Browsers slow a GIF down that asks for less than this many hundredths of a second per frame.
const SHORTEST_DELAY: u64 = 2;

/// A picture as a PNG file.
pub fn png(picture: &Picture) -> Result<Vec<u8>> {
    check_size(picture)?;
    let (width, height) = (side(picture.width)?, side(picture.height)?);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width.into(), height.into());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&picture.rgb).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(file)
}

/// Pictures of one size as a GIF file that repeats forever, at most 50 per second.
///
/// The colours are exact as long as one picture has no more than 256 of them, as on Atari.
pub fn gif(pictures: &[Picture], fps: u32) -> Result<Vec<u8>> {
    let first = pictures.first().ok_or_else(|| Error::Invalid("a film needs a frame".into()))?;
    let (width, height) = (side(first.width)?, side(first.height)?);
    let shared = Palette::of(pictures);
    let mut file = Vec::new();
    let palette = shared.as_ref().map_or(&[][..], |palette| &palette.rgb);
    let mut encoder = Encoder::new(&mut file, width, height, palette).map_err(io::Error::other)?;
    encoder.set_repeat(Repeat::Infinite).map_err(io::Error::other)?;
    for (picture, delay) in pictures.iter().zip(delays(fps)) {
        check_size(picture)?;
        if (picture.width, picture.height) != (first.width, first.height) {
            return Err(Error::Invalid(format!(
                "a film of {}x{} pixels has a frame of {}x{}",
                first.width, first.height, picture.width, picture.height
            )));
        }
        let pixels = pixels(picture, width, height, shared.as_ref());
        encoder.write_frame(&Frame { delay, ..pixels }).map_err(io::Error::other)?;
    }
    drop(encoder);
    Ok(file)
}

fn pixels<'a>(
    picture: &'a Picture,
    width: u16,
    height: u16,
    shared: Option<&Palette>,
) -> Frame<'a> {
    let frame = |indices, palette| Frame {
        width,
        height,
        buffer: Cow::Owned(indices),
        palette,
        ..Frame::default()
    };
    if let Some(palette) = shared {
        return frame(palette.indices(picture), None);
    }
    match Palette::of(slice::from_ref(picture)) {
        Some(palette) => frame(palette.indices(picture), Some(palette.rgb)),
        None => Frame::from_rgb_speed(width, height, &picture.rgb, 10),
    }
}

/// Hundredths of a second per frame; rounding errors do not add up over a film.
fn delays(fps: u32) -> impl Iterator<Item = u16> {
    let fps = u64::from(fps.max(1));
    let time = move |frame: u64| (frame * 100 + fps / 2) / fps;
    (0..).map(move |frame| (time(frame + 1) - time(frame)).max(SHORTEST_DELAY) as u16)
}

/// The colours of some pictures, where there are at most 256.
struct Palette {
    rgb: Vec<u8>,
    index: HashMap<[u8; 3], u8>,
}

impl Palette {
    fn of(pictures: &[Picture]) -> Option<Self> {
        let mut palette = Self { rgb: Vec::new(), index: HashMap::new() };
        let mut last = None;
        for colour in pictures.iter().flat_map(colours) {
            // Neighbours are mostly equal: a comparison instead of a look-up.
            if last != Some(colour) && !palette.index.contains_key(&colour) {
                palette.index.insert(colour, u8::try_from(palette.index.len()).ok()?);
                palette.rgb.extend(colour);
            }
            last = Some(colour);
        }
        Some(palette)
    }

    fn indices(&self, picture: &Picture) -> Vec<u8> {
        let mut last = ([0; 3], self.index.get(&[0; 3]).copied().unwrap_or(0));
        let index = |colour| {
            if colour != last.0 {
                last = (colour, self.index[&colour]);
            }
            last.1
        };
        colours(picture).map(index).collect()
    }
}

fn colours(picture: &Picture) -> impl Iterator<Item = [u8; 3]> {
    picture.rgb.as_chunks().0.iter().copied()
}

fn side(pixels: usize) -> Result<u16> {
    match u16::try_from(pixels) {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(Error::Invalid(format!(
            "a picture's side of {pixels} pixels: it must have 1 to 65535"
        ))),
    }
}

fn check_size(picture: &Picture) -> Result<()> {
    let Picture { height, width, rgb } = picture;
    if rgb.len() == 3 * height * width {
        return Ok(());
    }
    let length = rgb.len();
    Err(Error::Invalid(format!(
        "a picture of {width}x{height} pixels has {length} bytes: 3 per pixel are needed"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture in which pixel `i` has colour `colour(i)`.
    fn picture(width: usize, height: usize, colour: impl Fn(usize) -> [u8; 3]) -> Picture {
        Picture { height, width, rgb: (0..width * height).flat_map(colour).collect() }
    }

    /// Frames as RGB, with delays, by the gif crate's decoder.
    fn decoded(file: &[u8]) -> Vec<(Vec<u8>, u16)> {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(file).expect("a GIF file");
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().expect("a frame") {
            let rgb = frame.buffer.chunks(4).flat_map(|pixel| &pixel[..3]).copied().collect();
            frames.push((rgb, frame.delay));
        }
        frames
    }

    #[test]
    fn a_png_decodes_to_the_same_pixels() {
        let picture = picture(7, 5, |i| [i as u8, 2 * i as u8, 255 - i as u8]);
        let file = png(&picture).expect("a PNG");
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().expect("a PNG file");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        assert_eq!((info.width, info.height), (7, 5));
        assert_eq!(pixels, picture.rgb);
    }

    #[test]
    fn a_film_of_256_colours_is_exact() {
        let colour = |i: usize| [i as u8, (i as u8) ^ 7, 0];
        let film: Vec<_> = (0..3).map(|t| picture(16, 16, move |i| colour(i + t))).collect();
        let frames = decoded(&gif(&film, 25).expect("a GIF"));
        assert_eq!(frames.len(), 3);
        for (frame, picture) in frames.iter().zip(&film) {
            assert_eq!(frame, &(picture.rgb.clone(), 4));
        }
    }

    #[test]
    fn a_film_with_256_colours_per_frame_is_exact() {
        let film: Vec<_> =
            (0..3).map(|t| picture(16, 16, move |i| [i as u8, 0, 100 * t])).collect();
        let frames = decoded(&gif(&film, 25).expect("a GIF"));
        for (frame, picture) in frames.iter().zip(&film) {
            assert_eq!(frame.0, picture.rgb);
        }
    }

    #[test]
    fn more_colours_than_a_palette_holds_are_approximated() {
        let film = [picture(64, 64, |i| [(4 * (i % 64)) as u8, (4 * (i / 64)) as u8, 0])];
        let (frame, _) = decoded(&gif(&film, 25).expect("a GIF")).remove(0);
        let errors = frame.iter().zip(&film[0].rgb).map(|(a, b)| u32::from(a.abs_diff(*b)));
        assert!(errors.sum::<u32>() / (frame.len() as u32) < 8);
    }

    #[test]
    fn a_film_lasts_as_long_as_its_frames_say() {
        assert_eq!(delays(30).take(30).map(u64::from).sum::<u64>(), 100);
        assert_eq!(delays(60).take(2).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(delays(0).next(), Some(100));
    }

    #[test]
    fn pictures_that_do_not_fit_are_refused_with_their_sizes() {
        let broken = Picture { height: 2, width: 2, rgb: vec![0; 11] };
        let message = png(&broken).expect_err("too few bytes").to_string();
        assert_eq!(message, "a picture of 2x2 pixels has 11 bytes: 3 per pixel are needed");
        let film = [picture(2, 2, |_| [0; 3]), picture(3, 2, |_| [0; 3])];
        let message = gif(&film, 10).expect_err("two sizes").to_string();
        assert_eq!(message, "a film of 2x2 pixels has a frame of 3x2");
        assert!(gif(&[], 10).is_err());
        assert!(png(&Picture { height: 0, width: 4, rgb: vec![] }).is_err());
    }
}
