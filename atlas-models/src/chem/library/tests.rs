//! What must hold of every built-in molecule, and that none ever changes.

use std::sync::LazyLock;

use rayon::prelude::*;

use super::*;
use crate::chem::TokenKind;

static LIBRARY: LazyLock<Library> = LazyLock::new(Library::new);

fn everything() -> impl Iterator<Item = &'static Smiles> {
    LIBRARY
        .molecules()
        .iter()
        .chain(LIBRARY.of_held_out_blocks())
}

fn tokens(molecules: &[Smiles]) -> BTreeSet<&str> {
    molecules.iter().flat_map(Smiles::tokens).collect()
}

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
        for (place, list) in family.iter().enumerate() {
            let entries = usize::from(place > 0);
            let exits = usize::from(place + 1 < family.len());
            for fragment in blocks_of(list) {
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
    let all: Vec<&Smiles> = everything().collect();
    let forms: Vec<String> = all
        .par_iter()
        .map(|smiles| {
            canonical(smiles.as_str()).unwrap_or_else(|error| panic!("{smiles}: {error}"))
        })
        .collect();
    let mut seen = BTreeMap::new();
    for (form, smiles) in forms.iter().zip(all) {
        if let Some(other) = seen.insert(form, smiles) {
            panic!("{smiles} is {other}");
        }
    }
}

#[test]
fn no_molecule_is_longer_than_the_longest() {
    let longest = everything().map(|smiles| smiles.tokens().count()).max();
    assert_eq!(longest, Some(MAX_TOKENS));
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
    let all = LIBRARY.molecules();
    let mean_length = |sample: &[Smiles]| {
        let total: usize = sample.iter().map(|smiles| smiles.as_str().len()).sum();
        total as f64 / sample.len() as f64
    };
    for tenth in all.chunks(all.len() / 10).take(10) {
        assert_eq!(tokens(tenth), tokens(all));
        assert!((mean_length(tenth) - mean_length(all)).abs() < 0.5);
    }
}

#[test]
fn molecules_of_held_out_blocks_have_no_token_that_the_others_lack() {
    assert_eq!(LIBRARY.of_held_out_blocks().len(), OF_HELD_OUT_BLOCKS);
    let known = tokens(LIBRARY.molecules());
    assert!(tokens(LIBRARY.of_held_out_blocks()).is_subset(&known));
}

#[test]
fn a_held_out_block_is_held_out_of_every_list_and_in_no_other_block() {
    let held_out: Vec<&str> = LIBRARY.held_out_blocks().collect();
    let form = |block: &str| canonical(&block.replace('@', "")).unwrap();
    let forms: BTreeSet<String> = held_out.iter().map(|block| form(block)).collect();
    for list in BLOCKS {
        let mut count = 0;
        for block in blocks_of(list) {
            assert_eq!(
                held_out.contains(&block),
                forms.contains(&form(block)),
                "{block}"
            );
            count += usize::from(held_out.contains(&block));
        }
        assert!(count <= blocks_of(list).count() / 5, "{list}");
    }
}

#[test]
fn the_molecules_and_their_order_never_change() {
    let mut hasher = blake3::Hasher::new();
    for smiles in everything() {
        hasher.update(format!("{smiles}\n").as_bytes());
    }
    assert_eq!(
        (
            LIBRARY.molecules().len(),
            LIBRARY.held_out_blocks().count(),
            hasher.finalize().to_hex().as_str()
        ),
        (
            85_632,
            75,
            "92136f235cc92fd55f01abdac0baac92db1affa683791a4f9cfb0024e5a48a41"
        )
    );
}
