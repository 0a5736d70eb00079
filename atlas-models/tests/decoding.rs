//! What must hold when a GRU writes sequences.

use atlas_models::nn::{
    Decoding, Gru, GruInput, GruState, GruTokenModel, Guide, GuidedSequence, Linear, Packing,
    TokenChoice, TokenModel, decode,
};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Module, VarBuilder, VarMap};
use std::sync::Arc;

const VOCABULARY: usize = 11;
const LATENT: usize = 5;
const HIDDEN: usize = 37;
const LAYERS: usize = 3;
const BEGIN: u32 = 1;
const END: u32 = 2;

struct Model {
    gru: Gru,
    embedding: Tensor,
    head: Linear,
    latents: Tensor,
    initial: Vec<Tensor>,
}

/// `count` values in `[-scale, scale)`, always the same.
fn values(count: usize, scale: f32) -> Vec<f32> {
    let mut state = 0x9e37_79b9u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1u32 << 23) as f32 - 1.0) * scale
    };
    (0..count).map(next).collect()
}

fn tensor(shape: (usize, usize), scale: f32) -> Result<Tensor> {
    Tensor::from_vec(values(shape.0 * shape.1, scale), shape, &Device::Cpu)
}

fn model(batch: usize) -> Result<Model> {
    model_of(batch, LATENT, HIDDEN, LAYERS)
}

fn model_of(batch: usize, latent: usize, hidden: usize, layers: usize) -> Result<Model> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let gru = Gru::new(VOCABULARY + latent, hidden, layers, vb.pp("gru"))?;
    let head = Linear::new(hidden, VOCABULARY, vb.pp("head"))?;
    let variables = map.data().lock().unwrap();
    for variable in variables.values() {
        let elements = values(variable.elem_count(), 0.9);
        variable.set(&Tensor::from_vec(elements, variable.shape(), &Device::Cpu)?)?;
    }
    drop(variables);
    Ok(Model {
        gru,
        embedding: Tensor::eye(VOCABULARY, DType::F32, &Device::Cpu)?,
        head,
        latents: tensor((batch, latent), 2.0)?,
        initial: vec![tensor((batch, hidden), 1.0)?; layers],
    })
}

impl Model {
    /// What is written from the first `batch` latents.
    fn write(&self, batch: usize, choice: TokenChoice) -> Result<Vec<Vec<u32>>> {
        let decoder = GruTokenModel::new(&self.gru, &self.embedding, &self.head)?;
        let first = |tensor: &Tensor| tensor.narrow(0, 0, batch);
        let initial: Vec<Tensor> = self.initial.iter().map(first).collect::<Result<_>>()?;
        let state = decoder.start(batch, Some(&initial), Some(&first(&self.latents)?))?;
        decode(&decoder, &state, &decoding(choice))
    }
}

fn decoding(choice: TokenChoice) -> Decoding<'static> {
    Decoding {
        begin: BEGIN,
        end: END,
        forbidden: &[],
        max_steps: 40,
        choice,
        guide: None,
    }
}

const SAMPLE: TokenChoice = TokenChoice::Sample {
    temperature: 0.8,
    seed: 5,
    first_stream: 0,
};

