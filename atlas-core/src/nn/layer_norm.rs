//! Layer normalisation that gradients pass through: composed of operations that have a backward
//! pass, where `candle_nn::LayerNorm` runs one that has none if its input is contiguous.

use candle_core::{D, DType, Module, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

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
    /// `vb` does not have the weights in these shapes.
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
}

impl Module for LayerNorm {
    /// Normalises over the last dimension: `[.., size]` to `[.., size]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (width, size) = (x.dim(D::Minus1)?, self.weight.dims1()?);
        if width != size {
            bail!("rows of width {width} for a normalisation of {size}")
        }
        let wide = match x.dtype() {
            DType::F16 | DType::BF16 => x.to_dtype(DType::F32)?,
            _ => x.clone(),
        };
        // The variance of the centred elements: the mean of the squares less the square of the
        // mean would lose it where the mean is large.
        let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normalised = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
        normalised
            .to_dtype(x.dtype())?
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::check_gradients;
    use candle_core::{Device, Var};
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
        for shape in [&[1usize, 1][..], &[1, 9], &[4, 3], &[2, 3, 5], &[19]] {
            let size = shape[shape.len() - 1];
            let (norm, weight, bias) = norm(size, 1e-2, DType::F64)?;
            weight.set(&values(1, &[size], 2.0, DType::F64)?)?;
            bias.set(&values(2, &[size], 1.0, DType::F64)?)?;
            let x = Var::from_tensor(&values(3, shape, 2.0, DType::F64)?)?;
            let factors = values(4, shape, 3.0, DType::F64)?;
            let checked = [("x", &x), ("weight", &weight), ("bias", &bias)];
            check_gradients(&checked, || (norm.forward(&x)? * &factors)?.sum_all())?;
        }
        Ok(())
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
