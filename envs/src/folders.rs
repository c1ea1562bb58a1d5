//! Where pliant keeps what it fetched.

use std::{env, path::PathBuf};

/// `$XDG_CACHE_HOME/pliant`, else `~/.cache/pliant`, else `.cache/pliant` here. After XDG's rules a
/// relative `XDG_CACHE_HOME` counts as unset.
pub(crate) fn cache() -> PathBuf {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    base.unwrap_or_else(|| PathBuf::from(".cache")).join("pliant")
}
