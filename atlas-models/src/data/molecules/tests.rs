//! What holds of the molecules of a file.

use std::fs;
use std::io::Cursor;

use atlas_core::prelude::*;

use super::*;
use crate::data::{MemoryLimit, RowOptions, Rows};
use crate::models::{GruVae, GruVaeParams};

const TEXT: &str = "CCO ethanol\nbad(\nc1ccccc1\n\nC[N+](C)(C)C\nClCCBr\nCCN\n";

fn limit(max_bytes: usize) -> MemoryLimit {
    MemoryLimit {
        max_bytes,
        ..Default::default()
    }
}

fn parse(text: &str) -> Result<Molecules> {
    let text = Cursor::new(text.to_owned());
    let rows = Rows::new(text, "test.smi", RowOptions::default())?;
    Molecules::from_rows(rows, limit(1 << 20))
}

fn smiles(molecules: &Molecules) -> Vec<Smiles> {
    let records = molecules.records().map(|record| record.unwrap().smiles);
    records.collect()
}

fn model(vocabulary: Vec<String>) -> Model<GruVae> {
    let params = GruVaeParams::from_overrides(&serde_json::json!({
        "vocabulary": vocabulary, "reader": { "hidden_size": 4 }, "latent": { "size": 2 },
        "writer": { "hidden_size": 4, "layers": 1 },
    }));
    GruVae::create(params.unwrap()).unwrap()
}

#[test]
fn a_row_is_a_smiles_and_an_optional_name() {
    let molecules =
        parse("\u{feff}CCO ethanol of grain\r\n\n  c1ccccc1\tbenzene\n \nCC\n").unwrap();
    let records: Vec<Record> = molecules.records().map(Result::unwrap).collect();
    let records: Vec<_> = records
        .iter()
        .map(|record| (record.line, record.smiles.as_str(), record.name.as_deref()))
        .collect();
    assert_eq!(
        records,
        [
            (1, "CCO", Some("ethanol of grain")),
            (3, "c1ccccc1", Some("benzene")),
            (5, "CC", None),
        ]
    );
    assert_eq!(molecules.skipped().count, 0);
}

#[test]
fn every_bad_row_is_named_by_line_and_byte() {
    let error = parse("\nCC(=\nCQ\n").err().unwrap().to_string();
    assert!(
        error.starts_with(
            "test.smi holds no molecule; 2 rows are not SMILES:\n  line 2: `CC(=`: byte"
        ),
        "{error}"
    );
    assert!(error.contains("\n  line 3: `CQ`: byte 1:"), "{error}");
    let error = parse(&"Q\n".repeat(25)).err().unwrap().to_string();
    assert!(error.ends_with("\n  and 5 more"), "{error}");
}

#[test]
fn skipped_rows_are_kept_with_their_reason() {
    let molecules = parse("CCO\nCQ\n").unwrap();
    let skipped = molecules.skipped();
    assert_eq!(
        (molecules.len(), skipped.count, skipped.first[0].line),
        (1, 1, 2)
    );
    let why = &skipped.first[0].why;
    assert!(why.starts_with("`CQ`: byte 1: "), "{why}");
}

#[test]
fn a_file_without_molecules_is_refused() {
    for text in ["", "\n\n"] {
        let error = parse(text).err().unwrap();
        assert_eq!(error.to_string(), "test.smi holds no molecule");
    }
    let error = parse("CQ\n").err().unwrap().to_string();
    assert!(
        error.starts_with("test.smi holds no molecule; 1 row is not SMILES:\n  line 1: `CQ`"),
        "{error}"
    );
}

/// What a model of atom tokens must have.
fn tokens(molecules: &Molecules) -> TokensInUse {
    molecules.tokens(Notation::Atoms, &[]).unwrap()
}

#[test]
fn molecules_can_have_other_tokens_and_lengths_in_other_spellings_and_notations() {
    let all = parse("OCC\nC1=CC=CC=C1\n").unwrap();
    assert_eq!(tokens(&all).longest, 11);
    let of = |notation, spelling| {
        let found = all.tokens(notation, &[spelling]).unwrap();
        (found.vocabulary[3..].join(" "), found.longest)
    };
    let found = of(Notation::Atoms, Spelling::Canonical);
    assert_eq!(found, ("1 C O c".to_owned(), 8));
    let found = of(Notation::Characters, Spelling::AsGiven);
    assert_eq!(found, ("1 = C O".to_owned(), 11));
    let found = of(Notation::Selfies, Spelling::AsGiven);
    assert_eq!(found, ("[=Branch1] [=C] [C] [O] [Ring1]".to_owned(), 8));
    // Any atom can be the first.
    let (vocabulary, _) = of(Notation::Atoms, Spelling::Random);
    assert_eq!(vocabulary, "( ) 1 C O c");
}

