//! The IDX format of MNIST: a magic number, big-endian sizes, then bytes.

use std::io::Read;

use flate2::read::GzDecoder;

use super::{dataset::LabelledImages, files::MAX_FILE_BYTES};
use crate::env::FrameShape;

/// Bytes in rows: images (`[count, height, width]`) or labels (`[count]`).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Idx {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The bytes, row by row.
    pub data: Vec<u8>,
}

impl Idx {
    /// Reads raw or gzipped IDX; the error completes the sentence "the file ...".
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let unpacked = unzipped(bytes)?;
        let (magic, rest) =
            unpacked.split_first_chunk::<4>().ok_or("is shorter than an IDX header")?;
        let [0, 0, 8, dimensions] = *magic else {
            return Err(format!("begins with {magic:02x?}, not with the 00 00 08 of IDX bytes"));
        };
        let (sizes, data) = rest
            .split_at_checked(4 * usize::from(dimensions))
            .ok_or("is shorter than its IDX header")?;
        let shape: Vec<usize> = sizes.chunks_exact(4).map(big_endian).collect();
        let count = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        if count != Some(data.len()) {
            return Err(format!("has {} bytes of data, but its header says {shape:?}", data.len()));
        }
        Ok(Self { shape, data: data.to_vec() })
    }

    /// The same as an uncompressed file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, self.shape.len() as u8];
        for &size in &self.shape {
            bytes.extend_from_slice(&(size as u32).to_be_bytes());
        }
        bytes.extend_from_slice(&self.data);
        bytes
    }
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// Grey images and their labels, from the bytes of a file each.
pub(super) fn labelled_images(files: &[Vec<u8>]) -> Result<LabelledImages, String> {
    let [images, labels] = files else {
        return Err(format!(
            "there are {} files, not one of images and one of labels",
            files.len()
        ));
    };
    let images = Idx::parse(images).map_err(|reason| format!("the file of images {reason}"))?;
    let labels = Idx::parse(labels).map_err(|reason| format!("the file of labels {reason}"))?;
    let (&[_, height, width], [_]) = (images.shape.as_slice(), labels.shape.as_slice()) else {
        return Err(format!(
            "images have shape {:?} and labels {:?}, not [count, height, width] and [count]",
            images.shape, labels.shape
        ));
    };
    let shape = FrameShape { channels: 1, height, width };
    Ok(LabelledImages { shape, images: images.data, labels: labels.data })
}

/// The content of a gzip file; anything else as it is.
pub(super) fn unzipped(bytes: &[u8]) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut content = Vec::new();
    let unpacked = GzDecoder::new(bytes).take(MAX_FILE_BYTES + 1).read_to_end(&mut content);
    unpacked.map_err(|error| format!("is no whole gzip file ({error})"))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "unpacks to more than {MAX_FILE_BYTES} bytes, more than any data set here"
        ));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::classification::Dataset;

    fn file() -> Vec<u8> {
        vec![0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]
    }

    #[test]
    fn raw_and_gzipped_files_read_alike_and_write_back() {
        let expected = Idx { shape: vec![2, 3], data: vec![1, 2, 3, 4, 5, 6] };
        let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
        zipped.write_all(&file()).expect("zipped");
        assert_eq!(Idx::parse(&zipped.finish().expect("zipped")), Ok(expected.clone()));
        assert_eq!(Idx::parse(&file()), Ok(expected.clone()));
        assert_eq!(expected.to_bytes(), file());
    }

    #[test]
    fn torn_or_foreign_files_are_refused_with_a_reason() {
        let error = |bytes: &[u8]| Idx::parse(bytes).expect_err("a bad file");
        assert!(error(b"\x89PNG....").contains("not with the 00 00 08"));
        assert!(error(&file()[..3]).contains("shorter than an IDX header"));
        assert!(error(&file()[..9]).contains("shorter than its IDX header"));
        assert_eq!(error(&file()[..17]), "has 5 bytes of data, but its header says [2, 3]");
        assert!(error(&[0x1f, 0x8b, 8, 0]).contains("no whole gzip file"));
        assert!(
            error(&[0, 0, 8, 8].into_iter().chain([255; 32]).collect::<Vec<_>>())
                .contains("header says")
        );
    }

    pliant_fuzzing::surfaces! { damaged_idx_files_are_refused: 20_000 }

    fn damaged_idx_files_are_refused(cases: std::ops::Range<u64>) {
        let zipped = |bytes: &[u8]| {
            let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
            zipped.write_all(bytes).and_then(|()| zipped.finish()).expect("zipped")
        };
        let images = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4];
        let labels = vec![0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
        pliant_fuzzing::Surface::new("idx").check(cases, |damage| {
            let mut files = [images.clone(), labels.clone()];
            let which = damage.below(2);
            files[which] = damage.bytes(&files[which], &[&images, &labels]);
            if damage.once_in(2) {
                files[which] = zipped(&files[which]);
                files[which] = damage.bytes(&files[which], &[]);
            }
            let read = labelled_images(&files).and_then(|found| {
                Dataset::new(found.shape, found.images, &found.labels, 2)
                    .map_err(|error| error.to_string())
            });
            read.map(|data| {
                (0..2).for_each(|class| assert_eq!(data.image(class, 0).len(), data.shape.len()));
            })
            .into()
        });
    }

    /// 1 MB that unpacks to a thousand.
    #[test]
    fn a_gzip_file_that_unpacks_to_more_than_any_data_set_is_refused() {
        let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        (0..1024).for_each(|_| zipped.write_all(&zeros).expect("zipped"));
        let error = unzipped(&zipped.finish().expect("zipped")).expect_err("a bomb");
        assert_eq!(error, "unpacks to more than 268435456 bytes, more than any data set here");
    }

    #[test]
    fn a_pair_of_files_is_read_as_grey_images() {
        let images = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4];
        let labels = vec![0, 0, 8, 1, 0, 0, 0, 2, 7, 8];
        let found = labelled_images(&[images.clone(), labels.clone()]).expect("good files");
        assert_eq!(found.shape, FrameShape { channels: 1, height: 1, width: 2 });
        assert_eq!((found.images, found.labels), (vec![1, 2, 3, 4], vec![7, 8]));
        let error = |files: &[Vec<u8>]| labelled_images(files).expect_err("bad files");
        assert!(
            error(&[labels.clone(), images.clone()]).contains("shape [2] and labels [2, 1, 2]")
        );
        assert!(error(&[images.clone(), labels[1..].to_vec()]).starts_with("the file of labels"));
        assert!(error(&[images]).starts_with("there are 1 files"));
    }
}
