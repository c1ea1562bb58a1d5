//! Lists in settings.

use std::fmt::Display;

/// An error unless a list names something, and nothing twice; `expected` says what it lists.
pub(crate) fn check_list<T: PartialEq + Display>(
    setting: &str,
    list: &[T],
    expected: &str,
) -> Result<(), String> {
    if list.is_empty() {
        return Err(format!("`{setting}` is empty, expected {expected}"));
    }
    let again = list.iter().enumerate().find(|(index, item)| list[..*index].contains(item));
    again.map_or(Ok(()), |(_, item)| {
        Err(format!("`{setting}` has {item} twice, expected {expected}, each once"))
    })
}
