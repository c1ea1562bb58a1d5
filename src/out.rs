//! Standard output and standard error, as they are when they go into something that stops reading or is full.

use std::{
    fmt::Arguments,
    io::{self, Write as _},
};

/// `println!`, but for a reader that has left.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::line(format_args!($($text)*))
    };
}

/// Writes a line. What nobody reads any more is dropped: `println!` would panic.
pub fn line(text: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// `eprintln!`, but for a reader that has left or a disk that is full.
macro_rules! tell {
    ($($text:tt)*) => {
        $crate::out::aside(format_args!($($text)*))
    };
}

/// Writes a line to standard error. What cannot be written is dropped: `eprintln!` would panic.
pub fn aside(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}
