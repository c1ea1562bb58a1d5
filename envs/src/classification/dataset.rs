//! Labelled images, and where they lie.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::idx::Idx;
use crate::{
    env::{EnvError, FrameShape},
    folders,
};

/// Which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Those to learn from.
    Train,
    /// Those held out.
    Test,
}

/// MNIST's files as `(name, sha256)`: training images and labels, test images and labels.
pub(super) const MNIST_FILES: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// Images of one split, sorted by class.
#[derive(Debug)]
pub struct Dataset {
    /// Shape of one image.
    pub shape: FrameShape,
    images: Vec<u8>,
    /// For every class the places of its images.
    classes: Vec<Vec<u32>>,
}

impl Dataset {
    /// `images`: u8 `[count, shape]`; `labels`: `[count]`, every class below `classes` at least once.
    pub fn new(
        shape: FrameShape,
        images: Vec<u8>,
        labels: &[u8],
        classes: usize,
    ) -> Result<Self, EnvError> {
        if images.len() != labels.len() * shape.len() {
            let count = images.len() / shape.len();
            return Err(EnvError::Invalid(format!(
                "there are {count} images but {} labels",
                labels.len()
            )));
        }
        let mut members = vec![Vec::new(); classes];
        for (place, &label) in labels.iter().enumerate() {
            let class = members.get_mut(usize::from(label));
            class
                .ok_or_else(|| {
                    EnvError::Invalid(format!(
                        "image {place} has label {label}: labels are 0 to {}",
                        classes - 1
                    ))
                })?
                .push(place as u32);
        }
        if let Some(class) = members.iter().position(Vec::is_empty) {
            return Err(EnvError::Invalid(format!("class {class} has no image")));
        }
        Ok(Self { shape, images, classes: members })
    }

    /// MNIST from the data folder `data`, its checksums checked.
    pub fn mnist(data: &Path, split: Split) -> Result<Self, EnvError> {
        let files = match split {
            Split::Train => [0, 1],
            Split::Test => [2, 3],
        };
        let [images, labels] =
            files.map(|file| read_checked(&data.join("mnist"), MNIST_FILES[file]));
        let (images, labels) = (images?, labels?);
        let &[_, height, width] = images.shape.as_slice() else {
            return Err(EnvError::Invalid(format!("MNIST's images have shape {:?}", images.shape)));
        };
        Self::new(FrameShape { channels: 1, height, width }, images.data, &labels.data, 10)
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// How many images a class has.
    pub fn class_len(&self, class: usize) -> usize {
        self.classes[class].len()
    }

    /// The `index`-th image of a class.
    pub fn image(&self, class: usize, index: usize) -> &[u8] {
        let place = self.classes[class][index] as usize;
        let len = self.shape.len();
        &self.images[place * len..(place + 1) * len]
    }
}

/// Where the data sets lie: `configured`, else `PLIANT_DATA`, else `~/.cache/pliant/data`.
pub fn data_folder(configured: Option<&Path>) -> PathBuf {
    let named = env::var_os("PLIANT_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    configured.map(Path::to_owned).or(named).unwrap_or_else(|| folders::cache().join("data"))
}

fn read_checked(folder: &Path, (name, expected): (&str, &str)) -> Result<Idx, EnvError> {
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|error| {
        EnvError::Invalid(format!(
            "MNIST is not in {} ({name}: {error}): run `pliant fetch mnist`, or set PLIANT_DATA to the folder that holds mnist/{name}",
            folder.display()
        ))
    })?;
    let found = sha256(&bytes);
    if found != expected {
        let path = path.display();
        return Err(EnvError::Invalid(format!(
            "{path} has sha256 {found}, not MNIST's {expected}: remove it and run `pliant fetch mnist`"
        )));
    }
    Idx::parse(&bytes).map_err(|reason| EnvError::Invalid(format!("{} {reason}", path.display())))
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: FrameShape = FrameShape { channels: 1, height: 1, width: 2 };

    fn refused(images: Vec<u8>, labels: &[u8]) -> String {
        Dataset::new(SHAPE, images, labels, 2).expect_err("bad data").to_string()
    }

    #[test]
    fn images_are_found_by_class() {
        let data = Dataset::new(SHAPE, vec![1, 2, 3, 4, 5, 6], &[1, 0, 1], 2).expect("good data");
        assert_eq!((data.class_len(0), data.class_len(1)), (1, 2));
        assert_eq!((data.image(0, 0), data.image(1, 1)), (&[3, 4][..], &[5, 6][..]));
    }

    #[test]
    fn data_that_does_not_fit_is_refused() {
        assert_eq!(refused(vec![1, 2], &[0, 1]), "there are 1 images but 2 labels");
        assert_eq!(refused(vec![1, 2, 3, 4], &[0, 2]), "image 1 has label 2: labels are 0 to 1");
        assert_eq!(refused(vec![1, 2], &[1]), "class 0 has no image");
    }

    #[test]
    fn missing_and_altered_files_are_answered_with_the_way_out() {
        let data = tempfile::tempdir().expect("a folder");
        let error = || Dataset::mnist(data.path(), Split::Train).expect_err("no data").to_string();
        assert!(error().contains("run `pliant fetch mnist`"), "{}", error());
        fs::create_dir(data.path().join("mnist")).expect("a folder");
        fs::write(data.path().join("mnist").join(MNIST_FILES[0].0), "other").expect("written");
        assert!(
            error().contains(
                "has sha256 d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
            ),
            "{}",
            error()
        );
    }

    #[test]
    fn mnist_is_what_it_should_be() {
        let data = data_folder(None);
        let train = Dataset::mnist(&data, Split::Train).expect("run `pliant fetch mnist` first");
        let test = Dataset::mnist(&data, Split::Test).expect("run `pliant fetch mnist` first");
        let sizes = |data: &Dataset| (0..10).map(|class| data.class_len(class)).collect::<Vec<_>>();
        assert_eq!(sizes(&train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        assert_eq!(sizes(&test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
        assert_eq!(train.shape, FrameShape { channels: 1, height: 28, width: 28 });
    }
}
