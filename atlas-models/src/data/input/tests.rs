//! What holds of shards, whatever the files are.

use std::io::Write;

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::data::{RowOptions, Rows};

/// A row: its file, its first byte, its molecule and name, or why it is none.
type Found = (String, u64, String);

fn rows(input: &Input) -> Result<Vec<Found>> {
    let rows = Rows::of_input(input, RowOptions::default())?;
    let row = |row: Result<_>| {
        Ok(match row? {
            Ok(record) => {
                let record: crate::data::Record = record;
                let text = format!("{} {:?}", record.smiles, record.name);
                (record.file.name().to_owned(), record.offset, text)
            }
            Err(row) => {
                let row: crate::data::SkippedRow = row;
                (row.file.name().to_owned(), row.offset, row.why)
            }
        })
    };
    rows.map(row).collect()
}

/// The rows of all shards, one after another.
fn of_shards(pattern: &Path, count: u64) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for index in 0..count {
        let input = Input::find(pattern)?.shard(Shard { index, count })?;
        let range = Shard { index, count }.range(input.bytes());
        let share = rows(&input)?;
        for (file, offset, _) in &share {
            assert!(
                is_in(&input, range.clone(), file, *offset),
                "{file} {offset}"
            );
        }
        all.extend(share);
    }
    Ok(all)
}

/// Whether the line of a row begins in a range of all files, or its file does.
fn is_in(input: &Input, range: Range<u64>, name: &str, offset: u64) -> bool {
    let mut before = 0;
    for (file, length) in &input.files {
        if file.name == name {
            // A mark before the first line is part of it.
            let offset = if offset <= 3 { 0 } else { offset };
            let is_compressed = cut_of(file).unwrap() == Cut::Nowhere;
            let first = if is_compressed { 0 } else { offset };
            return range.contains(&(before + first)) || offset == 0;
        }
        before += length;
    }
    false
}

/// A folder of files, and the pattern that they match.
fn files(contents: &[(String, Vec<u8>)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in contents {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let pattern = folder.path().join("*/*");
    (folder, pattern)
}

#[track_caller]
fn check(contents: &[(String, Vec<u8>)]) -> usize {
    let (_folder, pattern) = files(contents);
    let whole = rows(&Input::find(&pattern).unwrap()).unwrap();
    for count in (1..=7).chain([50]) {
        assert!(
            of_shards(&pattern, count).unwrap() == whole,
            "{count} {contents:?}"
        );
    }
    for (name, offset, text) in &whole {
        let (_, bytes) = contents
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .unwrap();
        let smiles = text.split(' ').next().unwrap();
        if name.ends_with("smi") && !text.contains("byte") {
            let begin = &bytes[*offset as usize..];
            assert!(
                begin.trim_ascii_start().starts_with(smiles.as_bytes()),
                "{name} {offset}"
            );
        }
    }
    whole.len()
}

const ENDS: [&str; 3] = ["\n", "\r\n", "\r"];
const SMILES: [&str; 6] = ["C", "CCO", "c1ccccc1", "O=C=O", "C(", "CC(=O)Nc1ccc(O)cc1"];
const NAMES: [&str; 5] = ["", "a", "µ-name", "two words", "日本語"];

fn pick<'a>(random: &mut ChaCha8Rng, of: &[&'a str]) -> &'a str {
    of.choose(random).unwrap()
}

fn lines(random: &mut ChaCha8Rng, row: impl Fn(&mut ChaCha8Rng) -> String) -> Vec<u8> {
    // A file has one kind of end, or all of them.
    let ends = if random.random() {
        ENDS.to_vec()
    } else {
        vec![pick(random, &ENDS)]
    };
    let mut text = String::new();
    if random.random_bool(0.2) {
        text.push('\u{feff}');
    }
    for _ in 0..random.random_range(0..3) {
        text += pick(random, &ends);
    }
    let count = random.random_range(0..12);
    for index in 0..count {
        text += &row(random);
        if index + 1 < count || random.random() {
            text += pick(random, &ends);
        }
        while random.random_bool(0.2) {
            text += pick(random, &["", " ", "\t"]);
            text += pick(random, &ends);
        }
    }
    text.into_bytes()
}

fn several(
    random: &mut ChaCha8Rng,
    extension: &str,
    mut one: impl FnMut(&mut ChaCha8Rng) -> Vec<u8>,
) -> Vec<(String, Vec<u8>)> {
    let count = random.random_range(1..4);
    let file = |index| (format!("{index}/x{index}.{extension}"), one(random));
    (0..count).map(file).collect()
}

#[test]
fn shards_of_text_have_every_row_once() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut all = 0;
    for _ in 0..300 {
        let row =
            |random: &mut ChaCha8Rng| format!("{} {}", pick(random, &SMILES), pick(random, &NAMES));
        let contents = several(&mut random, "smi", |random| lines(random, row));
        all += check(&contents);
    }
    assert!(all > 1000);
}

