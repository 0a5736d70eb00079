//! What attention reads of tokens: their embeddings and their places.

use super::custom_op::{self, Backward, read};
use super::matrix::Matrix;
use super::packing::Packing;
use super::reduce::scatter_rows;
use super::simd::Real;
use candle_core::{DType, Device, Result, Tensor, bail};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Each token's embedding, plus the sinusoids of its step (Vaswani et al., "Attention Is All You
/// Need", 2017, section 3.5), plus what is constant over its sequence: `[rows, width]`.
///
/// `ids` has one token for each row, as [`Packing::pack`] makes them; `embedding` is
/// `[vocabulary, width]`, `constant` `[batch, width]` in the caller's order. Differentiable.
///
/// # Errors
///
/// A shape, dtype or device does not fit, or an id is not in the vocabulary.
pub fn embed_tokens(
    packing: &Packing,
    ids: &[u32],
    embedding: &Tensor,
    constant: Option<&Tensor>,
) -> Result<Tensor> {
    check_ids(packing, ids, embedding)?;
    let (_, width) = embedding.dims2()?;
    let expected = (packing.batch(), width);
    if let Some(constant) = constant
        && constant.dims2()? != expected
    {
        let found = constant.shape();
        bail!("constants of shape {found:?}, expected {expected:?}")
    }
    match embedding.dtype() {
        DType::F32 if embedding.device().is_cpu() => {
            fused::<f32>(packing, ids, embedding, constant)
        }
        DType::F64 if embedding.device().is_cpu() => {
            fused::<f64>(packing, ids, embedding, constant)
        }
        _ => composed(packing, ids, embedding, constant),
    }
}

/// Refuses ids unless there is one for each row, of the vocabulary.
pub(super) fn check_ids(packing: &Packing, ids: &[u32], embedding: &Tensor) -> Result<()> {
    let (vocabulary, _) = embedding.dims2()?;
    if ids.len() != packing.rows() {
        bail!("{} token ids for {} packed rows", ids.len(), packing.rows())
    }
    if let Some(row) = ids.iter().position(|&id| id as usize >= vocabulary) {
        bail!(
            "token id {} at row {row}, the vocabulary has {vocabulary}",
            ids[row]
        )
    }
    Ok(())
}

/// The sinusoids of a step: pairs of sine and cosine, from one radian a step down to a ten
/// thousandth.
pub(super) fn sinusoids(step: usize, width: usize) -> impl Iterator<Item = f64> {
    (0..width).map(move |column| {
        let power = (column - column % 2) as f64 / width as f64;
        let angle = step as f64 * 10_000f64.powf(-power);
        if column % 2 == 0 {
            angle.sin()
        } else {
            angle.cos()
        }
    })
}

/// The same of candle's operations.
fn composed(
    packing: &Packing,
    ids: &[u32],
    embedding: &Tensor,
    constant: Option<&Tensor>,
) -> Result<Tensor> {
    let (_, width) = embedding.dims2()?;
    let (device, dtype) = (embedding.device(), embedding.dtype());
    let table = (0..packing.steps()).flat_map(|step| sinusoids(step, width));
    let table = Tensor::from_iter(table, &Device::Cpu)?.reshape((packing.steps(), width))?;
    let steps: Vec<u32> = packing.elements().map(|(_, step)| step as u32).collect();
    let table = table.to_dtype(dtype)?.to_device(device)?;
    let positions = table.index_select(&Tensor::new(steps, device)?, 0)?;
    let rows = embedding.index_select(&Tensor::new(ids, device)?, 0)?;
    let rows = (rows + positions)?;
    match constant {
        Some(constant) => rows + packing.repeat(constant)?,
        None => Ok(rows),
    }
}

fn fused<T: Real>(
    packing: &Packing,
    ids: &[u32],
    embedding: &Tensor,
    constant: Option<&Tensor>,
) -> Result<Tensor> {
    let (vocabulary, width) = embedding.dims2()?;
    let operation = EmbedTokens::<T> {
        packing: packing.clone(),
        ids: ids.to_vec(),
        vocabulary,
        real: PhantomData,
    };
    let mut rows = vec![T::ZERO; packing.rows() * width];
    read([embedding], |[embedding]| {
        operation.embed(embedding, width, &mut rows);
    })?;
    let mut inputs = vec![embedding];
    if let Some(constant) = constant {
        inputs.push(constant);
        read([constant], |[constant]: [&[T]; 1]| {
            let rows = rows.par_chunks_exact_mut(width.max(1));
            let rows = rows.zip(packing.sequences()).with_min_len(CHUNK);
            rows.for_each(|(row, sequence)| {
                add(row, &constant[sequence as usize * width..]);
            });
        })?;
    }
    custom_op::record(&inputs, rows, (packing.rows(), width), operation)
}

