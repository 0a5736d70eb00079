use super::*;
use crate::nn::simd::InstructionSet;
use atlas_core::nn::check_gradients;
use candle_core::{Device, Var};
use candle_nn::VarMap;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values in `[-scale, scale)` that depend on the seed alone.
fn values(seed: u64, shape: &[usize], scale: f64, dtype: DType) -> Result<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| generator.random_range(-scale..scale))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

/// A GRU with seeded weights, as variables, and the variables by name.
fn gru(
    input: usize,
    hidden: usize,
    layers: usize,
    dtype: DType,
) -> Result<(Gru, Vec<(String, Var)>)> {
    let map = VarMap::new();
    let gru = Gru::new(
        input,
        hidden,
        layers,
        VarBuilder::from_varmap(&map, dtype, &Device::Cpu),
    )?;
    let mut variables: Vec<(String, Var)> = map
        .data()
        .lock()
        .unwrap()
        .iter()
        .map(|(name, var)| (name.clone(), var.clone()))
        .collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (index, (_, variable)) in variables.iter().enumerate() {
        variable.set(&values(100 + index as u64, variable.dims(), 0.6, dtype)?)?;
    }
    Ok((gru, variables))
}

/// One number that depends on every element of the output, unevenly.
fn loss(output: &GruOutput) -> Result<Tensor> {
    let weigh = |tensor: &Tensor, seed: u64| -> Result<Tensor> {
        (tensor * values(seed, tensor.dims(), 1.0, tensor.dtype())?)?.sum_all()
    };
    let mut total = weigh(&output.rows, 7)?;
    for (layer, last) in output.last.iter().enumerate() {
        total = (total + weigh(last, 8 + layer as u64)?)?;
    }
    Ok(total)
}

/// What a test runs a GRU over.
struct Case {
    packing: Arc<Packing>,
    rows: Var,
    ids: Vec<u32>,
    embedding: Var,
    constant: Var,
    initial: Vec<Var>,
}

const EMBEDDING: usize = 3;
const CONSTANT: usize = 2;
const INPUT: usize = EMBEDDING + CONSTANT;
const VOCABULARY: usize = 6;

impl Case {
    fn new(lengths: &[usize], hidden: usize, layers: usize, dtype: DType) -> Result<Self> {
        let packing = Arc::new(Packing::new(lengths)?);
        let (rows, batch) = (packing.rows(), packing.batch());
        let initial = (0..layers).map(|layer| {
            Var::from_tensor(&values(40 + layer as u64, &[batch, hidden], 0.9, dtype)?)
        });
        Ok(Self {
            rows: Var::from_tensor(&values(1, &[rows, INPUT], 1.0, dtype)?)?,
            ids: (0..rows as u32)
                .map(|row| (row * 7 + 3) % VOCABULARY as u32)
                .collect(),
            embedding: Var::from_tensor(&values(2, &[VOCABULARY, EMBEDDING], 1.0, dtype)?)?,
            constant: Var::from_tensor(&values(3, &[batch, CONSTANT], 1.0, dtype)?)?,
            initial: initial.collect::<Result<_>>()?,
            packing,
        })
    }

    fn tokens(&self) -> GruInput<'_> {
        GruInput::Tokens {
            ids: &self.ids,
            embedding: &self.embedding,
            constant: Some(&self.constant),
        }
    }

    fn initial(&self) -> Vec<Tensor> {
        self.initial
            .iter()
            .map(|states| states.as_tensor().clone())
            .collect()
    }
}

const LENGTHS: [&[usize]; 5] = [
    &[1],
    &[4],
    &[3, 3, 3],
    &[1, 4, 2, 6, 3],
    &[2, 1, 1, 5, 2, 2, 7],
];

#[test]
fn gradients_of_dense_inputs_are_those_of_finite_differences() -> Result<()> {
    for lengths in LENGTHS {
        let (gru, variables) = gru(INPUT, 3, 2, DType::F64)?;
        let case = Case::new(lengths, 3, 2, DType::F64)?;
        let mut checked: Vec<(&str, &Var)> = variables
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        checked.push(("rows", &case.rows));
        checked.extend(case.initial.iter().map(|states| ("initial", states)));
        check_gradients(&checked, || {
            let input = GruInput::Rows(&case.rows);
            loss(&gru.forward(&case.packing, input, Some(&case.initial()), None)?)
        })?;
    }
    Ok(())
}