#[test]
fn shards_of_tables_have_every_row_once() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut all = 0;
    for _ in 0..300 {
        let row = |random: &mut ChaCha8Rng| {
            let name = pick(random, &["a", "\"a, \"\"b\"\"\"", "µ", "\"x\""]);
            // Some rows are too short.
            let rest = pick(random, &[",1", ",1", ",1", ""]);
            format!("{name},{}{rest}", pick(random, &SMILES))
        };
        let header = pick(&mut random, &["id,smiles,n", "name,SMILES,\"n\""]);
        let contents = several(&mut random, "csv", |random| {
            let mark = pick(random, &["", "\u{feff}", "\n", ",,\r\n"]);
            let end = pick(random, &ENDS);
            [
                format!("{mark}{header}{end}").into_bytes(),
                lines(random, row),
            ]
            .concat()
        });
        all += check(&contents);
    }
    assert!(all > 1000);
}

#[test]
fn shards_of_an_sdf_have_every_record_once() {
    let sdf = include_str!("../rows/alaninate.sdf");
    let sdf = sdf.split_inclusive("$$$$\n").next().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..20 {
        let contents = several(&mut random, "sdf", |random| {
            let end = pick(random, &ENDS);
            let records = random.random_range(0..5);
            let text: String = (0..records)
                .map(|index| {
                    sdf.replacen('\n', &format!("{index}\n"), 1)
                        .replace("$$$$", pick(random, &["$$$$", "$$$$ "]))
                })
                .collect();
            text.replace('\n', end).into_bytes()
        });
        check(&contents);
    }
}

#[test]
fn a_compressed_file_belongs_to_one_shard() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..20 {
        let mut contents = several(&mut random, "smi.gz", |random| {
            let text = lines(random, |random| pick(random, &SMILES).to_owned());
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&text).unwrap();
            packed.finish().unwrap()
        });
        contents.push(("9/last.smi".to_owned(), b"CCO\nCCN\nCCC\n".to_vec()));
        check(&contents);
    }
}

#[test]
fn a_table_whose_rows_go_over_lines_is_refused_where_it_is_cut() {
    let table = "id,smiles\n1,C\n2,C\n\"3\n4,C\n\",CC\n5,C\n6,C\n"
        .as_bytes()
        .to_vec();
    let (_folder, pattern) = files(&[("0/x.csv".to_owned(), table)]);
    assert_eq!(of_shards(&pattern, 1).unwrap().len(), 5);
    for count in 2..40 {
        let error = of_shards(&pattern, count).unwrap_err().to_string();
        assert!(error.contains("x.csv"), "{error}");
        assert!(error.contains("goes over several lines"), "{error}");
    }
}

#[test]
fn only_files_are_cut_and_all_others_are_named() {
    let shard = Shard { index: 0, count: 2 };
    let error = Input::file(Path::new("-")).shard(shard).unwrap_err();
    assert_eq!(
        error.to_string(),
        "standard input: only files can be cut into shards, which this is not"
    );
    let error = Input::file(Path::new("/nothing")).shard(shard).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot open /nothing: "),
        "{error}"
    );
    let folder = tempfile::tempdir().unwrap();
    let error = Input::find(&folder.path().join("*.smi")).unwrap_err();
    assert!(
        error.to_string().ends_with("*.smi: no file matches"),
        "{error}"
    );
}

#[test]
fn an_input_is_known_by_the_names_below_its_folder_and_by_lengths() {
    let contents = |text: &str| {
        let file = |name: &str| (name.to_owned(), text.as_bytes().to_vec());
        files(&[file("a/x.smi"), file("b/x.smi")])
    };
    let (first, second) = (contents("CCO\n"), contents("CCO\n"));
    let digest = |pattern: &Path| Input::find(pattern).unwrap().digest();
    assert_eq!(digest(&first.1), digest(&second.1));
    assert_ne!(digest(&first.1), digest(&contents("CC\n").1));
    let input = Input::find(&first.1).unwrap();
    let names: Vec<&str> = input.files().map(InputFile::name).collect();
    assert_eq!(names, ["a/x.smi", "b/x.smi"]);
    let shard = Shard { index: 1, count: 2 };
    let bytes = |pattern: &Path| {
        let input = Input::find(pattern).unwrap().shard(shard).unwrap();
        input.digest_of_bytes().unwrap()
    };
    assert_eq!(bytes(&first.1), bytes(&second.1));
    fs::write(second.0.path().join("b/x.smi"), "CCN\n").unwrap();
    assert_ne!(bytes(&first.1), bytes(&second.1));
}
