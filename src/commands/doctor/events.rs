//! Whether TensorBoard can read an event file to its end.

use std::{fs, path::Path};

/// The number of events in a file; an error that says where it is torn.
///
/// A record is its length (8 bytes), their CRC (4), the event, its CRC (4), all little-endian.
pub(super) fn check(path: &Path) -> Result<usize, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let (mut rest, mut count) = (&bytes[..], 0);
    while !rest.is_empty() {
        rest = after_record(rest).ok_or_else(|| {
            let at = bytes.len() - rest.len();
            format!("is torn at byte {at} of {}, after {count} events", bytes.len())
        })?;
        count += 1;
    }
    Ok(count)
}

/// What follows the first record; `None` if that is not whole.
fn after_record(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_at_checked(12)?;
    let (length, crc) = header.split_at(8);
    if masked_crc32c(length) != u32_of(crc)? {
        return None;
    }
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let (event, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let (crc, rest) = rest.split_at_checked(4)?;
    (masked_crc32c(event) == u32_of(crc)?).then_some(rest)
}

fn u32_of(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// TensorFlow's: a CRC of data that holds CRCs would be weak.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

/// Castagnoli's polynomial, reflected, byte by byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use pliant_core::{clock::Clock, metrics::Metrics, sink::Sink};

    use super::*;
    use crate::sinks::{Start, TensorBoardSink};

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // RFC 3720
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn a_whole_file_is_read_to_its_end_and_a_torn_or_changed_one_up_to_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sink = TensorBoardSink::create(folder.path(), Start::Fresh).expect("a sink");
        let mut metrics = Metrics::default();
        metrics.scalar("train/loss", 0.5);
        sink.write(&Clock::default(), 0.0, &metrics).expect("written");
        sink.flush().expect("written");
        let path = sink.path().to_owned();
        assert_eq!(check(&path), Ok(3), "version, start, loss");
        let bytes = fs::read(&path).expect("a file");
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("writable");
        assert!(check(&path).expect_err("torn").contains("after 2 events"));
        for place in [0, 9, bytes.len() - 6, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(&path, changed).expect("writable");
            assert!(check(&path).is_err(), "a bit of byte {place}");
        }
    }
}
