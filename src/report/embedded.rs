//! Pictures that are part of the page.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::escaped;

/// A figure of a file's bytes; `kind` is `png` or `gif`, `more` HTML behind the caption.
pub(super) fn panel(bytes: &[u8], kind: &str, caption: &str, more: &str) -> String {
    let data = BASE64_STANDARD.encode(bytes);
    let caption = escaped(caption);
    format!(
        "<figure><img alt=\"{caption}\" src=\"data:image/{kind};base64,{data}\"><figcaption>{caption}.{more}</figcaption></figure>"
    )
}
