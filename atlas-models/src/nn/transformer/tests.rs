use super::*;
use crate::nn::{Decoding, TokenChoice, TokenModel, decode, embed_tokens};
use atlas_core::nn::check_gradients;
use atlas_core::random::Dropout;
use candle_core::{DType, Device, Var};
use candle_nn::VarMap;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values in `[-scale, scale)` that depend on the seed alone.
fn values(seed: u64, shape: &[usize], scale: f64, dtype: DType) -> Result<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.iter().product())
        .map(|_| generator.random_range(-scale..scale))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

const VOCABULARY: usize = 9;

/// A decoder with seeded weights, all of them variables.
struct Model {
    layers: TransformerLayers,
    embedding: Tensor,
    logits: Linear,
    variables: Vec<(String, Var)>,
}

impl Model {
    fn new(width: usize, heads: usize, layers: usize, dtype: DType) -> Result<Self> {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, dtype, &Device::Cpu);
        let layers = TransformerLayers::new(width, heads, layers, 2 * width, vb.pp("layers"))?;
        let logits = Linear::new(width, VOCABULARY, vb.pp("logits"))?;
        let embedding = vb.get((VOCABULARY, width), "embedding")?;
        let mut variables: Vec<(String, Var)> = map
            .data()
            .lock()
            .unwrap()
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        for (seed, (_, variable)) in (100..).zip(&variables) {
            variable.set(&values(seed, variable.dims(), 0.5, dtype)?)?;
        }
        Ok(Self {
            layers,
            embedding,
            logits,
            variables,
        })
    }

    /// The logits after each token, one sequence after the other.
    fn teacher_forced(&self, tokens: &[Vec<u32>], constant: &Tensor) -> Result<Vec<Vec<Vec<f32>>>> {
        let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
        let packing = Packing::new(&lengths)?;
        let ids = packing.pack(tokens)?;
        let rows = embed_tokens(&packing, &ids, &self.embedding, Some(constant))?;
        let rows = self.layers.forward(&packing, &rows, true, None)?;
        packing.unpack(&self.logits.forward(&rows)?.to_vec2()?)
    }
}

#[test]
fn gradients_are_those_of_finite_differences() -> Result<()> {
    for causal in [false, true] {
        let model = Model::new(4, 2, 2, DType::F64)?;
        let packing = Packing::new(&[2, 1, 4])?;
        let rows = Var::from_tensor(&values(1, &[7, 4], 1.0, DType::F64)?)?;
        let factors = values(2, &[7, 4], 1.0, DType::F64)?;
        let layers = model.variables.iter();
        let mut checked: Vec<(&str, &Var)> = layers
            .filter(|(name, _)| name.starts_with("layers"))
            .map(|(name, var)| (name.as_str(), var))
            .collect();
        checked.push(("rows", &rows));
        check_gradients(&checked, || {
            let output = model.layers.forward(&packing, &rows, causal, None)?;
            (output * &factors)?.sum_all()
        })?;
    }
    Ok(())
}

fn tokens(batch: usize, longest: usize) -> Vec<Vec<u32>> {
    (0..batch)
        .map(|sequence| {
            let length = 1 + sequence * 7 % longest;
            let token = |step| ((sequence * 5 + step * 3 + step / 4) % VOCABULARY) as u32;
            (0..length).map(token).collect()
        })
        .collect()
}

