//! Affine maps whose rows do not depend on each other, to the last bit.

use super::custom_op::{self, Backward, read};
use super::matrix::Matrix;
use super::outer::outer_product;
use super::panels::{Columns, Panels};
use super::product::multiply_rows;
use super::reduce::sum_columns;
use super::simd::{InstructionSet, Real};
use candle_core::{DType, Device, Module, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use rayon::prelude::*;
use std::marker::PhantomData;

/// An affine map with the weights of PyTorch's `nn.Linear`.
///
/// On the CPU in `f32` and `f64` it computes a row the same, to the last bit,
/// whatever rows are beside it; `candle_nn::Linear` does not.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Takes `weight` and `bias` from `vb`; those that it makes are uniform within
    /// `±1 / sqrt(input)`, as PyTorch's.
    ///
    /// # Errors
    ///
    /// `vb` does not have the weights in these shapes.
    pub fn new(input: usize, output: usize, vb: VarBuilder) -> Result<Self> {
        let bound = 1.0 / (input as f64).sqrt();
        let uniform = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        Ok(Self {
            weight: vb.get_with_hints((output, input), "weight", uniform)?,
            bias: vb.get_with_hints(output, "bias", uniform)?,
        })
    }

    /// A map of these weights, `[output, input]` and `[output]`.
    pub(super) fn from_tensors(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }

    /// `[output, input]`
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[output]`
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }
}

impl Module for Linear {
    /// `[rows, input]` to `[rows, output]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }
}

/// `x · weightᵀ + bias`: `[rows, input]`, `[output, input]` and `[output]` to `[rows, output]`.
///
/// # Errors
///
/// The shapes, dtypes or devices do not fit each other.
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (_, input) = x.dims2()?;
    let (output, expected) = weight.dims2()?;
    if input != expected {
        bail!("inputs of width {input} for a weight of shape ({output}, {expected})")
    }
    if let Some(bias) = bias
        && bias.dims1()? != output
    {
        bail!(
            "a bias of shape {:?} for a weight of shape ({output}, {input})",
            bias.shape()
        )
    }
    match x.dtype() {
        DType::F32 if x.device().is_cpu() => run::<f32>(x, weight, bias),
        DType::F64 if x.device().is_cpu() => run::<f64>(x, weight, bias),
        _ => {
            let product = x.matmul(&weight.t()?)?;
            match bias {
                Some(bias) => product.broadcast_add(bias),
                None => Ok(product),
            }
        }
    }
}

/// Rows to which a thread adds the bias at a time.
const ROWS_AT_ONCE: usize = 64;

fn run<T: Real>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, input) = x.dims2()?;
    let (output, _) = weight.dims2()?;
    let mut result = vec![T::zero(); rows * output];
    read([x, weight], |[x, weight]: [&[T]; 2]| {
        let weight = Matrix::new(weight, output, input);
        let right = Panels::transposed(InstructionSet::detect(), weight, Columns::Plain);
        multiply_rows(Matrix::new(x, rows, input), &right, (&mut result, output));
    })?;
    let mut inputs = vec![x, weight];
    if let Some(bias) = bias {
        inputs.push(bias);
        read([bias], |[bias]: [&[T]; 1]| {
            let rows = result.par_chunks_exact_mut(output.max(1));
            rows.with_min_len(ROWS_AT_ONCE).for_each(|row| {
                for (element, &bias) in row.iter_mut().zip(bias) {
                    *element += bias;
                }
            });
        })?;
    }
    let operation = Affine::<T> {
        x: x.clone(),
        weight: weight.clone(),
        real: PhantomData,
    };
    custom_op::record(&inputs, result, (rows, output), operation)
}

struct Affine<T> {
    x: Tensor,
    weight: Tensor,
    real: PhantomData<T>,
}

