//! `encode --shard`, `encode --check` and `evaluate --shard`.

use std::fs::{self, File};

use parquet::file::reader::SerializedFileReader;

use crate::support::{MOLECULES, Output, Scene};

/// The rows of all parts of a folder, sorted: smiles, name, file and offset, then the latent.
fn rows(scene: &Scene, folder: &str) -> Vec<(String, Vec<f32>)> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(scene.path(folder)).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        for row in SerializedFileReader::new(file).unwrap().into_iter() {
            let cells: Vec<(String, String)> = row
                .unwrap()
                .into_columns()
                .into_iter()
                .map(|(name, field)| (name, field.to_string()))
                .collect();
            let names: Vec<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names[..5], ["smiles", "name", "file", "offset", "z0"]);
            let (first, latent) = cells.split_at(4);
            let first: Vec<&str> = first.iter().map(|(_, cell)| cell.as_str()).collect();
            let latent = latent.iter().map(|(_, cell)| cell.parse().unwrap());
            rows.push((first.join(" "), latent.collect()));
        }
    }
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows
}

/// A trained scene with molecules in two files, one of them with returns.
fn scene() -> Scene {
    let scene = Scene::trained();
    fs::create_dir(scene.path("in")).unwrap();
    let lines = |end: &str| MOLECULES.map(|smiles| format!("{smiles} µ{end}")).concat();
    scene.write("in/a.smi", lines("\n"));
    scene.write("in/b.smi", lines("\r\n"));
    scene
}

fn encode(scene: &Scene, shard: &str, folder: &str) -> Output {
    scene.atlas(&format!(
        "encode bundle -i in/*.smi --shard {shard} -o {folder}"
    ))
}

#[test]
fn any_number_of_shards_has_the_rows_of_one() {
    let scene = scene();
    encode(&scene, "0/1", "one").success();
    let one = rows(&scene, "one");
    assert_eq!(one.len(), 2 * MOLECULES.len());
    assert_eq!(one[0].0, "\"C1CCCCC1\" \"µ\" \"a.smi\" 111");
    for count in [4, 70] {
        let folder = format!("of-{count}");
        for index in 0..count {
            encode(&scene, &format!("{index}/{count}"), &folder).success();
        }
        let several = rows(&scene, &folder);
        for (one, other) in one.iter().zip(&several) {
            assert_eq!(one.0, other.0);
            // A molecule is encoded in other company.
            for (one, other) in one.1.iter().zip(&other.1) {
                assert!((one - other).abs() <= 1e-5, "{one} {other}");
            }
        }
        assert_eq!(one.len(), several.len());
        let whole = scene
            .atlas(&format!("encode --check {folder} --json"))
            .json();
        assert_eq!(
            (&whole["whole"], &whole["rows"]),
            (&true.into(), &48.into())
        );
        assert_eq!(whole["shards"], count);
    }
    // Files that are not cut are read one after another.
    let csv = scene.atlas("encode bundle -i in/*.smi").success();
    assert_eq!(csv.lines().count(), 1 + 2 * MOLECULES.len());
    assert!(csv.starts_with("smiles,name,file,offset,z0,"));
    assert!(csv.contains("\nCCN,µ,b.smi,8,"), "{csv}");
}

#[test]
fn a_part_that_is_there_is_left_and_one_of_something_else_is_refused() {
    let scene = scene();
    let path = "out/part-00001-of-00002.parquet";
    encode(&scene, "1/2", "out").success();
    let first = scene.read(path);
    let again = encode(&scene, "1/2", "out");
    assert_eq!(again.stderr, format!("{path}: is there already\n"));
    again.success();
    assert!(scene.read(path) == first);
    let refused = |arguments: &str, whats: &[&str]| {
        let error = scene.atlas(&format!("encode {arguments} -o out")).failure();
        for what in whats {
            let expected = format!("{path}: {what}: ");
            assert!(error.contains(&expected), "{arguments}: {error}");
        }
        let problems = error.matches(path).count();
        assert_eq!(problems, whats.len(), "{error}");
    };
    scene
        .atlas(&format!("train {} --seed 9 --out other", Scene::TINY))
        .success();
    let input = "-i in/*.smi --shard";
    refused(&format!("other {input} 0/2"), &["bundle"]);
    refused(
        &format!("bundle {input} 1/2 --dtype f16 --skip-invalid"),
        &["dtype", "skip_invalid"],
    );
    refused(&format!("bundle {input} 0/3"), &["shards"]);
    refused(
        &format!("bundle {input} 0/2 --standardise canonical"),
        &["rows.standardise"],
    );
    refused(
        "bundle -i tiny.smi --shard 0/2",
        &["files", "bytes", "names_and_lengths"],
    );
    // Another molecule of the same length.
    let text = fs::read_to_string(scene.path("in/b.smi")).unwrap();
    scene.write("in/b.smi", text.replace("O=C=O", "N=C=N"));
    refused(&format!("bundle {input} 1/2"), &["blake3"]);
    assert!(scene.read(path) == first);
}

