//! Affine maps whose rows do not depend on each other, to the last bit.

use super::graph::{self, Backward, read};
use super::lanes::{Isa, Real};
use super::outer::outer_product;
use super::panels::{Columns, Panels};
use super::product::multiply_rows;
use super::reduce::add_columns;
use candle_core::{DType, Device, Module, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
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
    /// `vb` has not the weights in these shapes.
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
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
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

fn run<T: Real>(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, input) = x.dims2()?;
    let (output, _) = weight.dims2()?;
    let right = read(weight, |weight: &[T]| {
        Panels::transposed(Isa::detect(), weight, output, Columns::Plain)
    })?;
    let mut result = vec![T::zero(); rows * output];
    read(x, |x: &[T]| {
        multiply_rows(rows, (x, 0, input), &right, (&mut result, 0, output));
    })?;
    if let Some(bias) = bias {
        read(bias, |bias: &[T]| {
            for row in result.chunks_exact_mut(output.max(1)) {
                for (element, &bias) in row.iter_mut().zip(bias) {
                    *element += bias;
                }
            }
        })?;
    }
    let mut inputs = vec![x, weight];
    inputs.extend(bias);
    if graph::tracks(&inputs) {
        graph::record(&inputs, result, (rows, output), Affine(PhantomData::<T>))
    } else {
        Tensor::from_vec(result, (rows, output), &Device::Cpu)
    }
}

struct Affine<T>(PhantomData<T>);

impl<T: Real> Backward for Affine<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (rows, input) = inputs[0].dims2()?;
        let (_, output) = gradient.dims2()?;
        read(gradient, |gradient: &[T]| {
            let mut gradients = vec![None; inputs.len()];
            if wanted[0] {
                let right = read(&inputs[1], |weight: &[T]| {
                    Panels::new(Isa::detect(), output, input, Columns::Plain, |r, c| {
                        weight[r * input + c]
                    })
                })?;
                let mut dx = vec![T::zero(); rows * input];
                multiply_rows(rows, (gradient, 0, output), &right, (&mut dx, 0, input));
                gradients[0] = Some(Tensor::from_vec(dx, (rows, input), &Device::Cpu)?);
            }
            if wanted[1] {
                let mut dw = vec![T::zero(); output * input];
                read(&inputs[0], |x: &[T]| {
                    outer_product(rows, (gradient, 0, output, output), (x, input), &mut dw);
                })?;
                gradients[1] = Some(Tensor::from_vec(dw, (output, input), &Device::Cpu)?);
            }
            if inputs.len() > 2 {
                let mut db = vec![T::zero(); output];
                add_columns(gradient, output, &mut db);
                gradients[2] = Some(Tensor::from_vec(db, output, &Device::Cpu)?);
            }
            Ok(gradients)
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::differences::assert_gradients;
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
        assert_gradients(&[("x", &x), ("weight", &weight), ("bias", &bias)], || {
            linear(&x, &weight, Some(&bias))?.sqr()?.sum_all()
        })
    }

    #[test]
    fn it_is_candles_product_up_to_rounding() -> Result<()> {
        Isa::each(|| {
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
