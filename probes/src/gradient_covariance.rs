//! How the gradients of single transitions lie to each other.

use pliant_core::{
    clock::Every,
    envs::env::KnownStates,
    error::Result,
    learner::Learner,
    metrics::{Matrix, Metrics, Value},
    network::Taps,
    probe::{Probe, ProbeData, Subject},
    schedule::{HasSchedule, Period, Scheduled},
    seeds::Stream,
    tch::{Device, Kind, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{
    kmeans::clusters,
    loss::{LossKind, Noise},
    per_example::inner_products,
    rank::effective_rank,
    states::states_of,
};

/// Cosines between the gradients of single transitions, `C[i, j] = <g_i, g_j> / (|g_i| |g_j|)` (Lyle et al.,
/// 2023, figure 2), as heat map `gradient_covariance/LOSS/cosine` whose rows are put in order.
/// `gradient_covariance/LOSS/mean` and `/negative_share` are of the pairs of different transitions;
/// `/effective_rank` is the exponential of the entropy of C's eigenvalues. `/zero_share` is that of gradients of 0,
/// whose cosines count as 0: they draw the mean there. Passes are for evaluation: batch
/// normalisation takes running statistics, so that transitions do not look at each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GradientCovarianceConfig {
    /// Transitions.
    pub batch_size: u32,
    /// Of which loss.
    pub loss: LossKind,
    /// How the noise of the loss `probe` is drawn; if unset shared.
    pub noise: Option<Noise>,
    /// A backward pass for each transition, as if networks did not say how parameters enter: slow, the same
    /// numbers to rounding.
    pub separate: bool,
    /// What brings rows together in the heat map.
    pub order: Order,
    /// Clusters of the order `clusters`, at most `batch_size`; if unset 10, or as many as there can be.
    pub clusters: Option<u32>,
}

/// In what order transitions stand in the matrix.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By k-means of C's rows (the paper's).
    #[default]
    Clusters,
    /// By the state behind the observation, where it is known.
    State,
    /// As drawn.
    None,
}

impl Default for GradientCovarianceConfig {
    fn default() -> Self {
        Self {
            batch_size: 512,
            loss: LossKind::Probe,
            noise: None,
            separate: false,
            order: Order::Clusters,
            clusters: None,
        }
    }
}

impl HasSchedule for GradientCovarianceConfig {
    type Schedule = Period;

    fn default_schedule() -> Period {
        Period::updates(5000)
    }
}

/// Compares gradients.
#[derive(Debug)]
pub struct GradientCovariance(Scheduled<GradientCovarianceConfig>);

/// The matrix grows with the square.
const MOST_TRANSITIONS: u32 = 4096;

/// Where there are fewer transitions there are fewer clusters.
const DEFAULT_CLUSTERS: u32 = 10;

impl GradientCovariance {
    /// Checks the settings.
    pub fn build(config: Scheduled<GradientCovarianceConfig>) -> Result<Box<dyn Probe>, String> {
        let GradientCovarianceConfig { batch_size, loss, noise, order, clusters, .. } =
            config.config;
        if !(2..=MOST_TRANSITIONS).contains(&batch_size) {
            return Err(format!("`batch_size` is {batch_size}, expected 2 to {MOST_TRANSITIONS}"));
        }
        Noise::check(noise, &[loss])?;
        if let Some(clusters) = clusters {
            check_clusters(clusters, batch_size, order)?;
        }
        Ok(Box::new(Self(config)))
    }
}

fn check_clusters(clusters: u32, batch_size: u32, order: Order) -> Result<(), String> {
    if order != Order::Clusters {
        return Err(
            "`clusters` is set, but `order` is not clusters: expected that order, or no `clusters`"
                .to_owned(),
        );
    }
    if (1..=batch_size).contains(&clusters) {
        return Ok(());
    }
    Err(format!("`clusters` is {clusters}, expected 1 to {batch_size}, the `batch_size`"))
}