#[test]
fn everything_that_is_wrong_with_a_folder_is_named_at_once() {
    let scene = scene();
    for shard in ["0/6", "1/6", "3/6"] {
        encode(&scene, shard, "out").success();
    }
    let damaged = "out/part-00001-of-00006.parquet";
    let mut bytes = scene.read(damaged);
    bytes[100] ^= 1;
    scene.write(damaged, bytes);
    let cut_off = scene.read("out/part-00003-of-00006.parquet");
    scene.write(
        "out/part-00003-of-00006.parquet",
        &cut_off[..cut_off.len() - 1],
    );
    scene.write("out/x.parquet", "");
    let check = scene.atlas("encode --check out");
    assert_eq!(check.code, Some(1));
    let lines: Vec<&str> = check.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "out/x.parquet: no part of a shard");
    let expected = format!("{damaged}: damaged: its bytes are not those that were written");
    assert_eq!(lines[1], expected);
    assert!(
        lines[2].starts_with("out/part-00003-of-00006.parquet: not a whole table of Parquet: ")
    );
    assert_eq!(lines[3], "out: 3 of 6 shards missing: 2,4-5");
    let check = scene.atlas("encode --check out --json");
    assert_eq!(check.code, Some(1));
    let check: serde_json::Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(check["missing"], serde_json::json!([2, 4, 5]));
    assert_eq!(check["findings"].as_array().unwrap().len(), 4);

    fs::remove_file(scene.path("out/x.parquet")).unwrap();
    for index in 0..6 {
        let output = encode(&scene, &format!("{index}/6"), "out");
        let is_again = output.stderr.contains("it is written again");
        assert_eq!(is_again, [1, 3].contains(&index), "{}", output.stderr);
        output.success();
    }
    let whole = scene.atlas("encode --check out").success();
    assert!(
        whole.starts_with("out: whole: 48 rows of 2 files in 6 shards, 0 skipped, "),
        "{whole}"
    );
    // Parts of two inputs are not one table.
    scene.write("in/b.smi", "CCO\n");
    encode(&scene, "2/6", "other").success();
    let name = "part-00002-of-00006.parquet";
    scene.write(&format!("out/{name}"), scene.read(&format!("other/{name}")));
    let check = scene.atlas("encode --check out");
    assert_eq!(check.code, Some(1));
    assert!(
        check.stdout.contains(&format!("out/{name}: bytes: ")),
        "{}",
        check.stdout
    );
    let empty = scene.atlas("encode --check in").failure();
    assert_eq!(empty, "in holds no part of any shard");
}

#[test]
fn the_shard_is_that_of_the_job() {
    let scene = scene();
    let mut slurm = scene.command("encode bundle -i in/*.smi -o out --shard");
    for (name, value) in [
        ("ID", "5"),
        ("MIN", "1"),
        ("MAX", "7"),
        ("STEP", "2"),
        ("COUNT", "4"),
    ] {
        slurm.env(format!("SLURM_ARRAY_TASK_{name}"), value);
    }
    assert!(slurm.status().unwrap().success());
    let mut indexed = scene.command("encode bundle -i in/*.smi -o out --shard 4");
    let status = indexed.env("JOB_COMPLETION_INDEX", "3").status();
    assert!(status.unwrap().success());
    assert!(scene.path("out/part-00002-of-00004.parquet").is_file());
    assert!(scene.path("out/part-00003-of-00004.parquet").is_file());
}

#[test]
fn what_cannot_be_cut_or_written_is_wrong_at_once() {
    let scene = scene();
    for (arguments, why) in [
        ("-i tiny.smi --shard 2/2 -o out", "there is no shard 2 of 2"),
        (
            "-i tiny.smi --shard -o out",
            "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX",
        ),
        (
            "-i tiny.smi --shard 0/2",
            "--shard writes a file into a folder",
        ),
        ("-i tiny.smi --shard 0/2 -o tiny.smi", "and this is none"),
        ("-i tiny.smi --dtype f16", "CSV holds f32 alone"),
        ("-i tiny.smi --dtype f8 -o z.npy", "expected f32 or f16"),
    ] {
        let error = scene
            .atlas(&format!("encode bundle {arguments}"))
            .wrong_usage();
        assert!(error.contains(why), "{arguments}: {error}");
    }
    scene.atlas("encode bundle --check out").wrong_usage();
    let error = scene.atlas("encode bundle --shard 0/2 -o out").failure();
    assert!(
        error.starts_with("standard input: only files can be cut"),
        "{error}"
    );
    let error = scene
        .atlas("encode bundle -i no*.smi --shard 0/2 -o out")
        .failure();
    assert_eq!(error, "no*.smi: no file matches");
    assert!(!scene.path("out").exists());
}

