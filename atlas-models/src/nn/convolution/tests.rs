use super::*;
use atlas_core::nn::check_gradients;
use candle_core::{Device, Var};
use candle_nn::VarMap;

fn values(seed: i64, shape: &[usize], dtype: DType) -> Result<Tensor> {
    let count = shape.iter().product::<usize>() as i64;
    let values: Vec<f64> = (0..count)
        .map(|i| ((i * 37 + seed * (i % 7) + seed) % 101) as f64 / 50.0 - 1.0)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

/// A convolution with variables for its weights.
fn convolution(shape: [usize; 3], dtype: DType) -> Result<(Convolution, Var, Var)> {
    let [input, output, kernel] = shape;
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, dtype, &Device::Cpu);
    let convolution = Convolution::new(input, output, kernel, vb)?;
    let variables = map.data().lock().unwrap();
    let (weight, bias) = (variables["weight"].clone(), variables["bias"].clone());
    weight.set(&values(1, weight.dims(), dtype)?)?;
    bias.set(&values(2, bias.dims(), dtype)?)?;
    Ok((convolution, weight, bias))
}

fn ids(packing: &Packing, vocabulary: u32) -> Vec<u32> {
    (0..packing.rows() as u32)
        .map(|row| (row * 7 + 3) % vocabulary)
        .collect()
}

const LENGTHS: [&[usize]; 3] = [&[1], &[3, 1, 3], &[2, 6, 1, 9]];

#[test]
fn gradients_are_those_of_finite_differences() -> Result<()> {
    for lengths in LENGTHS {
        for kernel in [1, 2, 3, 6] {
            let packing = Packing::new(lengths)?;
            let (convolution, weight, bias) = convolution([3, 2, kernel], DType::F64)?;
            let rows = Var::from_tensor(&values(3, &[packing.rows(), 3], DType::F64)?)?;
            let checked = [("rows", &rows), ("weight", &weight), ("bias", &bias)];
            check_gradients(&checked, || {
                convolution.forward(&packing, &rows)?.sqr()?.sum_all()
            })?;
            let embedding = Var::from_tensor(&values(4, &[5, 3], DType::F64)?)?;
            let ids = ids(&packing, 5);
            let checked = [
                ("embedding", &embedding),
                ("weight", &weight),
                ("bias", &bias),
            ];
            check_gradients(&checked, || {
                let output = convolution.forward_tokens(&packing, &ids, &embedding)?;
                output.sqr()?.sum_all()
            })?;
        }
    }
    Ok(())
}

fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

#[test]
fn each_sequence_is_convolved_as_candle_convolves_it_alone() -> Result<()> {
    for kernel in [1, 3, 9, 4] {
        let packing = Packing::new(&[2, 6, 1, 13])?;
        let (convolution, weight, bias) = convolution([5, 7, kernel], DType::F64)?;
        let embedding = values(4, &[11, 5], DType::F64)?;
        let ids = ids(&packing, 11);
        let rows = embedding.index_select(&Tensor::new(ids.as_slice(), &Device::Cpu)?, 0)?;
        let found = convolution.forward(&packing, &rows)?;
        let by_tokens = convolution.forward_tokens(&packing, &ids, &embedding)?;
        assert!(difference(&found, &by_tokens)? < 1e-13);
        let (found, rows) = (found.to_vec2::<f64>()?, rows.to_vec2::<f64>()?);
        let (found, rows) = (packing.unpack(&found)?, packing.unpack(&rows)?);
        for (found, rows) in found.into_iter().zip(rows) {
            let rows = Tensor::new(rows, &Device::Cpu)?.t()?.unsqueeze(0)?;
            let left = (kernel - 1) / 2;
            let rows = rows.pad_with_zeros(2, left, kernel - 1 - left)?;
            let expected = rows.conv1d(&weight, 0, 1, 1, 1)?.squeeze(0)?.t()?;
            let expected = expected.broadcast_add(&bias)?;
            assert!(difference(&Tensor::new(found, &Device::Cpu)?, &expected)? < 1e-13);
        }
    }
    Ok(())
}

#[test]
fn windows_are_those_that_candle_gathers() -> Result<()> {
    let packing = Packing::new(&[2, 6, 1, 13])?;
    let rows = values(3, &[22, 4], DType::F64)?;
    let windows = || Windows::new(&packing, 5);
    let (fused, composed) = (windows().of(&rows)?, windows().composed(&rows)?);
    assert_eq!(fused.to_vec2::<f64>()?, composed.to_vec2::<f64>()?);
    Ok(())
}

type Bits = Vec<Vec<Vec<u32>>>;

/// The bits of each sequence's outputs and gradients by its rows, and of the gradients by
/// everything else.
fn bits(lengths: &[usize], rows: &[Vec<Vec<f32>>]) -> Result<(Bits, Vec<u32>)> {
    let packing = Packing::new(lengths)?;
    let (convolution, weight, bias) = convolution([9, 17, 5], DType::F32)?;
    let rows = Var::from_tensor(&Tensor::new(packing.pack(rows)?, &Device::Cpu)?)?;
    let embedding = Var::from_tensor(&values(4, &[11, 9], DType::F32)?)?;
    let ids: Vec<u32> = packing
        .elements()
        .map(|(_, step)| step as u32 % 11)
        .collect();
    let output = convolution.forward(&packing, &rows)?;
    let of_tokens = convolution.forward_tokens(&packing, &ids, &embedding)?;
    let loss = (output.sqr()?.sum_all()? + of_tokens.sqr()?.sum_all()?)?;
    let gradients = loss.backward()?;
    let gradient = |variable: &Var| gradients.get(variable).unwrap().clone();
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    let both = Tensor::cat(&[output, of_tokens, gradient(&rows)], 1)?;
    let both: Vec<Vec<u32>> = both.to_vec2()?.into_iter().map(bits).collect();
    let mut others = Vec::new();
    for variable in [&weight, &bias, &embedding] {
        others.extend(bits(gradient(variable).flatten_all()?.to_vec1()?));
    }
    Ok((packing.unpack(&both)?, others))
}

#[test]
fn a_sequences_bits_depend_neither_on_its_batch_nor_on_the_number_of_threads() -> Result<()> {
    let lengths: Vec<usize> = (0..50).map(|i| 1 + (i * 7) % 29).collect();
    let packing = Packing::new(&lengths)?;
    let rows = values(5, &[packing.rows(), 9], DType::F32)?.to_vec2::<f32>()?;
    let rows = packing.unpack(&rows)?;
    let all = bits(&lengths, &rows)?;
    for batch in [1, 2, 7, 49] {
        let part = bits(&lengths[..batch], &rows[..batch])?;
        assert!(part.0 == all.0[..batch], "batch {batch}");
    }
    for threads in 1..=4 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let part = pool.unwrap().install(|| bits(&lengths, &rows))?;
        assert!(part == all, "{threads} threads");
    }
    Ok(())
}

#[test]
fn wrong_inputs_are_errors_that_name_what_is_wrong() -> Result<()> {
    let packing = Packing::new(&[2, 1])?;
    let (convolution, _, _) = convolution([4, 2, 3], DType::F32)?;
    let rows = values(1, &[3, 5], DType::F32)?;
    let error = convolution.forward(&packing, &rows).unwrap_err();
    assert!(error.to_string().contains("input rows of shape (3, 5)"));
    let embedding = values(1, &[6, 4], DType::F32)?;
    let error = convolution.forward_tokens(&packing, &[0, 6, 1], &embedding);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("token id 6 at row 1"), "{error}");
    Ok(())
}
