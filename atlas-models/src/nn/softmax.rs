//! A softmax that gradients pass through.

use super::activation::exp;
use super::graph::{self, Backward, read};
use super::lanes::{Isa, Kernel, Lanes, Real};
use super::rows::{block_rows, dot, sum};
use candle_core::{D, DType, Device, Result, Tensor};
use rayon::prelude::*;
use std::marker::PhantomData;

/// The softmax over the last dimension, as PyTorch's `softmax(x, -1)`: `[.., size]` to `[.., size]`.
///
/// Each row is shifted by its largest element, so that logits of any size give finite numbers, and
/// is computed the same, to the last bit, whatever rows are beside it. An element of `-inf` gives 0
/// and passes no gradient. A row without a finite largest element has no softmax: one that is all
/// `-inf`, or holds `inf` or NaN, gives NaN, as PyTorch's does. `f16` and `bf16` are computed in
/// `f32`.
///
/// # Errors
///
/// `x` has no dimensions, or is not of floats.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F32 if x.device().is_cpu() => fused::<f32>(x),
        DType::F64 if x.device().is_cpu() => fused::<f64>(x),
        _ => plain(x),
    }
}

/// Of candle's operations.
fn plain(x: &Tensor) -> Result<Tensor> {
    let wide = match x.dtype() {
        DType::F16 | DType::BF16 => x.to_dtype(DType::F32)?,
        _ => x.clone(),
    };
    // The softmax does not change with the shift, so no gradient need pass through it.
    let shift = wide.max_keepdim(D::Minus1)?.detach();
    let exponentials = wide.broadcast_sub(&shift)?.exp()?;
    let sums = exponentials.sum_keepdim(D::Minus1)?;
    exponentials.broadcast_div(&sums)?.to_dtype(x.dtype())
}

fn fused<T: Real>(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    let isa = Isa::detect();
    let block = block_rows(width) * width.max(1);
    let mut output = vec![T::zero(); x.elem_count()];
    read(x, |x: &[T]| {
        let blocks = output.par_chunks_mut(block).zip(x.par_chunks(block));
        blocks.for_each(|(output, x)| isa.run(Forward { x, width, output }));
    })?;
    if graph::tracks(&[x]) {
        graph::record(&[x], output, x.shape(), Softmax(PhantomData::<T>))
    } else {
        Tensor::from_vec(output, x.shape(), &Device::Cpu)
    }
}

struct Forward<'a, T> {
    x: &'a [T],
    width: usize,
    output: &'a mut [T],
}

impl<T: Real> Kernel for Forward<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let floor = T::ZERO - T::EXP_LIMIT;
        let rows = self.x.chunks_exact(self.width);
        for (x, output) in rows.zip(self.output.chunks_exact_mut(self.width)) {
            // SAFETY: the rows are of one length, that is not zero; the instruction set is present.
            let sum = unsafe {
                let max = largest::<V>(x);
                for start in (0..x.len()).step_by(V::COUNT) {
                    let count = x.len() - start;
                    let shifted = V::load_first(x.as_ptr().add(start), count).sub(V::splat(max));
                    let [exponential] = exp([shifted]);
                    exponential.store_first(output.as_mut_ptr().add(start), count);
                }
                // `exp` is clamped there: what should vanish would be the smallest normal number.
                for (element, &x) in output.iter_mut().zip(x) {
                    *element = if x - max < floor { T::ZERO } else { *element };
                }
                sum::<V>(output)
            };
            let scale = T::ONE / sum;
            for element in output.iter_mut() {
                *element *= scale;
            }
        }
    }
}

/// The largest element of a row that is not empty; anything if one is NaN.
#[inline(always)]
unsafe fn largest<V: Lanes>(row: &[V::Real]) -> V::Real {
    let mut elements = [row[0]; 16];
    let rest = if row.len() < V::COUNT {
        row
    } else {
        // SAFETY: each load ends within the row, the last one with it; no register has more
        // elements than the array.
        unsafe {
            let mut max = V::load(row.as_ptr());
            for start in (V::COUNT..row.len()).step_by(V::COUNT) {
                let start = start.min(row.len() - V::COUNT);
                max = max.max(V::load(row.as_ptr().add(start)));
            }
            max.store(elements.as_mut_ptr());
        }
        &elements[..V::COUNT]
    };
    let mut max = rest[0];
    for &element in rest {
        if element > max {
            max = element;
        }
    }
    max
}

struct Softmax<T>(PhantomData<T>);