impl Probe for GradientCovariance {
    fn fits(
        &self,
        _learner: &Learner,
        _data: &dyn ProbeData,
        states: Option<&dyn KnownStates>,
    ) -> Result<(), String> {
        if self.0.config.order == Order::State && states.is_none() {
            return Err(
                "`order` is state, but the environment does not know the states behind its \
                        observations: expected clusters or none"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn every(&self) -> Every {
        self.0.schedule.every()
    }

    fn needs(&self) -> u64 {
        self.0.config.batch_size.into()
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let config = &self.0.config;
        let batch = subject.draw(config.batch_size, stream);
        let mut taps = if config.separate { Taps::default() } else { Taps::tracing() };
        let noise = (config.noise.unwrap_or(Noise::Shared), &mut *stream);
        let losses = config.loss.losses(subject, subject.learner, &batch, noise, Some(&mut taps));
        let products = inner_products(&subject.learner.online, &taps, &losses)?;
        let cosines = cosines(&products).to_device(Device::Cpu);
        report(&cosines, config.loss, metrics)?;
        let keys = match (config.order, subject.states) {
            (Order::Clusters, _) => {
                let count = config.clusters.unwrap_or(DEFAULT_CLUSTERS);
                clusters(&cosines, count as usize, stream)
            }
            (Order::State, Some(states)) => states_of(states, &batch.s_tm1)?,
            _ => vec![0; config.batch_size as usize],
        };
        let heat_map = Value::Matrix(heat_map(&cosines, &keys)?);
        metrics.add(tag(config.loss, "cosine"), heat_map);
        Ok(())
    }
}

pliant_core::stateless!(GradientCovariance);

/// Of inner products f32 `[n, n]`; 0 for a gradient of 0.
pub(crate) fn cosines(products: &Tensor) -> Tensor {
    let lengths = products.diagonal(0, 0, 1).clamp_min(0.0).sqrt();
    let inverse = lengths.reciprocal().where_self(&lengths.gt(0.0), &lengths.zeros_like());
    products * inverse.unsqueeze(0) * inverse.unsqueeze(1)
}

fn tag(loss: LossKind, what: &str) -> String {
    format!("gradient_covariance/{}/{what}", loss.name())
}

/// Mean and negative share of what stands beside the diagonal, and the effective rank.
fn report(cosines: &Tensor, loss: LossKind, metrics: &mut Metrics) -> Result<()> {
    let count = cosines.size()[0];
    let pairs = (count * (count - 1)) as f64;
    let beside = cosines.to_kind(Kind::Double).fill_diagonal_(0.0, false);
    let sum = |tensor: Tensor| tensor.sum(Kind::Double).double_value(&[]);
    metrics.scalar(tag(loss, "mean"), sum(beside.shallow_clone()) / pairs);
    let negative = sum(beside.lt(0.0).to_kind(Kind::Double)) / pairs;
    metrics.scalar(tag(loss, "negative_share"), negative);
    let is_zero = cosines.diagonal(0, 0, 1).eq(0.0).to_kind(Kind::Double);
    metrics.scalar(tag(loss, "zero_share"), sum(is_zero) / count as f64);
    let (eigenvalues, _) = cosines.to_kind(Kind::Double).f_linalg_eigh("U")?;
    let eigenvalues = Vec::<f64>::try_from(&eigenvalues.clamp_min(0.0))?;
    metrics.scalar(tag(loss, "effective_rank"), effective_rank(&eigenvalues));
    Ok(())
}

/// The matrix with rows and columns in the order of their keys.
fn heat_map(cosines: &Tensor, keys: &[i64]) -> Result<Matrix> {
    let mut order: Vec<i64> = (0..keys.len() as i64).collect();
    order.sort_by_key(|index| keys[*index as usize]);
    let order = Tensor::from_slice(&order);
    let ordered = cosines.index_select(0, &order).index_select(1, &order);
    Ok(Matrix {
        rows: keys.len(),
        columns: keys.len(),
        values: Vec::try_from(&ordered.reshape([-1]))?,
        range: (-1.0, 1.0),
        label: "transition".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// g = (1, 0), (0, 2), (-3, 0), (0, 0).
    #[test]
    fn cosines_and_their_numbers_by_hand() {
        let gradients = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 2.0, -3.0, 0.0, 0.0, 0.0]);
        let gradients = gradients.reshape([4, 2]);
        let cosines = cosines(&gradients.matmul(&gradients.transpose(0, 1)));
        #[rustfmt::skip]
        let expected = [
            1.0f32, 0.0, -1.0, 0.0,
            0.0, 1.0, 0.0, 0.0,
            -1.0, 0.0, 1.0, 0.0,
            0.0, 0.0, 0.0, 0.0,
        ];
        assert_eq!(Vec::<f32>::try_from(&cosines.reshape([-1])).expect("f32"), expected);
        let mut metrics = Metrics::default();
        report(&cosines, LossKind::Primary, &mut metrics).expect("finite");
        let number = |name: &str| {
            metrics.get_scalar(&format!("gradient_covariance/primary/{name}")).expect("reported")
        };
        assert!((number("mean") + 2.0 / 12.0).abs() < 1e-12);
        assert!((number("negative_share") - 2.0 / 12.0).abs() < 1e-12);
        assert_eq!(number("zero_share"), 0.25);
        // Eigenvalues 2, 1, 0, 0: shares 2/3 and 1/3.
        let entropy = -(2.0f64 / 3.0) * (2.0f64 / 3.0).ln() - (1.0f64 / 3.0) * (1.0f64 / 3.0).ln();
        assert!((number("effective_rank") - entropy.exp()).abs() < 1e-9);
    }

    #[test]
    fn rows_with_the_same_key_come_together() {
        let cosines = Tensor::from_slice(&[1.0f32, 0.5, 0.1, 0.5, 1.0, 0.2, 0.1, 0.2, 1.0]);
        let matrix = heat_map(&cosines.reshape([3, 3]), &[1, 0, 1]).expect("a matrix");
        assert_eq!(matrix.values, [1.0, 0.5, 0.2, 0.5, 1.0, 0.1, 0.2, 0.1, 1.0]);
    }
}
