//! `encode` and `decode`.

use std::io::{BufRead, BufReader};

use crate::support::{MOLECULES, Scene};

/// The lines of a CSV of latents without its header, each as its SMILES and numbers.
fn rows(csv: &str) -> Vec<(String, Vec<f32>)> {
    let cells = |line: &str| {
        let mut cells = line.split(',');
        let smiles = cells.next().unwrap().to_owned();
        // The name and the number of the row.
        let cells = cells.skip(2);
        (smiles, cells.map(|cell| cell.parse().unwrap()).collect())
    };
    csv.lines().skip(1).map(cells).collect()
}

#[test]
fn encoding_twice_gives_equal_bytes_in_every_format() {
    let scene = Scene::trained();
    for extension in ["csv", "npy", "parquet"] {
        for name in ["a", "b"] {
            let output = scene.atlas(&format!("encode bundle -i tiny.smi -o {name}.{extension}"));
            assert_eq!(
                output.stderr,
                format!("{name}.{extension}: the latents of 24 molecules, 6 dimensions each\n")
            );
            assert_eq!(output.success(), "");
        }
        let (a, b) = (
            scene.read(&format!("a.{extension}")),
            scene.read(&format!("b.{extension}")),
        );
        assert!(!a.is_empty() && a == b, "{extension}");
    }
}

#[test]
fn every_format_decodes_to_the_same_molecules() {
    let scene = Scene::trained();
    let piped = scene.atlas("encode bundle -i tiny.smi").success();
    let expected = scene.atlas_reading("decode bundle", &piped);
    assert!(
        expected.stderr.contains("decoded 24 latents: "),
        "{}",
        expected.stderr
    );
    let expected = expected.success();
    assert_eq!(expected.lines().count(), MOLECULES.len());
    for extension in ["csv", "npy", "parquet"] {
        scene
            .atlas(&format!("encode bundle -i tiny.smi -o z.{extension}"))
            .success();
        assert_eq!(
            scene
                .atlas(&format!("decode bundle -i z.{extension}"))
                .success(),
            expected,
            "{extension}"
        );
        scene
            .atlas(&format!("decode bundle -i z.{extension} -o out.smi"))
            .success();
        assert_eq!(scene.read("out.smi"), expected.as_bytes(), "{extension}");
    }
}

#[test]
fn csv_and_npy_hold_the_same_bits() {
    let scene = Scene::trained();
    let csv = scene.atlas("encode bundle -i tiny.smi").success();
    assert_eq!(
        csv.lines().next(),
        Some("smiles,name,row,z0,z1,z2,z3,z4,z5")
    );
    let rows = rows(&csv);
    assert!(rows.iter().map(|row| row.0.as_str()).eq(MOLECULES));
    let expected: Vec<u8> = rows
        .iter()
        .flat_map(|row| &row.1)
        .flat_map(|value| value.to_le_bytes())
        .collect();
    scene.atlas("encode bundle -i tiny.smi -o z.npy").success();
    let npy = scene.read("z.npy");
    assert!(npy.starts_with(
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (24, 6), }"
    ));
    assert!(npy[128..] == expected);
}

#[test]
fn a_molecule_has_the_latent_that_it_has_in_company() {
    let scene = Scene::trained();
    let together = rows(&scene.atlas("encode bundle -i tiny.smi").success());
    let alone = rows(
        &scene
            .atlas_reading("encode bundle", "CC(=O)O ethanoic acid\n")
            .success(),
    );
    let place = MOLECULES
        .iter()
        .position(|smiles| *smiles == "CC(=O)O")
        .unwrap();
    assert_eq!(alone[0].0, "CC(=O)O");
    for (alone, together) in alone[0].1.iter().zip(&together[place].1) {
        assert!(
            (alone - together).abs() <= 1e-6 * together.abs().max(1.0),
            "{alone} {together}"
        );
    }
}

#[test]
fn skipped_rows_are_named_and_have_no_latent() {
    let scene = Scene::trained();
    let output = scene.atlas_reading("encode bundle --skip-invalid", "CCO\nCQ\n\nC[Si]C\nCCN\n");
    let expected = "skipped standard input:2: `CQ`: byte 1: ";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
    assert!(
        output
            .stderr
            .contains("skipped standard input:4: byte 1: `[Si]` is not in the vocabulary of "),
        "{}",
        output.stderr
    );
    assert!(
        output
            .stderr
            .ends_with("skipped 2 rows of standard input\n"),
        "{}",
        output.stderr
    );
    let rows = rows(&output.success());
    assert_eq!(
        rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
        ["CCO", "CCN"]
    );
}

#[test]
fn an_output_that_could_not_be_completed_is_not_there() {
    let scene = Scene::trained();
    scene.write("bad.smi", "CCO\nCQ\n");
    scene.write("old.csv", "as it was");
    scene.atlas("encode bundle -i bad.smi -o new.npy").failure();
    scene.atlas("encode bundle -i bad.smi -o old.csv").failure();
    let mut names: Vec<_> = std::fs::read_dir(scene.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["bad.smi", "bundle", "bundle.run", "old.csv", "tiny.smi"]
    );
    assert_eq!(scene.read("old.csv"), b"as it was");
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let scene = Scene::trained();
    scene.write(
        "many.smi",
        "CC(=O)Nc1ccccc1\n".replace("CC(=O)N", "CC").repeat(20_000),
    );
    for arguments in ["encode bundle -i many.smi", "params gru-vae --schema"] {
        let mut child = scene.command(arguments).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap().as_str()
            ),
            (Some(0), "")
        );
    }
}
