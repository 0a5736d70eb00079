//! Layer normalisation (Ba et al. 2016) in one pass over each row, where
//! [`atlas_core::nn::LayerNorm`] is composed of many operations over all rows.

use super::attention::sum;
use super::custom_op::{self, Backward, read};
use super::matrix::Matrix;
use super::reduce::sum_columns;
use super::simd::{InstructionSet, Kernel, Real, Register, Supported};
use candle_core::{DType, Device, Module, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;

/// What is added to the variance: PyTorch's default.
const EPSILON: f64 = 1e-5;

/// The weights of PyTorch's `nn.LayerNorm`.
#[derive(Debug, Clone)]
pub(super) struct RowNorm {
    /// `[width]`
    pub(super) weight: Tensor,
    /// `[width]`
    pub(super) bias: Tensor,
}

impl RowNorm {
    /// Takes `weight` and `bias` from `vb`; those that it makes are ones and zeros.
    ///
    /// # Errors
    ///
    /// `vb` does not have the weights in these shapes.
    pub(super) fn new(width: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(width, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(width, "bias", Init::Const(0.0))?,
        })
    }

    fn fused<T: Real>(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let mut output = vec![T::ZERO; rows * width];
        let mut statistics = vec![[T::ZERO; 2]; rows];
        read(
            [x, &self.weight, &self.bias],
            |[x, weight, bias]: [&[T]; 3]| {
                let set = InstructionSet::detect();
                let size = CHUNK * width;
                let chunks = x.par_chunks(size).zip(output.par_chunks_mut(size));
                let chunks = chunks.zip(statistics.par_chunks_mut(CHUNK));
                chunks.for_each(|((x, output), statistics)| {
                    set.run(Normalise {
                        x,
                        weight,
                        bias,
                        output,
                        statistics,
                    });
                });
            },
        )?;
        let operation = Operation::<T> {
            x: x.clone(),
            weight: self.weight.clone(),
            statistics,
        };
        let inputs = [x, &self.weight, &self.bias];
        custom_op::record(&inputs, output, (rows, width), operation)
    }

    /// The same of candle's operations.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let wide = x.to_dtype(DType::F32)?;
        let centred = wide.broadcast_sub(&wide.mean_keepdim(1)?)?;
        let variance = centred.sqr()?.mean_keepdim(1)?;
        centred
            .broadcast_div(&(variance + EPSILON)?.sqrt()?)?
            .to_dtype(x.dtype())?
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)
    }
}

impl Module for RowNorm {
    /// `[rows, width]` to `[rows, width]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ((_, width), size) = (x.dims2()?, self.weight.dims1()?);
        if width != size || width == 0 {
            bail!("rows of width {width} for a normalisation of {size}")
        }
        match x.dtype() {
            DType::F32 if x.device().is_cpu() => self.fused::<f32>(x),
            DType::F64 if x.device().is_cpu() => self.fused::<f64>(x),
            _ => self.composed(x),
        }
    }
}

/// Rows that a thread takes at a time, and whose parts of the weights' gradients are summed first.
const CHUNK: usize = 64;

/// Normalises rows, on one thread.
pub(super) struct Normalise<'a, T> {
    pub(super) x: &'a [T],
    pub(super) weight: &'a [T],
    pub(super) bias: &'a [T],
    pub(super) output: &'a mut [T],
    /// Becomes each row's mean and the inverse of its standard deviation.
    pub(super) statistics: &'a mut [[T; 2]],
}

impl<T: Real> Kernel for Normalise<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let width = self.weight.len();
        let count = T::from_f64(width as f64);
        let rows = self.x.chunks_exact(width);
        let rows = rows.zip(self.output.chunks_exact_mut(width));
        for ((x, output), statistics) in rows.zip(self.statistics) {
            let chunks = || x.chunks(R::LANES);
            let mut sums = simd.splat(T::ZERO);
            for x in chunks() {
                sums = sums.add(simd.load(x));
            }
            let mean = sum(sums) / count;
            // The variance of the centred elements: the mean of the squares less the square of the
            // mean would lose it where the mean is large.
            let mut squares = simd.splat(T::ZERO);
            for (x, output) in chunks().zip(output.chunks_mut(R::LANES)) {
                simd.load(x).sub(simd.splat(mean)).store(output);
                // Read again, for zeros beyond a row's end.
                let centred = simd.load(output);
                squares = centred.mul_add(centred, squares);
            }
            let variance = sum(squares) / count + T::from_f64(EPSILON);
            let inverse = T::ONE / T::from_f64(variance.to_f64().sqrt());
            *statistics = [mean, inverse];
            let parameters = self.weight.chunks(R::LANES).zip(self.bias.chunks(R::LANES));
            for (output, (weight, bias)) in output.chunks_mut(R::LANES).zip(parameters) {
                let normalised = simd.load(output).mul(simd.splat(inverse));
                let scaled = normalised.mul_add(simd.load(weight), simd.load(bias));
                scaled.store(output);
            }
        }
    }
}