impl<T: Real> Backward for Softmax<T> {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn backward(
        &self,
        _inputs: &[Tensor],
        _wanted: &[bool],
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let width = output.dim(D::Minus1)?;
        let isa = Isa::detect();
        let block = block_rows(width) * width.max(1);
        let mut dx = vec![T::zero(); output.elem_count()];
        read(output, |output: &[T]| {
            read(gradient, |gradient: &[T]| {
                let read = output.par_chunks(block).zip(gradient.par_chunks(block));
                let blocks = dx.par_chunks_mut(block).zip(read);
                blocks.for_each(|(dx, (output, gradient))| {
                    isa.run(Gradient {
                        output,
                        gradient,
                        width,
                        dx,
                    });
                });
            })
        })??;
        let dx = Tensor::from_vec(dx, output.shape(), &Device::Cpu)?;
        Ok(vec![Some(dx)])
    }
}

/// `y * (dy - sum(y * dy))` of each row.
struct Gradient<'a, T> {
    output: &'a [T],
    gradient: &'a [T],
    width: usize,
    dx: &'a mut [T],
}

impl<T: Real> Kernel for Gradient<'_, T> {
    type Real = T;
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes<Real = T>>(self) {
        let output = self.output.chunks_exact(self.width);
        let gradient = self.gradient.chunks_exact(self.width);
        let dx = self.dx.chunks_exact_mut(self.width);
        for ((y, dy), dx) in output.zip(gradient).zip(dx) {
            // SAFETY: the rows are of one length; the instruction set is present.
            let mean = unsafe { dot::<V>(y, dy) };
            for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
                *dx = y * (dy - mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::differences::assert_gradients;
    use candle_core::Var;

    const INFINITY: f64 = f64::INFINITY;

    /// Values in `[-scale, scale)`.
    fn values(shape: &[usize], scale: f64, dtype: DType) -> Result<Tensor> {
        let count = shape.iter().product::<usize>() as i64;
        let values: Vec<f64> = (0..count)
            .map(|i| ((i * 37 % 101) as f64 / 50.5 - 1.0) * scale)
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
    }

    fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
        let difference = (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?;
        difference.abs()?.flatten_all()?.max(0)?.to_scalar()
    }

    /// The gradient of the sum of the elements times `factors`.
    fn gradient(x: &Var, factors: &Tensor, y: &Tensor) -> Result<Tensor> {
        let gradients = (y * factors)?.sum_all()?.backward()?;
        Ok(gradients.get(x).expect("a gradient").clone())
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        Isa::each(|| {
            for shape in [&[1usize, 1][..], &[1, 7], &[5, 19], &[2, 3, 4], &[6]] {
                let x = Var::from_tensor(&values(shape, 2.0, DType::F64)?)?;
                let factors = values(shape, 3.0, DType::F64)?.sqr()?;
                assert_gradients(&[("x", &x)], || (softmax(&x)? * &factors)?.sum_all())?;
            }
            Ok(())
        })
    }

    #[test]
    fn every_instruction_set_agrees_with_candles_operations() -> Result<()> {
        Isa::each(|| {
            for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-6)] {
                for width in [1, 3, 4, 15, 16, 17, 33, 300] {
                    let x = Var::from_tensor(&values(&[2, 9, width], 8.0, dtype)?)?;
                    let factors = values(&[2, 9, width], 1.0, dtype)?.exp()?;
                    let (a, b) = (softmax(&x)?, plain(&x)?);
                    assert_eq!(a.dims(), [2, 9, width]);
                    assert!(difference(&a, &b)? <= tolerance, "{dtype:?} {width}");
                    let (a, b) = (gradient(&x, &factors, &a)?, gradient(&x, &factors, &b)?);
                    assert!(difference(&a, &b)? <= tolerance, "{dtype:?} {width}");
                }
            }
            Ok(())
        })
    }

    #[test]
    fn logits_of_any_size_give_finite_numbers() -> Result<()> {
        Isa::each(|| {
            let x = Tensor::new(&[[3e38f32, -3e38, 3e38], [-1e4, 1e4, 1e4]], &Device::Cpu)?;
            let expected = [[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]];
            assert_eq!(softmax(&x)?.to_vec2::<f32>()?, expected);
            let x = Tensor::new(&[[-1e308f64, -1e308, -1.5e308]], &Device::Cpu)?;
            assert_eq!(softmax(&x)?.to_vec2::<f64>()?, [[0.5, 0.5, 0.0]]);
            Ok(())
        })
    }

    #[test]
    fn minus_infinity_gives_zero_and_no_gradient() -> Result<()> {
        Isa::each(|| {
            let x = Tensor::new(&[-INFINITY, 1.0, -INFINITY, 1.0, -INFINITY], &Device::Cpu)?;
            let factors = Tensor::new(&[5.0, 1.0, -7.0, 3.0, 2.0], &Device::Cpu)?;
            for run in [softmax, plain] {
                let x = Var::from_tensor(&x)?;
                let y = run(&x)?;
                assert_eq!(y.to_vec1::<f64>()?, [0.0, 0.5, 0.0, 0.5, 0.0]);
                let dx = gradient(&x, &factors, &y)?.to_vec1::<f64>()?;
                assert_eq!(dx, [0.0, -0.5, 0.0, 0.5, 0.0]);
            }
            Ok(())
        })
    }

    #[test]
    fn a_row_without_a_finite_largest_element_is_nan_and_those_beside_it_are_not() -> Result<()> {
        Isa::each(|| {
            for run in [softmax, plain] {
                for width in [2, 40] {
                    for bad in [-INFINITY, INFINITY, f64::NAN] {
                        // Only what is not a number spoils a row by itself.
                        let other = if bad == -INFINITY { bad } else { 1.0 };
                        let mut x = vec![other; 3 * width];
                        x[2 * width - 1] = bad;
                        x[..width].fill(2.0);
                        x[2 * width..].fill(3.0);
                        let y = run(&Tensor::from_vec(x, (3, width), &Device::Cpu)?)?;
                        let y = y.to_vec2::<f64>()?;
                        let expected = vec![1.0 / width as f64; width];
                        assert_eq!([&y[0], &y[2]], [&expected; 2], "{bad}");
                        assert!(y[1].iter().all(|element| element.is_nan()), "{bad}");
                    }
                }
            }
            Ok(())
        })
    }

    /// The bits of a softmax and of its gradient, by row.
    fn bits(x: &Tensor, factors: &Tensor) -> Result<Vec<Vec<u32>>> {
        let x = Var::from_tensor(&x.contiguous()?)?;
        let y = softmax(&x)?;
        let dx = gradient(&x, factors, &y)?;
        let rows = Tensor::cat(&[&y, &dx], 1)?.to_vec2::<f32>()?;
        let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
        Ok(rows.into_iter().map(bits).collect())
    }

    #[test]
    fn a_row_depends_neither_on_those_beside_it_nor_on_the_number_of_threads() -> Result<()> {
        let x = values(&[500, 53], 6.0, DType::F32)?;
        let factors = values(&[500, 53], 2.0, DType::F32)?.exp()?;
        let all = bits(&x, &factors)?;
        for (start, rows) in [(0, 1), (499, 1), (153, 160), (17, 483)] {
            let part = |tensor: &Tensor| tensor.narrow(0, start, rows);
            let part = bits(&part(&x)?, &part(&factors)?)?;
            assert!(part == all[start..start + rows], "{rows} from {start}");
        }
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let part = pool.unwrap().install(|| bits(&x, &factors))?;
            assert!(part == all, "{threads} threads");
        }
        Ok(())
    }

    #[test]
    fn what_is_not_contiguous_is_read_by_its_layout() -> Result<()> {
        let x = values(&[4, 3, 5], 2.0, DType::F64)?.transpose(0, 2)?;
        let expected = softmax(&x.contiguous()?)?.flatten_all()?;
        let found = softmax(&x)?.flatten_all()?;
        assert_eq!(found.to_vec1::<f64>()?, expected.to_vec1::<f64>()?);
        Ok(())
    }

    #[test]
    fn half_precision_is_computed_in_single() -> Result<()> {
        let x = values(&[7, 40], 4.0, DType::F16)?;
        let y = softmax(&x)?;
        let expected = softmax(&x.to_dtype(DType::F32)?)?;
        assert_eq!(y.dtype(), DType::F16);
        assert!(difference(&y, &expected)? < 5e-4);
        Ok(())
    }

    #[test]
    fn no_rows_and_empty_rows_give_none() -> Result<()> {
        for shape in [(0, 3), (3, 0)] {
            let x = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
            assert_eq!(softmax(&x)?.dims2()?, shape);
        }
        Ok(())
    }

    #[test]
    fn a_scalar_is_an_error() -> Result<()> {
        let error = softmax(&Tensor::new(1.0f64, &Device::Cpu)?).unwrap_err();
        assert!(error.to_string().contains("dimension"), "{error}");
        Ok(())
    }
}
