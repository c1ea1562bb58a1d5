//! Colours by number.

use std::collections::HashMap;

/// Up to 256 colours, numbered in the order in which they first appear.
#[derive(Debug, Default)]
pub(super) struct Palette {
    /// Red, green, blue of each colour.
    pub(super) rgb: Vec<u8>,
    index: HashMap<[u8; 3], u8>,
}

impl Palette {
    /// The number of each pixel's colour; new colours get the next ones. `None` if there are not
    /// enough numbers for all (those given out stay).
    pub(super) fn indices(&mut self, rgb: &[u8]) -> Option<Vec<u8>> {
        let pixels = rgb.as_chunks::<3>().0;
        let mut indices = Vec::with_capacity(pixels.len());
        let mut last = None;
        for &colour in pixels {
            // Neighbours are mostly equal: a comparison instead of a look-up.
            let index = match last {
                Some((known, index)) if known == colour => index,
                _ => self.index_of(colour)?,
            };
            last = Some((colour, index));
            indices.push(index);
        }
        Some(indices)
    }

    fn index_of(&mut self, colour: [u8; 3]) -> Option<u8> {
        if let Some(&index) = self.index.get(&colour) {
            return Some(index);
        }
        let index = u8::try_from(self.index.len()).ok()?;
        self.index.insert(colour, index);
        self.rgb.extend(colour);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_numbered_as_they_appear_and_keep_their_numbers() {
        let mut palette = Palette::default();
        let (red, blue) = ([255, 0, 0], [0, 0, 255]);
        assert_eq!(palette.indices(&[red, red, blue, red].concat()), Some(vec![0, 0, 1, 0]));
        assert_eq!(palette.indices(&[blue, [0; 3]].concat()), Some(vec![1, 2]));
        assert_eq!(palette.rgb, [red, blue, [0; 3]].concat());
    }

    #[test]
    fn the_257th_colour_finds_no_number() {
        let mut palette = Palette::default();
        let greys: Vec<u8> = (0..=255).flat_map(|grey| [grey; 3]).collect();
        assert_eq!(palette.indices(&greys), Some((0..=255).collect()));
        assert_eq!(palette.indices(&[1, 2, 3]), None);
        assert_eq!(palette.indices(&[7, 7, 7]), Some(vec![7]));
    }
}