/// The gradients by rows, and their parts of those by the weight and the bias, on one thread.
struct Gradients<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    statistics: &'a [[T; 2]],
    /// By the results.
    gradient: &'a [T],
    /// By the rows.
    by_x: &'a mut [T],
    /// By the weight and then the bias, `2 * width`; starts at zero.
    by_weights: &'a mut [T],
}

impl<T: Real> Kernel for Gradients<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    fn run<R: Register<Real = T>>(self, simd: Supported<R>) {
        let width = self.weight.len();
        let share = T::ONE / T::from_f64(width as f64);
        let (by_weight, by_bias) = self.by_weights.split_at_mut(width);
        let rows = self.x.chunks_exact(width).zip(self.statistics);
        let rows = rows.zip(self.gradient.chunks_exact(width));
        let rows = rows.zip(self.by_x.chunks_exact_mut(width));
        for (((x, &[mean, inverse]), gradient), by_x) in rows {
            let (mean, inverse) = (simd.splat(mean), simd.splat(inverse));
            let normalised = |x: &[T]| simd.load(x).sub(mean).mul(inverse);
            let mut sums = [simd.splat(T::ZERO); 2];
            let chunks = x.chunks(R::LANES).zip(gradient.chunks(R::LANES));
            let parameters = by_weight.chunks_mut(R::LANES);
            let parameters = parameters.zip(by_bias.chunks_mut(R::LANES));
            let parameters = parameters.zip(self.weight.chunks(R::LANES));
            for ((x, gradient), ((by_weight, by_bias), weight)) in chunks.zip(parameters) {
                let (x, gradient) = (normalised(x), simd.load(gradient));
                gradient.mul_add(x, simd.load(by_weight)).store(by_weight);
                gradient.add(simd.load(by_bias)).store(by_bias);
                let gradient = gradient.mul(simd.load(weight));
                sums = [sums[0].add(gradient), gradient.mul_add(x, sums[1])];
            }
            let by_mean = simd.splat(sum(sums[0]) * share);
            let by_deviation = simd.splat(sum(sums[1]) * share);
            let chunks = x.chunks(R::LANES).zip(gradient.chunks(R::LANES));
            let outputs = by_x.chunks_mut(R::LANES).zip(self.weight.chunks(R::LANES));
            for ((x, gradient), (by_x, weight)) in chunks.zip(outputs) {
                let gradient = simd.load(gradient).mul(simd.load(weight));
                let rest = gradient.sub(by_mean).sub(normalised(x).mul(by_deviation));
                rest.mul(inverse).store(by_x);
            }
        }
    }
}

struct Operation<T> {
    x: Tensor,
    weight: Tensor,
    /// Of each row.
    statistics: Vec<[T; 2]>,
}

