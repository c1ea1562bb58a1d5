//! Small tables for people.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// A table of these rows, no wider than the terminal.
pub fn render<H: AsRef<str>>(header: &[H], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(AsRef::as_ref))
        .add_rows(rows);
    table.to_string()
}
