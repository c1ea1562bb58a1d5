use super::*;

/// A picture in which pixel `i` has colour `colour(i)`.
fn picture(width: usize, height: usize, colour: impl Fn(usize) -> [u8; 3]) -> Picture {
    Picture { height, width, rgb: (0..width * height).flat_map(colour).collect() }
}

fn filmed(pictures: &[Picture], rate: FrameRate) -> Vec<u8> {
    let mut film = GifFilm::default();
    for picture in pictures {
        film.add(picture, rate).expect("filmed");
    }
    film.finish().expect("a GIF")
}

/// What a viewer sees, by the gif crate's decoder: each frame drawn over those before it, and for
/// how long.
fn seen(file: &[u8]) -> Vec<(Picture, u16)> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(file).expect("a GIF file");
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let mut canvas = picture(width, height, |_| [1, 2, 3]);
    let mut seen = Vec::new();
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let columns = usize::from(frame.width);
        for (i, pixel) in frame.buffer.chunks(4).enumerate() {
            let place = 3 * ((top + i / columns) * width + left + i % columns);
            canvas.rgb[place..place + 3].copy_from_slice(&pixel[..3]);
        }
        seen.push((canvas.clone(), frame.delay));
    }
    seen
}

/// Pictures of a film, a picture that is shown longer once for each `delay`.
fn seen_each(file: &[u8], delay: u16) -> Vec<Picture> {
    let times = |(picture, shown)| std::iter::repeat_n(picture, usize::from(shown / delay));
    seen(file).into_iter().flat_map(times).collect()
}

/// A white square of 3x2 at this place of a ground of many colours.
fn square(left: usize, top: usize) -> Picture {
    picture(16, 12, |i| {
        let is_inside = (left..left + 3).contains(&(i % 16)) && (top..top + 2).contains(&(i / 16));
        if is_inside { [255; 3] } else { [i as u8, 64, 128] }
    })
}

#[test]
fn a_film_shows_exactly_its_pictures() {
    let film = [square(1, 1), square(2, 1), square(2, 1), square(9, 10), square(13, 0)];
    assert_eq!(seen_each(&filmed(&film, FrameRate::per_second(25)), 4), film);
}

#[test]
fn a_frame_is_the_rectangle_that_changed() {
    let rectangle = |left, top, width, height| Some(Rectangle { left, top, width, height });
    let exact = |before, after| changed(&before, &after, true);
    assert_eq!(exact(square(1, 1), square(2, 1)), rectangle(1, 1, 4, 2));
    assert_eq!(exact(square(1, 1), square(13, 10)), rectangle(1, 1, 15, 11));
    assert_eq!(exact(square(1, 1), square(1, 1)), None);
    assert_eq!(changed(&square(1, 1), &square(2, 1), false), rectangle(0, 0, 16, 12));
    assert_eq!(changed(&square(1, 1), &square(1, 1), false), None);
}

#[test]
fn pictures_that_stay_take_no_room_and_their_time_adds_up() {
    let still = vec![square(1, 1); 1500];
    let rate = FrameRate { pictures: 1, seconds: 1 };
    let frames = seen(&filmed(&still, rate));
    // A frame is shown for at most 65535 hundredths of a second.
    assert_eq!(frames.len(), 3);
    assert_eq!(frames.iter().map(|frame| u64::from(frame.1)).sum::<u64>(), 150_000);
    assert!(frames.iter().all(|frame| frame.0 == still[0]));
}

#[test]
fn a_film_of_256_colours_is_exact() {
    let colour = |i: usize| [i as u8, (i as u8) ^ 7, 0];
    let film: Vec<_> = (0..3).map(|t| picture(16, 16, move |i| colour(i + t))).collect();
    assert_eq!(seen_each(&filmed(&film, FrameRate::per_second(25)), 4), film);
}

