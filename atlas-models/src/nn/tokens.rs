//! Generates sequences: asks a [`TokenModel`] for the logits of the next token, and takes the
//! likeliest, draws one, or searches for the likeliest sequence.

use std::fmt;

use atlas_core::Draws;
use candle_core::{Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::beam;

/// A model that predicts the next token of each sequence of a batch.
///
/// A sequence's logits may not depend on what else is in the batch.
pub trait TokenModel: Sync {
    /// What it remembers of the sequences so far.
    type State: Send + Sync;

    /// The number of tokens.
    fn vocabulary(&self) -> usize;

    /// The number of sequences in a state.
    fn batch(&self, state: &Self::State) -> usize;

    /// Feeds one token to each sequence and replaces `logits` by those of the next
    /// token, `[batch, vocabulary]` row by row. Runs on the calling thread.
    ///
    /// # Errors
    ///
    /// A token is not in the vocabulary.
    fn step(&self, tokens: &[u32], state: &mut Self::State, logits: &mut Vec<f32>) -> Result<()>;

    /// The state of some of the sequences, in the given order.
    fn select(&self, state: &Self::State, sequences: &[usize]) -> Self::State;
}

/// How tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TokenChoice {
    /// The most probable; the first of equals.
    Greedy,
    /// Drawn by probability. Sequence `i` of the batch draws from stream
    /// `first_stream + i` of the seed's generator, whatever else is in the batch.
    Sample {
        /// The logits are divided by it; above zero.
        temperature: f64,
        /// The generator's seed.
        seed: u64,
        /// The stream of the batch's first sequence.
        first_stream: u64,
    },
    /// Beam search: of each sequence the `width` most probable beginnings are followed at once, and
    /// the most probable sequence that they lead to is taken. A width of 1 is greedy. No guide can
    /// follow several beginnings.
    Beam {
        /// Above zero.
        width: usize,
    },
}

impl TokenChoice {
    /// Drawn by probability, sequence `i` of the batch as draw `i` of `draws`.
    pub fn drawn(draws: Draws, temperature: f64) -> Self {
        Self::Sample {
            temperature,
            seed: draws.seed,
            first_stream: draws.first,
        }
    }
}

/// Keeps the sequences that [`decode`] writes to a grammar.
pub trait Guide: fmt::Debug + Sync {
    /// What it knows of a sequence before its first token.
    fn start(&self) -> Box<dyn GuidedSequence + '_>;
}

/// What a [`Guide`] knows of one sequence.
pub trait GuidedSequence: Send {
    /// Whether `token`, which can be the one that ends the sequence, may come next when at most
    /// `left` tokens can follow it.
    fn allows(&mut self, token: u32, left: usize) -> bool;

    /// Takes `token`, which was allowed last, as the next one.
    fn push(&mut self, token: u32);
}

/// How sequences are written.
#[derive(Debug, Clone, Copy)]
pub struct Decoding<'a> {
    /// The token that is fed first; not part of the results.
    pub begin: u32,
    /// The token that ends a sequence; not part of the results.
    pub end: u32,
    /// Tokens that no result may have, whatever their logits.
    pub forbidden: &'a [u32],
    /// The most tokens that a result may have.
    pub max_steps: usize,
    /// How tokens are chosen.
    pub choice: TokenChoice,
    /// What may follow what. A token that it does not allow is chosen as if its logit were the
    /// lowest; where it allows none, the sequence ends.
    pub guide: Option<&'a dyn Guide>,
}

/// Sequences that share the passes over a model's weights on one thread.
const MAX_BATCH: usize = 64;

/// Writes a sequence from each of the states: one list of tokens for each, without the
/// begin and end tokens. Sequences that end leave the batch.
///
/// # Errors
///
/// The begin, the end or a forbidden token is not in the vocabulary, the temperature or the width
/// is not above zero, a beam search is guided, the largest logit is not finite, or the model's step
/// fails.
pub fn decode<M: TokenModel>(
    model: &M,
    state: &M::State,
    decoding: &Decoding<'_>,
) -> Result<Vec<Vec<u32>>> {
    let special = [decoding.begin, decoding.end];
    for &token in special.iter().chain(decoding.forbidden) {
        if token as usize >= model.vocabulary() {
            bail!(
                "token id {token}, the vocabulary has {}",
                model.vocabulary()
            )
        }
    }
    if let TokenChoice::Sample { temperature, .. } = decoding.choice
        && !(temperature > 0.0 && temperature.is_finite())
    {
        bail!("a temperature of {temperature}, expected one above zero")
    }
    if let TokenChoice::Beam { width } = decoding.choice
        && (width == 0 || decoding.guide.is_some())
    {
        bail!("a beam of {width}, expected one above zero and no guide")
    }
    let batch = model.batch(state);
    let size = batch
        .div_ceil(rayon::current_num_threads())
        .clamp(1, MAX_BATCH);
    let groups = batch.div_ceil(size);
    let written: Result<Vec<Vec<Vec<u32>>>> = (0..groups)
        .into_par_iter()
        .with_max_len(1)
        .map(|group| {
            let sequences: Vec<usize> = (group * size..((group + 1) * size).min(batch)).collect();
            let state = model.select(state, &sequences);
            match decoding.choice {
                TokenChoice::Beam { width } => beam::search(model, state, decoding, width),
                _ => write(model, state, &sequences, decoding),
            }
        })
        .collect();
    Ok(written?.into_iter().flatten().collect())
}

