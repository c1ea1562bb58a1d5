//! CIFAR-10's binary layout: records of one label byte and the red, green and blue planes of a
//! 32x32 image.

use super::dataset::LabelledImages;
use crate::env::FrameShape;

const SHAPE: FrameShape = FrameShape { channels: 3, height: 32, width: 32 };
/// Bytes of the planes.
pub(super) const IMAGE: usize = 3 * 32 * 32;
const RECORD: usize = 1 + IMAGE;

/// The images of all batches, in order; the error says which batch is how.
pub(super) fn parse(batches: Vec<Vec<u8>>) -> Result<LabelledImages, String> {
    let count = batches.iter().map(Vec::len).sum::<usize>() / RECORD;
    let (mut images, mut labels) = (Vec::with_capacity(count * IMAGE), Vec::with_capacity(count));
    for (index, batch) in batches.into_iter().enumerate() {
        let (records, rest) = batch.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(format!(
                "batch {} has {} bytes, which is no whole number of records of {RECORD}",
                index + 1,
                batch.len()
            ));
        }
        for record in records {
            labels.push(record[0]);
            images.extend_from_slice(&record[1..]);
        }
    }
    Ok(LabelledImages { shape: SHAPE, images, labels })
}

/// One record out of a label and an image of interleaved RGB.
pub(super) fn record(label: u8, rgb: &[u8; IMAGE]) -> Vec<u8> {
    let mut record = vec![label];
    for plane in 0..3 {
        record.extend(rgb.iter().skip(plane).step_by(3));
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_pixels_become_planes_and_batches_follow_each_other() {
        let mut rgb = [0; IMAGE];
        rgb[..6].copy_from_slice(&[1, 2, 3, 4, 5, 6]); // two pixels
        rgb[IMAGE - 3..].copy_from_slice(&[7, 8, 9]);
        let parsed = parse(vec![record(4, &rgb), record(9, &[5; IMAGE])]).expect("good batches");
        assert_eq!(parsed.labels, [4, 9]);
        assert_eq!((parsed.shape.len(), parsed.images.len()), (IMAGE, 2 * IMAGE));
        let planes = [0, 1, 1023, 1024, 1025, 2047, 2048, 2049, 3071].map(|at| parsed.images[at]);
        assert_eq!(planes, [1, 4, 7, 2, 5, 8, 3, 6, 9]);
        assert_eq!(parsed.images[IMAGE], 5);
    }

    pliant_fuzzing::surfaces! { damaged_batches_are_refused: 3_000 }

    fn damaged_batches_are_refused(cases: std::ops::Range<u64>) {
        let batch = [record(0, &[1; IMAGE]), record(1, &[2; IMAGE])].concat();
        pliant_fuzzing::Surface::new("cifar10").check(cases, |damage| {
            let batches = vec![damage.bytes(&batch, &[]), batch.clone()];
            let read = parse(batches).and_then(|found| {
                crate::classification::Dataset::new(found.shape, found.images, &found.labels, 2)
                    .map_err(|error| error.to_string())
            });
            read.into()
        });
    }

    #[test]
    fn a_torn_batch_is_refused() {
        let whole = record(0, &[0; IMAGE]);
        let error = parse(vec![whole.clone(), whole[1..].to_vec()]).expect_err("torn");
        assert_eq!(error, "batch 2 has 3072 bytes, which is no whole number of records of 3073");
    }
}
