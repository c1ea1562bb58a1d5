//! Categorical heads: Q-values as means of distributions over a fixed support, learned by
//! cross-entropy.

use std::f64::consts::SQRT_2;

use tch::{Device, Kind, Tensor};

use super::Target;

/// A distribution for each action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Categorical {
    /// Where its mass can lie.
    pub support: Support,
    /// What distribution is learned.
    pub encoding: Encoding,
}

/// `bins` values from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Support {
    /// The least value that can be represented.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// How many.
    pub bins: i64,
}

/// What distribution a categorical head learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoding {
    /// The scalar target as mass on the two neighbouring atoms, such that its mean is the target.
    TwoHot,
    /// The scalar target as a normal distribution of this standard deviation, in units of a bin's
    /// width, as mass in the bins (Farebrother et al., 2024).
    HlGauss {
        /// Standard deviation over bin width.
        sigma: f64,
    },
    /// The next state's distribution, shrunk by the discount and shifted by the reward: the
    /// distributional Bellman target of C51 (Bellemare et al., 2017).
    Distributional,
}

impl Support {
    /// Checks the limits.
    pub fn new(min: f64, max: f64, bins: u32) -> Result<Self, String> {
        if !(min.is_finite() && max.is_finite() && min < max) {
            return Err(format!(
                "`min` is {min} and `max` {max}, expected finite numbers, min < max"
            ));
        }
        if !(2..=MAX_BINS).contains(&bins) {
            return Err(format!("`bins` is {bins}, expected 2 to {MAX_BINS}"));
        }
        Ok(Self { min, max, bins: i64::from(bins) })
    }

    /// f32 `[bins]`, the first at `min`, the last at `max`.
    fn atoms(&self, device: Device) -> Tensor {
        Tensor::linspace(self.min, self.max, self.bins, (Kind::Float, device))
    }

    /// Distance of two atoms.
    fn spacing(&self) -> f64 {
        (self.max - self.min) / (self.bins - 1) as f64
    }

    /// Width of a bin, where bins share out the range between them.
    fn bin_width(&self) -> f64 {
        (self.max - self.min) / self.bins as f64
    }

    /// f32 `[bins + 1]`, the edges of the bins.
    fn edges(&self, device: Device) -> Tensor {
        Tensor::linspace(self.min, self.max, self.bins + 1, (Kind::Float, device))
    }

    /// f32 `[bins]`, the middles of the bins.
    fn centers(&self, device: Device) -> Tensor {
        let half = 0.5 * self.bin_width();
        Tensor::linspace(self.min + half, self.max - half, self.bins, (Kind::Float, device))
    }

    /// Mass at f32 `[batch, points]` given to the neighbouring atoms of f32 `[.., points]` values by
    /// nearness: f32 `[batch, bins]`.
    fn project(&self, values: &Tensor, mass: &Tensor) -> Tensor {
        let atoms = self.atoms(values.device());
        let values = values.clamp(self.min, self.max);
        let some = |values: &Tensor, mass: &Tensor| {
            let nearness =
                ((values.unsqueeze(-1) - &atoms).abs() / -self.spacing() + 1.0).clamp(0.0, 1.0);
            (mass.unsqueeze(-1) * nearness).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
        };
        // A few transitions at a time where all pairs of points and atoms would be too many at once.
        let count = (MOST_PAIRS / (values.size()[1] * self.bins)).max(1);
        let parts: Vec<Tensor> = values
            .split(count, 0)
            .iter()
            .zip(mass.split(count, 0))
            .map(|(values, mass)| some(values, &mass))
            .collect();
        Tensor::cat(&parts, 0)
    }

    /// 1 where f32 values lie outside, else 0.
    fn is_outside(&self, values: &Tensor) -> Tensor {
        values.lt(self.min).logical_or(&values.gt(self.max)).to_kind(Kind::Float)
    }
}

const MAX_BINS: u32 = 65_536;

/// Pairs of points and atoms that are looked at together: 64 MB of distances.
const MOST_PAIRS: i64 = 1 << 24;

impl Categorical {
    /// f32 `[batch, actions, bins]` of outputs f32 `[batch, actions * bins]`.
    pub(super) fn logits(&self, outputs: &Tensor) -> Tensor {
        outputs.reshape([outputs.size()[0], -1, self.support.bins])
    }

    /// The distributions' means, f32 `[batch, actions]`.
    pub(super) fn means(&self, logits: &Tensor) -> Tensor {
        self.mean_of(&logits.softmax(-1, Kind::Float))
    }

