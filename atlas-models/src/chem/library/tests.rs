//! What must hold of every built-in molecule, and that none ever changes.

use std::collections::BTreeSet;

use super::*;
use crate::chem::{Lexer, TokenKind, canonical};

fn points(fragment: &str) -> Vec<usize> {
    Lexer::new(fragment)
        .map(|token| token.unwrap())
        .filter(|token| token.text == "*")
        .map(|token| token.offset)
        .collect()
}

#[test]
fn every_fragment_is_smiles_and_has_the_points_of_its_place() {
    for family in FAMILIES {
        let lists = family.lists();
        for (place, list) in lists.iter().enumerate() {
            let entries = usize::from(place > 0);
            let exits = usize::from(place + 1 < lists.len());
            for fragment in *list {
                Smiles::parse(fragment).unwrap();
                let points = points(fragment);
                assert_eq!(points.len(), entries + exits, "{fragment}");
                assert_eq!(points[0] == 0, place > 0, "{fragment}");
            }
        }
    }
}

#[test]
fn every_molecule_is_valid_and_drawn_once() {
    let mut distinct = BTreeSet::new();
    for smiles in molecules() {
        let form = canonical(smiles.as_str());
        let form = form.unwrap_or_else(|error| panic!("{smiles}: {error}"));
        assert!(distinct.insert(form), "{smiles} occurs twice");
    }
    assert_eq!(distinct.len(), Library::new().len());
}

#[test]
fn every_molecule_has_from_10_to_60_characters() {
    let lengths: Vec<_> = molecules().map(|smiles| smiles.as_str().len()).collect();
    assert_eq!(lengths.iter().min(), Some(&14));
    assert_eq!(lengths.iter().max(), Some(&59));
}

#[test]
fn every_kind_of_token_occurs() {
    let mut missing = vec![
        TokenKind::Atom,
        TokenKind::BracketAtom,
        TokenKind::Bond,
        TokenKind::BranchOpen,
        TokenKind::BranchClose,
        TokenKind::Dot,
        TokenKind::RingClosure,
    ];
    for smiles in molecules().take(1_000) {
        for token in Lexer::new(smiles.as_str()) {
            let kind = token.unwrap().kind;
            missing.retain(|&other| other != kind);
        }
    }
    assert_eq!(missing, []);
}

#[test]
fn a_tenth_of_the_molecules_is_like_the_whole() {
    let all: Vec<Smiles> = molecules().collect();
    let tokens = |sample: &[Smiles]| -> BTreeSet<String> {
        let texts = sample.iter().flat_map(Smiles::tokens);
        texts.map(str::to_owned).collect()
    };
    let mean_length = |sample: &[Smiles]| {
        let total: usize = sample.iter().map(|smiles| smiles.as_str().len()).sum();
        total as f64 / sample.len() as f64
    };
    for tenth in all.chunks(all.len() / 10).take(10) {
        assert_eq!(tokens(tenth), tokens(&all));
        assert!((mean_length(tenth) - mean_length(&all)).abs() < 0.5);
    }
}

#[test]
fn the_molecules_and_their_order_never_change() {
    let library = Library::new();
    assert_eq!(library.len(), 24_925);
    let first = library.get(0).unwrap();
    let last = library.get(library.len() - 1).unwrap();
    assert_eq!(first.as_str(), "Fc1ccc(CNCCOC)cn1");
    assert_eq!(last.as_str(), "CC(C)c1ccc(-c2nnc(C(C)C)o2)cc1");

    // The 64-bit FNV-1a digest of the molecules, each with a line feed.
    let mut digest: u64 = 0xCBF2_9CE4_8422_2325;
    for byte in molecules().flat_map(|smiles| format!("{smiles}\n").into_bytes()) {
        digest = (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    assert_eq!(digest, 0x56A2_5692_2DF7_8D99);
}

#[test]
fn every_way_to_the_molecules_gives_the_same_ones() {
    let library = Library::new();
    assert_eq!(molecules().len(), library.len());
    assert!(library.iter().eq(molecules()));
    let by_index = (0..library.len()).map(|index| library.get(index).unwrap());
    assert!(by_index.eq(molecules()));
    assert_eq!(library.get(library.len()), None);
}
