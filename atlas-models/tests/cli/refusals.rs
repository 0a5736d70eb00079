//! Bad uses, each with its message.

use std::fs;

use crate::support::{Output, Scene};

fn train(scene: &Scene, more: &str) -> Output {
    scene.atlas(&format!("train {} --out b {more}", Scene::TINY))
}

#[test]
fn a_misspelt_parameter() {
    let scene = Scene::new();
    assert_eq!(
        train(&scene, "--set latent.sise=64").wrong_usage(),
        "--set: `latent.sise`: unknown parameter; did you mean `size`?"
    );
    assert!(!scene.path("b").exists());
}

#[test]
fn a_misspelt_model_network_and_weight() {
    let scene = Scene::new();
    assert_eq!(
        train(&scene, "--model gru-vea").wrong_usage(),
        "there is no model `gru-vea`; did you mean `gru-vae`?"
    );
    let expected = "nothing was trained: 2 problems\n  - --freeze: `gru-vae` has no network `encodr`; it has encoder, \
        decoder, prior\n  - the loss has no weight `lk`; it has kl, noise";
    let problems = train(&scene, "--freeze encodr --weight lk=1").wrong_usage();
    assert_eq!(problems, expected);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let scene = Scene::new();
    scene.write("b", "a file");
    scene.write("p.json", r#"{ "writer": { "dropout": 2 }, "hidden": 3 }"#);
    let arguments = "train --data tiny.smi --out b --set latent.sise=64 --set reader.layers=0 \
        --set longest=long --batch 0 --lr -1 --params p.json --held-out 99";
    let error = scene.atlas(arguments).failure();
    let expected = [
        "nothing was trained: 9 problems",
        "  - tiny.smi holds 24 molecules: 99 cannot be held out and leave any to train on",
        "  - `batch` = 0: expected 1 to 1000000",
        "  - `learning_rate` = -1.0: expected at least 0.0",
        "  - refused to save to b: it is a file, and a bundle is a folder",
        "  - --set: `latent.sise`: unknown parameter; did you mean `size`?",
        "  - --set: `longest` = `long`: expected an integer (usize)",
        "  - `reader.layers` = 0: expected 1 to 64",
        "  - `writer.dropout` = 2: expected 0.0 to 0.95",
        "  - `hidden`: unknown parameter",
    ];
    for line in expected {
        assert!(
            error.lines().any(|found| found.starts_with(line)),
            "{line}\n{error}"
        );
    }
}

#[test]
fn data_that_is_not_there_or_holds_nothing() {
    let scene = Scene::new();
    scene.write("empty.smi", "\n\n");
    let train = |data: &str| {
        scene
            .atlas(&format!("train --data {data} --out b"))
            .failure()
    };
    assert_eq!(
        train("nothing.smi"),
        "cannot open nothing.smi: No such file or directory (os error 2)"
    );
    assert_eq!(train("empty.smi"), "empty.smi holds no molecule");
}

#[test]
fn rows_that_are_not_smiles_are_named_by_file_and_line() {
    let scene = Scene::new();
    scene.write("bad.smi", "CCO\nCC(\nCQ\n");
    let error = scene.atlas("train --data bad.smi --out b").failure();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[0], "bad.smi: 2 bad rows");
    assert!(lines[1].starts_with("  bad.smi:2: `CC(`: byte "), "{error}");
    assert!(
        lines[2].starts_with("  bad.smi:3: `CQ`: byte 1: "),
        "{error}"
    );
    assert_eq!(lines[3], "(--skip-invalid leaves such rows out)");
}

#[test]
fn a_token_that_the_vocabulary_lacks_names_row_and_token() {
    let scene = Scene::trained();
    scene.write("other.smi", "CCO\nC[Si](C)C trimethylsilane\n");
    for command in [
        "encode bundle -i other.smi",
        "evaluate bundle --data other.smi",
    ] {
        let error = scene.atlas(command).failure();
        assert!(
            error.starts_with("other.smi:2: byte 1: `[Si]` is not in the vocabulary of "),
            "{error}"
        );
        assert!(
            error.ends_with("\n(--skip-invalid leaves such rows out)"),
            "{error}"
        );
    }
}

#[test]
fn more_held_out_than_there_are() {
    let error = Scene::new()
        .atlas("train --data tiny.smi --out b --held-out 24")
        .wrong_usage();
    assert_eq!(
        error,
        "tiny.smi holds 24 molecules: 24 cannot be held out and leave any to train on"
    );
}

#[test]
fn a_time_that_is_none() {
    let scene = Scene::new();
    assert_eq!(
        train(&scene, "--max-minutes 0").wrong_usage(),
        "--max-minutes 0: expected a time above zero"
    );
    for minutes in ["-1", "NaN"] {
        assert_eq!(
            train(&scene, &format!("--checkpoint-minutes {minutes}")).wrong_usage(),
            format!("--checkpoint-minutes {minutes}: expected a time from zero")
        );
    }
}

