use super::*;
use atlas_core::nn::check_gradients;
use candle_core::Var;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values in `[-scale, scale)` that depend on the seed alone.
fn values(seed: u64, shape: (usize, usize), scale: f64, dtype: DType) -> Result<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.0 * shape.1)
        .map(|_| generator.random_range(-scale..scale))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

fn variable(seed: u64, shape: (usize, usize), dtype: DType) -> Result<Var> {
    Var::from_tensor(&values(seed, shape, 1.5, dtype)?)
}

const LENGTHS: [&[usize]; 4] = [&[1], &[5], &[3, 1, 3], &[2, 13, 1, 9, 17]];

#[test]
fn gradients_are_those_of_finite_differences() -> Result<()> {
    for (lengths, heads, width) in [(LENGTHS[0], 1, 1), (LENGTHS[2], 2, 6), (&[2, 14, 1], 1, 3)] {
        for causal in [false, true] {
            let packing = Packing::new(lengths)?;
            let shape = (packing.rows(), width);
            let [query, key, value] = [1, 2, 3].map(|seed| variable(seed, shape, DType::F64));
            let (query, key, value) = (query?, key?, value?);
            let factors = values(4, shape, 1.0, DType::F64)?;
            let checked = [("query", &query), ("key", &key), ("value", &value)];
            check_gradients(&checked, || {
                let output = attention(&packing, &query, &key, &value, heads, causal)?;
                (output * &factors)?.sum_all()
            })?;
        }
    }
    Ok(())
}

/// The largest difference of two tensors' elements.
fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let difference = (a - b)?.abs()?.flatten_all()?.max(0)?;
    difference.to_dtype(DType::F64)?.to_scalar()
}

#[test]
fn every_instruction_set_agrees_with_candles_operations() -> Result<()> {
    InstructionSet::each(|| {
        for (lengths, causal) in LENGTHS.into_iter().flat_map(|l| [(l, false), (l, true)]) {
            for (heads, head_width) in [(1, 1), (3, 5), (2, 32)] {
                let packing = Packing::new(lengths)?;
                let width = heads * head_width;
                let projections = variable(5, (packing.rows(), 3 * width), DType::F64)?;
                let factors = values(6, (packing.rows(), width), 1.0, DType::F64)?;
                let layout = Layout {
                    packing: packing.clone(),
                    heads,
                    head_width,
                    causal,
                };
                let fused = self_attention(&packing, &projections, heads, causal)?;
                let composed = layout.composed(&projections)?;
                assert!(difference(&fused, &composed)? < 1e-13);
                let gradient = |output: Tensor| -> Result<Tensor> {
                    let gradients = (output * &factors)?.sum_all()?.backward()?;
                    Ok(gradients.get(&projections).unwrap().clone())
                };
                let found = difference(&gradient(fused)?, &gradient(composed)?)?;
                assert!(found < 1e-13, "{lengths:?} {causal}: {found}");
            }
        }
        Ok(())
    })
}

/// The bits of each sequence's outputs and gradients by its rows.
fn bits(lengths: &[usize], rows: &[Vec<Vec<f32>>], causal: bool) -> Result<Vec<Vec<Vec<u32>>>> {
    let packing = Packing::new(lengths)?;
    let packed = packing.pack(rows)?;
    let projections = Var::from_tensor(&Tensor::new(packed, &Device::Cpu)?)?;
    let output = self_attention(&packing, &projections, 4, causal)?;
    let gradients = (output.sqr()? * 0.5)?.sum_all()?.backward()?;
    let both = Tensor::cat(&[&output, gradients.get(&projections).unwrap()], 1)?;
    let both = both.to_vec2::<f32>()?.into_iter();
    let both: Vec<Vec<u32>> = both
        .map(|row| row.into_iter().map(f32::to_bits).collect())
        .collect();
    packing.unpack(&both)
}

#[test]
fn a_sequences_bits_depend_neither_on_its_batch_nor_on_the_number_of_threads() -> Result<()> {
    let lengths: Vec<usize> = (0..40).map(|i| 1 + (i * 7) % 29).collect();
    let packing = Packing::new(&lengths)?;
    let rows = values(7, (packing.rows(), 3 * 64), 2.0, DType::F32)?.to_vec2::<f32>()?;
    let rows = packing.unpack(&rows)?;
    for causal in [false, true] {
        let all = bits(&lengths, &rows, causal)?;
        for batch in [1, 2, 7, 39] {
            let part = bits(&lengths[..batch], &rows[..batch], causal)?;
            assert!(part == all[..batch], "batch {batch}");
        }
        for threads in 1..=4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let part = pool.unwrap().install(|| bits(&lengths, &rows, causal))?;
            assert!(part == all, "{threads} threads");
        }
    }
    Ok(())
}

#[test]
fn a_causal_row_does_not_depend_on_those_after_it() -> Result<()> {
    let rows = values(8, (30, 3 * 8), 2.0, DType::F32)?;
    let run = |length: usize| -> Result<Vec<Vec<f32>>> {
        let rows = rows.narrow(0, 0, length)?;
        self_attention(&Packing::new(&[length])?, &rows, 2, true)?.to_vec2()
    };
    let all = run(30)?;
    for length in 1..30 {
        assert_eq!(run(length)?, all[..length], "{length} rows");
    }
    Ok(())
}

#[test]
fn huge_scores_give_finite_results_and_gradients() -> Result<()> {
    let packing = Packing::new(&[9, 4])?;
    let projections = Var::from_tensor(&values(9, (13, 12), 1e4, DType::F32)?)?;
    let output = self_attention(&packing, &projections, 2, true)?;
    let gradients = output.sum_all()?.backward()?;
    for tensor in [&output, gradients.get(&projections).unwrap()] {
        let elements = tensor.flatten_all()?.to_vec1::<f32>()?;
        assert!(elements.iter().all(|element| element.is_finite()));
    }
    Ok(())
}

#[test]
fn half_precision_runs_and_is_near_single_precision() -> Result<()> {
    let packing = Packing::new(&[9, 4])?;
    let projections = values(9, (13, 12), 1.0, DType::F32)?;
    let single = self_attention(&packing, &projections, 2, true)?;
    let half = self_attention(&packing, &projections.to_dtype(DType::F16)?, 2, true)?;
    assert_eq!(half.dtype(), DType::F16);
    assert!(difference(&half.to_dtype(DType::F32)?, &single)? < 5e-3);
    Ok(())
}

#[test]
fn wrong_inputs_are_errors_that_name_what_is_wrong() -> Result<()> {
    let packing = Packing::new(&[2, 1])?;
    let rows = values(1, (3, 6), 1.0, DType::F32)?;
    let refused = |query: &Tensor, key: &Tensor, heads| {
        attention(&packing, query, key, &rows, heads, false)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&rows, &rows, 4).contains("4 heads do not divide"));
    assert!(refused(&rows, &rows.narrow(1, 0, 3)?, 1).contains("keys of shape [3, 3]"));
    let fewer = rows.narrow(0, 0, 2)?;
    let error = attention(&packing, &fewer, &fewer, &fewer, 1, false).unwrap_err();
    assert!(error.to_string().contains("2 rows, the packing has 3"));
    Ok(())
}
