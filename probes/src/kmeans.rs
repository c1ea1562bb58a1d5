//! Clusters of rows, to bring rows that are alike together.

use pliant_core::{
    seeds::Stream,
    tch::{Kind, Tensor},
};

/// Rounds after which clusters are taken as they are.
const MOST_ROUNDS: usize = 100;

/// The cluster of each row of f32 `[rows, columns]`: k-means (Lloyd, 1982) from well spread rows (k-means++,
/// Arthur & Vassilvitskii, 2007).
pub(crate) fn clusters(rows: &Tensor, count: usize, stream: &mut Stream) -> Vec<i64> {
    let mut centers = spread(rows, count, stream);
    let mut labels = nearest(rows, &centers);
    for _ in 0..MOST_ROUNDS {
        let means: Vec<Tensor> = (0..centers.size()[0])
            .map(|cluster| mean_of(rows, &labels, &centers, cluster))
            .collect();
        centers = Tensor::stack(&means, 0);
        let new = nearest(rows, &centers);
        if new.equal(&labels) {
            break;
        }
        labels = new;
    }
    Vec::try_from(&labels).expect("i64 labels")
}

fn distances(rows: &Tensor, centers: &Tensor) -> Tensor {
    Tensor::cdist(rows, centers, 2.0, None::<i64>).square()
}

fn nearest(rows: &Tensor, centers: &Tensor) -> Tensor {
    distances(rows, centers).argmin(1, false)
}

/// A cluster without rows stays where it is.
fn mean_of(rows: &Tensor, labels: &Tensor, centers: &Tensor, cluster: i64) -> Tensor {
    let members = labels.eq(cluster).nonzero().squeeze_dim(1);
    if members.size()[0] == 0 {
        return centers.get(cluster);
    }
    rows.index_select(0, &members).mean_dim([0i64].as_slice(), false, Kind::Float)
}

/// Rows of which each is drawn with a probability in proportion to its squared distance from those before.
fn spread(rows: &Tensor, count: usize, stream: &mut Stream) -> Tensor {
    let total = rows.size()[0] as usize;
    let mut chosen = vec![stream.indices(1, total)[0] as i64];
    while chosen.len() < count.min(total) {
        let centers = rows.index_select(0, &Tensor::from_slice(&chosen).to_device(rows.device()));
        let nearest = distances(rows, &centers).amin([1i64].as_slice(), false);
        let weights = Vec::<f64>::try_from(&nearest.to_kind(Kind::Double)).expect("f64");
        let sum: f64 = weights.iter().sum();
        if sum <= 0.0 {
            break; // no more rows than these are different
        }
        let mut left = stream.fraction() * sum;
        let hit = weights.iter().position(|weight| {
            left -= weight;
            left <= 0.0 && *weight > 0.0
        });
        chosen.push(hit.unwrap_or(total - 1) as i64);
    }
    rows.index_select(0, &Tensor::from_slice(&chosen).to_device(rows.device()))
}

#[cfg(test)]
mod tests {
    use pliant_core::{seeds::Seeds, tch::Device};

    use super::*;

    #[test]
    fn three_heaps_are_found() {
        let mut stream = Seeds::new(0).stream("test");
        let heap = |x: f32, y: f32| [x, y, x + 0.1, y, x, y + 0.1, x - 0.1, y];
        let heaps = [heap(0.0, 0.0), heap(5.0, 0.0), heap(0.0, 7.0)].concat();
        let rows = Tensor::from_slice(&heaps).reshape([12, 2]);
        for _ in 0..10 {
            let labels = clusters(&rows, 3, &mut stream);
            for heap in labels.chunks(4) {
                assert!(heap.iter().all(|label| *label == heap[0]), "{labels:?}");
            }
            let [a, b, c] = [labels[0], labels[4], labels[8]];
            assert!(a != b && b != c && a != c, "{labels:?}");
        }
    }

    /// Where Lloyd's rounds end; the rows to begin with are hardly ever the means.
    #[test]
    fn every_row_is_in_the_cluster_of_the_nearest_mean() {
        let mut stream = Seeds::new(0).stream("test");
        for _ in 0..10 {
            let rows = stream.normal(&[60, 2], 1.0);
            let labels = Tensor::from_slice(&clusters(&rows, 4, &mut stream));
            let means: Vec<Tensor> =
                (0..4).map(|cluster| mean_of(&rows, &labels, &rows, cluster)).collect();
            assert!(nearest(&rows, &Tensor::stack(&means, 0)).equal(&labels));
        }
    }

    #[test]
    fn fewer_different_rows_than_clusters_are_fewer_clusters() {
        let mut stream = Seeds::new(0).stream("test");
        let rows = Tensor::from_slice(&[1.0f32, 1.0, 2.0, 2.0]).reshape([4, 1]);
        let labels = clusters(&rows, 10, &mut stream);
        assert!(labels[0] == labels[1] && labels[2] == labels[3] && labels[0] != labels[2]);
    }

    /// Beside 98 rows of 0 stand 1 and 3. After a 0 the second is 3 with a probability of 9 in 10.
    #[test]
    fn rows_to_begin_with_are_drawn_by_their_squared_distance() {
        let mut stream = Seeds::new(0).stream("test");
        let rows = Tensor::zeros([100, 1], (Kind::Float, Device::Cpu));
        rows.narrow(0, 98, 2).copy_(&Tensor::from_slice(&[1.0f32, 3.0]).reshape([2, 1]));
        let pairs =
            (0..1000).map(|_| Vec::<f32>::try_from(spread(&rows, 2, &mut stream).reshape([2])));
        let second: Vec<f32> = pairs
            .map(|pair| pair.expect("f32"))
            .filter(|pair| pair[0] == 0.0)
            .map(|pair| pair[1])
            .collect();
        assert!(second.len() > 900 && second.iter().all(|row| *row > 0.0));
        let share = second.iter().filter(|row| **row == 3.0).count() as f64 / second.len() as f64;
        // Standard deviation 0.01; 0.75 by the distance itself.
        assert!((share - 0.9).abs() < 0.04, "{share}");
    }

    #[test]
    fn a_cluster_that_has_lost_its_rows_stays_where_it_is() {
        let rows = Tensor::from_slice(&[1.0f32, 3.0]).reshape([2, 1]);
        let centers = Tensor::from_slice(&[0.0f32, 7.0]).reshape([2, 1]);
        let labels = Tensor::from_slice(&[0i64, 0]);
        let mean = |cluster| mean_of(&rows, &labels, &centers, cluster).double_value(&[0]);
        assert_eq!((mean(0), mean(1)), (2.0, 7.0));
    }
}
