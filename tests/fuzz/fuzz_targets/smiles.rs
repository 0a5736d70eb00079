//! Any text as a molecule, and any tokens as a vocabulary: a molecule that is read is written
//! again to the byte, and no two sequences of tokens are the same molecule.

#![no_main]

use std::sync::LazyLock;

use atlas_models::chem::{END, Notation, Smiles, Vocabulary, is_valid, molecules};
use libfuzzer_sys::fuzz_target;

/// The tokens of the built-in molecules.
static BUILT_IN: LazyLock<Vocabulary> = LazyLock::new(|| {
    let corpus: Vec<Smiles> = molecules().step_by(16).collect();
    Vocabulary::build(Notation::Atoms, &corpus).expect("a vocabulary")
});

/// Texts of more bytes are not looked at by chemistry: it takes more than linear time.
const CHEMISTRY: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    as_ids(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        as_molecule(text);
        as_vocabulary(text);
    }
});

fn as_molecule(text: &str) {
    let valid = text.len() <= CHEMISTRY && is_valid(text);
    let Ok(smiles) = Smiles::parse(text) else {
        assert!(!valid, "a possible molecule that is not SMILES");
        return;
    };
    assert_eq!(smiles.as_str(), text);
    assert_eq!(smiles.tokens().collect::<String>(), text);
    let vocabulary = Vocabulary::build(Notation::Atoms, [&smiles]).expect("a vocabulary");
    let tokens = vocabulary.encode(&smiles).expect("its own tokens");
    assert_eq!(tokens.len(), smiles.tokens().count());
    assert_eq!(vocabulary.decode(&tokens).expect("a text"), text);
    if let Ok(tokens) = BUILT_IN.encode(&smiles) {
        assert_eq!(BUILT_IN.decode(&tokens).expect("a text"), text);
    }
}

/// Bytes as what a model could put out.
fn as_ids(bytes: &[u8]) {
    let known = bytes.iter().all(|id| usize::from(*id) < BUILT_IN.len());
    let end = bytes
        .iter()
        .position(|id| u16::from(*id) == END)
        .unwrap_or(bytes.len());
    match BUILT_IN.decode(bytes.iter().copied()) {
        Ok(text) => {
            let Ok(smiles) = Smiles::parse(&text) else {
                return;
            };
            let tokens = BUILT_IN.encode(&smiles).expect("tokens of the vocabulary");
            let start = usize::from(bytes.first() == Some(&1));
            let ids = bytes[start..end].iter().map(|id| u16::from(*id));
            assert!(tokens.iter().copied().eq(ids), "{text} is spelt twice");
        }
        Err(_) => assert!(!known, "known tokens were refused"),
    }
}

fn as_vocabulary(text: &str) {
    let tokens: Vec<String> = text.lines().map(str::to_owned).collect();
    let Ok(vocabulary) = Vocabulary::from_tokens(Notation::Atoms, tokens.clone()) else {
        return;
    };
    assert_eq!(vocabulary.tokens(), tokens);
    for (id, token) in tokens.iter().enumerate() {
        assert_eq!(vocabulary.id(token).map(usize::from), Some(id));
    }
    let spelt: String = tokens[3..].concat();
    if let Ok(smiles) = Smiles::parse(&spelt) {
        let ids = vocabulary.encode(&smiles).expect("its tokens");
        assert!(ids.iter().copied().eq(3..tokens.len() as u16), "{spelt}");
    }
}
