//! [`Mixture`]: a density that is fitted to the latents of molecules, to draw new ones from.

use atlas_core::{Draws, Error, Result};
use candle_core::{D, DType, Device, Tensor};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// A mixture of normal distributions with full covariances.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Dimensions of a latent.
    pub latent: usize,
    /// The share of each component; together 1.
    pub weights: Vec<f64>,
    /// `[components, latent]`, row by row.
    pub means: Vec<f64>,
    /// The lower triangular factor of each covariance, `[components, latent, latent]`.
    pub factors: Vec<f64>,
}

/// What a fit found.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The mixture that is likeliest to give latents that it was not fitted to; `None` if the
    /// standard normal is.
    pub mixture: Option<Mixture>,
    /// What was tried, in this order.
    pub tried: Vec<Candidate>,
    /// Latents that were fitted to.
    pub fitted: usize,
    /// Latents that were held out.
    pub held_out: usize,
}

/// A mixture that a fit tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Its components; 0 is the standard normal.
    pub components: usize,
    /// The mean logarithm of its density, in nats, at latents that were held out.
    pub log_likelihood: f64,
}

/// Numbers of components that a fit tries unless it is told others: 1 is a normal distribution.
pub const COMPONENTS: [usize; 6] = [1, 10, 20, 50, 100, 200];

/// The most latents that are fitted to and held out; more hardly change what is found.
const MOST: [usize; 2] = [10_000, 2_000];
/// The fewest latents for each component beyond the first.
const LATENTS_PER_COMPONENT: usize = 50;
/// The most rounds of expectation and maximisation, and the gain in nats that ends them.
const ROUNDS: usize = 12;
const GAIN: f64 = 0.05;

impl Mixture {
    /// Fits mixtures of several sizes to latents `[molecules, latent]`, and takes the one under
    /// which a tenth of them, which are held out, is likeliest (as in RAE, Ghosh et al. 2020).
    ///
    /// Latents are whitened, each mixture is started at latents that `seed` draws and improved by
    /// expectation and maximisation (Dempster et al. 1977), with covariances shrunk as by one more
    /// latent for each dimension whose covariance is that of all. Numbers of components are tried in
    /// the given order until one is worse than the one before.
    ///
    /// # Errors
    /// If there are fewer than two latents, or they are not finite.
    pub fn fit(latents: &Tensor, components: &[usize], seed: u64) -> Result<Fit> {
        let latents = latents.detach().to_device(&Device::Cpu)?;
        let latents = latents.to_dtype(DType::F32)?;
        let (count, width) = latents.dims2()?;
        if count < 2 {
            return Err(Error::new(format_args!(
                "a density is fitted to at least 2 latents, not to {count}"
            )));
        }
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let held_out = (count / 10).clamp(1, MOST[1]);
        let fitted = (count - held_out).min(MOST[0]);
        let drawn = index::sample(&mut generator, count, held_out + fitted).into_vec();
        let drawn: Vec<u32> = drawn.into_iter().map(|index| index as u32).collect();
        let rows = |indices: &[u32]| latents.index_select(&Tensor::new(indices, &Device::Cpu)?, 0);
        let (test, train) = (rows(&drawn[..held_out])?, rows(&drawn[held_out..])?);

        let whitening = Whitening::of(&train)?;
        let (test_white, train_white) = (whitening.apply(&test)?, whitening.apply(&train)?);
        let standard = standard_log_density(&test)?;
        let mut tried = vec![Candidate {
            components: 0,
            log_likelihood: standard,
        }];
        let mut best: Option<(f64, White)> = None;
        for &components in components {
            if components == 0 || (components - 1) * LATENTS_PER_COMPONENT > fitted {
                continue;
            }
            let mixture = White::fit(&train_white, components, &mut generator)?;
            let likelihood = mixture.log_density(&test_white)?.1 - whitening.log_determinant;
            tried.push(Candidate {
                components,
                log_likelihood: likelihood,
            });
            if best.as_ref().is_some_and(|(other, _)| likelihood <= *other) {
                break;
            }
            best = Some((likelihood, mixture));
        }
        let best = best.filter(|(likelihood, _)| *likelihood > standard);
        Ok(Fit {
            mixture: best.map(|(_, mixture)| whitening.colour(&mixture, width)),
            tried,
            fitted,
            held_out,
        })
    }

