//! Says, before the work, what no training and no luck can overcome: molecules longer than a model
//! writes, tokens that a vocabulary lacks.

use std::collections::{BTreeMap, BTreeSet};

use atlas_core::train::Dataset;

use crate::chem::Notation;
use crate::cli::failure::{Failure, Result};
use crate::cli::terminal::text::{count, grouped};
use crate::data::{Molecules, TokensInUse};
use crate::models::{LONGEST, MoleculeAutoencoder};

/// Tokens that a message names; further ones are counted.
const NAMED: usize = 20;

/// How many molecules are longer than what the model writes, and what would help; nothing if none
/// is.
///
/// # Errors
/// If the model cannot represent a molecule, or the molecules cannot be read.
pub fn too_long(
    model: &dyn MoleculeAutoencoder,
    molecules: &Molecules,
) -> atlas_core::Result<Option<String>> {
    let mut sizes = BTreeMap::new();
    for size in molecules.sizes(&|smiles| model.size(smiles))? {
        *sizes.entry(size).or_insert(0) += 1;
    }
    Ok(too_long_of_sizes(model, molecules.source(), &sizes))
}

/// What [`too_long`] says, of how many molecules there are of each size.
pub fn too_long_of_sizes(
    model: &dyn MoleculeAutoencoder,
    source: &str,
    sizes: &BTreeMap<usize, usize>,
) -> Option<String> {
    let limit = model.params_json()[LONGEST].as_u64()?;
    let above = sizes.iter().filter(|(size, _)| **size as u64 > limit);
    let number: usize = above.map(|(_, count)| count).sum();
    let longest = sizes.keys().next_back().copied().unwrap_or(0);
    (number > 0).then(|| {
        format!(
            "{} of {} in {source} can never come back: decoding gives up after {LONGEST} = {limit} \
             tokens, and the longest has {}; `train --set {LONGEST}={longest}` makes room",
            grouped(number),
            count(sizes.values().sum(), "molecule"),
            grouped(longest),
        )
    })
}

/// Every token of the molecules, in a notation, that the vocabulary lacks, in how many rows it is and
/// where first.
///
/// # Errors
/// If there is such a token, or the molecules cannot be read.
pub fn check_vocabulary(
    vocabulary: &[&str],
    molecules: &Molecules,
    in_use: &TokensInUse,
    notation: Notation,
) -> Result {
    let is_unknown = |token: &str| !vocabulary.contains(&token);
    if !in_use.vocabulary.iter().any(|token| is_unknown(token)) {
        return Ok(());
    }
    // The number of rows and the first line of each token.
    let mut unknown: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut rows = 0;
    for record in molecules.records() {
        let record = record?;
        let mut tokens = BTreeSet::new();
        let counted = notation.for_each(&record.smiles, |_, token| {
            if is_unknown(token) {
                tokens.insert(token.to_owned());
            }
            Ok(())
        });
        // What the notation cannot write is reported as a bad row.
        if counted.is_err() {
            continue;
        }
        rows += usize::from(!tokens.is_empty());
        for token in tokens {
            unknown.entry(token).or_insert((0, record.line)).0 += 1;
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let source = molecules.source();
    let named = unknown.iter().take(NAMED);
    let mut lines: Vec<String> = named
        .map(|(token, (rows, line))| {
            format!("`{token}` in {}, first in line {line}", count(*rows, "row"))
        })
        .collect();
    if unknown.len() > NAMED {
        lines.push(format!("and {} more", unknown.len() - NAMED));
    }
    Err(Failure::new(format_args!(
        "{source}: the vocabulary lacks {}, which {} of {} have:\n  {}\n(--skip-invalid leaves such \
         rows out)",
        count(unknown.len(), "token"),
        grouped(rows),
        count(molecules.len(), "row"),
        lines.join("\n  ")
    )))
}
