//! Films of evaluation: pictures that come one after the other, encoded as they come.

use pliant_core::{
    envs::env::{Picture, Step},
    error::{Error, Result},
};

mod file;
mod gif;
mod mp4;
mod palette;

pub use file::FilmFile;
pub use gif::GifFilm;

/// What takes a film's pictures.
pub trait Film {
    /// Shows a picture next. All have one size and one rate: those of the first count.
    fn add(&mut self, picture: &Picture, rate: FrameRate) -> Result<()>;
}

/// How fast a film goes: so many pictures in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    /// Pictures, at least 1.
    pub pictures: u32,
    /// Seconds, at least 1.
    pub seconds: u32,
}

/// Frames per second of the Atari 2600's screen.
const SCREEN_FPS: u32 = 60;

/// Pictures per second where a step takes no time of its own: slow enough to read a digit.
const STILLS_PER_SECOND: u32 = 4;

impl FrameRate {
    /// This many pictures each second.
    pub fn per_second(pictures: u32) -> Self {
        Self { pictures: pictures.max(1), seconds: 1 }
    }

    /// As fast as the game is played, at one picture per agent step: a step of `frames` frames lasts
    /// `frames / 60` s. Tasks without episodes show a new picture at every step: four a second.
    pub fn of_steps(frames: u32, continuing: bool) -> Self {
        if continuing {
            Self::per_second(STILLS_PER_SECOND)
        } else {
            Self { pictures: SCREEN_FPS, seconds: frames.max(1) }
        }
    }
}

/// Films environment 0 from its first step until its first game ends, or a number of steps was
/// filmed. What is shown is what each decision was taken on; the picture after the last one is not:
/// by then the environment shows the next game. A failure switches it off, and is told at the end: what
/// is filmed goes on without it.
pub struct Camera<'a> {
    film: &'a mut dyn Film,
    steps_left: u64,
    continuing: bool,
    failure: Option<Error>,
}

impl<'a> Camera<'a> {
    /// Films at most `steps` agent steps of a task that has no episodes if it is `continuing`.
    pub fn new(film: &'a mut dyn Film, steps: u64, continuing: bool) -> Self {
        Self { film, steps_left: steps, continuing, failure: None }
    }

    /// True as long as it wants pictures.
    pub fn is_on(&self) -> bool {
        self.steps_left > 0
    }

    /// Takes the picture a decision was taken on, and what came of it.
    pub fn take(&mut self, picture: &Picture, step: &Step) {
        let rate = FrameRate::of_steps(step.frames, self.continuing);
        self.failure = self.film.add(picture, rate).err();
        let is_over = step.ends_game() || self.failure.is_some();
        self.steps_left = if is_over { 0 } else { self.steps_left - 1 };
    }

    /// Why it switched itself off, if it did.
    pub fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// Checks that a picture has the bytes its size says, and sides that files can hold.
pub fn size(picture: &Picture) -> Result<(u16, u16)> {
    let Picture { height, width, rgb } = picture;
    if rgb.len() != 3 * height * width {
        let length = rgb.len();
        return Err(Error::Invalid(format!(
            "a picture of {width}x{height} pixels has {length} bytes: 3 per pixel are needed"
        )));
    }
    Ok((side(*width)?, side(*height)?))
}

fn side(pixels: usize) -> Result<u16> {
    match u16::try_from(pixels) {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(Error::Invalid(format!(
            "a picture's side of {pixels} pixels: it must have 1 to 65535"
        ))),
    }
}

/// Checks that a picture fits into a film of pictures of `expected` width and height.
fn check_size(picture: &Picture, expected: (u16, u16)) -> Result<()> {
    let found = size(picture)?;
    if found == expected {
        return Ok(());
    }
    let ((width, height), (other_width, other_height)) = (expected, found);
    Err(Error::Invalid(format!(
        "a film of {width}x{height} pixels has a frame of {other_width}x{other_height}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts pictures and keeps the first rate.
    #[derive(Default)]
    struct Counting(usize, Option<FrameRate>);

    /// Fails at this picture.
    struct Failing(usize);

    impl Film for Failing {
        fn add(&mut self, _picture: &Picture, _rate: FrameRate) -> Result<()> {
            self.0 = self.0.checked_sub(1).expect("no picture after the failure");
            if self.0 == 0 { Err(Error::Invalid("torn".to_owned())) } else { Ok(()) }
        }
    }

    impl Film for Counting {
        fn add(&mut self, _picture: &Picture, rate: FrameRate) -> Result<()> {
            self.0 += 1;
            self.1.get_or_insert(rate);
            Ok(())
        }
    }

    /// Films these steps and says how many pictures there are, and how fast.
    fn filmed(steps: &[Step], limit: u64, continuing: bool) -> (usize, Option<FrameRate>) {
        let picture = Picture { height: 1, width: 1, rgb: vec![0; 3] };
        let mut film = Counting::default();
        let mut camera = Camera::new(&mut film, limit, continuing);
        for step in steps {
            if camera.is_on() {
                camera.take(&picture, step);
            }
        }
        camera.finish().expect("filmed");
        (film.0, film.1)
    }

    #[test]
    fn a_film_ends_with_the_game_not_with_a_life() {
        let step = Step { frames: 4, ..Step::default() };
        let lost_life = Step { terminated: true, game_goes_on: true, ..step };
        let over = Step { terminated: true, ..step };
        let steps = [step, lost_life, step, over, step];
        let rate = Some(FrameRate { pictures: 60, seconds: 4 });
        assert_eq!(filmed(&steps, u64::MAX, false), (4, rate));
        assert_eq!(filmed(&steps, 2, false), (2, rate));
        assert_eq!(filmed(&steps, 0, false), (0, None));
    }

    #[test]
    fn a_camera_that_fails_is_off_and_says_why_at_the_end() {
        let picture = Picture { height: 1, width: 1, rgb: vec![0; 3] };
        let mut film = Failing(2);
        let mut camera = Camera::new(&mut film, 9, false);
        camera.take(&picture, &Step::default());
        assert!(camera.is_on());
        camera.take(&picture, &Step::default());
        assert!(!camera.is_on());
        assert_eq!(camera.finish().expect_err("torn").to_string(), "torn");
    }

    #[test]
    fn stills_are_shown_four_a_second() {
        let steps = [Step { frames: 1, ..Step::default() }; 3];
        assert_eq!(filmed(&steps, 9, true), (3, Some(FrameRate { pictures: 4, seconds: 1 })));
    }
}