impl<T: Real> Backward for Operation<T> {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn backward(
        &self,
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (rows, width) = gradient.dims2()?;
        let mut by_x = vec![T::ZERO; rows * width];
        let chunks = rows.div_ceil(CHUNK);
        let mut by_weights = vec![T::ZERO; chunks * 2 * width];
        let tensors = [&self.x, &self.weight, gradient];
        read(tensors, |[x, weight, gradient]: [&[T]; 3]| {
            let set = InstructionSet::detect();
            let size = CHUNK * width;
            let read = x.par_chunks(size).zip(gradient.par_chunks(size));
            let read = read.zip(self.statistics.par_chunks(CHUNK));
            let written = by_x.par_chunks_mut(size);
            let written = written.zip(by_weights.par_chunks_mut(2 * width));
            let both = read.zip(written);
            both.for_each(|(((x, gradient), statistics), (by_x, by_weights))| {
                set.run(Gradients {
                    x,
                    weight,
                    statistics,
                    gradient,
                    by_x,
                    by_weights,
                });
            });
        })?;
        let by_weights = sum_columns(Matrix::new(&by_weights, chunks, 2 * width));
        let (by_weight, by_bias) = by_weights.split_at(width);
        Ok(vec![
            Some(Tensor::from_vec(by_x, (rows, width), &Device::Cpu)?),
            Some(Tensor::new(by_weight, &Device::Cpu)?),
            Some(Tensor::new(by_bias, &Device::Cpu)?),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_core::nn::{LayerNorm, check_gradients};
    use candle_core::Var;
    use std::collections::HashMap;

    fn values(seed: i64, shape: &[usize], dtype: DType) -> Result<Var> {
        let values: Vec<f64> = (0..shape.iter().product::<usize>() as i64)
            .map(|i| ((i * 37 + seed * (i % 7) + seed) % 101) as f64 / 25.0 - 2.0)
            .collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?)
    }

    fn norm(width: usize, dtype: DType) -> Result<(RowNorm, Var, Var)> {
        let (weight, bias) = (values(1, &[width], dtype)?, values(2, &[width], dtype)?);
        let norm = RowNorm {
            weight: weight.as_tensor().clone(),
            bias: bias.as_tensor().clone(),
        };
        Ok((norm, weight, bias))
    }

    #[test]
    fn gradients_are_those_of_finite_differences() -> Result<()> {
        for (rows, width) in [(1, 3), (4, 9), (70, 2)] {
            let (norm, weight, bias) = norm(width, DType::F64)?;
            let x = values(3, &[rows, width], DType::F64)?;
            let factors = values(4, &[rows, width], DType::F64)?;
            let checked = [("x", &x), ("weight", &weight), ("bias", &bias)];
            check_gradients(&checked, || {
                (norm.forward(&x)? * factors.as_tensor())?.sum_all()
            })?;
        }
        Ok(())
    }

    #[test]
    fn every_instruction_set_agrees_with_the_normalisation_of_atlas_core() -> Result<()> {
        for set in InstructionSet::available() {
            for width in [1, 7, 16, 50] {
                let (norm, weight, bias) = norm(width, DType::F64)?;
                let x = values(3, &[3, width], DType::F64)?;
                let tensors = [("weight", weight), ("bias", bias)];
                let tensors = tensors.map(|(name, var)| (name.to_owned(), var.into_inner()));
                let tensors = HashMap::from(tensors);
                let vb = VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu);
                let expected = LayerNorm::new(width, EPSILON, vb)?.forward(&x)?;
                let mut output = vec![0.0; 3 * width];
                set.run(Normalise {
                    x: &x.flatten_all()?.to_vec1()?,
                    weight: &norm.weight.to_vec1()?,
                    bias: &norm.bias.to_vec1()?,
                    output: &mut output,
                    statistics: &mut [[0.0; 2]; 3],
                });
                for (a, b) in output.iter().zip(expected.flatten_all()?.to_vec1::<f64>()?) {
                    assert!((a - b).abs() < 1e-12, "{a} {b}");
                }
            }
        }
        Ok(())
    }

    type Bits = Vec<Vec<u32>>;

    /// The bits of the outputs and the gradients by them, row by row, and of the weights' gradients.
    fn bits(x: &Tensor) -> Result<(Bits, Bits)> {
        let (norm, weight, bias) = norm(x.dim(1)?, DType::F32)?;
        let x = Var::from_tensor(&x.contiguous()?)?;
        let y = norm.forward(&x)?;
        let gradients = y.sqr()?.sum_all()?.backward()?;
        let gradient = |variable: &Var| gradients.get(variable).unwrap().clone();
        let bits = |tensor: Tensor| -> Result<Bits> {
            let rows = tensor.to_vec2::<f32>()?.into_iter();
            Ok(rows
                .map(|row| row.into_iter().map(f32::to_bits).collect())
                .collect())
        };
        let weights = Tensor::stack(&[gradient(&weight), gradient(&bias)], 0)?;
        Ok((bits(Tensor::cat(&[y, gradient(&x)], 1)?)?, bits(weights)?))
    }

    #[test]
    fn a_row_depends_neither_on_those_beside_it_nor_on_the_number_of_threads() -> Result<()> {
        let x = values(1, &[300, 53], DType::F32)?;
        let all = bits(&x)?;
        for (start, rows) in [(0, 1), (299, 1), (53, 160), (17, 283)] {
            let (part, _) = bits(&x.narrow(0, start, rows)?)?;
            assert!(part == all.0[start..start + rows], "{rows} from {start}");
        }
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let part = pool.unwrap().install(|| bits(&x))?;
            assert!(part == all, "{threads} threads");
        }
        Ok(())
    }
}