#[test]
fn single_steps_give_the_bits_of_the_pass_over_whole_sequences() -> Result<()> {
    let tokens = tokens(31, 40);
    for (width, heads) in [(64, 4), (30, 3), (20, 1)] {
        let model = Model::new(width, heads, 2, DType::F32)?;
        let constant = values(3, &[tokens.len(), width], 1.0, DType::F32)?;
        let expected = model.teacher_forced(&tokens, &constant)?;
        let stepwise = TransformerTokenModel::new(&model.layers, &model.embedding, &model.logits)?;
        let mut state = stepwise.start(tokens.len(), Some(&constant))?;
        let mut kept: Vec<usize> = (0..tokens.len()).collect();
        let mut logits = Vec::new();
        for step in 0..40 {
            let going: Vec<usize> = (0..kept.len())
                .filter(|&row| step < tokens[kept[row]].len())
                .collect();
            state = stepwise.select(&state, &going);
            kept = going.into_iter().map(|row| kept[row]).collect();
            let next: Vec<u32> = kept
                .iter()
                .map(|&sequence| tokens[sequence][step])
                .collect();
            stepwise.step(&next, &mut state, &mut logits)?;
            for (logits, &sequence) in logits.chunks(VOCABULARY).zip(&kept) {
                assert_eq!(
                    logits, expected[sequence][step],
                    "{width} {sequence} {step}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_sequence_is_written_the_same_whatever_its_batch() -> Result<()> {
    let model = Model::new(32, 4, 2, DType::F32)?;
    let stepwise = TransformerTokenModel::new(&model.layers, &model.embedding, &model.logits)?;
    let constant = values(3, &[150, 32], 3.0, DType::F32)?;
    let decoding = Decoding {
        begin: 0,
        end: 1,
        forbidden: &[0],
        max_steps: 30,
        choice: TokenChoice::Sample {
            temperature: 1.0,
            seed: 5,
            first_stream: 0,
        },
        guide: None,
    };
    let write = |batch: usize| {
        let state = stepwise.start(batch, Some(&constant.narrow(0, 0, batch)?))?;
        decode(&stepwise, &state, &decoding)
    };
    let all = write(150)?;
    let lengths = all.iter().map(Vec::len);
    assert!(lengths.clone().min() < Some(5) && lengths.max() > Some(15));
    for batch in [1, 2, 80] {
        assert_eq!(write(batch)?, all[..batch]);
    }
    Ok(())
}

#[test]
fn states_that_share_a_past_read_on_apart() -> Result<()> {
    let model = Model::new(16, 2, 1, DType::F32)?;
    let stepwise = TransformerTokenModel::new(&model.layers, &model.embedding, &model.logits)?;
    let mut state = stepwise.start(1, None)?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    stepwise.step(&[2], &mut state, &mut first)?;
    let mut other = stepwise.select(&state, &[0]);
    stepwise.step(&[3], &mut state, &mut first)?;
    stepwise.step(&[4], &mut other, &mut second)?;
    assert_ne!(first, second);
    stepwise.step(&[5], &mut state, &mut first)?;
    let mut again = stepwise.start(1, None)?;
    for token in [2, 3, 5] {
        stepwise.step(&[token], &mut again, &mut second)?;
    }
    assert_eq!(first, second);
    Ok(())
}

/// Of each sequence's rows.
type RowBits = Vec<Vec<Vec<u32>>>;

/// The bits of each sequence's outputs and gradients by its rows, and of the weights' gradients.
fn bits(lengths: &[usize], rows: &[Vec<Vec<f32>>]) -> Result<(RowBits, Vec<u32>)> {
    let model = Model::new(32, 4, 2, DType::F32)?;
    let packing = Packing::new(lengths)?;
    let rows = Var::from_tensor(&Tensor::new(packing.pack(rows)?, &Device::Cpu)?)?;
    let output = model.layers.forward(&packing, &rows, false, None)?;
    let gradients = output.sqr()?.sum_all()?.backward()?;
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
    let both = Tensor::cat(&[&output, gradients.get(&rows).unwrap()], 1)?;
    let both: Vec<Vec<u32>> = both.to_vec2()?.into_iter().map(bits).collect();
    let mut weights = Vec::new();
    for (_, variable) in &model.variables {
        if let Some(gradient) = gradients.get(variable) {
            weights.extend(bits(gradient.flatten_all()?.to_vec1()?));
        }
    }
    Ok((packing.unpack(&both)?, weights))
}

#[test]
fn a_sequences_bits_depend_neither_on_its_batch_nor_on_the_number_of_threads() -> Result<()> {
    let lengths: Vec<usize> = (0..30).map(|i| 1 + (i * 7) % 29).collect();
    let packing = Packing::new(&lengths)?;
    let rows = values(7, &[packing.rows(), 32], 1.0, DType::F32)?.to_vec2::<f32>()?;
    let rows = packing.unpack(&rows)?;
    let all = bits(&lengths, &rows)?;
    for batch in [1, 2, 7, 29] {
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
fn dropout_depends_on_its_seed_alone() -> Result<()> {
    let model = Model::new(16, 2, 2, DType::F32)?;
    let packing = Packing::new(&[3, 5])?;
    let rows = values(1, &[8, 16], 1.0, DType::F32)?;
    let run = |seed: u64| -> Result<Vec<Vec<f32>>> {
        let mut masks = Dropout::seeded(seed);
        let dropout = LayerDropout {
            rate: 0.3,
            masks: &mut masks,
        };
        model
            .layers
            .forward(&packing, &rows, true, Some(dropout))?
            .to_vec2()
    };
    assert_eq!(run(1)?, run(1)?);
    assert_ne!(run(1)?, run(2)?);
    Ok(())
}

#[test]
fn wrong_inputs_are_errors_that_name_what_is_wrong() -> Result<()> {
    let model = Model::new(8, 2, 1, DType::F32)?;
    let stepwise = TransformerTokenModel::new(&model.layers, &model.embedding, &model.logits)?;
    let mut state = stepwise.start(2, None)?;
    let mut refused = |tokens: &[u32]| {
        let error = stepwise.step(tokens, &mut state, &mut Vec::new());
        error.unwrap_err().to_string()
    };
    assert!(refused(&[1]).contains("1 tokens for 2 sequences"));
    assert!(refused(&[1, 9]).contains("token id 9, the vocabulary has 9"));
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let error = TransformerLayers::new(8, 3, 1, 8, vb).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("3 heads do not divide a width of 8")
    );
    Ok(())
}
