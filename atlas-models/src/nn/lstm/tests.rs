use super::*;
use crate::nn::differences::assert_gradients;
use crate::nn::lanes::Isa;
use candle_core::{Device, Var};
use candle_nn::VarMap;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INPUT: usize = 5;
const VOCABULARY: usize = 4;
const LENGTHS: [&[usize]; 6] = [
    &[1],
    &[5],
    &[1, 1, 1],
    &[3, 3],
    &[1, 4, 2],
    &[2, 1, 1, 5, 2, 2, 6],
];

/// Values in `[-scale, scale)` that depend on the seed alone.
fn values(seed: u64, shape: &[usize], scale: f64, dtype: DType) -> Result<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count)
        .map(|_| generator.random_range(-scale..scale))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

/// An LSTM and all that it reads, as variables.
struct Case {
    lstm: Lstm,
    packing: Arc<Packing>,
    variables: Vec<(String, Var)>,
    ids: Vec<u32>,
}

impl Case {
    fn new(lengths: &[usize], hidden: usize, layers: usize, dtype: DType) -> Result<Self> {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, dtype, &Device::Cpu);
        let lstm = Lstm::new(INPUT, hidden, layers, vb.pp("lstm"))?;
        let packing = Arc::new(Packing::new(lengths)?);
        let (rows, batch) = (packing.rows(), packing.batch());
        vb.get((rows, INPUT), "rows")?;
        vb.get((VOCABULARY, 3), "embedding")?;
        vb.get((batch, INPUT - 3), "constant")?;
        for layer in 0..layers {
            vb.get((batch, hidden), &format!("hidden{layer}"))?;
            vb.get((batch, hidden), &format!("cell{layer}"))?;
        }
        let variables = map.data().lock().unwrap();
        let mut variables: Vec<(String, Var)> = variables
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        for (index, (_, variable)) in variables.iter().enumerate() {
            variable.set(&values(index as u64, variable.dims(), 0.7, dtype)?)?;
        }
        Ok(Self {
            lstm,
            packing,
            variables,
            ids: (0..rows as u32)
                .map(|row| row * 3 % VOCABULARY as u32)
                .collect(),
        })
    }

    fn variable(&self, name: &str) -> &Var {
        let found = self.variables.iter().find(|(other, _)| other == name);
        &found.expect("a variable of the case").1
    }

    /// The output, with dense inputs or tokens.
    fn output(&self, run: RunLayer, dense: bool) -> Result<LstmOutput> {
        let input = match dense {
            true => SequenceInput::Rows(self.variable("rows")),
            false => SequenceInput::Tokens {
                ids: &self.ids,
                embedding: self.variable("embedding"),
                constant: Some(self.variable("constant")),
            },
        };
        let state = |layer| LstmState {
            hidden: self.variable(&format!("hidden{layer}")).as_tensor().clone(),
            cell: self.variable(&format!("cell{layer}")).as_tensor().clone(),
        };
        let initial: Vec<LstmState> = (0..self.lstm.layers.len()).map(state).collect();
        self.lstm
            .forward_by(run, &self.packing, input, Some(&initial), None)
    }

    /// The variables that the output depends on.
    fn read(&self, dense: bool) -> Vec<(&str, &Var)> {
        let unread = match dense {
            true => ["embedding", "constant"].as_slice(),
            false => &["rows"],
        };
        let all = self
            .variables
            .iter()
            .map(|(name, var)| (name.as_str(), var));
        all.filter(|(name, _)| !unread.contains(name)).collect()
    }
}

/// One number that depends on every element of the output, unevenly.
fn loss(output: &LstmOutput) -> Result<Tensor> {
    let weigh = |tensor: &Tensor, seed: u64| -> Result<Tensor> {
        (tensor * values(seed, tensor.dims(), 1.0, tensor.dtype())?)?.sum_all()
    };
    let mut total = weigh(&output.rows, 70)?;
    for (layer, last) in output.last.iter().enumerate() {
        let last = (weigh(&last.hidden, 80 + layer as u64)? + weigh(&last.cell, 90)?)?;
        total = (total + last)?;
    }
    Ok(total)
}

#[test]
fn gradients_are_those_of_finite_differences() -> Result<()> {
    for lengths in LENGTHS {
        for dense in [true, false] {
            let case = Case::new(lengths, 3, 2, DType::F64)?;
            assert_gradients(&case.read(dense), || loss(&case.output(run, dense)?))?;
        }
    }
    Ok(())
}

/// The largest difference of two tensors' elements.
fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let difference = (a.to_dtype(DType::F64)? - b.to_dtype(DType::F64)?)?;
    difference.abs()?.flatten_all()?.max(0)?.to_scalar()
}

#[test]
fn the_kernels_of_every_instruction_set_agree_with_candles_operations() -> Result<()> {
    Isa::each(both_ways_agree)
}

fn both_ways_agree() -> Result<()> {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-5)] {
        for (lengths, hidden) in LENGTHS.into_iter().zip([1, 8, 17, 50, 3, 33]) {
            for dense in [true, false] {
                let case = Case::new(lengths, hidden, 2, dtype)?;
                let (a, b) = (case.output(run, dense)?, case.output(plain::run, dense)?);
                assert!(difference(&a.rows, &b.rows)? <= tolerance);
                assert!(difference(&a.last[1].cell, &b.last[1].cell)? <= tolerance);
                let (da, db) = (loss(&a)?.backward()?, loss(&b)?.backward()?);
                for (name, variable) in case.read(dense) {
                    let (da, db) = (da.get(variable).unwrap(), db.get(variable).unwrap());
                    let scale = 1.0 + difference(db, &db.zeros_like()?)?;
                    assert!(
                        difference(da, db)? <= tolerance * scale,
                        "{name} {lengths:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn saturated_gates_give_finite_states_and_gradients() -> Result<()> {
    let case = Case::new(&[4, 2, 3], 8, 2, DType::F32)?;
    let rows = case.variable("rows");
    rows.set(&values(5, rows.dims(), 1e4, DType::F32)?)?;
    let output = case.output(run, true)?;
    let gradients = loss(&output)?.backward()?;
    let finite = |tensor: &Tensor| -> Result<bool> {
        let elements = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(elements.iter().all(|element| element.is_finite()))
    };
    assert!(finite(&output.rows)?);
    for (name, variable) in case.read(true) {
        assert!(finite(gradients.get(variable).unwrap())?, "{name}");
    }
    Ok(())
}

#[test]
fn outputs_and_gradients_are_the_same_bits_for_any_number_of_threads() -> Result<()> {
    let bits = |threads| -> Result<Vec<Vec<f32>>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let lengths: Vec<usize> = (0..41).map(|i| 1 + (i * 5) % 9).collect();
            let case = Case::new(&lengths, 40, 2, DType::F32)?;
            let output = case.output(run, false)?;
            let gradients = loss(&output)?.backward()?;
            let mut tensors = vec![output.rows.clone()];
            let read = case.read(false);
            tensors.extend(
                read.iter()
                    .map(|(_, var)| gradients.get(var).unwrap().clone()),
            );
            tensors
                .iter()
                .map(|tensor| tensor.flatten_all()?.to_vec1())
                .collect()
        })
    };
    let expected = bits(1)?;
    for threads in [2, 3] {
        assert!(bits(threads)? == expected, "{threads} threads");
    }
    Ok(())
}