#[test]
fn bad_rows_of_a_shard_are_known_by_their_first_byte() {
    let scene = scene();
    scene.write("in/b.smi", "CCO\nCQ\nCCN\nC[Si]C\nCCC\n");
    let bytes = scene.read("in/a.smi").len() + scene.read("in/b.smi").len();
    let last = format!("{}/{}", bytes / 12 - 1, bytes / 12);
    // The last shard holds the last 12 bytes.
    let error = encode(&scene, &last, "out").failure();
    assert!(
        error.contains("in/b.smi, byte 11: byte 1: `[Si]` is not in"),
        "{error}"
    );
    assert_eq!(fs::read_dir(scene.path("out")).unwrap().count(), 0);
    let error = encode(&scene, "0/1", "out").failure();
    assert!(error.contains("2 bad rows"), "{error}");
    assert!(error.contains("in/b.smi:2: `CQ`: "), "{error}");
    let skipping = format!("{last} --skip-invalid --skipped out.csv");
    encode(&scene, &skipping, "out").success();
    let table = String::from_utf8(scene.read("out.csv")).unwrap();
    assert!(
        table.starts_with("file,offset,text,why\nb.smi,11,C[Si]C,"),
        "{table}"
    );
    assert_eq!(rows(&scene, "out").len(), 1);
}

#[test]
fn half_precision_is_rounded_to_the_nearest_and_read_back() {
    let scene = scene();
    for extension in ["npy", "parquet"] {
        for dtype in ["f32", "f16"] {
            let name = format!("{dtype}.{extension}");
            scene
                .atlas(&format!(
                    "encode bundle -i tiny.smi --dtype {dtype} -o {name}"
                ))
                .success();
        }
        let read = |dtype: &str| {
            let path = scene.path(format!("{dtype}.{extension}"));
            let mut reader = atlas_models::data::LatentReader::open(&path).unwrap();
            reader.read(100).unwrap().latents
        };
        let rounded: Vec<f32> = read("f32")
            .into_iter()
            .map(|value| half::f16::from_f32(value).to_f32())
            .collect();
        assert!(
            read("f16") == rounded && read("f32") != rounded,
            "{extension}"
        );
        let decoded = scene
            .atlas(&format!("decode bundle -i f16.{extension}"))
            .success();
        assert_eq!(decoded.lines().count(), MOLECULES.len());
    }
    let header =
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f2', 'fortran_order': False, 'shape': (24, 6), }";
    assert!(scene.read("f16.npy").starts_with(header));
    assert_eq!(scene.read("f16.npy").len(), 128 + 24 * 6 * 2);
    encode(&scene, "0/1 --dtype f16", "out").success();
    scene
        .atlas("decode bundle -i out/part-00000-of-00001.parquet")
        .success();
}

#[test]
fn the_counts_of_evaluated_shards_add_up() {
    let scene = scene();
    let evaluate = |shard: &str| {
        let quick = "--samples 0 --interpolations 0 --json";
        scene
            .atlas(&format!(
                "evaluate bundle -i in/*.smi --shard {shard} {quick}"
            ))
            .json()
    };
    let whole = evaluate("0/1");
    assert_eq!(whole["molecules"], 48);
    let shards: Vec<_> = (0..70)
        .map(|index| evaluate(&format!("{index}/70")))
        .collect();
    for count in [
        "molecules",
        "exact",
        "canonical",
        "valid",
        "tokens",
        "trained_on",
    ] {
        let sum: u64 = shards
            .iter()
            .map(|shard| shard[count].as_u64().unwrap())
            .sum();
        assert_eq!(whole[count].as_u64(), Some(sum), "{count}");
    }
    assert_eq!(
        shards[3]["shard"],
        serde_json::json!({ "index": 3, "count": 70 })
    );
    let text = scene
        .atlas("evaluate bundle -i in/*.smi --shard 1/4 --samples 0")
        .success();
    assert!(text.contains("in/*.smi (shard 1 of 4)"), "{text}");
    scene.atlas("evaluate bundle --shard 0/2").wrong_usage();
}

#[test]
fn a_part_is_of_the_columns_that_the_beginning_of_a_file_names() {
    let scene = Scene::trained();
    let rows = MOLECULES.map(|smiles| format!("{smiles},CCO\n")).concat();
    scene.write("in.csv", format!("smiles,second\n{rows}"));
    let encode = "encode bundle -i in.csv --shard 1/2 -o out";
    scene.atlas(encode).success();
    // As long, and of the other column.
    scene.write("in.csv", format!("second,smiles\n{rows}"));
    let error = scene.atlas(encode).failure();
    assert!(error.contains("blake3: "), "{error}");
}