#[test]
fn they_are_the_same_in_memory_and_in_a_temporary_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.smi");
    fs::write(&path, TEXT).unwrap();
    let all = Molecules::read(&path, RowOptions::default(), MemoryLimit::default()).unwrap();
    let texts = ["CCO", "c1ccccc1", "C[N+](C)(C)C", "ClCCBr", "CCN"];
    assert_eq!(smiles(&all), texts.map(|text| Smiles::parse(text).unwrap()));
    for max_bytes in [0, 20, 1 << 20] {
        let read = Molecules::read(&path, RowOptions::default(), limit(max_bytes)).unwrap();
        assert_eq!(read.source(), path.display().to_string());
        assert_eq!(tokens(&read), tokens(&all));
        assert_eq!(read.skipped(), all.skipped());
        assert_eq!(read.digest().unwrap(), all.digest().unwrap());
        for (read, expected) in read.records().zip(all.records()) {
            assert_eq!(read.unwrap(), expected.unwrap());
        }
    }
}

#[test]
fn what_training_reads_are_the_molecules_of_its_part() {
    let mut all = parse(TEXT).unwrap();
    let model = model(tokens(&all).vocabulary);
    all.keep_representable(&model).unwrap();
    let training = all.split(2, 7).unwrap().training;
    let expected = smiles(&training);
    assert_eq!(training.read(&[0, 1, 2]).unwrap(), expected);
    assert_eq!(training.read(&[2]).unwrap(), expected[2..]);
    let lines: Vec<_> = training.records().map(|row| row.unwrap().line).collect();
    assert_eq!(training.name(1), lines[1].to_string());
    let lengths: Vec<usize> = expected.iter().map(|s| s.tokens().count()).collect();
    assert_eq!(training.sizes(&|_| Ok(0)).unwrap(), lengths);
    // Without a model that has measured them, they are measured.
    let unmeasured = parse(TEXT).unwrap();
    assert_eq!(unmeasured.sizes(&|_| Ok(7)).unwrap(), [7; 5]);
    let refused = unmeasured.sizes(&|_| Err(Error::new("no"))).unwrap_err();
    assert_eq!(refused.to_string(), "1: no");
}

#[test]
fn what_the_model_cannot_represent_is_left_out() {
    let mut molecules = parse("CC\nCO\nCQ\nCCC\n").unwrap();
    let whole = molecules.digest().unwrap();
    let model = model(
        ["<pad>", "<start>", "<end>", "C"]
            .map(str::to_owned)
            .to_vec(),
    );
    molecules.keep_representable(&model).unwrap();
    assert_eq!(molecules.len(), 2);
    let lines = molecules.skipped().first.iter().map(|row| row.line);
    assert_eq!(lines.collect::<Vec<_>>(), [2, 3]);
    let why = &molecules.skipped().first[0].why;
    assert!(why.contains("`O` is not in the vocabulary"), "{why}");
    assert_ne!(molecules.digest().unwrap(), whole);
    let known = parse("CC\nCCC\n").unwrap().digest().unwrap();
    assert_eq!(molecules.digest().unwrap(), known);
    assert_eq!(molecules.split(0, 0).unwrap().training.len(), 2);
    assert!(molecules.split(2, 0).is_err());
}

#[test]
fn a_split_keeps_every_molecule_once_and_depends_on_the_seed_alone() {
    let rows = (1..=50).map(|length| format!("{}\n", "C".repeat(length)));
    let molecules = parse(&rows.collect::<String>()).unwrap();
    let lines = |molecules: &Molecules| -> Vec<usize> {
        let records = molecules.records().map(|record| record.unwrap().line);
        records.collect()
    };
    let Split {
        training, held_out, ..
    } = molecules.split(10, 7).unwrap();
    let mut all = [lines(&training), lines(&held_out)].concat();
    all.sort_unstable();
    assert_eq!(
        (training.len(), held_out.len(), all),
        (40, 10, (1..=50).collect::<Vec<_>>())
    );
    let again = |seed| lines(&molecules.split(10, seed).unwrap().held_out);
    assert_eq!(again(7), lines(&held_out));
    assert_ne!(again(8), lines(&held_out));
    assert!(molecules.split(50, 7).is_err());
    assert_eq!(lines(&held_out.first(3)), lines(&held_out)[..3]);
    assert_eq!(held_out.first(99).len(), 10);
}

