//! What is written, and where it can be written to.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output};

use crate::support::{MOLECULES, Scene};

/// A shell in the scene's folder, in which `$atlas` is the program.
fn shell(scene: &Scene, script: &str) -> Output {
    let mut shell = Command::new("bash");
    shell
        .args(["-c", script])
        .env("atlas", env!("CARGO_BIN_EXE_atlas"))
        .current_dir(scene.path(""));
    shell.output().unwrap()
}

fn shell_success(scene: &Scene, script: &str) -> String {
    let output = shell(scene, script);
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `tiny.smi` in which every other molecule has a name.
fn write_named(scene: &Scene) {
    let line = |(place, smiles): (usize, &&str)| match place % 2 {
        0 => format!("{smiles} name {place}\n"),
        _ => format!("{smiles}\n\n"),
    };
    let lines: String = MOLECULES.iter().enumerate().map(line).collect();
    scene.write("named.smi", lines);
}

#[test]
fn rows_keep_their_names_and_numbers_through_encode_and_decode() {
    let scene = Scene::trained();
    write_named(&scene);
    let csv = scene.atlas("encode bundle -i named.smi").success();
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].starts_with("smiles,name,row,z0,"), "{csv}");
    assert!(rows[3].starts_with("CCCl,name 2,3,"), "{csv}");
    assert!(rows[4].starts_with("CCBr,,4,"), "{csv}");
    for extension in ["csv", "parquet"] {
        let encode = format!("encode bundle -i named.smi -o z.{extension}");
        scene.atlas(&encode).success();
        let decode = format!("decode bundle -i z.{extension}");
        let decoded = scene.atlas(&decode).success();
        assert_eq!(decoded.lines().count(), MOLECULES.len());
        for (place, line) in decoded.lines().enumerate() {
            let name = line.split_once('\t').map(|(_, name)| name.to_owned());
            assert_eq!(name, (place % 2 == 0).then(|| format!("name {place}")));
        }
    }
}

