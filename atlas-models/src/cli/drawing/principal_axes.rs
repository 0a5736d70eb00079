//! Principal components (Pearson, "On lines and planes of closest fit", 1901).

/// Rotations stop where no two axes have a larger cosine.
const TOLERANCE: f64 = 1e-12;
/// Every sweep makes the cosines much smaller; ten are usual.
const SWEEPS: usize = 60;

/// The two directions in which points differ most.
pub struct PrincipalAxes {
    mean: Vec<f64>,
    /// Of length 1, or zero if the points do not differ so. The largest element of each is positive.
    axes: [Vec<f64>; 2],
    /// The shares of the variance along the axes.
    pub shares: [f64; 2],
}

impl PrincipalAxes {
    /// The axes of points of `width` coordinates, one after the other.
    pub fn of(points: &[f32], width: usize) -> Self {
        let width = width.max(1);
        let count = (points.len() / width).max(1) as f64;
        let mut mean = vec![0.0; width];
        for point in points.chunks_exact(width) {
            add_scaled(&mut mean, 1.0 / count, point.iter().map(|&x| f64::from(x)));
        }
        let mut covariance = vec![vec![0.0; width]; width];
        let mut centred = vec![0.0; width];
        for point in points.chunks_exact(width) {
            for ((centred, &x), mean) in centred.iter_mut().zip(point).zip(&mean) {
                *centred = f64::from(x) - mean;
            }
            for (row, &x) in covariance.iter_mut().zip(&centred) {
                add_scaled(row, x / count, centred.iter().copied());
            }
        }
        let total: f64 = (0..width).map(|axis| covariance[axis][axis]).sum();
        make_orthogonal(&mut covariance);
        let mut lengths: Vec<(f64, usize)> = covariance
            .iter()
            .map(|row| dot(row, row).sqrt())
            .zip(0..)
            .collect();
        lengths.sort_by(|one, other| other.0.total_cmp(&one.0));
        let nth = |place: usize| lengths.get(place).copied().unwrap_or((0.0, 0));
        let axis = |(variance, row): (f64, usize)| {
            if variance <= f64::EPSILON * total {
                return vec![0.0; width];
            }
            let row = &covariance[row];
            let largest =
                row.iter().fold(
                    0.0f64,
                    |largest, &x| {
                        if x.abs() > largest.abs() { x } else { largest }
                    },
                );
            row.iter()
                .map(|x| x * largest.signum() / variance)
                .collect()
        };
        Self {
            axes: [axis(nth(0)), axis(nth(1))],
            shares: [0, 1].map(|place| {
                if total > 0.0 {
                    nth(place).0 / total
                } else {
                    0.0
                }
            }),
            mean,
        }
    }

