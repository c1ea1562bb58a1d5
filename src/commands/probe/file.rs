//! Transitions of a file.

use std::{collections::BTreeMap, path::Path};

use pliant_core::{
    network::NetworkSpec,
    probe::Transitions,
    tch::{Device, Kind, Tensor},
};

use crate::tensors;

/// Reads a safetensors file with `s_tm1`, `s_t` u8 `[n, channels, height, width]`, `a_tm1` i64 `[n]`, `r_t`,
/// `discount_t` f32 `[n]`. An error unless a network of these sizes can learn from them.
pub(super) fn transitions(path: &Path, spec: &NetworkSpec) -> Result<Transitions, String> {
    let failed = |error: String| format!("--data {}: {error}", path.display());
    let read = read(path, spec).map_err(failed)?;
    check_numbers(&read).map_err(failed)?;
    Ok(read)
}

/// The same of a failed update, whose rewards may be what is wrong with it.
pub(in crate::commands) fn stored(path: &Path, spec: &NetworkSpec) -> Result<Transitions, String> {
    read(path, spec).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path, spec: &NetworkSpec) -> Result<Transitions, String> {
    let read = typed(&tensors::read(path)?.into_iter().collect())?;
    check(&read, spec)?;
    Ok(read)
}

/// Tensors of the right types and equally long.
fn typed(all: &BTreeMap<String, Tensor>) -> Result<Transitions, String> {
    let one = |name: &str, kind: Kind, dimensions: usize| {
        let tensor = all.get(name).ok_or_else(|| {
            format!(
                "`{name}` is not there, expected `s_tm1`, `a_tm1`, `r_t`, `discount_t` and `s_t`"
            )
        })?;
        if tensor.kind() != kind || tensor.dim() != dimensions {
            let (kind_is, size) = (tensor.kind(), tensor.size());
            return Err(format!(
                "`{name}` is {kind_is:?} {size:?}, expected {kind:?} of {dimensions} dimensions"
            ));
        }
        Ok(tensor.to_device(Device::Cpu))
    };
    let read = Transitions {
        s_tm1: one("s_tm1", Kind::Uint8, 4)?,
        a_tm1: one("a_tm1", Kind::Int64, 1)?,
        r_t: one("r_t", Kind::Float, 1)?,
        discount_t: one("discount_t", Kind::Float, 1)?,
        s_t: one("s_t", Kind::Uint8, 4)?,
    };
    let count = read.a_tm1.size()[0];
    let lengths = [&read.s_tm1, &read.r_t, &read.discount_t, &read.s_t];
    if count == 0 || lengths.iter().any(|tensor| tensor.size()[0] != count) {
        return Err("its tensors differ in length, or are empty".to_owned());
    }
    Ok(read)
}

/// What the types do not say.
fn check(read: &Transitions, spec: &NetworkSpec) -> Result<(), String> {
    let expected = spec.observation;
    for (name, observations) in [("s_tm1", &read.s_tm1), ("s_t", &read.s_t)] {
        let size = &observations.size()[1..];
        if *size != expected {
            return Err(format!(
                "an observation of `{name}` is {size:?}, the run's are {expected:?} (channels, height, \
                 width)"
            ));
        }
    }
    let actions = &read.a_tm1;
    let is_unknown = actions.lt(0).logical_or(&actions.ge(spec.actions));
    if let Some(index) = first(&is_unknown) {
        let (action, last) = (actions.int64_value(&[index]), spec.actions - 1);
        return Err(format!("`a_tm1` of transition {index} is {action}, expected 0 to {last}"));
    }
    Ok(())
}

fn check_numbers(read: &Transitions) -> Result<(), String> {
    for (name, numbers) in [("r_t", &read.r_t), ("discount_t", &read.discount_t)] {
        if let Some(index) = first(&numbers.isfinite().logical_not()) {
            let number = numbers.double_value(&[index]);
            return Err(format!(
                "`{name}` of transition {index} is {number}, expected a finite number"
            ));
        }
    }
    let outside = read.discount_t.lt(0.0).logical_or(&read.discount_t.gt(1.0));
    if let Some(index) = first(&outside) {
        let number = read.discount_t.double_value(&[index]);
        return Err(format!("`discount_t` of transition {index} is {number}, expected 0 to 1"));
    }
    Ok(())
}

/// Where a bool `[n]` holds first.
fn first(holds: &Tensor) -> Option<i64> {
    let places = holds.nonzero();
    (places.size()[0] > 0).then(|| places.int64_value(&[0, 0]))
}

#[cfg(test)]
mod tests {
    use pliant_core::network::NetworkPlan;
    use pliant_fuzzing::{Surface, Verdict};

    use super::*;
    use crate::failure::legible;

    pliant_fuzzing::surfaces! { damaged_files_of_transitions_are_refused: 20_000 }

    fn damaged_files_of_transitions_are_refused(cases: std::ops::Range<u64>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.safetensors");
        let of = |kind, shape: &[i64]| Tensor::ones(shape, (kind, Device::Cpu));
        let observations = of(Kind::Uint8, &[3, 1, 2, 2]);
        let numbers = of(Kind::Float, &[3]);
        let all = [
            ("s_tm1", observations.shallow_clone()),
            ("a_tm1", of(Kind::Int64, &[3])),
            ("r_t", numbers.shallow_clone()),
            ("discount_t", numbers),
            ("s_t", observations),
        ];
        Tensor::write_safetensors(&all, &path).expect("written");
        let whole = std::fs::read(&path).expect("just written");
        let spec = NetworkSpec { observation: [1, 2, 2], actions: 2, plan: NetworkPlan::default() };
        transitions(&path, &spec).expect("a whole file");
        Surface::new("transitions").check(cases, |damage| {
            // Half the time the header, which is JSON, stays so.
            let header = 8 + usize::from(u16::from_le_bytes([whole[0], whole[1]]));
            let file = if damage.once_in(2) {
                damage.bytes(&whole, &[])
            } else {
                let json = serde_json::from_slice(&whole[8..header]).expect("JSON");
                let json = serde_json::to_vec(&damage.json(&json)).expect("plain data");
                [&(json.len() as u64).to_le_bytes(), json.as_slice(), &whole[header..]].concat()
            };
            std::fs::write(&path, file).expect("written");
            let read = transitions(&path, &spec);
            read.map_or_else(|error| Verdict::Refused(legible(&error)), |_| Verdict::Taken)
        });
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let spec = NetworkSpec { observation: [1, 2, 2], actions: 2, plan: NetworkPlan::default() };
        for path in ["/", "/dev/null", "/nowhere"] {
            let error = transitions(Path::new(path), &spec).expect_err("no file");
            assert!(error.starts_with(&format!("--data {path}: ")), "{error}");
        }
    }
}
