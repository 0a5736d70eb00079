//! Layer normalisation that gradients pass through.
//!
//! candle's fused `layer_norm` has no backward pass: everything below it silently stays as it
//! was initialised.

use super::graph::{self, Backward, read};
use super::lanes::{Isa, Kernel, Lanes, Real};
use super::rows::{block_rows, dot, sum, total};
use candle_core::{D, DType, Device, Module, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;

/// Layer normalisation (Ba et al. 2016) with the weights of PyTorch's `nn.LayerNorm`.
///
/// The variance is that of the population; `f16` and `bf16` are computed in `f32`. On the CPU a row
/// is computed the same, to the last bit, whatever rows are beside it.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Takes `weight` and `bias`, `[size]` each, from `vb`; those that it makes are ones and zeros.
    /// `epsilon` is added to the variance; PyTorch's default is `1e-5`.
    ///
    /// # Errors
    ///
    /// `vb` has not the weights in these shapes.
    pub fn new(size: usize, epsilon: f64, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(size, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(size, "bias", Init::Const(0.0))?,
            epsilon,
        })
    }

    /// `[size]`
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[size]`
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// Of candle's operations.
    fn plain(&self, x: &Tensor) -> Result<Tensor> {
        let wide = match x.dtype() {
            DType::F16 | DType::BF16 => x.to_dtype(DType::F32)?,
            _ => x.clone(),
        };
        let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normalised = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
        normalised
            .to_dtype(x.dtype())?
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)
    }

    fn fused<T: Real>(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.dims1()?;
        let isa = Isa::detect();
        let (rows, block) = (block_rows(width), block_rows(width) * width.max(1));
        let mut output = vec![T::zero(); x.elem_count()];
        let unknown = Moments {
            mean: T::ZERO,
            scale: T::ZERO,
        };
        let mut moments = vec![unknown; x.elem_count() / width.max(1)];
        read3([x, &self.weight, &self.bias], |[x, weight, bias]| {
            let written = output.par_chunks_mut(block);
            let written = written.zip(moments.par_chunks_mut(rows));
            let blocks = written.zip(x.par_chunks(block));
            blocks.for_each(|((output, moments), x)| {
                isa.run(Forward {
                    x,
                    weight,
                    bias,
                    epsilon: self.epsilon,
                    output,
                    moments,
                });
            });
        })?;
        let inputs = [x, &self.weight, &self.bias];
        if graph::tracks(&inputs) {
            graph::record(&inputs, output, x.shape(), Normalised { moments })
        } else {
            Tensor::from_vec(output, x.shape(), &Device::Cpu)
        }
    }
}

impl Module for LayerNorm {
    /// Normalises over the last dimension: `[.., size]` to `[.., size]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (width, size) = (x.dim(D::Minus1)?, self.weight.dims1()?);
        if width != size {
            bail!("rows of width {width} for a normalisation of {size}")
        }
        match x.dtype() {
            DType::F32 if x.device().is_cpu() => self.fused::<f32>(x),
            DType::F64 if x.device().is_cpu() => self.fused::<f64>(x),
            _ => self.plain(x),
        }
    }
}

/// The elements of three tensors at once.
fn read3<T: Real>(tensors: [&Tensor; 3], use_it: impl FnOnce([&[T]; 3])) -> Result<()> {
    let [a, b, c] = tensors;
    read(a, |a: &[T]| {
        read(b, |b: &[T]| read(c, |c: &[T]| use_it([a, b, c])))
    })??
}

/// What the way back needs to know of a row.
#[derive(Clone, Copy)]
struct Moments<T> {
    mean: T,
    /// One over the deviation.
    scale: T,
}