impl<T: Real> Backward for Affine<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn backward(
        &self,
        wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (rows, output) = gradient.dims2()?;
        read([gradient], |[gradient]: [&[T]; 1]| {
            let gradient = Matrix::new(gradient, rows, output);
            let mut gradients = vec![None; wanted.len()];
            if wanted[0] {
                gradients[0] = Some(input_gradient(gradient, &self.weight)?);
            }
            if wanted[1] {
                gradients[1] = Some(weight_gradient(gradient, &self.x)?);
            }
            if wanted.len() > 2 {
                let sums = sum_columns(gradient);
                gradients[2] = Some(Tensor::from_vec(sums, output, &Device::Cpu)?);
            }
            Ok(gradients)
        })?
    }
}

/// The gradient of the inputs, from that of the results, `[rows, output]`.
///
/// # Errors
///
/// The weight is not `[output, input]` in `T` on the CPU.
pub(super) fn input_gradient<T: Real>(gradient: Matrix<'_, T>, weight: &Tensor) -> Result<Tensor> {
    let rows = gradient.height();
    let (output, input) = weight.dims2()?;
    let mut result = vec![T::zero(); rows * input];
    read([weight], |[weight]: [&[T]; 1]| {
        let right = Panels::plain(InstructionSet::detect(), Matrix::new(weight, output, input));
        multiply_rows(gradient, &right, (&mut result, input));
    })?;
    Tensor::from_vec(result, (rows, input), &Device::Cpu)
}

/// The gradient of the weight, from that of the results, `[rows, output]`.
///
/// # Errors
///
/// The inputs are not `[rows, input]` in `T` on the CPU.
pub(super) fn weight_gradient<T: Real>(gradient: Matrix<'_, T>, x: &Tensor) -> Result<Tensor> {
    let (rows, input) = x.dims2()?;
    let mut result = vec![T::zero(); gradient.width() * input];
    read([x], |[x]: [&[T]; 1]| {
        outer_product(gradient, Matrix::new(x, rows, input), &mut result);
    })?;
    Tensor::from_vec(result, (gradient.width(), input), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_core::nn::check_gradients;
    use candle_core::Var;

    fn values(shape: (usize, usize), dtype: DType) -> Result<Tensor> {
        let count = (shape.0 * shape.1) as i64;
        let values: Vec<f64> = (0..count)
            .map(|i| ((i * 37 % 101) as f64 - 50.0) / 50.0)
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
    }

    #[test]
    fn gradients_are_those_of_finite_differences() -> Result<()> {
        let x = Var::from_tensor(&values((5, 3), DType::F64)?)?;
        let weight = Var::from_tensor(&values((4, 3), DType::F64)?)?;
        let bias = Var::from_tensor(&values((1, 4), DType::F64)?.squeeze(0)?)?;
        check_gradients(&[("x", &x), ("weight", &weight), ("bias", &bias)], || {
            linear(&x, &weight, Some(&bias))?.sqr()?.sum_all()
        })
    }

    #[test]
    fn it_is_candles_product_up_to_rounding() -> Result<()> {
        InstructionSet::each(|| {
            for (rows, input, output) in [(1, 1, 1), (13, 70, 33), (200, 31, 100)] {
                let (x, weight) = (
                    values((rows, input), DType::F64)?,
                    values((output, input), DType::F64)?,
                );
                let difference = (linear(&x, &weight, None)? - x.matmul(&weight.t()?)?)?;
                let worst = difference
                    .abs()?
                    .flatten_all()?
                    .max(0)?
                    .to_scalar::<f64>()?;
                assert!(worst < 1e-12, "{worst}");
            }
            Ok(())
        })
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() -> Result<()> {
        let (x, weight) = (
            values((200, 128), DType::F32)?,
            values((70, 128), DType::F32)?,
        );
        let all = linear(&x, &weight, None)?.to_vec2::<f32>()?;
        for rows in 1..=200 {
            let some = linear(&x.narrow(0, 0, rows)?, &weight, None)?;
            assert_eq!(some.to_vec2::<f32>()?, all[..rows], "{rows} rows");
        }
        Ok(())
    }
}