    /// The number of components.
    pub fn components(&self) -> usize {
        self.weights.len()
    }

    /// Draws latents, `[count, latent]`, in `f32` on the CPU: one for each draw.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn draw(&self, draws: Draws, count: usize) -> Result<Tensor> {
        let width = self.latent;
        // The first number of a draw chooses the component.
        let normal = draws.normal(count, width + 1)?.to_vec2::<f32>()?;
        let mut latents = Vec::with_capacity(count * width);
        for numbers in normal {
            let component = self.component(standard_normal_cdf(f64::from(numbers[0])));
            let factor = &self.factors[component * width * width..][..width * width];
            for dimension in 0..width {
                let row = &factor[dimension * width..][..=dimension];
                let noise = row.iter().zip(&numbers[1..]);
                let moved: f64 = noise
                    .map(|(factor, number)| factor * f64::from(*number))
                    .sum();
                latents.push((self.means[component * width + dimension] + moved) as f32);
            }
        }
        Ok(Tensor::from_vec(latents, (count, width), &Device::Cpu)?)
    }

    /// The component at this share of all.
    fn component(&self, share: f64) -> usize {
        let mut left = share * self.weights.iter().sum::<f64>();
        let found = self.weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        found.unwrap_or(self.weights.len() - 1)
    }
}

/// The share of a standard normal distribution below `x`.
fn standard_normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

/// The mean logarithm of the standard normal density at latents.
fn standard_log_density(latents: &Tensor) -> Result<f64> {
    let (count, width) = latents.dims2()?;
    let squares = latents.to_dtype(DType::F64)?.sqr()?.sum_all()?;
    let squares = squares.to_scalar::<f64>()? / count as f64;
    Ok(-0.5 * (squares + width as f64 * (2.0 * std::f64::consts::PI).ln()))
}

/// The affine map under which latents have mean zero and the identity as covariance.
struct Whitening {
    mean: Vec<f64>,
    /// The lower triangular factor of the covariance.
    factor: Vec<f64>,
    /// Its inverse.
    inverse: Vec<f64>,
    log_determinant: f64,
}

impl Whitening {
    fn of(latents: &Tensor) -> Result<Self> {
        let (count, width) = latents.dims2()?;
        let latents = latents.to_dtype(DType::F64)?;
        let mean = latents.mean(0)?;
        let centred = latents.broadcast_sub(&mean)?;
        let covariance = (centred.t()?.matmul(&centred)? / count as f64)?;
        let mut covariance = covariance.flatten_all()?.to_vec1::<f64>()?;
        // A dimension that hardly varies would be divided by next to nothing.
        let mean_variance =
            (0..width).map(|i| covariance[i * width + i]).sum::<f64>() / width as f64;
        for dimension in 0..width {
            covariance[dimension * width + dimension] += 1e-6 * mean_variance + f64::MIN_POSITIVE;
        }
        let factor = cholesky(covariance, width)?;
        Ok(Self {
            mean: mean.to_vec1()?,
            inverse: invert(&factor, width),
            log_determinant: log_determinant(&factor, width),
            factor,
        })
    }

    /// Latents so, followed by a column of ones.
    fn apply(&self, latents: &Tensor) -> Result<Tensor> {
        let width = self.mean.len();
        let mean = Tensor::from_slice(&self.mean, width, &Device::Cpu)?;
        let inverse = Tensor::from_slice(&self.inverse, (width, width), &Device::Cpu)?;
        let centred = latents.to_dtype(DType::F64)?.broadcast_sub(&mean)?;
        let white = centred.matmul(&inverse.t()?)?.to_dtype(DType::F32)?;
        let ones = Tensor::ones((white.dim(0)?, 1), DType::F32, &Device::Cpu)?;
        Ok(Tensor::cat(&[white, ones], 1)?)
    }