    fn mean_of(&self, probabilities: &Tensor) -> Tensor {
        let device = probabilities.device();
        let values = match self.encoding {
            Encoding::HlGauss { .. } => self.support.centers(device),
            Encoding::TwoHot | Encoding::Distributional => self.support.atoms(device),
        };
        probabilities.matmul(&values)
    }

    /// See [`Head::target`](super::Head::target).
    pub(super) fn target(
        &self,
        r_t: &Tensor,
        discount_t: &Tensor,
        outputs_t: &Tensor,
        a_t: &Tensor,
    ) -> Target {
        let chosen = take_action(&self.logits(outputs_t), a_t).softmax(-1, Kind::Float);
        if self.encoding == Encoding::Distributional {
            let atoms = self.support.atoms(r_t.device());
            let moved = r_t.unsqueeze(1) + discount_t.unsqueeze(1) * atoms;
            let outside = (self.support.is_outside(&moved) * &chosen).sum_dim_intlist(
                [1i64].as_slice(),
                false,
                Kind::Float,
            );
            let distribution = self.support.project(&moved, &chosen);
            let value = self.mean_of(&distribution);
            return Target { value, distribution: Some(distribution), outside: Some(outside) };
        }
        let value = r_t + discount_t * self.mean_of(&chosen);
        let (distribution, outside) = (self.encode(&value), self.support.is_outside(&value));
        Target { value, distribution: Some(distribution), outside: Some(outside) }
    }

    /// f32 `[batch, bins]` of scalar targets f32 `[batch]`; what lies outside the support is taken for
    /// its nearest end.
    pub fn encode(&self, value: &Tensor) -> Tensor {
        match self.encoding {
            Encoding::TwoHot | Encoding::Distributional => {
                let point = value.unsqueeze(1);
                self.support.project(&point, &point.ones_like())
            }
            Encoding::HlGauss { sigma } => self.normal_mass(value, sigma),
        }
    }

    /// The mass of a normal distribution in each bin, scaled to sum to 1.
    fn normal_mass(&self, mean: &Tensor, sigma: f64) -> Tensor {
        let Support { min, max, bins } = self.support;
        let edges = self.support.edges(mean.device());
        let scale = SQRT_2 * sigma * self.support.bin_width();
        let below = ((edges - mean.clamp(min, max).unsqueeze(1)) / scale).erf();
        let mass = below.narrow(1, 1, bins) - below.narrow(1, 0, bins);
        let total = below.select(1, bins) - below.select(1, 0);
        mass / total.unsqueeze(1)
    }

    /// `-sum p log q` of each transition, f32 `[batch]`: `p` is f32 `[batch, bins]`, `q` the prediction
    /// for the action taken.
    pub(super) fn cross_entropy(
        &self,
        outputs: &Tensor,
        a_tm1: &Tensor,
        distribution: &Tensor,
    ) -> Tensor {
        let log_q = take_action(&self.logits(outputs), a_tm1).log_softmax(-1, Kind::Float);
        -(distribution * log_q).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
    }
}

