//! Damage to text.

use super::Damage;

/// What texts are made of that are not what they seem.
const PIECES: [&str; 36] = [
    "",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{feff}",
    "é",
    "𝄞",
    "\"",
    "'",
    "\\",
    "`",
    "=",
    "==",
    ".",
    ",",
    ":",
    ";",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "#",
    "-",
    "+",
    "nan",
    "-inf",
    "1e999",
    "-1",
    "18446744073709551616",
    "0x",
    "true",
    "null",
    "..",
];

/// Numbers as text.
const NUMBERS: [&str; 16] = [
    "0",
    "-0.0",
    "-1",
    "1",
    "255",
    "256",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1e-320",
    "1e308",
    "1e400",
    "nan",
    "inf",
    "-inf",
];

impl Damage {
    /// A damaged copy, still text: lines and characters taken out, doubled, swapped, numbers replaced, pieces
    /// put in that mean something where they do not belong.
    pub fn text(&mut self, whole: &str) -> String {
        let mut text = whole.to_owned();
        for _ in 0..self.steps() {
            text = self.changed_text(&text);
        }
        text
    }

    fn changed_text(&mut self, text: &str) -> String {
        match self.below(8) {
            0 => self.with_lines_changed(text),
            1 => text[..self.boundary(text)].to_owned(),
            2 | 3 => self.with_number_replaced(text),
            4 => {
                let (from, to) = self.piece(text);
                [&text[..from], &text[to..]].concat()
            }
            5 => {
                let ((from, to), at) = (self.piece(text), self.boundary(text));
                [&text[..at], &text[from..to], &text[at..]].concat()
            }
            6 => {
                let at = self.boundary(text);
                let count = if self.once_in(20) { 20_000 } else { 1 };
                [&text[..at], &self.one_of(&PIECES).repeat(count), &text[at..]].concat()
            }
            _ => {
                let bytes = self.bytes(text.as_bytes(), &[]);
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    fn with_lines_changed(&mut self, text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        if lines.is_empty() {
            return "\n".to_owned();
        }
        let (at, to) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(3) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(to, lines[at]),
            _ => lines.swap(at, to),
        }
        lines.join("\n")
    }

    fn with_number_replaced(&mut self, text: &str) -> String {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let digits: Vec<usize> =
            text.bytes().enumerate().filter(|(_, byte)| is_digit(byte)).map(|(at, _)| at).collect();
        if digits.is_empty() {
            return text.to_owned();
        }
        let at = *self.one_of(&digits);
        let number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'e');
        let from = at - text.as_bytes()[..at].iter().rev().take_while(|byte| number(byte)).count();
        let to = at + text.as_bytes()[at..].iter().take_while(|byte| number(byte)).count();
        [&text[..from], *self.one_of(&NUMBERS), &text[to..]].concat()
    }

    /// A place between two characters.
    fn boundary(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn piece(&mut self, text: &str) -> (usize, usize) {
        let (one, other) = (self.boundary(text), self.boundary(text));
        (one.min(other), one.max(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_replaced_whole() {
        let texts: Vec<String> = (0..50)
            .map(|case| Damage::of("n", case).with_number_replaced("a = -1.5e3\n"))
            .collect();
        assert!(
            texts.iter().all(|text| text.starts_with("a = ") && text.ends_with('\n')),
            "{texts:?}"
        );
        assert!(texts.iter().any(|text| text == "a = nan\n"), "{texts:?}");
    }

    #[test]
    fn any_text_can_be_damaged() {
        for case in 0..2000 {
            for text in ["", "é", "a\nb = 1\n", "𝄞𝄞"] {
                Damage::of(text, case).text(text);
            }
        }
    }
}