#[test]
fn a_film_with_256_colours_per_change_is_exact() {
    let film: Vec<_> = (0..3).map(|t| picture(16, 16, move |i| [i as u8, 0, 100 * t])).collect();
    assert_eq!(seen_each(&filmed(&film, FrameRate::per_second(25)), 4), film);
}

#[test]
fn more_colours_than_a_palette_holds_are_approximated_and_the_error_does_not_stay() {
    let colourful = picture(64, 64, |i| [(4 * (i % 64)) as u8, (4 * (i / 64)) as u8, 0]);
    let mut plain = picture(64, 64, |_| [9, 9, 9]);
    plain.rgb[..6].copy_from_slice(&colourful.rgb[..6]);
    let frames = seen(&filmed(&[colourful.clone(), plain.clone()], FrameRate::per_second(25)));
    let errors = frames[0].0.rgb.iter().zip(&colourful.rgb).map(|(a, b)| u32::from(a.abs_diff(*b)));
    assert!(errors.sum::<u32>() / (colourful.rgb.len() as u32) < 8);
    assert_eq!(frames[1].0, plain);
}

#[test]
fn a_film_lasts_as_long_as_its_pictures_say() {
    let delays = |rate, count| (0..count).map(|i| delay(i, rate)).collect::<Vec<_>>();
    let rate = |pictures, seconds| FrameRate { pictures, seconds };
    assert_eq!(delays(rate(30, 1), 30).iter().map(|&d| u64::from(d)).sum::<u64>(), 100);
    assert_eq!(delays(rate(60, 4), 3), [7, 6, 7], "15 per second");
    assert_eq!(delays(rate(60, 1), 2), [2, 2], "no faster than 50 per second");
    assert_eq!(delays(rate(1, 1), 1), [100]);
}

#[test]
fn pictures_that_do_not_fit_are_refused_with_their_sizes() {
    let refused = |pictures: &[Picture]| {
        let mut film = GifFilm::default();
        let added = pictures.iter().try_for_each(|p| film.add(p, FrameRate::per_second(10)));
        added.expect_err("refused").to_string()
    };
    let broken = Picture { height: 2, width: 2, rgb: vec![0; 11] };
    assert_eq!(refused(&[broken]), "a picture of 2x2 pixels has 11 bytes: 3 per pixel are needed");
    let two_sizes = [picture(2, 2, |_| [0; 3]), picture(3, 2, |_| [0; 3])];
    assert_eq!(refused(&two_sizes), "a film of 2x2 pixels has a frame of 3x2");
    assert!(GifFilm::default().finish().is_err());
}

/// Plays a game by a fixed rule and returns its screens.
#[cfg(feature = "atari")]
fn screens(game: &str, steps: usize) -> Vec<Picture> {
    use pliant_core::envs::{env::Role, vector::VectorEnv};
    let settings = toml::Table::from_iter([("game".to_owned(), game.into())]);
    let plugins = crate::plugins::builtin();
    let factory = plugins.envs.get("atari").and_then(|atari| atari.build(&settings));
    let mut envs = VectorEnv::new(factory.expect("a game"), Role::Evaluation, 1, 1).expect("made");
    envs.reset(&[3]).expect("begun");
    let actions = envs.spec().actions.len();
    let screen = |step: usize| {
        let screen = envs.render(0).expect("a screen");
        envs.send(&[step * step / 7 % actions]).expect("an action");
        envs.recv().expect("a step");
        screen
    };
    (0..steps).map(screen).collect()
}

#[cfg(feature = "atari")]
#[test]
fn a_film_of_an_atari_game_shows_exactly_its_screens() {
    for game in ["breakout", "pong", "seaquest", "pitfall"] {
        let screens = screens(game, 400);
        let file = filmed(&screens, FrameRate::per_second(25));
        assert!(seen_each(&file, 4) == screens, "{game}");
        // 100 kB a screen.
        assert!(file.len() < 400 * 2000, "{game}: {} bytes", file.len());
    }
}
