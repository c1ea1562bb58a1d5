//! Films as animated GIF files.
//!
//! A film is held as its compressed frames, some hundred bytes each on Atari, so that a game of half
//! an hour fits into memory. A frame is the rectangle that changed; a picture like the one before
//! lengthens that one's time.

use std::io;

use gif::{Encoder, Frame, Repeat};
use pliant_core::{
    envs::env::Picture,
    error::{Error, Result},
};

use super::{Film, FrameRate, check_size, palette::Palette, size};

/// Browsers slow a GIF down that asks for less than this many hundredths of a second per frame.
const SHORTEST_DELAY: u64 = 2;

/// Speed of the search for 256 colours that stand for more, 1 (best) to 30.
const QUANTISER_SPEED: i32 = 10;

/// A film that becomes a GIF file: it repeats forever, at no more than 50 pictures per second.
///
/// The colours are exact as long as what changes from one picture to the next has no more than 256
/// of them, as on Atari; of more, the 256 that stand for them best are shown.
#[derive(Default)]
pub struct GifFilm {
    palette: Palette,
    /// LZW-encoded.
    frames: Vec<Frame<'static>>,
    shown: Option<Shown>,
    pictures: u64,
}

/// What the viewer sees at the end of the film so far.
struct Shown {
    picture: Picture,
    size: (u16, u16),
    rate: FrameRate,
    is_exact: bool,
}

impl GifFilm {
    /// The GIF file; an error if there is no picture.
    pub fn finish(self) -> Result<Vec<u8>> {
        let shown = self.shown.ok_or_else(|| Error::Invalid("a film needs a picture".into()))?;
        let (width, height) = shown.size;
        let mut encoder =
            Encoder::new(Vec::new(), width, height, &self.palette.rgb).map_err(io::Error::other)?;
        encoder.set_repeat(Repeat::Infinite).map_err(io::Error::other)?;
        for frame in &self.frames {
            encoder.write_lzw_pre_encoded_frame(frame).map_err(io::Error::other)?;
        }
        Ok(encoder.into_inner().map_err(io::Error::other)?)
    }

    /// Width and height; `None` before the first picture.
    pub fn size(&self) -> Option<(u16, u16)> {
        self.shown.as_ref().map(|shown| shown.size)
    }

    /// True if the last frame can be shown for longer, which it then is.
    fn extend_last(&mut self, delay: u16) -> bool {
        let Some(last) = self.frames.last_mut() else { return false };
        let longer = last.delay.checked_add(delay);
        last.delay = longer.unwrap_or(last.delay);
        longer.is_some()
    }

    /// A part of a picture as a frame, and whether its colours are exact.
    fn encoded(&mut self, picture: &Picture, part: Rectangle) -> (Frame<'static>, bool) {
        let (rgb, width, height) = (part.cut(picture), part.width as u16, part.height as u16);
        let indexed = |indices: Vec<u8>, palette| Frame {
            width,
            height,
            buffer: indices.into(),
            palette,
            ..Frame::default()
        };
        let mut own = Palette::default();
        let (mut frame, is_exact) = if let Some(indices) = self.palette.indices(&rgb) {
            (indexed(indices, None), true)
        } else if let Some(indices) = own.indices(&rgb) {
            (indexed(indices, Some(own.rgb)), true)
        } else {
            (Frame::from_rgb_speed(width, height, &rgb, QUANTISER_SPEED), false)
        };
        (frame.left, frame.top) = (part.left as u16, part.top as u16);
        frame.make_lzw_pre_encoded();
        (frame, is_exact)
    }
}

impl Film for GifFilm {
    fn add(&mut self, picture: &Picture, rate: FrameRate) -> Result<()> {
        let (size, rate) = match &self.shown {
            Some(shown) => (shown.size, shown.rate),
            None => (size(picture)?, rate),
        };
        check_size(picture, size)?;
        let changed = self.shown.as_ref().map_or_else(
            || Some(Rectangle::whole(picture)),
            |shown| changed(&shown.picture, picture, shown.is_exact),
        );
        let delay = delay(self.pictures, rate);
        self.pictures += 1;
        if changed.is_none() && self.extend_last(delay) {
            return Ok(());
        }
        let (frame, is_exact) = self.encoded(picture, changed.unwrap_or(Rectangle::PIXEL));
        self.frames.push(Frame { delay, ..frame });
        self.shown = Some(Shown { picture: picture.clone(), size, rate, is_exact });
        Ok(())
    }
}

/// Hundredths of a second for which picture `index` is shown; rounding errors do not add up.
fn delay(index: u64, rate: FrameRate) -> u16 {
    let FrameRate { pictures, seconds } = rate;
    let (pictures, seconds) = (u64::from(pictures.max(1)), u64::from(seconds));
    let time = |index: u64| (index * seconds * 100 + pictures / 2) / pictures;
    let delay = (time(index + 1) - time(index)).max(SHORTEST_DELAY);
    u16::try_from(delay).unwrap_or(u16::MAX)
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rectangle {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Rectangle {
    /// The least there is, for a frame that changes nothing.
    const PIXEL: Self = Self { left: 0, top: 0, width: 1, height: 1 };

    fn whole(picture: &Picture) -> Self {
        Self { left: 0, top: 0, width: picture.width, height: picture.height }
    }

    fn cut(self, picture: &Picture) -> Vec<u8> {
        let rows = picture.rgb.chunks_exact(3 * picture.width).skip(self.top).take(self.height);
        let columns = 3 * self.left..3 * (self.left + self.width);
        rows.flat_map(|row| &row[columns.clone()]).copied().collect()
    }
}

/// What to draw so that `after` is seen: the smallest rectangle that holds what changed, or all if
/// the colours seen are not quite those of `before`. `None` if nothing changed.
fn changed(before: &Picture, after: &Picture, is_exact: bool) -> Option<Rectangle> {
    if !is_exact {
        return (before != after).then(|| Rectangle::whole(after));
    }
    let row_bytes = 3 * after.width;
    let rows = before.rgb.chunks_exact(row_bytes).zip(after.rgb.chunks_exact(row_bytes));
    let (mut top, mut bottom, mut left, mut right) = (None, 0, after.width, 0);
    for (row, (old, new)) in rows.enumerate().filter(|(_, (old, new))| old != new) {
        let differs = |byte: &usize| old[*byte] != new[*byte];
        let first = (0..row_bytes).find(differs).unwrap_or(0);
        let last = (0..row_bytes).rfind(differs).unwrap_or(0);
        top.get_or_insert(row);
        (bottom, left, right) = (row + 1, left.min(first / 3), right.max(last / 3 + 1));
    }
    top.map(|top| Rectangle { left, top, width: right - left, height: bottom - top })
}

#[cfg(test)]
mod tests;