    /// The mixture of latents as they were.
    fn colour(&self, mixture: &White, width: usize) -> Mixture {
        let mut means = Vec::with_capacity(mixture.means.len());
        let mut factors = Vec::with_capacity(mixture.factors.len());
        for mean in mixture.means.chunks(width) {
            let moved = self.factor.chunks(width).zip(&self.mean);
            means.extend(moved.map(|(row, own)| own + dot(row, mean)));
        }
        for factor in mixture.factors.chunks(width * width) {
            factors.extend(multiply_lower(&self.factor, factor, width));
        }
        Mixture {
            latent: width,
            weights: mixture.weights.clone(),
            means,
            factors,
        }
    }
}

/// A mixture in whitened latents.
struct White {
    weights: Vec<f64>,
    means: Vec<f64>,
    factors: Vec<f64>,
}

impl White {
    fn fit(latents: &Tensor, components: usize, generator: &mut ChaCha8Rng) -> Result<Self> {
        let (count, columns) = latents.dims2()?;
        let width = columns - 1;
        let starts = index::sample(generator, count, components).into_vec();
        let rows = latents.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let identity = (0..width * width).map(|i| f64::from(u8::from(i % (width + 1) == 0)));
        let identity: Vec<f64> = identity.collect();
        let mut mixture = Self {
            weights: vec![1.0 / components as f64; components],
            means: starts
                .iter()
                .flat_map(|&start| rows[start][..width].to_vec())
                .collect(),
            factors: identity.repeat(components),
        };
        let mut before = f64::NEG_INFINITY;
        for _ in 0..ROUNDS {
            let (shares, likelihood) = mixture.log_density(latents)?;
            mixture.maximise(latents, &shares)?;
            if likelihood - before < GAIN && before.is_finite() {
                break;
            }
            before = likelihood;
        }
        Ok(mixture)
    }

    /// The share of each component in each latent, `[latents, components]`, and the mean logarithm
    /// of the density; `latents` end in a column of ones.
    fn log_density(&self, latents: &Tensor) -> Result<(Tensor, f64)> {
        let width = latents.dim(1)? - 1;
        let column = |(index, &weight): (usize, &f64)| -> Result<Tensor> {
            let factor = &self.factors[index * width * width..][..width * width];
            let mean = &self.means[index * width..][..width];
            let inverse = invert(factor, width);
            // Maps a latent and one to the latent as the component's standard normal has it.
            let maps = inverse.chunks(width).flat_map(|row| {
                let scaled = row.iter().map(|&element| element as f32);
                scaled.chain([-dot(row, mean) as f32])
            });
            let map = Tensor::from_vec(maps.collect(), (width, width + 1), &Device::Cpu)?;
            let white = latents.matmul(&map.t()?)?;
            let constant = weight.ln()
                - log_determinant(factor, width)
                - 0.5 * width as f64 * (2.0 * std::f64::consts::PI).ln();
            Ok(((white.sqr()?.sum(D::Minus1)? * -0.5)? + constant)?)
        };
        let columns = self.weights.par_iter().enumerate().map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let logarithms = Tensor::stack(&columns, 1)?;
        let total = logarithms.log_sum_exp(1)?;
        let shares = logarithms.broadcast_sub(&total.unsqueeze(1)?)?.exp()?;
        let mean = total.to_dtype(DType::F64)?.mean_all()?.to_scalar::<f64>()?;
        if !mean.is_finite() {
            return Err(Error::new("the latents are not finite numbers"));
        }
        Ok((shares, mean))
    }