struct Forward<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    bias: &'a [T],
    epsilon: f64,
    output: &'a mut [T],
    moments: &'a mut [Moments<T>],
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let width = self.weight.len();
        let size = T::from_f64(width as f64);
        let rows = self.x.chunks_exact(width);
        let rows = rows.zip(self.output.chunks_exact_mut(width));
        for ((x, output), moments) in rows.zip(self.moments) {
            // SAFETY: the rows are of one length; the instruction set is present.
            let mean = unsafe { sum::<V>(x) } / size;
            // The variance from the centred elements: without the cancellation of
            // the mean of the squares less the square of the mean.
            for (output, &x) in output.iter_mut().zip(x) {
                *output = x - mean;
            }
            let variance = unsafe { dot::<V>(output, output) } / size;
            let scale = T::from_f64(1.0 / (variance.to_f64() + self.epsilon).sqrt());
            let weights = self.weight.iter().zip(self.bias);
            for (output, (&weight, &bias)) in output.iter_mut().zip(weights) {
                *output = *output * scale * weight + bias;
            }
            *moments = Moments { mean, scale };
        }
    }
}

struct Normalised<T> {
    moments: Vec<Moments<T>>,
}

impl<T: Real> Backward for Normalised<T> {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let width = weight.dims1()?;
        let isa = Isa::detect();
        // Few enough blocks that their sums are small beside the rows.
        let rows = block_rows(width).max(16);
        let block = rows * width.max(1);
        let blocks = self.moments.len().div_ceil(rows);
        let mut dx = vec![T::zero(); x.elem_count()];
        let mut sums = vec![T::zero(); blocks * 2 * width];
        read3([x, weight, gradient], |[x, weight, gradient]| {
            let written = dx.par_chunks_mut(block);
            let written = written.zip(sums.par_chunks_mut((2 * width).max(1)));
            let read = x.par_chunks(block).zip(gradient.par_chunks(block));
            let read = read.zip(self.moments.par_chunks(rows));
            written
                .zip(read)
                .for_each(|((dx, sums), ((x, gradient), moments))| {
                    let (dweight, dbias) = sums.split_at_mut(width);
                    isa.run(Gradient {
                        x,
                        weight,
                        gradient,
                        moments,
                        dx,
                        dweight,
                        dbias,
                    });
                });
        })?;
        let mut total = vec![T::zero(); 2 * width];
        for sums in sums.chunks_exact((2 * width).max(1)) {
            for (total, &sum) in total.iter_mut().zip(sums) {
                *total += sum;
            }
        }
        let dbias = total.split_off(width);
        Ok(vec![
            Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?),
            Some(Tensor::from_vec(total, width, &Device::Cpu)?),
            Some(Tensor::from_vec(dbias, width, &Device::Cpu)?),
        ])
    }
}

/// With `n` for the normalised row and `g` for `weight * dy`, the gradient by the row is
/// `(g - mean(g) - n * mean(g * n)) / deviation`. The sums over the rows are added to.
struct Gradient<'a, T> {
    x: &'a [T],
    weight: &'a [T],
    gradient: &'a [T],
    moments: &'a [Moments<T>],
    dx: &'a mut [T],
    dweight: &'a mut [T],
    dbias: &'a mut [T],
}

