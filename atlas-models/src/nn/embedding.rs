//! Vectors of tokens.

use super::graph::{self, Backward, read};
use super::lanes::Real;
use super::reduce::scatter_rows;
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use std::marker::PhantomData;

/// A vector for each id of a vocabulary, with the weight of PyTorch's `nn.Embedding`.
#[derive(Debug, Clone)]
pub struct Embedding {
    weight: Tensor,
    padding: Option<u32>,
}

impl Embedding {
    /// Takes `weight`, `[vocabulary, width]`, from `vb`; one that it makes is normal with mean 0 and
    /// deviation 1, as PyTorch's.
    ///
    /// The row of the `padding` id gets no gradient (PyTorch's `padding_idx`). It is looked up as
    /// it is: where PyTorch starts it at zero, here it starts as the others.
    ///
    /// # Errors
    ///
    /// `vb` has not the weight in this shape, or `padding` is not in the vocabulary.
    pub fn new(
        vocabulary: usize,
        width: usize,
        padding: Option<u32>,
        vb: VarBuilder,
    ) -> Result<Self> {
        check_padding(padding, vocabulary)?;
        let normal = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        Ok(Self {
            weight: vb.get_with_hints((vocabulary, width), "weight", normal)?,
            padding,
        })
    }

    /// `[vocabulary, width]`
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The id whose row gets no gradient.
    pub fn padding(&self) -> Option<u32> {
        self.padding
    }

    /// The vector of each id, `[ids, width]`.
    ///
    /// # Errors
    ///
    /// An id is not in the vocabulary.
    pub fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        embedding(ids, &self.weight, self.padding)
    }
}

/// The rows of `weight`, `[vocabulary, width]`, that `ids` name, in their order: `[ids, width]`.
/// The row of the `padding` id gets no gradient. As PyTorch's `functional.embedding`.
///
/// # Errors
///
/// An id, or `padding`, is not in the vocabulary.
pub fn embedding(ids: &[u32], weight: &Tensor, padding: Option<u32>) -> Result<Tensor> {
    let (vocabulary, _) = weight.dims2()?;
    check_padding(padding, vocabulary)?;
    if let Some(row) = ids.iter().position(|&id| id as usize >= vocabulary) {
        bail!(
            "id {} at row {row}, the vocabulary has {vocabulary}",
            ids[row]
        )
    }
    match weight.dtype() {
        DType::F32 if weight.device().is_cpu() => run::<f32>(ids, weight, padding),
        DType::F64 if weight.device().is_cpu() => run::<f64>(ids, weight, padding),
        _ => plain(ids, weight, padding),
    }
}

fn check_padding(padding: Option<u32>, vocabulary: usize) -> Result<()> {
    match padding {
        Some(padding) if padding as usize >= vocabulary => {
            bail!("a padding id of {padding}, the vocabulary has {vocabulary}")
        }
        _ => Ok(()),
    }
}

/// Of candle's operations.
fn plain(ids: &[u32], weight: &Tensor, padding: Option<u32>) -> Result<Tensor> {
    let device = weight.device();
    let rows = weight.index_select(&Tensor::new(ids, device)?, 0)?;
    let Some(padding) = padding else {
        return Ok(rows);
    };
    let is_padding: Vec<u8> = ids.iter().map(|&id| u8::from(id == padding)).collect();
    Tensor::from_vec(is_padding, (ids.len(), 1), device)?
        .broadcast_as(rows.shape())?
        .where_cond(&rows.detach(), &rows)
}

fn run<T: Real>(ids: &[u32], weight: &Tensor, padding: Option<u32>) -> Result<Tensor> {
    let (_, width) = weight.dims2()?;
    let mut rows = Vec::with_capacity(ids.len() * width);
    read(weight, |weight: &[T]| {
        for &id in ids {
            rows.extend_from_slice(&weight[id as usize * width..][..width]);
        }
    })?;
    let shape = (ids.len(), width);
    if !graph::tracks(&[weight]) {
        return Tensor::from_vec(rows, shape, &Device::Cpu);
    }
    let lookup = Lookup {
        ids: ids.to_vec(),
        padding,
        real: PhantomData::<T>,
    };
    graph::record(&[weight], rows, shape, lookup)
}

struct Lookup<T> {
    ids: Vec<u32>,
    padding: Option<u32>,
    real: PhantomData<T>,
}