/// `logits[i, actions[i]]` of f32 `[batch, actions, bins]`: f32 `[batch, bins]`.
fn take_action(logits: &Tensor, actions: &Tensor) -> Tensor {
    let bins = logits.size()[2];
    let index = actions.reshape([-1, 1, 1]).expand([-1, 1, bins], false);
    logits.gather(1, &index, false).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::{Head, TdLoss, select_action};

    fn categorical(encoding: Encoding) -> Categorical {
        Categorical { support: Support::new(-1.0, 1.0, 5).expect("valid"), encoding }
    }

    fn assert_close(actual: &Tensor, expected: &[f64]) {
        let actual = Vec::<f32>::try_from(&actual.contiguous().reshape([-1])).expect("f32");
        assert_eq!(actual.len(), expected.len());
        for (a, b) in actual.iter().zip(expected) {
            assert!((f64::from(*a) - b).abs() < 1e-6, "{actual:?}, expected {expected:?}");
        }
    }

    #[test]
    fn two_hot_puts_mass_on_the_neighbours_and_keeps_the_mean() {
        let head = categorical(Encoding::TwoHot);
        let encoded = head.encode(&Tensor::from_slice(&[0.1f32, -0.5, 7.0]));
        #[rustfmt::skip]
        assert_close(&encoded, &[
            0.0, 0.0, 0.8, 0.2, 0.0,
            0.0, 1.0, 0.0, 0.0, 0.0,
            0.0, 0.0, 0.0, 0.0, 1.0,
        ]);
        assert_close(&head.mean_of(&encoded), &[0.1, -0.5, 1.0]);
    }

    /// Phi(x / .75) at the edges of bins of width 0.4 around 0, from tables: sigma is 0.3.
    #[test]
    fn hl_gauss_by_hand() {
        let encoded =
            categorical(Encoding::HlGauss { sigma: 0.75 }).encode(&Tensor::from_slice(&[0.0f32]));
        // Phi(-10/3) = 0.000429060, Phi(-2) = 0.022750132, Phi(-2/3) = 0.252492538.
        let total = 1.0 - 2.0 * 0.000_429_060_3;
        let (outer, inner) = (0.022_321_071_6 / total, 0.229_742_405_6 / total);
        let middle = (1.0 - 2.0 * 0.252_492_537_5) / total;
        assert_close(&encoded, &[outer, inner, middle, inner, outer]);
    }

    #[test]
    fn a_distributional_target_is_shrunk_shifted_and_projected() {
        let head = Head::Categorical(categorical(Encoding::Distributional));
        // Two actions; the second has all mass on -1 and 1, one half each.
        let far = -1e9f32;
        let outputs = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, far, far, far, 0.0];
        let outputs = Tensor::from_slice(&outputs).reshape([1, 10]).repeat([3, 1]);
        let r_t = Tensor::from_slice(&[0.25f32, 0.1, 2.0]);
        let discount_t = Tensor::from_slice(&[0.5f32, 0.0, 0.5]);
        let target = head.target(&r_t, &discount_t, &outputs, &Tensor::from_slice(&[1i64, 1, 1]));
        // -.25 and .75, each halfway between two atoms; .1; and 1.5 and 2.5, both beyond the end.
        #[rustfmt::skip]
        assert_close(&target.distribution.expect("categorical"), &[
            0.0, 0.25, 0.25, 0.25, 0.25,
            0.0, 0.0, 0.8, 0.2, 0.0,
            0.0, 0.0, 0.0, 0.0, 1.0,
        ]);
        assert_close(&target.value, &[0.25, 0.1, 1.0]);
        assert_close(&target.outside.expect("categorical"), &[0.0, 0.0, 1.0]);
    }

    #[test]
    fn many_transitions_are_projected_part_by_part() {
        let support = Support::new(-1.0, 1.0, 1025).expect("valid");
        let values = Tensor::linspace(-1.25, 1.25, 33 * 1025, (Kind::Float, Device::Cpu));
        let values = values.reshape([33, 1025]);
        let mass = Tensor::full([33, 1025], 1.0 / 1025.0, (Kind::Float, Device::Cpu));
        let projected = support.project(&values, &mass);
        assert_eq!(projected.size(), [33, 1025]);
        for row in [0, 20, 32] {
            let alone = support.project(&values.narrow(0, row, 1), &mass.narrow(0, row, 1));
            assert!(projected.narrow(0, row, 1).equal(&alone), "row {row}");
        }
        assert_close(
            &projected
                .sum_dim_intlist([1i64].as_slice(), false, Kind::Double)
                .to_kind(Kind::Float)
                .narrow(0, 0, 1),
            &[1.0],
        );
    }

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_action_taken() {
        let head = Head::Categorical(categorical(Encoding::TwoHot));
        let outputs = Tensor::zeros([1, 10], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert_close(&head.q_values(&outputs), &[0.0, 0.0]);
        let (r_t, zero) = (Tensor::from_slice(&[0.1f32]), Tensor::from_slice(&[0.0f32]));
        let action = Tensor::from_slice(&[1i64]);
        let target = head.target(&r_t, &zero, &outputs.detach(), &action);
        let loss = head.loss(&outputs, &action, &target, TdLoss::Huber);
        assert_close(&loss, &[5f64.ln()]);
        loss.sum(Kind::Float).backward();
        // softmax - target, of the second action alone.
        let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.2, -0.6, 0.0, 0.2];
        assert_close(&outputs.grad(), &expected);
    }

    #[test]
    fn a_support_without_extent_is_refused() {
        for (min, max, bins, word) in [
            (1.0, 1.0, 5, "min"),
            (2.0, 1.0, 5, "min"),
            (f64::NAN, 1.0, 5, "min"),
            (0.0, 1.0, 1, "bins"),
        ] {
            let message = Support::new(min, max, bins).expect_err("refused");
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn selecting_an_action_agrees_with_scalar_selection() {
        let logits = Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([2, 3, 2]);
        let actions = Tensor::from_slice(&[2i64, 0]);
        let first_bins = select_action(&logits.select(2, 0), &actions);
        assert!(take_action(&logits, &actions).select(1, 0).equal(&first_bins));
    }
}