    /// Moves the components to the latents that they have shares in; `latents` end in a column of
    /// ones.
    fn maximise(&mut self, latents: &Tensor, shares: &Tensor) -> Result<()> {
        let (count, columns) = latents.dims2()?;
        let width = columns - 1;
        let prior = width as f64;
        let moved = |index| -> Result<(f64, Vec<f64>, Vec<f64>)> {
            let weighted = latents.broadcast_mul(&shares.narrow(1, index, 1)?)?;
            // The sums of shares, of latents and of their products, all at once.
            let sums = weighted.t()?.matmul(latents)?.to_dtype(DType::F64)?;
            let sums = sums.to_vec2::<f64>()?;
            let total = sums[width][width] + 1e-10;
            let mean: Vec<f64> = sums[width][..width].iter().map(|sum| sum / total).collect();
            let mut covariance = Vec::with_capacity(width * width);
            for (row, products) in sums[..width].iter().enumerate() {
                for (column, product) in products[..width].iter().enumerate() {
                    let scatter = product - total * mean[row] * mean[column];
                    let identity = f64::from(u8::from(row == column));
                    covariance.push((scatter + prior * identity) / (total + prior));
                }
            }
            Ok((total / count as f64, mean, cholesky(covariance, width)?))
        };
        let components = (0..self.weights.len()).into_par_iter().map(moved);
        let components = components.collect::<Result<Vec<_>>>()?;
        self.weights = components.iter().map(|(weight, ..)| *weight).collect();
        self.means = components
            .iter()
            .flat_map(|(_, mean, _)| mean.clone())
            .collect();
        self.factors = components
            .into_iter()
            .flat_map(|(.., factor)| factor)
            .collect();
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|weight| *weight /= sum);
        Ok(())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The lower triangular factor of a symmetric matrix `[width, width]`.
fn cholesky(mut matrix: Vec<f64>, width: usize) -> Result<Vec<f64>> {
    for row in 0..width {
        for column in 0..=row {
            let before = dot(
                &matrix[row * width..][..column],
                &matrix[column * width..][..column],
            );
            let left = matrix[row * width + column] - before;
            matrix[row * width + column] = if row > column {
                left / matrix[column * width + column]
            } else if left > 0.0 {
                left.sqrt()
            } else {
                return Err(Error::new("the latents are not finite numbers"));
            };
        }
        matrix[row * width + row + 1..(row + 1) * width].fill(0.0);
    }
    Ok(matrix)
}

/// The inverse of a lower triangular matrix.
fn invert(factor: &[f64], width: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; width * width];
    for column in 0..width {
        for row in column..width {
            let identity = f64::from(u8::from(row == column));
            let before: f64 = (column..row)
                .map(|i| factor[row * width + i] * inverse[i * width + column])
                .sum();
            inverse[row * width + column] = (identity - before) / factor[row * width + row];
        }
    }
    inverse
}

fn log_determinant(factor: &[f64], width: usize) -> f64 {
    (0..width).map(|i| factor[i * width + i].ln()).sum()
}