#[test]
fn an_array_has_a_table_of_names_beside_it_and_both_appear_together() {
    let scene = Scene::trained();
    write_named(&scene);
    scene.atlas("encode bundle -i named.smi -o z.npy").success();
    let table = String::from_utf8(scene.read("z.rows.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[..3], ["smiles,name,row", "CCO,name 0,1", "CCN,,2"]);
    assert_eq!(lines.len(), MOLECULES.len() + 1);

    scene.write("bad.smi", "CCO\nCQ\n");
    scene.atlas("encode bundle -i bad.smi -o no.npy").failure();
    assert!(!scene.path("no.npy").exists() && !scene.path("no.rows.csv").exists());

    fs::create_dir(scene.path("a.rows.csv")).unwrap();
    let error = scene.atlas("encode bundle -i bad.smi -o a.npy").failure();
    assert_eq!(error, "cannot write a.rows.csv: it is a folder");
    symlink("b.npy", scene.path("b.rows.csv")).unwrap();
    let error = scene.atlas("encode bundle -i bad.smi -o b.npy").failure();
    assert_eq!(
        error,
        "cannot write b.rows.csv, the table of the rows of b.npy: it is the same file"
    );
}

#[test]
fn a_link_stays_and_what_it_leads_to_keeps_its_mode() {
    let scene = Scene::trained();
    fs::create_dir(scene.path("elsewhere")).unwrap();
    scene.write("elsewhere/old.smi", "as it was");
    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(scene.path("elsewhere/old.smi"), mode).unwrap();
    symlink("elsewhere/old.smi", scene.path("old.smi")).unwrap();
    symlink("elsewhere/new.smi", scene.path("new.smi")).unwrap();
    for name in ["old.smi", "new.smi"] {
        scene
            .atlas(&format!("sample bundle -n 3 -o {name}"))
            .success();
        assert!(scene.path(name).is_symlink());
        let written = scene.read(&format!("elsewhere/{name}"));
        assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 3);
    }
    let metadata = fs::metadata(scene.path("elsewhere/old.smi")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(scene.path("elsewhere")).unwrap().count(), 2);
}

#[test]
fn pipes_devices_and_descriptors_are_written_to() {
    let scene = Scene::trained();
    let encode = "$atlas encode bundle -i tiny.smi -o";
    let csv = shell_success(&scene, &format!("{encode} -"));
    assert_eq!(shell_success(&scene, &format!("{encode} /dev/stdout")), csv);
    assert_eq!(
        shell_success(&scene, &format!("{encode} /dev/stdout | cat")),
        csv
    );
    assert_eq!(
        shell_success(&scene, &format!("{encode} >(cat) | cat")),
        csv
    );
    let fifo = format!("mkfifo fifo; {encode} fifo & cat fifo; wait $!");
    assert_eq!(shell_success(&scene, &fifo), csv);
    let appended = format!("echo before > file; {encode} /dev/fd/3 3>> file; cat file");
    assert_eq!(shell_success(&scene, &appended), format!("before\n{csv}"));
    shell_success(&scene, &format!("{encode} /dev/null"));
    // Formats whose first bytes are known at the end, too.
    for extension in ["npy", "parquet"] {
        shell_success(&scene, &format!("{encode} file.{extension}"));
        let piped = format!(
            "mkfifo pipe.{extension}; {encode} pipe.{extension} & cat pipe.{extension} > piped; \
             wait $!; cmp piped file.{extension}"
        );
        shell_success(&scene, &piped);
    }
}

#[test]
fn a_long_name_is_written_and_a_place_that_cannot_be_is_refused_before_the_work() {
    let scene = Scene::trained();
    let name = format!("{}.smi", "n".repeat(250));
    scene
        .atlas(&format!("sample bundle -n 2 -o {name}"))
        .success();
    assert_eq!(
        scene
            .read(&name)
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
        2
    );
    // There is no such bundle, which would be known later.
    for (path, why) in [
        (format!("{name}{name}"), "File name too long"),
        ("new/".to_owned(), "the path does not end in a name"),
        ("tiny.smi/x".to_owned(), "Not a directory"),
        ("bundle".to_owned(), "it is a folder"),
    ] {
        let error = scene
            .atlas(&format!("sample none -n 2 -o {path}"))
            .failure();
        let expected = format!("cannot write {path}: {why}");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn special_tokens_are_in_no_string_however_hot_it_is_drawn() {
    let scene = Scene::trained();
    let drawn = scene
        .atlas("sample bundle -n 1000 --temperature 100")
        .success();
    assert_eq!(drawn.lines().count(), 1000);
    let mut strings = drawn.lines().filter(|line| *line != "<empty>");
    assert!(strings.all(|line| !line.is_empty() && !line.contains('<')));
    // At this temperature every token begins some string, also the one that ends it.
    let output = scene.atlas("sample bundle -n 1000 --temperature 100 --json");
    let empty = drawn.lines().filter(|line| *line == "<empty>").count();
    assert!(empty > 0);
    assert_eq!(output.json()["empty"], empty);
}

#[test]
fn a_file_name_that_is_not_utf_8_is_no_end_of_json() {
    let scene = Scene::trained();
    let name = OsStr::from_bytes(b"b\xff");
    fs::rename(scene.path("bundle"), scene.path(name)).unwrap();
    fs::rename(
        scene.path("tiny.smi"),
        scene.path(OsStr::from_bytes(b"t\xff")),
    )
    .unwrap();
    for (command, member, more) in [
        ("inspect", "path", ""),
        ("verify", "bundle", ""),
        ("sample", "bundle", ""),
        ("interpolate", "bundle", "CCO CCN"),
        ("evaluate", "bundle", r"--data $'t\xff'"),
    ] {
        let script = format!(r"$atlas {command} $'b\xff' {more} --json");
        let printed: serde_json::Value =
            serde_json::from_str(&shell_success(&scene, &script)).unwrap();
        assert_eq!(printed[member], "b\u{fffd}", "{command}");
    }
    let tiny = Scene::TINY.replace("tiny.smi", r"$'t\xff'");
    let script = format!(r"$atlas train {tiny} --out $'out\xff' --json");
    let printed: serde_json::Value = serde_json::from_str(&shell_success(&scene, &script)).unwrap();
    assert_eq!(printed["bundle"], "out\u{fffd}");
}

#[test]
fn control_characters_of_others_reach_no_terminal() {
    let scene = Scene::trained();
    let output = shell(&scene, r"$atlas encode bundle -i $'a\x1b[2Jb'");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(r"a\u{1b}[2Jb"), "{error}");
    scene.write("evil.smi", "CCO\nC\u{1b}[2J\n");
    let output = scene.atlas("encode bundle -i evil.smi");
    assert!(!output.stderr.contains('\u{1b}'), "{output:?}");
    // A note of a bundle in a table; JSON has it as it is.
    let tiny = Scene::TINY.replace("tiny.smi", r"$'tiny\x1b[2J.smi'");
    let script = format!(r"cp tiny.smi $'tiny\x1b[2J.smi'; $atlas train {tiny} --out noted");
    shell_success(&scene, &script);
    let table = scene.atlas("inspect noted").success();
    assert!(table.contains(r"tiny\u{1b}[2J.smi"), "{table}");
    let json = scene.atlas("inspect noted --json").json();
    let note = &json["provenance"]["notes"]["training"];
    assert_eq!(note["data"]["source"], "tiny\u{1b}[2J.smi");
}

#[test]
fn a_file_has_names_as_they_are() {
    let scene = Scene::trained();
    scene.write("evil.smi", "CCO a\u{1b}[2Jb\n");
    let csv = scene.atlas("encode bundle -i evil.smi").success();
    assert!(csv.contains(",a\u{1b}[2Jb,1,"), "{csv}");
    // In lines of SMILES a name keeps its line.
    let line = scene.atlas_reading("decode bundle", "name,0,1,2,3,4,5\n\"a\nb\",0,0,0,0,0,0\n");
    assert!(line.success().ends_with("\ta b\n"));
}

#[test]
fn what_does_not_come_back_as_the_molecule_that_was_encoded_is_said() {
    let scene = Scene::trained();
    for format in ["csv", "parquet"] {
        let latents = format!("z.{format}");
        scene
            .atlas(&format!("encode bundle -i tiny.smi -o {latents}"))
            .success();
        let output = scene.atlas(&format!("decode bundle -i {latents}"));
        // Two epochs teach nothing.
        assert!(
            output
                .stderr
                .contains("of 24 latents do not come back as the molecule in the file"),
            "{output:?}"
        );
    }
    let output = scene.atlas("interpolate bundle CCO CCN --json");
    assert!(
        output.stderr.contains("`CCO` does not come back"),
        "{output:?}"
    );
    assert_eq!(output.json()["from_came_back"], false);
}

#[test]
fn two_outputs_of_one_command_do_not_go_into_one_file() {
    let scene = Scene::trained();
    scene.write("some.smi", "CCO\nCQ\n");
    for command in [
        "encode bundle -i some.smi -o x.csv --skip-invalid --skipped ./x.csv",
        "evaluate bundle --data some.smi --per-molecule x.csv --skip-invalid --skipped x.csv",
    ] {
        let error = scene.atlas(command).failure();
        assert!(
            error.contains("another output of this command goes there"),
            "{error}"
        );
        assert!(!scene.path("x.csv").exists());
    }
}

#[test]
fn no_output_takes_the_place_of_what_the_command_reads() {
    let scene = Scene::trained();
    let table = "smiles,activity\nCCO,1\nCCN,2\nCC(=O)N,3\n";
    for name in ["read.csv", "z.rows.csv", "drawn.svg"] {
        scene.write(name, table);
    }
    symlink("read.csv", scene.path("link.csv")).unwrap();
    scene.atlas("encode bundle -i tiny.smi -o a.npy").success();
    let (array, rows) = (scene.read("a.npy"), scene.read("a.rows.csv"));
    for command in [
        "encode bundle -i read.csv -o read.csv",
        "encode bundle -i read.csv -o link.csv",
        "encode bundle -i link.csv -o ./read.csv",
        "encode bundle -i read.csv -o new.csv --skip-invalid --skipped read.csv",
        "encode bundle -i z.rows.csv -o z.npy",
        "decode bundle -i a.npy -o a.npy",
        "decode bundle -i a.npy -o a.rows.csv",
        "sample bundle -n 3 -o read.csv --reference read.csv",
        "sample bundle -n 3 -o new.csv --reference read.csv --per-molecule read.csv",
        "sample bundle -n 3 -o new.csv --reference drawn.svg --grid drawn.svg",
        "evaluate bundle -i read.csv --samples 0 --per-molecule read.csv",
        "evaluate bundle -i tiny.smi --train read.csv --samples 0 --per-molecule read.csv",
        "map bundle -i drawn.svg -o drawn.svg",
        "neighbours bundle CCO --among read.csv -o read.csv",
        "molecules bundle -o tiny.smi",
    ] {
        let error = scene.atlas(command).failure();
        let is_said = error.contains("an output of this command would replace it")
            || error.contains("this command reads it");
        assert!(is_said, "{command}: {error}");
        for name in ["read.csv", "z.rows.csv", "drawn.svg"] {
            assert_eq!(scene.read(name), table.as_bytes(), "{command}");
        }
        assert_eq!(scene.read("a.npy"), array, "{command}");
        assert_eq!(scene.read("a.rows.csv"), rows, "{command}");
        assert!(!scene.path("new.csv").exists(), "{command}");
    }
    let mut command = scene.command("encode bundle -o read.csv");
    let input = fs::File::open(scene.path("read.csv")).unwrap();
    assert!(!command.stdin(input).status().unwrap().success());
    assert_eq!(scene.read("read.csv"), table.as_bytes());
    scene
        .atlas("encode bundle -i z.rows.csv -o y.npy")
        .success();
}

#[test]
fn a_drawing_is_not_named_as_another_kind_of_picture() {
    let scene = Scene::trained();
    for command in [
        "sample bundle -n 3 --grid new.png",
        "map bundle -i tiny.smi -o new.png",
    ] {
        let error = scene.atlas(command).wrong_usage();
        assert_eq!(error, "new.png: what is drawn is an SVG; name it .svg");
        assert!(!scene.path("new.png").exists());
    }
}

#[test]
fn an_array_has_the_names_of_the_table_that_is_beside_it() {
    let scene = Scene::trained();
    scene.write("some.smi", "CCO ethanol\nCCN\nCCCl chloroethane\n");
    scene.atlas("encode bundle -i some.smi -o z.npy").success();
    scene.atlas("encode bundle -i some.smi -o z.csv").success();
    let output = scene.atlas("decode bundle -i z.npy");
    assert!(
        output.stderr.contains("names are read from z.rows.csv"),
        "{output:?}"
    );
    let expected = scene.atlas("decode bundle -i z.csv").success();
    assert_eq!(output.success(), expected);
    assert!(expected.contains("\tchloroethane\n"), "{expected}");
    // A table of other rows is not taken for its own.
    let table = String::from_utf8(scene.read("z.rows.csv")).unwrap();
    for (other, how) in [
        (format!("{table}CC,ethane,4\n"), "more"),
        (table.lines().next().unwrap().to_owned(), "fewer"),
    ] {
        scene.write("z.rows.csv", other);
        let output = scene.atlas("decode bundle -i z.npy -o out.smi");
        assert!(
            output
                .failure()
                .contains(&format!("z.rows.csv has {how} rows than the array"))
        );
        assert!(!scene.path("out.smi").exists());
    }
}