#[test]
fn what_is_written_does_not_depend_on_the_batch() -> Result<()> {
    let model = model(200)?;
    for choice in [TokenChoice::Greedy, SAMPLE, TokenChoice::Beam { width: 4 }] {
        let all = model.write(200, choice)?;
        for batch in 1..=200 {
            assert_eq!(
                model.write(batch, choice)?,
                all[..batch],
                "batch {batch}, {choice:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_beam_of_one_is_greedy() -> Result<()> {
    let model = model(60)?;
    let greedy = model.write(60, TokenChoice::Greedy)?;
    assert_eq!(model.write(60, TokenChoice::Beam { width: 1 })?, greedy);
    Ok(())
}

/// A model of Markov chains: a token's logits depend on the token before it and on the sequence.
struct Chain;

const CHAIN_TOKENS: usize = 5;
/// A sequence with a logit that is not a number.
const UNDEFINED: usize = 1000;

impl Chain {
    fn logit(sequence: usize, before: u32, token: usize) -> f32 {
        if (sequence, token) == (UNDEFINED, 3) {
            return f32::NAN;
        }
        let number = (sequence * 31 + before as usize * 17 + token * 7) * 2_654_435_761;
        ((number >> 8) % 1000) as f32 / 250.0
    }

    /// The logarithm of the probability of tokens in a row.
    fn score(sequence: usize, tokens: &[u32], forbidden: &[u32]) -> f64 {
        let mut before = BEGIN;
        let scores = tokens.iter().map(|&token| {
            let others = (0..CHAIN_TOKENS).filter(|other| !forbidden.contains(&(*other as u32)));
            let others = others.map(|other| f64::from(Self::logit(sequence, before, other)).exp());
            let total: f64 = others.sum();
            let logit = Self::logit(sequence, before, token as usize);
            before = token;
            f64::from(logit) - total.ln()
        });
        scores.sum()
    }
}

impl TokenModel for Chain {
    type State = Vec<usize>;

    fn vocabulary(&self) -> usize {
        CHAIN_TOKENS
    }

    fn batch(&self, state: &Vec<usize>) -> usize {
        state.len()
    }

    fn step(&self, tokens: &[u32], state: &mut Vec<usize>, logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        for (&before, &sequence) in tokens.iter().zip(&*state) {
            logits.extend((0..CHAIN_TOKENS).map(|token| Self::logit(sequence, before, token)));
        }
        Ok(())
    }

    fn select(&self, state: &Vec<usize>, sequences: &[usize]) -> Vec<usize> {
        sequences.iter().map(|&sequence| state[sequence]).collect()
    }
}

#[test]
fn a_beam_that_is_wide_enough_finds_the_most_probable_of_all_sequences() -> Result<()> {
    const STEPS: usize = 4;
    let sequences: Vec<usize> = (0..50).collect();
    let written = |width| {
        let decoding = Decoding {
            forbidden: &[BEGIN],
            max_steps: STEPS,
            ..decoding(TokenChoice::Beam { width })
        };
        decode(&Chain, &sequences, &decoding)
    };
    // Every sequence of fewer tokens than there are steps, which has ended within them.
    let others: Vec<u32> = (0..CHAIN_TOKENS as u32)
        .filter(|token| ![BEGIN, END].contains(token))
        .collect();
    let mut all: Vec<Vec<u32>> = vec![Vec::new()];
    let mut longest = all.clone();
    for _ in 1..STEPS {
        let longer = longest.iter().flat_map(|tokens| {
            let with = |other: &u32| [tokens.as_slice(), &[*other]].concat();
            others.iter().map(with)
        });
        longest = longer.collect();
        all.extend(longest.iter().cloned());
    }
    let (wide, narrow) = (written(200)?, written(2)?);
    let greedy = written(1)?;
    for (sequence, found) in wide.iter().enumerate() {
        let score =
            |tokens: &Vec<u32>| Chain::score(sequence, &[tokens, &[END][..]].concat(), &[BEGIN]);
        let best = all
            .iter()
            .max_by(|a, b| score(a).total_cmp(&score(b)))
            .unwrap();
        assert_eq!(found, best, "sequence {sequence}");
    }
    assert_ne!(wide, greedy);
    assert_ne!(wide, narrow);
    Ok(())
}

#[test]
fn a_logit_that_is_not_a_number_ends_a_beam_search() {
    let decoding = decoding(TokenChoice::Beam { width: 3 });
    let error = decode(&Chain, &vec![0, UNDEFINED], &decoding).unwrap_err();
    assert!(error.to_string().contains("not a number"), "{error}");
}

#[test]
fn a_sequence_that_does_not_end_in_time_is_the_most_probable_beginning() -> Result<()> {
    let decoding = Decoding {
        forbidden: &[BEGIN, END],
        max_steps: 2,
        ..decoding(TokenChoice::Beam { width: 100 })
    };
    let pairs =
        (0..CHAIN_TOKENS as u32).flat_map(|a| (0..CHAIN_TOKENS as u32).map(move |b| [a, b]));
    let pairs: Vec<[u32; 2]> = pairs
        .filter(|pair| !pair.iter().any(|token| [BEGIN, END].contains(token)))
        .collect();
    for (sequence, found) in decode(&Chain, &(0..20).collect(), &decoding)?
        .iter()
        .enumerate()
    {
        let score = |pair: &[u32; 2]| Chain::score(sequence, pair, &[BEGIN, END]);
        let best = pairs
            .iter()
            .max_by(|a, b| score(a).total_cmp(&score(b)))
            .unwrap();
        assert_eq!(found, best);
    }
    Ok(())
}

#[test]
fn sampled_sequences_differ_end_and_repeat_with_the_seed() -> Result<()> {
    let model = model(60)?;
    let written = model.write(60, SAMPLE)?;
    assert_eq!(written, model.write(60, SAMPLE)?);
    let lengths: std::collections::HashSet<usize> = written.iter().map(Vec::len).collect();
    assert!(lengths.len() > 5, "lengths {lengths:?}");
    assert!(written.iter().flatten().all(|&token| token != END));
    let other = TokenChoice::Sample {
        temperature: 0.8,
        seed: 6,
        first_stream: 0,
    };
    assert_ne!(written, model.write(60, other)?);
    Ok(())
}

#[test]
fn a_batch_may_be_written_in_parts_that_continue_its_streams() -> Result<()> {
    let model = model(10)?;
    let all = model.write(10, SAMPLE)?;
    let decoder = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    let state = decoder.start(10, Some(&model.initial), Some(&model.latents))?;
    let rest = decoder.select(&state, &[6, 7, 8, 9]);
    let choice = TokenChoice::Sample {
        temperature: 0.8,
        seed: 5,
        first_stream: 6,
    };
    assert_eq!(decode(&decoder, &rest, &decoding(choice))?, all[6..]);
    Ok(())
}

#[test]
fn a_step_has_the_bits_of_the_whole_pass() -> Result<()> {
    let model = model(4)?;
    let sequences = [
        vec![1, 3, 4, 5],
        vec![1, 9],
        vec![1, 10, 0],
        vec![1, 2, 2, 2, 7],
    ];
    let packing = Arc::new(Packing::new(&[4, 2, 3, 5])?);
    let input = GruInput::Tokens {
        ids: &packing.pack(&sequences)?,
        embedding: &model.embedding,
        constant: Some(&model.latents),
    };
    let whole = model
        .gru
        .forward(&packing, input, Some(&model.initial), None)?;
    let whole = whole.rows.to_vec2::<f32>()?;
    let token_model = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    let mut logits = Vec::new();
    for (sequence, tokens) in sequences.iter().enumerate() {
        let all = token_model.start(4, Some(&model.initial), Some(&model.latents))?;
        let mut state = all.select(&[sequence]);
        for (step, &token) in tokens.iter().enumerate() {
            token_model.step(&[token], &mut state, &mut logits)?;
            let row = packing.row(sequence, step).unwrap();
            assert_eq!(
                state.output(),
                whole[row],
                "sequence {sequence} step {step}"
            );
        }
    }
    Ok(())
}

#[test]
fn greedy_decoding_takes_the_best_token_of_the_logits() -> Result<()> {
    let model = model(3)?;
    let written = model.write(3, TokenChoice::Greedy)?;
    for (sequence, tokens) in written.iter().enumerate() {
        let fed: Vec<u32> = std::iter::once(BEGIN)
            .chain(tokens.iter().copied())
            .collect();
        let packing = Arc::new(Packing::new(&[fed.len()])?);
        let row = |tensor: &Tensor| tensor.narrow(0, sequence, 1);
        let initial: Vec<Tensor> = model.initial.iter().map(row).collect::<Result<_>>()?;
        let input = GruInput::Tokens {
            ids: &fed,
            embedding: &model.embedding,
            constant: Some(&row(&model.latents)?),
        };
        let output = model.gru.forward(&packing, input, Some(&initial), None)?;
        let best = model
            .head
            .forward(&output.rows)?
            .argmax(1)?
            .to_vec1::<u32>()?;
        assert_eq!(&best[..tokens.len()], tokens.as_slice());
        if tokens.len() < 40 {
            assert_eq!(best[tokens.len()], END);
        }
    }
    Ok(())
}

#[test]
fn forbidden_tokens_are_in_no_result() -> Result<()> {
    let model = model(40)?;
    let decoder = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    for choice in [TokenChoice::Greedy, SAMPLE] {
        let write = |forbidden| {
            let state = decoder.start(40, Some(&model.initial), Some(&model.latents))?;
            let decoding = Decoding {
                forbidden,
                ..decoding(choice)
            };
            decode(&decoder, &state, &decoding)
        };
        let has = |written: &[Vec<u32>], token| written.iter().flatten().any(|&id| id == token);
        let free = write(&[])?;
        let common = free.iter().flatten().copied().find(|&id| id != END);
        let common = common.expect("something is written");
        let forbidden = [common];
        assert!(has(&free, common) && !has(&write(&forbidden)?, common));
    }
    Ok(())
}

/// Allows each token once, and the end after four.
#[derive(Debug)]
struct Once;

impl Guide for Once {
    fn start(&self) -> Box<dyn GuidedSequence + '_> {
        Box::new(Seen(Vec::new()))
    }
}

struct Seen(Vec<u32>);

impl GuidedSequence for Seen {
    fn allows(&mut self, token: u32, _: usize) -> bool {
        if token == END {
            return self.0.len() == 4;
        }
        !self.0.contains(&token)
    }

    fn push(&mut self, token: u32) {
        self.0.push(token);
    }
}

/// Allows one token, and nothing after it.
#[derive(Debug)]
struct OneToken;

impl Guide for OneToken {
    fn start(&self) -> Box<dyn GuidedSequence + '_> {
        Box::new(Taken(false))
    }
}

struct Taken(bool);

impl GuidedSequence for Taken {
    fn allows(&mut self, token: u32, _: usize) -> bool {
        token != END && !self.0
    }

    fn push(&mut self, _: u32) {
        self.0 = true;
    }
}

#[test]
fn guided_sequences_have_what_is_allowed_whatever_shares_their_batch() -> Result<()> {
    let model = model(40)?;
    let decoder = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    for choice in [TokenChoice::Greedy, SAMPLE] {
        let write = |guide, batch| {
            let first = |tensor: &Tensor| tensor.narrow(0, 0, batch);
            let initial: Vec<Tensor> = model.initial.iter().map(first).collect::<Result<_>>()?;
            let state = decoder.start(batch, Some(&initial), Some(&first(&model.latents)?))?;
            let guide: Option<&dyn Guide> = Some(guide);
            let decoding = Decoding {
                guide,
                ..decoding(choice)
            };
            decode(&decoder, &state, &decoding)
        };
        let written = write(&Once, 40)?;
        for tokens in &written {
            let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
            assert_eq!(distinct.len(), tokens.len());
            assert!(tokens.len() >= 4);
        }
        assert_eq!(write(&Once, 3)?, written[..3]);
        // Where nothing is allowed, a sequence ends.
        assert!(write(&OneToken, 40)?.iter().all(|tokens| tokens.len() == 1));
    }
    Ok(())
}

#[test]
fn wrong_tokens_and_temperatures_are_errors_that_say_so() -> Result<()> {
    let model = model(2)?;
    let decoder = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    let state = decoder.start(2, None, Some(&model.latents))?;
    let refused = |decoding: &Decoding| decode(&decoder, &state, decoding).unwrap_err().to_string();
    let mut outside = decoding(TokenChoice::Greedy);
    outside.begin = 11;
    assert!(refused(&outside).contains("token id 11, the vocabulary has 11"));
    let mut outside = decoding(TokenChoice::Greedy);
    outside.forbidden = &[11];
    assert!(refused(&outside).contains("token id 11, the vocabulary has 11"));
    let cold = TokenChoice::Sample {
        temperature: 0.0,
        seed: 0,
        first_stream: 0,
    };
    assert!(refused(&decoding(cold)).contains("temperature of 0"));
    assert!(
        decoder
            .start(2, None, None)
            .unwrap_err()
            .to_string()
            .contains("width 5")
    );
    Ok(())
}

/// The kernels read as many elements of a state as the model has units.
#[test]
fn the_state_of_another_model_is_refused() -> Result<()> {
    let token_model = |latent, hidden, layers| -> Result<(GruTokenModel, GruState)> {
        let model = model_of(4, latent, hidden, layers)?;
        let token_model = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
        let latents = (latent > 0).then_some(&model.latents);
        let state = token_model.start(4, Some(&model.initial), latents)?;
        Ok((token_model, state))
    };
    let (ours, _) = token_model(LATENT, HIDDEN, LAYERS)?;
    let expected = "3 layers of 37 units with constant inputs";
    for (latent, hidden, layers, found) in [
        (
            LATENT,
            5,
            LAYERS,
            "3 layers of 5 units with constant inputs",
        ),
        (
            LATENT,
            64,
            LAYERS,
            "3 layers of 64 units with constant inputs",
        ),
        (
            LATENT,
            HIDDEN,
            1,
            "1 layers of 37 units with constant inputs",
        ),
        (
            LATENT,
            HIDDEN,
            4,
            "4 layers of 37 units with constant inputs",
        ),
        (
            0,
            HIDDEN,
            LAYERS,
            "3 layers of 37 units without constant inputs",
        ),
    ] {
        let (theirs, state) = token_model(latent, hidden, layers)?;
        let mut logits = Vec::new();
        let error = ours.step(&[1, 2, 3, 4], &mut state.clone(), &mut logits);
        let message = format!("a state of {found} for a model of {expected}");
        assert!(error.unwrap_err().to_string().contains(&message));
        let error = decode(&ours, &state, &decoding(SAMPLE)).unwrap_err();
        assert!(error.to_string().contains(&message), "{error}");
        let written = decode(&theirs, &state, &decoding(SAMPLE))?;
        assert_eq!(written.len(), 4);
    }
    Ok(())
}

#[test]
fn a_step_takes_one_token_of_the_vocabulary_for_each_sequence() -> Result<()> {
    let model = model(3)?;
    let token_model = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    let state = token_model.start(3, None, Some(&model.latents))?;
    for (tokens, message) in [
        (&[1, 2][..], "2 tokens for 3 sequences"),
        (&[1, 2, 3, 4], "4 tokens for 3 sequences"),
        (&[1, 11, 3], "token id 11, the vocabulary has 11"),
    ] {
        let (mut state, mut logits) = (state.clone(), Vec::new());
        let error = token_model.step(tokens, &mut state, &mut logits);
        assert!(error.unwrap_err().to_string().contains(message));
    }
    Ok(())
}

#[test]
#[should_panic(expected = "out of range")]
fn a_sequence_that_is_not_there_is_not_selected() {
    let model = model(2).unwrap();
    let token_model = GruTokenModel::new(&model.gru, &model.embedding, &model.head).unwrap();
    let state = token_model.start(2, None, Some(&model.latents)).unwrap();
    token_model.select(&state, &[2]);
}

#[test]
fn no_sequences_are_written_as_none() -> Result<()> {
    let model = model(2)?;
    let token_model = GruTokenModel::new(&model.gru, &model.embedding, &model.head)?;
    let state = token_model
        .start(2, None, Some(&model.latents))?
        .select(&[]);
    assert!(decode(&token_model, &state, &decoding(SAMPLE))?.is_empty());
    let (mut state, mut logits) = (state, vec![1.0]);
    token_model.step(&[], &mut state, &mut logits)?;
    assert!(logits.is_empty());
    Ok(())
}