/// One sequence being written.
struct Draft<'a> {
    /// Its place among the results.
    index: usize,
    generator: Option<ChaCha8Rng>,
    guided: Option<Box<dyn GuidedSequence + 'a>>,
}

impl Draft<'_> {
    /// The next token, when at most `left` can follow it; `None` if the guide allows none. Refused
    /// tokens lose their logits.
    fn next(
        &mut self,
        logits: &mut [f32],
        choice: TokenChoice,
        left: usize,
    ) -> Result<Option<u32>> {
        let mut token = choose(logits, choice, self.generator.as_mut())?;
        let Some(guided) = &mut self.guided else {
            return Ok(Some(token));
        };
        // Drawing again without the token that was refused draws from what is allowed, by
        // probability, and asks for few tokens where the model knows the grammar.
        while !guided.allows(token, left) {
            logits[token as usize] = f32::NEG_INFINITY;
            if logits.iter().all(|&logit| logit == f32::NEG_INFINITY) {
                return Ok(None);
            }
            token = choose(logits, choice, self.generator.as_mut())?;
        }
        guided.push(token);
        Ok(Some(token))
    }
}

fn write<M: TokenModel>(
    model: &M,
    mut state: M::State,
    sequences: &[usize],
    decoding: &Decoding<'_>,
) -> Result<Vec<Vec<u32>>> {
    let mut results = vec![Vec::new(); sequences.len()];
    let draft = |(index, &sequence): (usize, &usize)| {
        let generator = match decoding.choice {
            TokenChoice::Sample {
                seed, first_stream, ..
            } => {
                let mut generator = ChaCha8Rng::seed_from_u64(seed);
                generator.set_stream(first_stream.wrapping_add(sequence as u64));
                Some(generator)
            }
            _ => None,
        };
        let guided = decoding.guide.map(Guide::start);
        Draft {
            index,
            generator,
            guided,
        }
    };
    let mut drafts: Vec<Draft<'_>> = sequences.iter().enumerate().map(draft).collect();
    let mut tokens = vec![decoding.begin; drafts.len()];
    let mut logits = Vec::new();
    for left in (0..decoding.max_steps).rev() {
        if drafts.is_empty() {
            break;
        }
        model.step(&tokens, &mut state, &mut logits)?;
        let mut kept = Vec::with_capacity(drafts.len());
        tokens.clear();
        for (row, draft) in drafts.iter_mut().enumerate() {
            let logits = &mut logits[row * model.vocabulary()..(row + 1) * model.vocabulary()];
            for &token in decoding.forbidden {
                logits[token as usize] = f32::NEG_INFINITY;
            }
            let token = draft.next(logits, decoding.choice, left)?;
            if let Some(token) = token.filter(|&token| token != decoding.end) {
                results[draft.index].push(token);
                tokens.push(token);
                kept.push(row);
            }
        }
        if kept.len() < drafts.len() {
            state = model.select(&state, &kept);
            let mut row = 0;
            drafts.retain(|_| {
                row += 1;
                kept.binary_search(&(row - 1)).is_ok()
            });
        }
    }
    Ok(results)
}

fn choose(logits: &[f32], choice: TokenChoice, generator: Option<&mut ChaCha8Rng>) -> Result<u32> {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    if !logits[best].is_finite() {
        bail!(
            "no token can be chosen: the largest logit is {}",
            logits[best]
        )
    }
    let (TokenChoice::Sample { temperature, .. }, Some(generator)) = (choice, generator) else {
        return Ok(best as u32);
    };
    let max = logits[best] as f64;
    let weight = |logit: f32| ((logit as f64 - max) / temperature).exp();
    let total: f64 = logits.iter().map(|&logit| weight(logit)).sum();
    let mut left = generator.random::<f64>() * total;
    for (token, &logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left < 0.0 {
            return Ok(token as u32);
        }
    }
    // Rounding left a little of the total: the draw was at its very end.
    Ok(best as u32)
}