/// The product of two lower triangular matrices.
fn multiply_lower(a: &[f64], b: &[f64], width: usize) -> Vec<f64> {
    let mut product = vec![0.0; width * width];
    for row in 0..width {
        for column in 0..=row {
            product[row * width + column] = (column..=row)
                .map(|i| a[row * width + i] * b[i * width + column])
                .sum();
        }
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: [f32; 2] = [3.0, -1.0];
    /// Lower triangular: the covariance is [[4, 2], [2, 1.25]].
    const FACTOR: [[f32; 2]; 2] = [[2.0, 0.0], [1.0, 0.5]];

    /// Draws of a normal distribution with this mean and factor.
    fn normal(count: usize, seed: u64, mean: [f32; 2]) -> Tensor {
        let noise = Draws { seed, first: 0 }.normal(count, 2).unwrap();
        let factor = Tensor::new(&FACTOR, &Device::Cpu).unwrap();
        let mean = Tensor::new(&mean, &Device::Cpu).unwrap();
        let moved = noise.matmul(&factor.t().unwrap()).unwrap();
        moved.broadcast_add(&mean).unwrap()
    }

    /// Mean, then variances and covariance.
    fn moments(latents: &Tensor) -> [f64; 5] {
        let rows = latents.to_vec2::<f32>().unwrap();
        let mean_of = |value: &dyn Fn(&[f32]) -> f64| {
            rows.iter().map(|row| value(row)).sum::<f64>() / rows.len() as f64
        };
        let at = |index: usize| move |row: &[f32]| f64::from(row[index]);
        let means = [mean_of(&at(0)), mean_of(&at(1))];
        let covariance = |a: usize, b: usize| {
            mean_of(&move |row: &[f32]| (at(a)(row) - means[a]) * (at(b)(row) - means[b]))
        };
        let (x, y, both) = (covariance(0, 0), covariance(1, 1), covariance(0, 1));
        [means[0], means[1], x, y, both]
    }

    #[test]
    fn one_component_is_the_normal_distribution_of_the_latents() {
        let latents = normal(20_000, 1, MEAN);
        let fit = Mixture::fit(&latents, &[1], 0).unwrap();
        let mixture = fit.mixture.unwrap();
        let factor: Vec<f64> = FACTOR.iter().flatten().map(|&x| f64::from(x)).collect();
        for (found, expected) in mixture.factors.iter().zip(factor) {
            assert!((found - expected).abs() < 0.05, "{found} {expected}");
        }
        // The entropy of the distribution: the logarithm of 2πe and of the determinant of its factor.
        let entropy = (2.0 * std::f64::consts::PI * std::f64::consts::E).ln() + 1f64.ln();
        let found = fit.tried[1].log_likelihood;
        assert!((found + entropy).abs() < 0.1, "{found} {entropy}");

        let drawn = mixture.draw(Draws { seed: 5, first: 0 }, 20_000).unwrap();
        for (found, expected) in moments(&drawn).into_iter().zip([3.0, -1.0, 4.0, 1.25, 2.0]) {
            assert!((found - expected).abs() < 0.12, "{found} {expected}");
        }
    }

    #[test]
    fn clusters_are_found_where_there_are_some() {
        let far = [normal(3000, 1, MEAN), normal(1000, 2, [-40.0, 25.0])];
        let latents = Tensor::cat(&far, 0).unwrap();
        let fit = Mixture::fit(&latents, &[1, 2, 3], 0).unwrap();
        let mixture = fit.mixture.as_ref().unwrap();
        assert!(mixture.components() >= 2, "{:?}", fit.tried);
        assert!(fit.tried[2].log_likelihood > fit.tried[1].log_likelihood + 0.5);
        let drawn = mixture.draw(Draws { seed: 5, first: 0 }, 4000).unwrap();
        let drawn = drawn.to_vec2::<f32>().unwrap();
        let of_second = drawn.iter().filter(|row| row[0] < -20.0).count();
        assert!((800..1200).contains(&of_second), "{of_second}");
        let between = drawn.iter().filter(|row| (-30.0..-10.0).contains(&row[0]));
        assert_eq!(between.count(), 0);
    }

    #[test]
    fn a_fit_and_a_draw_depend_on_their_seeds_alone() {
        let latents = normal(500, 1, MEAN);
        let fit = || Mixture::fit(&latents, &[1, 5], 3).unwrap();
        assert_eq!(fit(), fit());
        let mixture = fit().mixture.unwrap();
        let draw = |first, count| {
            let drawn = mixture.draw(Draws { seed: 2, first }, count).unwrap();
            drawn.to_vec2::<f32>().unwrap()
        };
        assert_eq!(draw(0, 40)[7..20], draw(7, 13));
    }

    #[test]
    fn latents_that_the_standard_normal_describes_best_keep_it() {
        let latents = Draws { seed: 1, first: 0 }.normal(60, 12).unwrap();
        let fit = Mixture::fit(&latents, &[1], 0).unwrap();
        assert_eq!(fit.mixture, None);
    }

    #[test]
    fn too_few_latents_and_numbers_that_are_none_are_refused() {
        let one = normal(1, 1, MEAN);
        let error = Mixture::fit(&one, &[1], 0).unwrap_err().to_string();
        assert_eq!(error, "a density is fitted to at least 2 latents, not to 1");
        let infinite = (normal(40, 1, MEAN) * f64::INFINITY).unwrap();
        let error = Mixture::fit(&infinite, &[1], 0).unwrap_err().to_string();
        assert_eq!(error, "the latents are not finite numbers");
    }
}