impl<T: Real> Backward for Lookup<T> {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (vocabulary, width) = inputs[0].dims2()?;
        let mut sums = vec![T::zero(); vocabulary * width];
        read(gradient, |gradient: &[T]| {
            scatter_rows(gradient, width, 0, &self.ids, &mut sums, width);
        })?;
        if let Some(padding) = self.padding {
            sums[padding as usize * width..][..width].fill(T::zero());
        }
        let sums = Tensor::from_vec(sums, (vocabulary, width), &Device::Cpu)?;
        Ok(vec![Some(sums)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::differences::assert_gradients;
    use candle_core::Var;
    use candle_nn::VarMap;

    /// `[vocabulary, width]` whose elements are 0, 1, 2, …
    fn counting(vocabulary: usize, width: usize) -> Result<Tensor> {
        let count = (vocabulary * width) as u32;
        Tensor::arange(0, count, &Device::Cpu)?
            .to_dtype(DType::F64)?
            .reshape((vocabulary, width))
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() -> Result<()> {
        for ids in [
            &[2u32][..],
            &[1, 1, 1],
            &[4, 0, 3, 1, 2],
            &[0, 4, 4, 1, 0, 4],
        ] {
            let weight = Var::from_tensor(&(counting(5, 3)? / 10.0)?)?;
            assert_gradients(&[("weight", &weight)], || {
                embedding(ids, &weight, None)?.powf(3.0)?.sum_all()
            })?;
        }
        Ok(())
    }

    #[test]
    fn the_gradient_of_a_row_is_the_sum_over_its_ids_and_none_for_padding() -> Result<()> {
        let (ids, factors) = ([1u32, 3, 1, 0, 3], counting(5, 2)?);
        for run in [embedding, plain] {
            let weight = Var::from_tensor(&counting(4, 2)?)?;
            for (padding, row) in [(None, [10.0, 12.0]), (Some(3), [0.0, 0.0])] {
                let rows = run(&ids, &weight, padding)?;
                let expected = [[2.0, 3.0], [6.0, 7.0], [2.0, 3.0], [0.0, 1.0], [6.0, 7.0]];
                assert_eq!(rows.to_vec2::<f64>()?, expected);
                let gradients = (rows * &factors)?.sum_all()?.backward()?;
                let gradient = gradients.get(&weight).unwrap().to_vec2::<f64>()?;
                assert_eq!(gradient, [[6.0, 7.0], [4.0, 6.0], [0.0, 0.0], row]);
            }
        }
        Ok(())
    }

    #[test]
    fn the_gradient_is_the_same_bits_for_any_number_of_threads() -> Result<()> {
        let ids: Vec<u32> = (0..3000).map(|i| i * i % 41).collect();
        let factors = (counting(3000, 300)? * 0.37)?.sin()?.to_dtype(DType::F32)?;
        let weight = Var::zeros((41, 300), DType::F32, &Device::Cpu)?;
        let bits = || -> Result<Vec<u32>> {
            let rows = embedding(&ids, &weight, Some(0))?;
            let gradients = (rows * &factors)?.sum_all()?.backward()?;
            let gradient = gradients.get(&weight).unwrap().flatten_all()?;
            Ok(gradient
                .to_vec1::<f32>()?
                .into_iter()
                .map(f32::to_bits)
                .collect())
        };
        let expected = bits()?;
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            assert!(
                pool.unwrap().install(bits)? == expected,
                "{threads} threads"
            );
        }
        Ok(())
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_an_error_that_names_its_row() -> Result<()> {
        let error = embedding(&[0, 3, 4, 9], &counting(4, 2)?, None).unwrap_err();
        let expected = "id 4 at row 2, the vocabulary has 4";
        assert!(error.to_string().contains(expected), "{error}");
        let error = embedding(&[0], &counting(4, 2)?, Some(4)).unwrap_err();
        let expected = "a padding id of 4, the vocabulary has 4";
        assert!(error.to_string().contains(expected), "{error}");
        Ok(())
    }

    #[test]
    fn its_weight_is_named_and_laid_out_as_pytorchs() -> Result<()> {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let made = Embedding::new(6, 3, Some(5), vb.pp("tokens"))?;
        assert_eq!(made.padding(), Some(5));
        let variables = map.data().lock().unwrap();
        let names: Vec<&String> = variables.keys().collect();
        assert_eq!(names, ["tokens.weight"]);
        assert_eq!(made.weight().dims(), [6, 3]);
        let row = made.forward(&[4])?.to_vec2::<f32>()?.remove(0);
        assert_eq!(row, variables["tokens.weight"].to_vec2::<f32>()?[4]);
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let error = Embedding::new(6, 3, Some(6), vb.pp("tokens")).unwrap_err();
        assert!(error.to_string().contains("a padding id of 6"), "{error}");
        Ok(())
    }

    #[test]
    fn no_ids_and_no_width_give_empty_rows() -> Result<()> {
        let weight = Var::from_tensor(&counting(4, 2)?)?;
        let rows = embedding(&[], &weight, None)?;
        assert_eq!(rows.dims(), [0, 2]);
        let gradients = rows.sum_all()?.backward()?;
        let gradient = gradients.get(&weight).unwrap().to_vec2::<f64>()?;
        assert_eq!(gradient, [[0.0; 2]; 4]);
        let weight = Tensor::zeros((4, 0), DType::F64, &Device::Cpu)?;
        assert_eq!(embedding(&[1, 3], &weight, Some(0))?.dims(), [2, 0]);
        Ok(())
    }
}
