//! Standard output, as it is when it is piped into something that stops reading.

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