/// Rows that a thread takes at a time.
const CHUNK: usize = 64;

fn add<T: Real>(row: &mut [T], other: &[T]) {
    for (element, &other) in row.iter_mut().zip(other) {
        *element += other;
    }
}

struct EmbedTokens<T> {
    packing: Packing,
    /// One for each packed row.
    ids: Vec<u32>,
    vocabulary: usize,
    real: PhantomData<T>,
}

impl<T: Real> EmbedTokens<T> {
    /// Writes each row's embedding plus the sinusoids of its step.
    fn embed(&self, embedding: &[T], width: usize, mut rows: &mut [T]) {
        let mut ids = &self.ids[..];
        let mut steps = Vec::with_capacity(self.packing.steps());
        for (step, &active) in self.packing.batch_sizes().iter().enumerate() {
            let row = rows.split_off_mut(..active * width).unwrap_or_default();
            steps.push((step, ids.split_off(..active).unwrap_or_default(), row));
        }
        steps.into_par_iter().for_each(|(step, ids, rows)| {
            let position: Vec<T> = sinusoids(step, width).map(T::from_f64).collect();
            for (row, &id) in rows.chunks_exact_mut(width.max(1)).zip(ids) {
                row.copy_from_slice(&embedding[id as usize * width..][..width]);
                add(row, &position);
            }
        });
    }
}

impl<T: Real> Backward for EmbedTokens<T> {
    fn name(&self) -> &'static str {
        "embed-tokens"
    }

    fn backward(
        &self,
        wanted: &[bool],
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (rows, width) = gradient.dims2()?;
        read([gradient], |[gradient]: [&[T]; 1]| {
            let gradient = Matrix::new(gradient, rows, width);
            let scatter = |targets: &[u32], count: usize| {
                let sums = scatter_rows(gradient, |row| targets[row] as usize, count);
                Tensor::from_vec(sums, (count, width), &Device::Cpu).map(Some)
            };
            let mut gradients = vec![scatter(&self.ids, self.vocabulary)?];
            if wanted.len() > 1 {
                gradients.push(scatter(&self.packing.sequences(), self.packing.batch())?);
            }
            Ok(gradients)
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_core::nn::check_gradients;
    use candle_core::Var;

    fn values(seed: i64, shape: (usize, usize)) -> Result<Var> {
        let values: Vec<f64> = (0..(shape.0 * shape.1) as i64)
            .map(|i| ((i * 37 + seed) % 101) as f64 / 50.0 - 1.0)
            .collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    #[test]
    fn it_is_what_candles_operations_compute_and_so_are_its_gradients() -> Result<()> {
        let packing = Packing::new(&[3, 1, 7])?;
        let ids: Vec<u32> = (0..11).map(|row| row * 7 % 5).collect();
        for width in [1, 6, 7] {
            let (embedding, constant) = (values(1, (5, width))?, values(2, (3, width))?);
            let (embed, repeat) = (embedding.as_tensor(), constant.as_tensor());
            for constant in [None, Some(repeat)] {
                let fused = embed_tokens(&packing, &ids, embed, constant)?;
                let composed = composed(&packing, &ids, embed, constant)?;
                assert_eq!(fused.to_vec2::<f64>()?, composed.to_vec2::<f64>()?);
            }
            let checked = [("embedding", &embedding), ("constant", &constant)];
            check_gradients(&checked, || {
                let rows = embed_tokens(&packing, &ids, embed, Some(repeat))?;
                rows.sqr()?.sum_all()
            })?;
        }
        Ok(())
    }

    #[test]
    fn the_sinusoids_are_those_of_the_paper() {
        let found: Vec<f64> = sinusoids(3, 4).collect();
        let expected = [3f64.sin(), 3f64.cos(), 0.03f64.sin(), 0.03f64.cos()];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15);
        }
    }
}
