//! What program and plug-in must have in common, as text.

use std::{
    ffi::{CStr, CString},
    mem::{align_of, size_of},
    sync::OnceLock,
};

use crate::{
    clock::{Clock, Every},
    error::Error,
    intervention::Hook,
    learner::Learner,
    metrics::{Metrics, Value},
    network::{HiddenLayer, Model, NetworkPlan, Taps},
    optimizer::Moments,
    probe::Transitions,
    registry::{Parameter, Plugins},
    seeds::Stream,
    state::StateDict,
    variables::Variables,
};

/// The version of the two functions of a library and of what they agree on.
const API: u32 = 1;

/// The version of tch, to which `Cargo.toml` holds every build.
const TCH: &str = "0.24.0";

/// The stamp of whoever calls this, program or plug-in: a line `name: value` for each part.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let parts = [
            ("plug-in API", API.to_string()),
            ("rustc", env!("PLIANT_CORE_RUSTC").to_owned()),
            ("tch", TCH.to_owned()),
            ("libtorch", env!("PLIANT_CORE_LIBTORCH").to_owned()),
            ("sources of pliant-core", env!("PLIANT_CORE_SOURCES").to_owned()),
            ("memory layouts", format!("{:016x}", layouts())),
        ];
        parts.map(|(name, value)| format!("{name}: {value}")).join("\n")
    })
}

/// The same for C.
pub fn as_c_string() -> &'static CStr {
    static TEXT: OnceLock<CString> = OnceLock::new();
    TEXT.get_or_init(|| CString::new(text()).unwrap_or_default())
}

/// An error if `theirs`, a plug-in's stamp, is not this program's: every part that differs, both ways.
pub fn compare(theirs: &str) -> Result<(), String> {
    let differs = |line: &str| {
        let (name, ours) = line.split_once(": ")?;
        let value = theirs.lines().find_map(|their| their.strip_prefix(name)?.strip_prefix(": "));
        let value = value.unwrap_or("unknown");
        (value != ours).then(|| format!("{name} is {value}, expected {ours}"))
    };
    let differences: Vec<String> = text().lines().filter_map(differs).collect();
    if differences.is_empty() { Ok(()) } else { Err(differences.join("; ")) }
}

/// A fingerprint of the sizes and alignments of what crosses the boundary: features of a dependency can
/// change them at the same version.
fn layouts() -> u64 {
    let sizes = [
        size_of::<Plugins>(),
        size_of::<super::Handover>(),
        size_of::<Parameter>(),
        size_of::<StateDict>(),
        size_of::<Metrics>(),
        size_of::<Value>(),
        size_of::<Learner>(),
        size_of::<Model>(),
        size_of::<Variables>(),
        size_of::<Moments>(),
        size_of::<HiddenLayer>(),
        size_of::<NetworkPlan>(),
        size_of::<Taps>(),
        size_of::<Hook<'_>>(),
        size_of::<Transitions>(),
        size_of::<Stream>(),
        size_of::<Clock>(),
        size_of::<Every>(),
        size_of::<Error>(),
        size_of::<tch::Tensor>(),
        size_of::<tch::TchError>(),
        size_of::<serde_json::Value>(),
        size_of::<serde_json::Map<String, serde_json::Value>>(),
        size_of::<toml::Value>(),
        size_of::<toml::Table>(),
        align_of::<serde_json::Value>(),
        align_of::<toml::Value>(),
        align_of::<Stream>(),
    ];
    let step = |hash: u64, size: usize| (hash ^ size as u64).wrapping_mul(0x0100_0000_01b3);
    sizes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_differs_is_named_with_both_values() {
        assert_eq!(compare(text()), Ok(()));
        let other = text().replace("tch: 0.24.0", "tch: 0.25.0").replace("API: 1", "API: 9");
        let message = compare(&other).expect_err("two parts differ");
        assert_eq!(message, "plug-in API is 9, expected 1; tch is 0.25.0, expected 0.24.0");
        let message = compare("something else").expect_err("no stamp at all");
        assert!(message.contains("rustc is unknown, expected rustc "), "{message}");
    }

    #[test]
    fn the_parts_are_known() {
        assert!(!text().contains(": unknown"), "{}", text());
        assert_eq!(as_c_string().to_str(), Ok(text()));
    }

    #[test]
    fn the_version_of_tch_is_the_one_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"tch\"\nversion = \"{TCH}\"\n")), "not {TCH}");
    }
}
