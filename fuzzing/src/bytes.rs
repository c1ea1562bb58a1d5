//! Damage to bytes.

use rand::RngCore;

use super::Damage;

/// Numbers at which sizes and counts go wrong.
const EXTREMES: [u64; 14] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    u64::MAX / 8 + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Floats that are no numbers, or very great ones, as bits.
const FLOATS: [u32; 5] = [0x7fc0_0000, 0x7f80_0000, 0xff80_0000, 0x7f7f_ffff, 0x8000_0000];

impl Damage {
    /// A damaged copy: cut short, bits and bytes changed, pieces taken out, put in, doubled or swapped, numbers
    /// replaced by extremes. `others` are inputs of the same kind, for pieces of them.
    pub fn bytes(&mut self, whole: &[u8], others: &[&[u8]]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..self.steps() {
            self.one_step(&mut bytes, others);
        }
        bytes
    }

    fn one_step(&mut self, bytes: &mut Vec<u8>, others: &[&[u8]]) {
        if bytes.is_empty() {
            bytes.push(self.below(256) as u8);
            return;
        }
        let at = self.place(bytes.len());
        match self.below(11) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.below(256) as u8,
            3 | 4 => self.write_extreme(bytes, at),
            5 => drop(bytes.drain(at..self.end_of_piece(at, bytes.len()))),
            6 => {
                let piece: Vec<u8> = (0..=self.below(16)).map(|_| self.below(256) as u8).collect();
                bytes.splice(at..at, piece);
            }
            7 => {
                let piece = bytes[at..self.end_of_piece(at, bytes.len())].to_vec();
                let to = self.place(bytes.len());
                bytes.splice(to..to, piece);
            }
            8 => self.swap_pieces(bytes, at),
            9 => self.splice_from(bytes, at, others),
            _ => {
                let end = self.end_of_piece(at, bytes.len());
                self.0.fill_bytes(&mut bytes[at..end]);
            }
        }
    }

    /// A place, every second time among the first 256: there stand the headers.
    fn place(&mut self, length: usize) -> usize {
        let within = if self.once_in(2) { length.min(256) } else { length };
        self.below(within)
    }

    fn end_of_piece(&mut self, at: usize, length: usize) -> usize {
        let most = if self.once_in(4) { length - at } else { (length - at).min(64) };
        at + 1 + self.below(most)
    }

    fn write_extreme(&mut self, bytes: &mut [u8], at: usize) {
        let number = *self.one_of(&EXTREMES);
        let mut word = match self.below(3) {
            0 => (number as u32).to_le_bytes().to_vec(),
            1 => self.one_of(&FLOATS).to_le_bytes().to_vec(),
            _ => number.to_le_bytes().to_vec(),
        };
        if self.once_in(3) {
            word.reverse();
        }
        let end = bytes.len().min(at + word.len());
        bytes[at..end].copy_from_slice(&word[..end - at]);
    }

    fn swap_pieces(&mut self, bytes: &mut [u8], at: usize) {
        let length = self.end_of_piece(at, bytes.len()) - at;
        let to = self.below(bytes.len() - length + 1);
        for offset in 0..length {
            bytes.swap(at + offset, to + offset);
        }
    }

    fn splice_from(&mut self, bytes: &mut Vec<u8>, at: usize, others: &[&[u8]]) {
        let whole = bytes.clone();
        let other = if others.is_empty() { whole.as_slice() } else { self.one_of(others) };
        if other.is_empty() {
            return;
        }
        let from = self.place(other.len());
        let to = self.end_of_piece(at, bytes.len());
        let end = self.end_of_piece(from, other.len());
        bytes.splice(at..to, other[from..end].iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_case_is_the_same_damage_and_most_differ_from_the_whole() {
        let whole: Vec<u8> = (0..=255).collect();
        let damaged = |case| Damage::of("bytes", case).bytes(&whole, &[b"another"]);
        assert_eq!(damaged(3), damaged(3));
        let changed = (0..200).filter(|case| damaged(*case) != whole).count();
        assert!(changed > 190, "{changed} of 200");
        let lengths: Vec<usize> = (0..200).map(|case| damaged(case).len()).collect();
        assert!(lengths.iter().any(|length| *length < 200));
        assert!(lengths.iter().any(|length| *length > 256));
    }

    #[test]
    fn nothing_at_all_can_be_damaged() {
        let grown =
            (0..100).filter(|case| !Damage::of("none", *case).bytes(&[], &[&[]]).is_empty());
        assert!(grown.count() > 50);
    }
}
