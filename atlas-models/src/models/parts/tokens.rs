//! How molecules become tokens, and tokens the inputs and targets of a writer.

use std::sync::Arc;

use atlas_core::{Error, Params, Result, Step};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::chem::{END, Notation, PADDING, START, Spelling, Tokens, Vocabulary};
use crate::nn::Packing;

/// How molecules are written as tokens.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct TokenParams {
    /// What a token is.
    #[param(default = Notation::Atoms)]
    pub notation: Notation,
    /// How a molecule is spelt that is read. Spellings are random in training alone, and only where
    /// the vocabulary has their tokens; otherwise the molecule is read as it is given.
    #[param(default = Spelling::AsGiven)]
    pub read: Spelling,
    /// How a molecule is spelt that is written, after the spelling that is read: the same, the
    /// canonical one, or another random one.
    #[param(default = Spelling::AsGiven)]
    pub write: Spelling,
    /// Share of tokens that the writer is not told in training (word dropout, Bowman et al. 2016).
    #[param(default = 0.0, min = 0.0, max = 0.95)]
    pub word_dropout: f64,
}

/// Refuses tokens that no notation has, and special tokens that are missing or in another place.
///
/// # Errors
/// Every problem with its index.
pub fn check_vocabulary(tokens: &[String]) -> std::result::Result<(), String> {
    let check = |notation| Vocabulary::from_tokens(notation, tokens.to_vec()).map(|_| ());
    let others = [Notation::Characters, Notation::Selfies];
    check(Notation::Atoms).or_else(|error| {
        let is_another = others.into_iter().any(|notation| check(notation).is_ok());
        if is_another {
            Ok(())
        } else {
            Err(error.to_string())
        }
    })
}

impl TokenParams {
    /// The vocabulary of these tokens.
    ///
    /// # Errors
    /// Unless they are tokens of the notation.
    pub fn vocabulary(&self, tokens: &[String]) -> Result<Vocabulary> {
        Vocabulary::from_tokens(self.notation, tokens.to_vec())
            .map_err(|error| Error::other(error).within("vocabulary"))
    }
}

/// What a writer is fed and what it is to answer, in packed rows.
pub(crate) struct Lesson {
    pub packing: Arc<Packing>,
    pub inputs: Vec<u32>,
    pub targets: Vec<u32>,
}

impl Lesson {
    /// The molecules' own tokens as inputs, of which training hides a share, and each next one as
    /// target.
    pub fn new(batch: &[Tokens], word_dropout: f64, step: &mut Step) -> Result<Self> {
        let lengths: Vec<usize> = batch.iter().map(|tokens| tokens.len() + 1).collect();
        let packing = Packing::new(&lengths)?;
        let with = |before, after| {
            let framed = batch.iter().map(|tokens| framed(before, tokens, after));
            framed.collect::<Vec<_>>()
        };
        let mut inputs = with(Some(START), None);
        if step.is_training() && word_dropout > 0.0 {
            let mut generator = ChaCha8Rng::seed_from_u64(step.next_seed());
            let tokens = inputs.iter_mut().flat_map(|input| &mut input[1..]);
            for token in tokens {
                if generator.random::<f64>() < word_dropout {
                    // No molecule has it, so it says that something is hidden here.
                    *token = u32::from(PADDING);
                }
            }
        }
        Ok(Self {
            inputs: packing.pack(&inputs)?,
            targets: packing.pack(&with(None, Some(END)))?,
            packing: Arc::new(packing),
        })
    }
}

/// The molecules' tokens between start and end, in packed rows.
pub(crate) fn pack_whole(batch: &[Tokens]) -> Result<(Packing, Vec<u32>)> {
    let lengths: Vec<usize> = batch.iter().map(|tokens| tokens.len() + 2).collect();
    let packing = Packing::new(&lengths)?;
    let sequences = batch.iter();
    let sequences = sequences.map(|tokens| framed(Some(START), tokens, Some(END)));
    let ids = packing.pack(&sequences.collect::<Vec<_>>())?;
    Ok((packing, ids))
}

/// Ids with a special token before, after, or both.
pub(crate) fn framed(before: Option<u16>, tokens: &[u16], after: Option<u16>) -> Vec<u32> {
    let framed = before.into_iter().chain(tokens.iter().copied());
    framed.chain(after).map(u32::from).collect()
}