#[test]
fn gradients_of_token_inputs_are_those_of_finite_differences() -> Result<()> {
    for lengths in LENGTHS {
        let (gru, variables) = gru(INPUT, 3, 3, DType::F64)?;
        let case = Case::new(lengths, 3, 3, DType::F64)?;
        let mut checked: Vec<(&str, &Var)> = variables
            .iter()
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        checked.extend([("embedding", &case.embedding), ("constant", &case.constant)]);
        checked.extend(case.initial.iter().map(|states| ("initial", states)));
        check_gradients(&checked, || {
            loss(&gru.forward(&case.packing, case.tokens(), Some(&case.initial()), None)?)
        })?;
    }
    Ok(())
}

/// The largest difference of two tensors' elements.
fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let difference = (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?;
    difference.abs()?.flatten_all()?.max(0)?.to_scalar()
}

fn assert_both_ways_agree(hidden: usize, dtype: DType, tolerance: f64) -> Result<()> {
    for lengths in LENGTHS {
        for dense in [true, false] {
            let (gru, variables) = gru(INPUT, hidden, 2, dtype)?;
            let case = Case::new(lengths, hidden, 2, dtype)?;
            let input = if dense {
                GruInput::Rows(&case.rows)
            } else {
                case.tokens()
            };
            let initial = case.initial();
            let by =
                |run: RunLayer| gru.forward_by(run, &case.packing, input, Some(&initial), None);
            let (a, b) = (by(run)?, by(plain::run)?);
            assert!(difference(&a.rows, &b.rows)? <= tolerance);
            let (da, db) = (loss(&a)?.backward()?, loss(&b)?.backward()?);
            let mut compared: Vec<&Var> = variables.iter().map(|(_, var)| var).collect();
            compared.extend(&case.initial);
            if dense {
                compared.push(&case.rows);
            } else {
                compared.extend([&case.embedding, &case.constant]);
            }
            for variable in compared {
                let (da, db) = (da.get(variable).unwrap(), db.get(variable).unwrap());
                let scale = 1.0 + difference(db, &db.zeros_like()?)?;
                let found = difference(da, db)?;
                assert!(found <= tolerance * scale, "{lengths:?} {dense}: {found}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_kernels_of_every_instruction_set_agree_with_candles_operations() -> Result<()> {
    InstructionSet::each(|| {
        for hidden in [1, 8, 17, 50] {
            assert_both_ways_agree(hidden, DType::F64, 1e-12)?;
            assert_both_ways_agree(hidden, DType::F32, 2e-5)?;
        }
        Ok(())
    })
}

#[test]
fn half_precision_runs_and_is_near_single_precision() -> Result<()> {
    let (single, variables) = gru(INPUT, 8, 2, DType::F32)?;
    let tensors = variables
        .iter()
        .map(|(name, var)| Ok((name.clone(), var.to_dtype(DType::F16)?)))
        .collect::<Result<_>>()?;
    let half = Gru::new(
        INPUT,
        8,
        2,
        VarBuilder::from_tensors(tensors, DType::F16, &Device::Cpu),
    )?;
    let case = Case::new(&[3, 5, 1], 8, 2, DType::F32)?;
    let rows = case.rows.to_dtype(DType::F16)?;
    let a = single.forward(&case.packing, GruInput::Rows(&case.rows), None, None)?;
    let b = half.forward(&case.packing, GruInput::Rows(&rows), None, None)?;
    assert_eq!(b.rows.dtype(), DType::F16);
    assert!(difference(&a.rows, &b.rows)? < 5e-3);
    Ok(())
}

#[test]
fn a_sequences_states_do_not_depend_on_its_batch() -> Result<()> {
    let (gru, _) = gru(INPUT, 40, 2, DType::F32)?;
    let lengths: Vec<usize> = (0..200).map(|i| 1 + (i * 7) % 13).collect();
    let whole = Case::new(&lengths, 40, 2, DType::F32)?;
    let all = gru.forward(&whole.packing, whole.tokens(), None, None)?;
    let expected = all.last[1].to_vec2::<f32>()?;
    let ids = whole.packing.unpack(&whole.ids)?;
    for batch in 1..=200 {
        let packing = Arc::new(Packing::new(&lengths[..batch])?);
        let part = gru.forward(
            &packing,
            GruInput::Tokens {
                ids: &packing.pack(&ids[..batch])?,
                embedding: &whole.embedding,
                constant: Some(&whole.constant.narrow(0, 0, batch)?),
            },
            None,
            None,
        )?;
        assert_eq!(
            part.last[1].to_vec2::<f32>()?,
            expected[..batch],
            "batch {batch}"
        );
    }
    Ok(())
}

/// The bits of a training step's outputs and gradients.
fn training_bits(threads: usize) -> Result<Vec<Vec<u32>>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let (gru, variables) = gru(INPUT, 72, 2, DType::F32)?;
        let lengths: Vec<usize> = (0..61).map(|i| 1 + (i * 5) % 17).collect();
        let case = Case::new(&lengths, 72, 2, DType::F32)?;
        let output = gru.forward(&case.packing, case.tokens(), Some(&case.initial()), None)?;
        let gradients = loss(&output)?.backward()?;
        let mut tensors = vec![output.rows.clone()];
        let leaves = variables
            .iter()
            .map(|(_, var)| var)
            .chain([&case.embedding, &case.constant]);
        tensors.extend(leaves.map(|var| gradients.get(var).unwrap().clone()));
        tensors
            .iter()
            .map(|tensor| {
                let elements = tensor.flatten_all()?.to_vec1::<f32>()?;
                Ok(elements.into_iter().map(f32::to_bits).collect())
            })
            .collect()
    })
}

#[test]
fn outputs_and_gradients_are_the_same_bits_for_any_number_of_threads() -> Result<()> {
    let expected = training_bits(1)?;
    for threads in [1, 2, 3, 4] {
        assert!(training_bits(threads)? == expected, "{threads} threads");
    }
    Ok(())
}

#[test]
fn without_gradients_nothing_is_kept() -> Result<()> {
    let (gru, variables) = gru(INPUT, 8, 2, DType::F32)?;
    let case = Case::new(&[3, 2], 8, 2, DType::F32)?;
    let rows = case.rows.as_detached_tensor();
    let trained = gru.forward(&case.packing, GruInput::Rows(&rows), None, None)?;
    assert!(trained.rows.track_op());
    let tensors = variables
        .iter()
        .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
        .collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let frozen = Gru::new(INPUT, 8, 2, vb)?;
    let output = frozen.forward(&case.packing, GruInput::Rows(&rows), None, None)?;
    assert!(!output.rows.track_op() && !output.last[1].track_op());
    assert_eq!(
        output.rows.to_vec2::<f32>()?,
        trained.rows.to_vec2::<f32>()?
    );
    Ok(())
}

#[test]
fn saturated_gates_give_finite_states_and_gradients() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let (gru, variables) = gru(INPUT, 8, 2, dtype)?;
        let case = Case::new(&[4, 2, 3], 8, 2, dtype)?;
        let rows = Var::from_tensor(&values(5, &[9, INPUT], 1e4, dtype)?)?;
        let output = gru.forward(&case.packing, GruInput::Rows(&rows), None, None)?;
        let gradients = loss(&output)?.backward()?;
        let finite = |tensor: &Tensor| -> Result<bool> {
            let elements = tensor
                .to_dtype(DType::F64)?
                .flatten_all()?
                .to_vec1::<f64>()?;
            Ok(elements.iter().all(|element| element.is_finite()))
        };
        assert!(finite(&output.rows)?);
        for variable in variables.iter().map(|(_, var)| var).chain([&rows]) {
            assert!(finite(gradients.get(variable).unwrap())?);
        }
    }
    Ok(())
}