#[test]
fn a_key_that_is_given_twice_in_json_is_refused_and_a_byte_order_mark_is_skipped() {
    let scene = Scene::new();
    let twice = r#"{"latent": 3, "deep": {"a": 1, "a": 2}}"#;
    scene.write("twice.json", twice);
    let expected = "`a` is given twice at line 1 column 34";
    let params = format!("train {} --out b --params twice.json", Scene::TINY);
    let error = scene.atlas(&params).failure();
    assert_eq!(error, format!("--params twice.json: {expected}"));
    let map = "import tiny.smi --map twice.json --model gru-vae --out b";
    let error = scene.atlas(map).failure();
    assert!(
        error.contains(&format!("--map twice.json: {expected}")),
        "{error}"
    );
    fs::create_dir(scene.path("old")).unwrap();
    scene.write("old/args.json", twice);
    for network in ["encoder", "decoder"] {
        scene.write(&format!("old/{network}.pt"), "");
    }
    let error = scene.atlas("import old --model gru-vae --out b").failure();
    assert!(error.contains(expected), "{error}");

    scene.write("marked.json", "\u{feff}{\"latent\": {\"size\": 5}}");
    let tiny = Scene::TINY.replace("--set latent.size=6", "--params marked.json");
    scene.atlas(&format!("train {tiny} --out b")).success();
    let bundle = scene.atlas("inspect b --json").json();
    assert_eq!(bundle["parameters"]["latent"]["size"], 5);
}

#[test]
fn a_params_file_that_is_not_one() {
    let scene = Scene::new();
    scene.write("list.json", "[1]");
    scene.write("cut.json", "{ \"latent\":");
    assert_eq!(
        train(&scene, "--params list.json").failure(),
        "--params list.json: expected a JSON object of parameters"
    );
    assert_eq!(
        train(&scene, "--params cut.json").failure(),
        "--params cut.json: EOF while parsing a value at line 1 column 11"
    );
    assert_eq!(
        train(&scene, "--params none.json").failure(),
        "--params none.json: No such file or directory (os error 2)"
    );
}

#[test]
fn a_place_that_holds_something_else() {
    let scene = Scene::new();
    fs::create_dir(scene.path("full")).unwrap();
    scene.write("full/thesis.tex", "\\documentclass{book}");
    let error = scene
        .atlas(&format!("train {} --out full", Scene::TINY))
        .failure();
    assert_eq!(
        error,
        "refused to save to full: the folder is not empty and not a bundle"
    );
    assert_eq!(scene.read("full/thesis.tex"), b"\\documentclass{book}");
}

#[test]
fn a_bundle_that_is_not_there_or_not_one() {
    let scene = Scene::new();
    for command in ["inspect", "verify", "evaluate", "encode", "decode"] {
        let error = scene
            .atlas_reading(&format!("{command} nothing"), "1\n")
            .failure();
        assert_eq!(
            error, "nothing is not a bundle: there is no such folder",
            "{command}"
        );
    }
}

#[test]
fn a_bundle_that_is_truncated() {
    let scene = Scene::trained();
    let mut bytes = scene.read("bundle/encoder.safetensors");
    bytes.truncate(bytes.len() - 1);
    scene.write("bundle/encoder.safetensors", bytes);
    let error = scene.atlas_reading("encode bundle", "CCO\n").failure();
    assert!(
        error.starts_with("bundle/encoder.safetensors is not as it was saved: "),
        "{error}"
    );
}

#[test]
fn latents_that_are_not_the_models() {
    let scene = Scene::trained();
    let decode = |text: &str| scene.atlas_reading("decode bundle", text).failure();
    assert_eq!(
        decode("1,2,3\n"),
        "standard input: latents of 3 dimensions; the model's have 6"
    );
    assert_eq!(
        decode("smiles,z0,z1\nC,1,2\n"),
        "standard input: latents of 2 dimensions; the model's have 6"
    );
    assert_eq!(
        decode("1,2,3,4,5,6\n1,2,3,4,5\n"),
        "standard input:2: 5 columns, where the first row has 6"
    );
    assert_eq!(
        decode("1,2,3,4,x,6\n"),
        "standard input:1: column 5: `x` is not a finite number"
    );
    assert_eq!(decode(""), "standard input holds no latents");
    assert_eq!(
        decode("smiles,z0,z1,z2,z3,z4,z5\n"),
        "standard input holds no latents"
    );
}

#[test]
fn files_that_cannot_be_read_or_written() {
    let scene = Scene::trained();
    let encode = |more: &str| scene.atlas(&format!("encode bundle {more}")).failure();
    assert_eq!(
        encode("-i nothing.smi"),
        "cannot open nothing.smi: No such file or directory (os error 2)"
    );
    assert_eq!(
        encode("-i tiny.smi -o no/z.csv"),
        "cannot write no/z.csv: No such file or directory (os error 2)"
    );
    let expected =
        "z.txt: the extension says how latents are laid out; expected .csv, .npy or .parquet";
    let error = scene.atlas("encode bundle -i tiny.smi -o z.txt");
    assert_eq!(error.wrong_usage(), expected);
    assert_eq!(
        scene.atlas_reading("encode bundle", "\n").failure(),
        "standard input holds no molecule"
    );
    let error = scene.atlas("decode bundle -i nothing.npy").failure();
    assert_eq!(
        error,
        "cannot open nothing.npy: No such file or directory (os error 2)"
    );
}
