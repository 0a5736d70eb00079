use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::chem::{Lexer, Notation, PADDING, START, Smiles, is_valid, molecules};

fn vocabulary(tokens: &str) -> Vocabulary {
    let mut tokens: Vec<&str> = tokens.split(' ').collect();
    tokens.sort_unstable();
    let tokens = tokens.into_iter().map(str::to_owned);
    Vocabulary::of_tokens(Notation::Atoms, tokens).unwrap()
}

/// Whether `token` may follow `prefix`, whose tokens all may, when `left` can follow it.
fn allows(prefix: &str, token: &str, left: usize) -> bool {
    let vocabulary = vocabulary("# ( ) - . 1 2 = C F N O [nH] c n o");
    let guide = SmilesGuide::new(&vocabulary);
    let mut writing = guide.start();
    let texts: Vec<&str> = Lexer::new(prefix)
        .map(|token| token.unwrap().text)
        .collect();
    for (at, text) in texts.iter().enumerate() {
        let id = vocabulary.id(text).unwrap().into();
        if !writing.allows(id, left + texts.len() - at) {
            return false;
        }
        writing.push(id);
    }
    writing.allows(vocabulary.id(token).unwrap().into(), left)
}

#[test]
fn what_no_molecule_can_follow_is_refused() {
    for (prefix, token) in [
        ("", "="),
        ("", "("),
        ("C", ")"),
        ("C(", ")"),
        ("C=", "F"),
        ("C#", "O"),
        ("FF", "C"),
        ("C#N", "C"),
        ("O=C=O", "("),
        ("C1", "1"),
        ("C1C", "1"),
        // The ring could not be closed any more.
        ("C1C", "F"),
        ("C1CC(=O)", "<end>"),
        ("CC(C", "<end>"),
        // An aromatic atom in no ring, and one without a partner.
        ("Cc", "<end>"),
        ("c1cccc1", "<end>"),
        ("c1cccc1", "C"),
        ("c1ccc[nH]c1", "<end>"),
        ("C", "<pad>"),
        ("C", "<start>"),
    ] {
        let last = Lexer::new(prefix).last().map(|token| token.unwrap());
        let before = last.map(|last| (&prefix[..last.offset], last.text));
        let is_prefix_allowed = before.is_none_or(|(before, last)| allows(before, last, 50));
        assert!(
            is_prefix_allowed && !allows(prefix, token, 50),
            "{token} after {prefix}"
        );
    }
    for (prefix, token) in [
        ("", "C"),
        ("", "c"),
        ("C1C", "C"),
        ("C(=O)", "O"),
        ("c1cccc1", "="),
        ("c1cccc1=O", "<end>"),
        ("c1cc[nH]c1", "<end>"),
        ("C1.C", "1"),
        ("CC", "<end>"),
    ] {
        assert!(allows(prefix, token, 50), "{token} after {prefix}");
    }
}

#[test]
fn what_cannot_be_closed_with_the_tokens_left_is_refused() {
    for (prefix, token, fewest) in [
        ("", "C", 0),
        ("C", "(", 2),
        ("C", "=", 1),
        ("C1C", "C", 1),
        ("C1CC(", "C", 2),
        ("c1cc", "c", 1),
        ("C", "1", 3),
    ] {
        for left in 0..6 {
            assert_eq!(
                allows(prefix, token, left),
                left >= fewest,
                "{token} after {prefix}, {left} left"
            );
        }
    }
}

#[test]
fn no_prefix_of_a_molecule_is_refused() {
    let corpus: Vec<Smiles> = molecules().take(500).collect();
    let vocabulary = Vocabulary::build(Notation::Atoms, &corpus).unwrap();
    let guide = SmilesGuide::new(&vocabulary);
    for smiles in &corpus {
        let mut writing = guide.start();
        let ids = vocabulary.encode(smiles).unwrap();
        for (at, id) in ids.iter().copied().chain([END]).enumerate() {
            assert!(
                writing.allows(id.into(), 100 - at),
                "token {at} of {smiles}"
            );
            writing.push(id.into());
        }
    }
}

/// A string of at most `longest` tokens: the token that `likely` says, or at a
/// chance of `noise` any other, among those that are allowed.
fn written(
    guide: &SmilesGuide,
    vocabulary: &Vocabulary,
    longest: usize,
    seed: u64,
    (likely, noise): (&[u16], f64),
) -> String {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut writing = guide.start();
    let mut ids: Vec<u16> = Vec::new();
    for left in (0..longest).rev() {
        let mut choices: Vec<u16> = (0..vocabulary.len() as u16).collect();
        choices.retain(|id| ![PADDING, START].contains(id));
        let mut next = likely.get(ids.len()).copied().unwrap_or(END);
        loop {
            if generator.random_bool(noise) || !choices.contains(&next) {
                next = choices[generator.random_range(..choices.len())];
            }
            if writing.allows(next.into(), left) {
                break;
            }
            choices.retain(|&id| id != next);
            if choices.is_empty() {
                return vocabulary.decode(ids).unwrap();
            }
        }
        if next == END {
            break;
        }
        writing.push(next.into());
        ids.push(next);
    }
    vocabulary.decode(ids).unwrap()
}

#[test]
fn random_choices_without_aromatic_atoms_end_in_molecules() {
    let vocabulary = vocabulary("# ( ) - 1 2 3 = C Cl F N O S [C@@H] [N+] [O-]");
    let guide = SmilesGuide::new(&vocabulary);
    for seed in 0..200 {
        let longest = 1 + seed as usize % 30;
        let text = written(&guide, &vocabulary, longest, seed, (&[], 1.0));
        assert!(is_valid(&text), "{seed}: {text}");
    }
}

#[test]
fn molecules_with_wrong_tokens_are_mended() {
    let corpus: Vec<Smiles> = molecules().take(300).collect();
    let vocabulary = Vocabulary::build(Notation::Atoms, &corpus).unwrap();
    let guide = SmilesGuide::new(&vocabulary);
    let valid = (0..).zip(&corpus).filter(|(seed, smiles)| {
        let likely = vocabulary.encode(smiles).unwrap();
        let text = written(&guide, &vocabulary, 40, *seed, (&likely, 0.03));
        is_valid(&text)
    });
    assert_eq!(valid.count(), 300);
}
