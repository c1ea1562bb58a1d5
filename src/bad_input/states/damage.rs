//! Damage to states that keeps them states.

use std::collections::BTreeMap;

use pliant_core::{
    state::StateDict,
    tch::{Kind, Tensor},
};
use pliant_fuzzing::Damage;

/// A copy with some tensors and values taken out, exchanged, or changed.
pub(super) fn damaged_state(damage: &mut Damage, whole: &StateDict) -> StateDict {
    let copy = |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.copy());
    let mut tensors: BTreeMap<String, Tensor> = whole.tensors().iter().map(copy).collect();
    let mut values = whole.values().clone();
    for _ in 0..=damage.below(2) {
        if damage.once_in(2) {
            change_one(damage, &mut tensors, damaged_tensor);
        } else {
            change_one(damage, &mut values, Damage::json);
        }
    }
    StateDict::from_parts(tensors, values)
}

/// Takes one out, exchanges two, or changes one.
fn change_one<T>(
    damage: &mut Damage,
    all: &mut BTreeMap<String, T>,
    change: impl Fn(&mut Damage, &T) -> T,
) {
    let names: Vec<String> = all.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let (one, other) = (damage.one_of(&names).clone(), damage.one_of(&names).clone());
    let Some(taken) = all.remove(&one) else { return };
    match damage.below(8) {
        0 => {}
        1 => {
            if let Some(second) = all.remove(&other) {
                all.insert(one, second);
            }
            all.insert(other, taken);
        }
        _ => {
            let changed = change(damage, &taken);
            all.insert(one, changed);
        }
    }
}

fn damaged_tensor(damage: &mut Damage, whole: &Tensor) -> Tensor {
    match damage.below(4) {
        0 => whole.to_kind(*damage.one_of(&[
            Kind::Double,
            Kind::Float,
            Kind::Half,
            Kind::Int64,
            Kind::Uint8,
            Kind::Bool,
        ])),
        1 => reshaped(damage, whole),
        2 => whole.full_like(extreme(damage, whole)),
        _ => {
            let flat = whole.copy().reshape([-1]);
            if flat.numel() > 0 {
                let at = damage.below(flat.numel()) as i64;
                let _ = flat.get(at).fill_(extreme(damage, whole));
            }
            flat.reshape(whole.size())
        }
    }
}

fn extreme(damage: &mut Damage, of: &Tensor) -> f64 {
    let floats = [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3e38];
    if of.is_floating_point() { *damage.one_of(&floats) } else { damage.below(2) as f64 }
}

fn reshaped(damage: &mut Damage, whole: &Tensor) -> Tensor {
    let flat = whole.reshape([-1]);
    match damage.below(7) {
        0 => flat,
        1 => whole.unsqueeze(0),
        2 => whole.unsqueeze(-1),
        3 => flat.narrow(0, 0, damage.below(flat.numel() + 1) as i64),
        4 => Tensor::cat(&[&flat, &flat], 0),
        5 if whole.dim() >= 2 => whole.transpose(0, -1).contiguous(),
        5 => flat.unsqueeze(0),
        _ => Tensor::zeros([0i64; 0], (whole.kind(), whole.device())),
    }
}