#[test]
fn a_molecule_is_in_one_part_alone_however_often_and_in_whatever_spelling_it_comes() {
    let chains = (1..=20).map(|length| "C".repeat(length));
    let rows = chains.map(|chain| format!("{chain}O\n{chain}O\nO{chain}\n"));
    let molecules = parse(&rows.collect::<String>()).unwrap();
    for seed in 0..5 {
        let split = molecules.split(5, seed).unwrap();
        let keys = |part: &Molecules| part.keys().unwrap();
        let held_out = KnownMolecules::new(keys(&split.held_out));
        assert_eq!((split.held_out.len(), held_out.len()), (5, 5));
        assert_eq!((split.training.len(), split.repeated), (45, 10));
        let trained_on = keys(&split.training);
        assert!(!trained_on.iter().any(|key| held_out.contains(*key)));
        assert_eq!(split.trained_on, KnownMolecules::new(trained_on));
    }
    let error = molecules.split(20, 0).err().unwrap().to_string();
    assert!(
        error.contains("60 molecules, 20 of them distinct"),
        "{error}"
    );
}

#[test]
fn what_cannot_exist_is_counted_and_kept() {
    let molecules = parse("CCO\nCC(C)(C)(C)C five\nc1cccc1\n").unwrap();
    let impossible = molecules.impossible();
    assert_eq!((molecules.len(), impossible.count), (3, 2));
    assert_eq!(impossible.first[0].line, 2);
    assert!(
        impossible.first[0].why.contains("valence"),
        "{impossible:?}"
    );
}

#[test]
fn the_digest_is_of_the_molecules_alone() {
    let digest = |text| parse(text).unwrap().digest().unwrap();
    assert_eq!(digest("CCO\nC\n"), digest("CCO x\n\nC y\n"));
    assert_ne!(digest("CCO\nC\n"), digest("C\nCCO\n"));
    assert_eq!(
        digest("CCO\nC\n"),
        blake3::hash(b"CCO\nC\n").to_hex().as_str()
    );
}

#[test]
fn what_another_process_reads_is_what_was_shared_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared");
    let table = "smiles,count\nCCO,1\nc1ccccc1,2.5\nCCN,3\nCCBr,4\nCO,5\n";
    for (text, options) in [
        (TEXT, RowOptions::default()),
        (
            table,
            RowOptions {
                weight_column: Some("count".parse().unwrap()),
                ..Default::default()
            },
        ),
    ] {
        let rows = Rows::new(Cursor::new(text.to_owned()), "test.csv", options).unwrap();
        let mut molecules = Molecules::from_rows(rows, limit(1 << 20)).unwrap();
        let spellings = [Spelling::AsGiven];
        let tokens = molecules.tokens(Notation::Atoms, &spellings).unwrap();
        molecules
            .keep_representable(&model(tokens.vocabulary))
            .unwrap();
        let training = molecules.split(1, 3).unwrap().training;
        SharedMolecules::write(&training, &path).unwrap();
        let shared = SharedMolecules::open(&path).unwrap();
        let count = training.len() as u32;
        let backwards: Vec<u32> = (0..count).rev().collect();
        assert_eq!(shared.len(), training.len());
        assert_eq!(
            shared.read(&backwards).unwrap(),
            training.read(&backwards).unwrap()
        );
        let names = |data: &dyn Dataset<Smiles>| {
            backwards
                .iter()
                .map(|&index| data.name(index))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&shared), names(&training));
        assert_eq!(shared.weights().unwrap(), training.weights().unwrap());
        let none = |_: &Smiles| -> Result<usize> { unreachable!() };
        assert_eq!(shared.sizes(&none).unwrap(), training.sizes(&none).unwrap());

        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let error = SharedMolecules::open(&path).map(|_| ()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("no whole file of molecules to train on")
            );
        }
    }
    // Nothing unfinished is left beside it.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
