//! Categorical heads against explicit loops in f64 and PyTorch: `scripts/golden/heads.py` wrote what to
//! expect.

use std::collections::BTreeMap;

use pliant_core::{
    head::{Categorical, Encoding, Head, Support, TdLoss},
    tch::{Kind, Tensor},
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/heads.safetensors");

const ENCODINGS: [(&str, Encoding); 3] = [
    ("two_hot", Encoding::TwoHot),
    ("hl_gauss", Encoding::HlGauss { sigma: 0.75 }),
    ("distributional", Encoding::Distributional),
];

/// An encoding on a support, and what is expected of it.
struct Case {
    name: String,
    head: Categorical,
    tensors: BTreeMap<String, Tensor>,
}

impl Case {
    fn get(&self, key: &str) -> &Tensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("{}: no `{key}`", self.name))
    }

    /// Panics unless each element is within `tolerance` of the expected one.
    fn assert_close(&self, key: &str, actual: &Tensor, tolerance: f64) {
        let expected = self.get(key);
        assert_eq!(actual.size(), expected.size(), "{}: {key}", self.name);
        let elements = numbers(actual).into_iter().zip(numbers(expected));
        for (index, (actual, expected)) in elements.enumerate() {
            let error = (actual - expected).abs();
            assert!(
                error <= tolerance,
                "{}: {key}, element {index}: {actual}, expected {expected}, off by {error:e}",
                self.name
            );
        }
    }

    /// Of a target's distribution: a scalar target is rounded to f32 on its way, by up to two units in the
    /// last place of the largest value, and mass moves by that over the distance of two atoms.
    fn target_tolerance(&self) -> f64 {
        let Support { min, max, bins } = self.head.support;
        match self.head.encoding {
            Encoding::Distributional => 1e-6,
            Encoding::TwoHot | Encoding::HlGauss { .. } => {
                let rounding = 2.0 * f64::from(f32::EPSILON) * 0.5 * self.extent();
                1e-6 + rounding / ((max - min) / bins as f64)
            }
        }
    }

    /// The largest absolute value that the support holds.
    fn extent(&self) -> f64 {
        self.head.support.max.abs().max(self.head.support.min.abs())
    }
}

fn cases() -> Vec<Case> {
    let all = Tensor::read_safetensors(GOLDEN).expect("written by scripts/golden/heads.py");
    let names = ENCODINGS.iter().flat_map(|(name, encoding)| {
        ["wide", "narrow"].map(|support| (format!("{name}_{support}"), *encoding))
    });
    let case = |(name, encoding): (String, Encoding)| {
        let own = |key: &str| Some(key.strip_prefix(&name)?.strip_prefix('/')?.to_owned());
        let tensors: BTreeMap<String, Tensor> =
            all.iter().filter_map(|(key, t)| Some((own(key)?, t.shallow_clone()))).collect();
        let support = numbers(&tensors["support"]);
        let support = Support::new(support[0], support[1], support[2] as u32).expect("valid");
        Case { name, head: Categorical { support, encoding }, tensors }
    };
    names.map(case).collect()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(&tensor.detach().to_kind(Kind::Double).contiguous().reshape([-1])).expect("f64")
}

#[test]
fn scalar_targets_are_encoded_as_by_explicit_loops() {
    for case in cases() {
        case.assert_close("encoded", &case.head.encode(case.get("values")), 1e-6);
    }
}

#[test]
fn targets_losses_and_gradients_are_those_of_loops_and_pytorch() {
    for case in cases() {
        let head = Head::Categorical(case.head);
        let outputs = case.get("outputs_tm1").copy().set_requires_grad(true);
        case.assert_close("q_tm1", &head.q_values(&outputs), 1e-6 * case.extent());
        let [r_t, discount_t] = ["r_t", "discount_t"].map(|key| case.get(key));
        let target = head.target(r_t, discount_t, case.get("outputs_t"), case.get("a_t"));
        case.assert_close("value", &target.value, 1e-6 * case.extent());
        let distribution = target.distribution.as_ref().expect("of a categorical head");
        case.assert_close("distribution", distribution, case.target_tolerance());
        let loss = head.loss(&outputs, case.get("a_tm1"), &target, TdLoss::default());
        // Log-probabilities reach -15 or so.
        case.assert_close("loss", &loss, 1e-5);
        loss.mean(Kind::Float).backward();
        case.assert_close("gradient", &outputs.grad(), 1e-6);
    }
}
