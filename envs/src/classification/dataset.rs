//! Labelled images by class.

use crate::env::{EnvError, FrameShape};

/// Which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Those to learn from.
    Train,
    /// Those held out.
    Test,
}

/// Images as their files hold them, in the files' order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LabelledImages {
    /// Shape of one image.
    pub shape: FrameShape,
    /// u8 `[count, shape]`
    pub images: Vec<u8>,
    /// `[count]`
    pub labels: Vec<u8>,
}

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
        let count = images.len().checked_div(shape.len()).unwrap_or(0);
        if count != labels.len() || images.len() != count * shape.len() {
            return Err(EnvError::Invalid(format!(
                "there are {count} images in {} bytes but {} labels",
                images.len(),
                labels.len()
            )));
        }
        Ok(Self { shape, images, classes: members(labels, classes)? })
    }

    /// The same images under other labels, `[count]`.
    pub fn relabelled(self, labels: &[u8]) -> Result<Self, EnvError> {
        let classes = self.classes();
        Self::new(self.shape, self.images, labels, classes)
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.images.len() / self.shape.len()
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

/// For every class the places of its images.
fn members(labels: &[u8], classes: usize) -> Result<Vec<Vec<u32>>, EnvError> {
    let mut members = vec![Vec::new(); classes];
    for (place, &label) in labels.iter().enumerate() {
        let class = members.get_mut(usize::from(label)).ok_or_else(|| {
            let last = classes - 1;
            EnvError::Invalid(format!("image {place} has label {label}: labels are 0 to {last}"))
        })?;
        class.push(place as u32);
    }
    if let Some(class) = members.iter().position(Vec::is_empty) {
        return Err(EnvError::Invalid(format!("class {class} has no image")));
    }
    Ok(members)
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
        assert_eq!(refused(vec![1, 2], &[0, 1]), "there are 1 images in 2 bytes but 2 labels");
        assert_eq!(refused(vec![1, 2, 3, 4], &[0, 2]), "image 1 has label 2: labels are 0 to 1");
        assert_eq!(refused(vec![1, 2, 3], &[1]), "there are 1 images in 3 bytes but 1 labels");
        assert_eq!(refused(vec![1, 2], &[1]), "class 0 has no image");
    }

    #[test]
    fn other_labels_sort_the_same_images_anew() {
        let data = Dataset::new(SHAPE, vec![1, 2, 3, 4, 5, 6], &[1, 0, 1], 2).expect("good data");
        let other = data.relabelled(&[0, 1, 1]).expect("good labels");
        assert_eq!((other.class_len(0), other.class_len(1), other.count()), (1, 2, 3));
        assert_eq!((other.image(0, 0), other.image(1, 0)), (&[1, 2][..], &[3, 4][..]));
        assert_eq!(
            other.relabelled(&[0, 1]).expect_err("too few").to_string(),
            "there are 3 images in 6 bytes but 2 labels"
        );
    }
}
