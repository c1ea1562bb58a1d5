//! What a task shows: images, their labels, and the order of their pixels.

use std::sync::Arc;

use rand::{Rng, seq::index};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{classification::Dataset, env::FrameShape};

/// What is drawn of a task, each from a stream of its own; the streams of instances come before them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    /// Which images there are.
    Images = 1,
    /// Their labels.
    Labels = 2,
    /// The order of pixels.
    Pixels = 3,
    /// The order of classes.
    Classes = 4,
}

impl Draw {
    /// A generator that is a function of seed, purpose and task alone.
    pub fn rng(self, task_seed: u64, task: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(task_seed);
        rng.set_stream(((self as u64) << 32) | task as u64);
        rng
    }
}

/// Where an image lies in its data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub class: u8,
    pub index: u32,
}

/// All images of a data set, class by class.
pub(super) fn all(data: &Dataset) -> Vec<Place> {
    let of_class = |class: usize| {
        let place = move |index| Place { class: class as u8, index: index as u32 };
        (0..data.class_len(class)).map(place)
    };
    (0..data.classes()).flat_map(of_class).collect()
}

/// `count` different images of a data set, drawn uniformly; all of them if there are no more.
pub(super) fn drawn(data: &Dataset, count: usize, task_seed: u64) -> Vec<Place> {
    let all = all(data);
    if count >= all.len() {
        return all;
    }
    let drawn = index::sample(&mut Draw::Images.rng(task_seed, 0), all.len(), count);
    drawn.into_iter().map(|place| all[place]).collect()
}

/// For every byte of an image the byte that takes its place, where pixels change places uniformly at random
/// and the channels of a pixel stay together.
pub(super) fn shuffled_pixels(shape: FrameShape, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let pixels = shape.height * shape.width;
    let order = index::sample(rng, pixels, pixels).into_vec();
    (0..shape.channels)
        .flat_map(|plane| order.iter().map(move |pixel| (plane * pixels + pixel) as u32))
        .collect()
}

/// A label below `classes` for each of `count` images, uniform and independent.
pub(super) fn uniform_labels(count: usize, classes: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    (0..count).map(|_| rng.random_range(0..classes) as u8).collect()
}

/// The labelled images of one task.
#[derive(Debug)]
pub(super) struct Examples {
    pub data: Arc<Dataset>,
    /// Those that are shown.
    pub places: Arc<[Place]>,
    /// The label of each; without them it is the image's class.
    pub labels: Option<Vec<u8>>,
    /// See [`shuffled_pixels`]; without it pixels are where they are.
    pub pixels: Option<Arc<[u32]>>,
}

impl Examples {
    /// Images under their own classes.
    pub fn plain(data: &Arc<Dataset>, places: &Arc<[Place]>) -> Self {
        Self { data: Arc::clone(data), places: Arc::clone(places), labels: None, pixels: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The right answer to an image.
    pub fn label(&self, example: usize) -> u8 {
        self.labels.as_ref().map_or(self.places[example].class, |labels| labels[example])
    }

    /// The image as it is shown.
    pub fn show(&self, example: usize, frame: &mut [u8]) {
        let Place { class, index } = self.places[example];
        let image = self.data.image(usize::from(class), index as usize);
        match &self.pixels {
            None => frame.copy_from_slice(image),
            Some(pixels) => {
                for (at, from) in frame.iter_mut().zip(pixels.iter()) {
                    *at = image[*from as usize];
                }
            }
        }
    }
}