impl<T: Real> Kernel for Gradient<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let width = self.weight.len();
        // SAFETY: the rows, the weight and the sums are of one length, and what is read and written
        // is within them; the instruction set is present.
        unsafe {
            let rows = self.x.chunks_exact(width);
            let rows = rows.zip(self.gradient.chunks_exact(width));
            let rows = rows.zip(self.dx.chunks_exact_mut(width));
            let size = T::from_f64(width as f64);
            for (((x, dy), dx), moments) in rows.zip(self.moments) {
                let (mean, scale) = (V::splat(moments.mean), V::splat(moments.scale));
                let (mut sum, mut product) = (V::splat(T::ZERO), V::splat(T::ZERO));
                for start in (0..width).step_by(V::COUNT) {
                    let count = width - start;
                    let load = |row: &[T]| V::load_first(row.as_ptr().add(start), count);
                    let dy = load(dy);
                    let normalised = load(x).sub(mean).mul(scale);
                    let (dweight, dbias) = (load(self.dweight), load(self.dbias));
                    dy.mul_add(normalised, dweight)
                        .store_first(self.dweight.as_mut_ptr().add(start), count);
                    dbias
                        .add(dy)
                        .store_first(self.dbias.as_mut_ptr().add(start), count);
                    let g = dy.mul(load(self.weight));
                    sum = sum.add(g);
                    product = g.mul_add(normalised, product);
                }
                let sum = V::splat(total(sum) / size);
                let product = V::splat(T::ZERO - total(product) / size);
                for start in (0..width).step_by(V::COUNT) {
                    let count = width - start;
                    let load = |row: &[T]| V::load_first(row.as_ptr().add(start), count);
                    let normalised = load(x).sub(mean).mul(scale);
                    let g = load(dy).mul(load(self.weight));
                    normalised
                        .mul_add(product, g.sub(sum))
                        .mul(scale)
                        .store_first(dx.as_mut_ptr().add(start), count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::differences::assert_gradients;
    use candle_core::Var;
    use candle_nn::VarMap;

    /// Values in `[-scale, scale)`, others for another `seed`.
    fn values(seed: i64, shape: &[usize], scale: f64, dtype: DType) -> Result<Tensor> {
        let count = shape.iter().product::<usize>() as i64;
        let values: Vec<f64> = (0..count)
            .map(|i| ((i * 37 + seed * i % 7 + seed) % 101) as f64)
            .map(|value| (value / 50.5 - 1.0) * scale)
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
    }

    /// A normalisation with variables for its weights.
    fn norm(size: usize, epsilon: f64, dtype: DType) -> Result<(LayerNorm, Var, Var)> {
        let map = VarMap::new();
        let norm = LayerNorm::new(
            size,
            epsilon,
            VarBuilder::from_varmap(&map, dtype, &Device::Cpu),
        )?;
        let variables = map.data().lock().unwrap();
        let (weight, bias) = (variables["weight"].clone(), variables["bias"].clone());
        Ok((norm, weight, bias))
    }

    fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
        let difference = (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?;
        difference.abs()?.flatten_all()?.max(0)?.to_scalar()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() -> Result<()> {
        Isa::each(|| {
            for shape in [&[1usize, 1][..], &[1, 9], &[4, 3], &[2, 3, 5], &[19]] {
                let size = shape[shape.len() - 1];
                let (norm, weight, bias) = norm(size, 1e-2, DType::F64)?;
                weight.set(&values(1, &[size], 2.0, DType::F64)?)?;
                bias.set(&values(2, &[size], 1.0, DType::F64)?)?;
                let x = Var::from_tensor(&values(3, shape, 2.0, DType::F64)?)?;
                let factors = values(4, shape, 3.0, DType::F64)?;
                let checked = [("x", &x), ("weight", &weight), ("bias", &bias)];
                assert_gradients(&checked, || (norm.forward(&x)? * &factors)?.sum_all())?;
            }
            Ok(())
        })
    }

    #[test]
    fn every_instruction_set_agrees_with_candles_operations() -> Result<()> {
        Isa::each(|| {
            for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-4)] {
                for width in [1, 3, 4, 15, 16, 17, 300] {
                    let (norm, weight, bias) = norm(width, 1e-3, dtype)?;
                    weight.set(&values(1, &[width], 2.0, dtype)?)?;
                    bias.set(&values(2, &[width], 1.0, dtype)?)?;
                    let x = Var::from_tensor(&values(3, &[2, 40, width], 2.0, dtype)?)?;
                    let factors = values(4, &[2, 40, width], 1.0, dtype)?;
                    let (a, b) = (norm.forward(&x)?, norm.plain(&x)?);
                    assert!(difference(&a, &b)? <= tolerance, "{dtype:?} {width}");
                    let a = (a * &factors)?.sum_all()?.backward()?;
                    let b = (b * &factors)?.sum_all()?.backward()?;
                    for variable in [&x, &weight, &bias] {
                        let (a, b) = (a.get(variable).unwrap(), b.get(variable).unwrap());
                        let scale = 1.0 + difference(b, &b.zeros_like()?)?;
                        let worst = difference(a, b)?;
                        assert!(worst <= tolerance * scale, "{dtype:?} {width}: {worst}");
                    }
                }
            }
            Ok(())
        })
    }

    #[test]
    fn rows_have_mean_zero_and_variance_one() -> Result<()> {
        let (norm, _, _) = norm(4, 0.0, DType::F64)?;
        let x = Tensor::new(&[[1.0f64, 2.0, 3.0, 10.0]], &Device::Cpu)?;
        let y = norm.forward(&x)?.to_vec2::<f64>()?.remove(0);
        assert!(y.iter().sum::<f64>().abs() < 1e-12);
        assert!((y.iter().map(|y| y * y).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn a_large_mean_does_not_swallow_the_variance() -> Result<()> {
        let (norm, _, _) = norm(4, 0.0, DType::F32)?;
        let x = Tensor::new(&[[4096f32, 4097.0, 4096.0, 4097.0]], &Device::Cpu)?;
        let y = norm.forward(&x)?.to_vec2::<f32>()?;
        assert_eq!(y, [[-1.0, 1.0, -1.0, 1.0]]);
        Ok(())
    }

    type Bits = Vec<Vec<u32>>;

    /// The bits of the outputs and the gradients by them, row by row, and of the weights' gradients.
    fn bits(x: &Tensor, factors: &Tensor) -> Result<(Bits, Bits)> {
        let (norm, weight, bias) = norm(x.dim(1)?, 1e-5, DType::F32)?;
        let x = Var::from_tensor(&x.contiguous()?)?;
        let y = norm.forward(&x)?;
        let gradients = (&y * factors)?.sum_all()?.backward()?;
        let gradient = |variable: &Var| gradients.get(variable).expect("a gradient").clone();
        let bits = |tensor: Tensor| -> Result<Bits> {
            let rows = tensor.to_vec2::<f32>()?.into_iter();
            Ok(rows
                .map(|row| row.into_iter().map(f32::to_bits).collect())
                .collect())
        };
        let rows = Tensor::cat(&[y, gradient(&x)], 1)?;
        let weights = Tensor::stack(&[gradient(&weight), gradient(&bias)], 0)?;
        Ok((bits(rows)?, bits(weights)?))
    }

    #[test]
    fn a_row_depends_neither_on_those_beside_it_nor_on_the_number_of_threads() -> Result<()> {
        let x = values(1, &[700, 53], 6.0, DType::F32)?;
        let factors = values(2, &[700, 53], 2.0, DType::F32)?;
        let all = bits(&x, &factors)?;
        for (start, rows) in [(0, 1), (699, 1), (153, 160), (17, 683)] {
            let part = |tensor: &Tensor| tensor.narrow(0, start, rows);
            let (part, _) = bits(&part(&x)?, &part(&factors)?)?;
            assert!(part == all.0[start..start + rows], "{rows} from {start}");
        }
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let part = pool.unwrap().install(|| bits(&x, &factors))?;
            assert!(part == all, "{threads} threads");
        }
        Ok(())
    }

    #[test]
    fn half_precision_is_normalised_in_single() -> Result<()> {
        let (norm, _, _) = norm(40, 1e-5, DType::F16)?;
        let x = values(1, &[7, 40], 300.0, DType::F16)?;
        let y = norm.forward(&x)?;
        let (single, _, _) = self::norm(40, 1e-5, DType::F32)?;
        let expected = single.forward(&x.to_dtype(DType::F32)?)?;
        assert_eq!(y.dtype(), DType::F16);
        assert!(difference(&y, &expected)? < 2e-3);
        Ok(())
    }

    #[test]
    fn rows_of_another_width_are_an_error_that_names_both() -> Result<()> {
        let (norm, _, _) = norm(4, 1e-5, DType::F32)?;
        let x = values(1, &[4, 1], 1.0, DType::F32)?;
        let error = norm.forward(&x).unwrap_err().to_string();
        let expected = "rows of width 1 for a normalisation of 4";
        assert!(error.contains(expected), "{error}");
        Ok(())
    }
}