#[test]
fn a_second_backward_pass_is_an_error_that_says_why() -> Result<()> {
    let (gru, _) = gru(INPUT, 4, 1, DType::F32)?;
    let case = Case::new(&[2, 1], 4, 1, DType::F32)?;
    let loss = loss(&gru.forward(&case.packing, GruInput::Rows(&case.rows), None, None)?)?;
    loss.backward()?;
    let error = loss.backward().unwrap_err().to_string();
    assert!(error.contains("serve one backward pass"), "{error}");
    Ok(())
}

#[test]
fn wrong_inputs_are_errors_that_name_what_is_wrong() -> Result<()> {
    let (gru, _) = gru(INPUT, 4, 2, DType::F32)?;
    let case = Case::new(&[2, 1], 4, 2, DType::F32)?;
    let refused = |input: GruInput<'_>, initial: Option<&[Tensor]>| {
        gru.forward(&case.packing, input, initial, None)
            .unwrap_err()
            .to_string()
    };
    let rows = values(1, &[3, INPUT + 1], 1.0, DType::F32)?;
    assert!(refused(GruInput::Rows(&rows), None).contains("input rows"));
    let mut ids = case.ids.clone();
    ids[1] = 6;
    let tokens = |ids| GruInput::Tokens {
        ids,
        embedding: &case.embedding,
        constant: Some(&case.constant),
    };
    assert!(refused(tokens(&ids), None).contains("token id 6 at row 1"));
    assert!(refused(tokens(&ids[..2]), None).contains("2 token ids for 3 packed rows"));
    let initial = case.initial();
    assert!(refused(tokens(&case.ids), Some(&initial[..1])).contains("initial states of 1 layers"));
    Ok(())
}