    /// Where a point is along the axes.
    pub fn project(&self, point: &[f32]) -> [f64; 2] {
        self.axes.each_ref().map(|axis| {
            let coordinates = axis.iter().zip(point).zip(&self.mean);
            coordinates
                .map(|((axis, &x), mean)| axis * (f64::from(x) - mean))
                .sum()
        })
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (left, right) in left.chunks(8).zip(right.chunks(8)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}

fn add_scaled(to: &mut [f64], factor: f64, row: impl Iterator<Item = f64>) {
    for (to, x) in to.iter_mut().zip(row) {
        *to += factor * x;
    }
}

/// Turns the rows of a symmetric matrix until each two are orthogonal (Hestenes, "Inversion of matrices
/// by biorthogonalization", 1958): each is then an eigenvector as long as its eigenvalue is large.
fn make_orthogonal(rows: &mut [Vec<f64>]) {
    for _ in 0..SWEEPS {
        let mut largest: f64 = 0.0;
        let mut squares: Vec<f64> = rows.iter().map(|row| dot(row, row)).collect();
        for second in 1..rows.len() {
            let (before, after) = rows.split_at_mut(second);
            let right = &mut after[0];
            for (first, left) in before.iter_mut().enumerate() {
                let product = dot(left, right);
                let cosine = product.abs() / (squares[first] * squares[second]).sqrt();
                // Rows of zeros are orthogonal to all.
                if !cosine.is_finite() || cosine <= TOLERANCE {
                    continue;
                }
                largest = largest.max(cosine);
                let half = (squares[second] - squares[first]) / (2.0 * product);
                let tangent = half.signum() / (half.abs() + half.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = cosine * tangent;
                for (left, right) in left.iter_mut().zip(right.iter_mut()) {
                    let turned = cosine * *left - sine * *right;
                    *right = sine * *left + cosine * *right;
                    *left = turned;
                }
                squares[first] -= tangent * product;
                squares[second] += tangent * product;
            }
        }
        if largest <= TOLERANCE {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Points that differ by these standard deviations along the axes of a rotated system.
    fn points(deviations: &[f64], count: usize) -> (Vec<f32>, Vec<Vec<f64>>) {
        let mut generator = ChaCha8Rng::seed_from_u64(9);
        let width = deviations.len();
        let mut system: Vec<Vec<f64>> = Vec::new();
        while system.len() < width {
            let mut axis: Vec<f64> = (0..width)
                .map(|_| generator.random_range(-1.0..1.0))
                .collect();
            for other in &system {
                let product = dot(&axis, other);
                add_scaled(&mut axis, -product, other.iter().copied());
            }
            let length = dot(&axis, &axis).sqrt();
            system.push(axis.iter().map(|x| x / length).collect());
        }
        let mut all = Vec::new();
        for _ in 0..count {
            let mut point = vec![3.0; width];
            for (axis, deviation) in system.iter().zip(deviations) {
                let along = deviation * generator.random_range(-1.0..1.0) * 3f64.sqrt();
                add_scaled(&mut point, along, axis.iter().copied());
            }
            all.extend(point.iter().map(|&x| x as f32));
        }
        (all, system)
    }

    #[test]
    fn the_axes_are_those_along_which_the_points_differ_most() {
        let (all, system) = points(&[0.5, 4.0, 1.0, 2.0, 0.1], 20_000);
        let axes = PrincipalAxes::of(&all, 5);
        for (axis, expected) in axes.axes.iter().zip([&system[1], &system[3]]) {
            assert!(dot(axis, expected).abs() > 0.999);
            assert!((dot(axis, axis) - 1.0).abs() < 1e-12);
            let largest =
                axis.iter().fold(
                    0.0f64,
                    |largest, &x| if x.abs() > largest.abs() { x } else { largest },
                );
            assert!(largest > 0.0);
        }
        assert!(dot(&axes.axes[0], &axes.axes[1]).abs() < 1e-12);
        // Of 16, 4, 1, 0.25 and 0.01.
        assert!((axes.shares[0] - 0.753).abs() < 0.01 && (axes.shares[1] - 0.188).abs() < 0.01);
    }

    #[test]
    fn a_projection_keeps_the_variance_along_the_axes() {
        let (all, _) = points(&[1.0, 3.0, 2.0], 5_000);
        let axes = PrincipalAxes::of(&all, 3);
        let projected: Vec<_> = all.chunks(3).map(|point| axes.project(point)).collect();
        for axis in 0..2 {
            let mean = projected.iter().map(|point| point[axis]).sum::<f64>() / 5_000.0;
            let square = projected
                .iter()
                .map(|point| point[axis].powi(2))
                .sum::<f64>()
                / 5_000.0;
            assert!(mean.abs() < 1e-6, "{mean}");
            let expected = [9.0, 4.0][axis];
            assert!((square / expected - 1.0).abs() < 0.05, "{square}");
        }
    }

    #[test]
    fn points_that_do_not_differ_so_have_an_axis_of_zeros() {
        let line: Vec<f32> = (0..10).flat_map(|i| [i as f32, 2.0 * i as f32]).collect();
        let axes = PrincipalAxes::of(&line, 2);
        assert!((axes.shares[0] - 1.0).abs() < 1e-12);
        assert_eq!(axes.axes[1], [0.0, 0.0]);
        for (points, width) in [(vec![], 4), (vec![1.0; 12], 4), (vec![1.0, 2.0, 3.0], 1)] {
            let axes = PrincipalAxes::of(&points, width);
            let place = axes.project(&vec![0.5; width]);
            assert!(place.iter().all(|x| x.is_finite()), "{place:?}");
        }
    }
}
