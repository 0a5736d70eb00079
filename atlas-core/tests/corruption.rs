//! Damage of every kind is an error, whoever did it: a bad disk, or somebody who can hash.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use atlas_core::prelude::*;
use atlas_core::{Bundle, Error};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use tempfile::TempDir;

#[derive(AtlasModel)]
#[atlas(golden)]
struct Tiny {
    #[param(default = 1, min = 1)]
    width: usize,
    #[param(default = 1)]
    layers: usize,
    #[param(default = 0.5)]
    scale: f64,
    #[network(with = build)]
    net: Vec<Linear>,
}

fn build(params: &TinyParams, vb: VarBuilder) -> candle_core::Result<Vec<Linear>> {
    (0..params.layers)
        .map(|layer| linear(params.width, params.width, vb.pp(layer)))
        .collect()
}

impl Golden for Tiny {
    fn golden_inputs(&self) -> atlas_core::Result<atlas_core::GoldenInputs> {
        let ones = Tensor::ones((1, self.width), DType::F32, &Device::Cpu)?;
        Ok(atlas_core::GoldenInputs::texts(["C"]).with_tensor("ones", ones))
    }

    fn golden_outputs(
        &self,
        inputs: &atlas_core::GoldenInputs,
    ) -> atlas_core::Result<Vec<(String, Tensor)>> {
        let ones = inputs.tensor("ones").ok_or_else(|| Error::new("no ones"))?;
        let output = self
            .net
            .iter()
            .try_fold(ones.clone(), |hidden, layer| layer.forward(&hidden))?;
        Ok(vec![("output".to_owned(), (output * self.scale)?)])
    }
}

fn saved() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tiny");
    Tiny::create_with(TinyParams::default(), CreateOptions::new().seed(7))
        .unwrap()
        .save(&path)
        .unwrap();
    (folder, path)
}

const FILES: [&str; 3] = ["atlas.json", "golden.safetensors", "net.safetensors"];

/// An error from the load, and from the untyped check.
#[track_caller]
fn refusal(path: &Path) -> Error {
    let untyped = Bundle::open(path).and_then(|bundle| bundle.verify());
    assert!(untyped.is_err(), "the untyped check found nothing");
    typed_refusal(path)
}

#[track_caller]
fn typed_refusal(path: &Path) -> Error {
    match Tiny::load(path) {
        Ok(_) => panic!("{} was loaded", path.display()),
        Err(error) => error,
    }
}

#[test]
fn a_file_truncated_at_any_length_is_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        let whole = fs::read(path.join(file)).unwrap();
        for length in 0..whole.len() {
            fs::write(path.join(file), &whole[..length]).unwrap();
            let error = refusal(&path);
            assert!(error.is_corrupt(), "{file} of {length} bytes: {error}");
        }
    }
}

#[test]
fn a_file_with_a_byte_more_is_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        fs::File::options()
            .append(true)
            .open(path.join(file))
            .unwrap()
            .write_all(b"\n")
            .unwrap();
        assert!(refusal(&path).is_corrupt(), "{file}");
    }
}

/// Every byte in turn has one of its bits turned, then all of them.
#[test]
fn no_byte_of_any_file_can_be_changed() {
    for file in FILES {
        let (_folder, path) = saved();
        let whole = fs::read(path.join(file)).unwrap();
        for index in 0..whole.len() {
            for value in [whole[index] ^ (1 << (index % 8)), !whole[index]] {
                let mut changed = whole.clone();
                changed[index] = value;
                fs::write(path.join(file), &changed).unwrap();
                let error = refusal(&path);
                assert!(
                    error.is_corrupt(),
                    "{file}, byte {index} = {value}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_missing_file_is_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        fs::remove_file(path.join(file)).unwrap();
        let message = refusal(&path).to_string();
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn files_that_are_links_are_refused() {
    for file in FILES {
        let (folder, path) = saved();
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(path.join(file), &elsewhere).unwrap();
        symlink(&elsewhere, path.join(file)).unwrap();
        let message = refusal(&path).to_string();
        let expected = format!(
            "{} is not as it was saved: it is not a plain file",
            path.join(file).display()
        );
        assert_eq!(message, expected);
    }
}

#[test]
fn files_that_are_folders_or_pipes_are_refused() {
    for file in FILES {
        let (_folder, path) = saved();
        fs::remove_file(path.join(file)).unwrap();
        fs::create_dir(path.join(file)).unwrap();
        assert!(
            refusal(&path)
                .to_string()
                .ends_with("it is not a plain file")
        );
        fs::remove_dir(path.join(file)).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(path.join(file))
            .status()
            .unwrap();
        assert!(made.success());
        assert!(
            refusal(&path)
                .to_string()
                .ends_with("it is not a plain file")
        );
    }
}

/// Changes the manifest as somebody would who can hash.
fn forge(path: &Path, edit: impl FnOnce(String) -> String) {
    let file = path.join("atlas.json");
    let text = edit(fs::read_to_string(&file).unwrap());
    let (_, rest) = text.split_once("  \"content\": ").unwrap();
    let (content, rest) = rest.split_once(",\n  \"digest\": \"").unwrap();
    let (digest, _) = rest.split_once('"').unwrap();
    let text = text.replace(digest, blake3::hash(content.as_bytes()).to_hex().as_str());
    let (head, _) = text.rsplit_once("  \"checksum\"").unwrap();
    let checksum = blake3::hash(head.as_bytes()).to_hex();
    fs::write(&file, format!("{head}  \"checksum\": \"{checksum}\"\n}}\n")).unwrap();
}

/// The message of the refusal after the manifest was forged, without the path.
#[track_caller]
fn forged(edit: impl FnOnce(String) -> String) -> String {
    let (_folder, path) = saved();
    forge(&path, edit);
    let message = typed_refusal(&path).to_string();
    message.replace(&path.display().to_string(), "BUNDLE")
}

fn replaced(from: &str, to: &str) -> String {
    forged(|text| {
        assert!(text.contains(from), "{from} is not in {text}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn a_forgery_that_changes_nothing_loads() {
    let (_folder, path) = saved();
    let before = fs::read(path.join("atlas.json")).unwrap();
    forge(&path, |text| text);
    assert_eq!(fs::read(path.join("atlas.json")).unwrap(), before);
    assert_eq!(Tiny::load(&path).unwrap().width, 1);
}

#[test]
fn networks_whose_files_would_lie_elsewhere_are_refused() {
    for name in [
        "../net",
        "/etc/passwd",
        "..",
        "",
        "a/b",
        "C:net",
        "net\\u0000",
        "golden",
        "ünet",
        "atlas.json",
    ] {
        let message = replaced("\"name\": \"net\"", &format!("\"name\": \"{name}\""));
        assert!(message.contains("network"), "{name}: {message}");
    }
}

#[test]
fn duplicate_keys_are_refused() {
    for (from, to) in [
        ("\"width\": 1", "\"width\": 1,\n      \"width\": 1"),
        ("\"version\": 1", "\"version\": 1,\n    \"version\": 1"),
        ("\"seed\": 7", "\"seed\": 7,\n    \"seed\": 7"),
        ("\"notes\": {}", "\"notes\": {\"a\": 1, \"a\": 1}"),
    ] {
        let message = replaced(from, to);
        assert!(
            message.contains("duplicate field")
                || message.contains("not laid out as Atlas writes it"),
            "{message}"
        );
    }
}

#[test]
fn unknown_members_are_refused() {
    let message = replaced("\"version\": 1", "\"version\": 1,\n    \"code\": \"rm\"");
    assert!(message.contains("unknown field `code`"), "{message}");
    let message = replaced(
        "{\n  \"atlas\": 1,\n",
        "{\n  \"atlas\": 1,\n  \"more\": 1,\n",
    );
    assert!(
        message.contains("it is cut off or not laid out as Atlas writes it"),
        "{message}"
    );
}

#[test]
fn another_spelling_of_the_same_values_is_refused() {
    for (from, to) in [
        ("\"width\": 1", "\"width\":1"),
        ("\"scale\": 0.5", "\"scale\": 5e-1"),
        ("\"model\": \"tiny\"", "\"model\": \"\\u0074iny\""),
        ("\"version\": 1", "\"version\": 1 "),
    ] {
        let message = replaced(from, to);
        assert!(
            message.contains("not laid out as Atlas writes it"),
            "{message}"
        );
    }
    let message = replaced("\"scale\": 0.5", "\"scale\": 1");
    assert!(
        message.contains("parameter `scale` is not written as Atlas writes it"),
        "{message}"
    );
    let message = forged(|text| {
        text.replace(
            "\"layers\": 1,\n      \"scale\": 0.5",
            "\"scale\": 0.5,\n      \"layers\": 1",
        )
    });
    assert!(
        message.contains("its parameters are not in the order of their names"),
        "{message}"
    );
}

#[test]
fn parameters_are_checked_whoever_hashed_them() {
    let message = replaced("\"width\": 1", "\"width\": 0");
    assert_eq!(
        message,
        "BUNDLE/atlas.json: parameters: `width` = 0: expected at least 1"
    );
    let message = replaced("\"scale\": 0.5", "\"scale\": \"NaN\"");
    assert_eq!(
        message,
        "BUNDLE/atlas.json: parameters: `scale` = \"NaN\": expected a finite number (f64)"
    );
    let message = replaced("\"scale\": 0.5", "\"scale\": NaN");
    assert!(message.contains("`content`: expected value"), "{message}");
}

#[test]
fn a_newer_format_is_named() {
    let message = replaced("\"atlas\": 1", "\"atlas\": 2");
    assert!(
        message.ends_with("it is of format 2; this program reads up to 1"),
        "{message}"
    );
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!(
        "\"notes\": {{\"a\": {}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let message = replaced("\"notes\": {}", &deep);
    assert!(message.contains("recursion limit exceeded"), "{message}");
}

#[test]
fn tensors_of_any_other_shape_or_dtype_are_refused() {
    for (from, to, why) in [
        ("\"shape\": [1, 1]", "\"shape\": [1, 2]", "its tensors take"),
        ("\"shape\": [1, 1]", "\"shape\": [1]", "its tensors take"),
        (
            "\"dtype\": \"F32\", \"shape\": [1, 1]",
            "\"dtype\": \"I32\", \"shape\": [1, 1]",
            "its header is not that",
        ),
        (
            "\"dtype\": \"F32\", \"shape\": [1, 1]",
            "\"dtype\": \"BOOL\", \"shape\": [1, 1]",
            "no tensor is of dtype BOOL",
        ),
        (
            "\"dtype\": \"F32\", \"shape\": [1, 1]",
            "\"dtype\": \"F3\", \"shape\": [1, 1]",
            "unknown variant `F3`",
        ),
        (
            "\"dtype\": \"F32\",\n    \"params\"",
            "\"dtype\": \"U8\",\n    \"params\"",
            "no model is of dtype U8",
        ),
        (
            "\"0.bias\"",
            "\"0.weight\"",
            "tensor `0.weight` comes after `0.weight`",
        ),
        (
            "\"0.bias\"",
            "\"__metadata__\"",
            "tensor `0.weight` comes after `__metadata__`",
        ),
        (
            "\"shape\": [1, 1]",
            "\"shape\": [-1, 1]",
            "invalid value: integer `-1`",
        ),
        (
            "\"shape\": [1, 1]",
            "\"shape\": [1.0, 1]",
            "invalid type: floating point `1.0`",
        ),
    ] {
        let message = replaced(from, to);
        assert!(message.contains(why), "{to}: {message}");
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    for shape in [
        "[4294967296, 4294967296]",
        "[9223372036854775807, 2]",
        "[18446744073709551615]",
        "[0, 18446744073709551615, 18446744073709551615]",
        "[4611686018427387904, 4, 0]",
    ] {
        let message = replaced("\"shape\": [1, 1]", &format!("\"shape\": {shape}"));
        assert!(
            message.contains("is larger than any memory"),
            "{shape}: {message}"
        );
    }
}

/// Replaces the header of the network's file by `header`, and the file's size and digest in the
/// manifest.
#[track_caller]
fn with_header(length: u64, header: &[u8]) -> String {
    let (_folder, path) = saved();
    let file = path.join("net.safetensors");
    let old = fs::read(&file).unwrap();
    let start = 8 + u64::from_le_bytes(old[..8].try_into().unwrap()) as usize;
    let new = [&length.to_le_bytes()[..], header, &old[start..]].concat();
    fs::write(&file, &new).unwrap();
    forge(&path, |text| {
        let old_digest = blake3::hash(&old).to_hex();
        assert!(text.contains(old_digest.as_str()));
        text.replace(old_digest.as_str(), blake3::hash(&new).to_hex().as_str())
    });
    typed_refusal(&path)
        .to_string()
        .replace(&path.display().to_string(), "BUNDLE")
}

#[test]
fn headers_that_are_not_the_one_are_refused() {
    let (_folder, path) = saved();
    let file = fs::read(path.join("net.safetensors")).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap());
    let header = String::from_utf8(file[8..8 + length as usize].to_vec()).unwrap();
    let why = "BUNDLE/net.safetensors is not as it was saved: its header is not that of the tensors that atlas.json lists";
    // Overlapping, unaligned, swapped, out of the file; other keys; other spellings.
    for (from, to) in [
        ("[0,4]", "[4,8]"),
        ("[4,8]", "[0,4]"),
        ("[4,8]", "[3,7]"),
        ("[4,8]", "[4,9]"),
        ("[4,8]", "[8,4]"),
        ("0.bias", "1.bias"),
        ("\"F32\"", "\"I32\""),
        ("\"shape\"", "\"share\""),
    ] {
        assert!(header.contains(from), "{from} in {header}");
        assert_eq!(
            with_header(length, header.replacen(from, to, 1).as_bytes()),
            why,
            "{to}"
        );
    }
    // 10^18 bytes, all bytes, none.
    for length in [
        1_000_000_000_000_000_000,
        u64::MAX,
        0,
        length - 1,
        length + 1,
    ] {
        assert_eq!(with_header(length, header.as_bytes()), why, "{length}");
    }
    let longer = format!("{header}        ");
    let message = with_header(longer.len() as u64, longer.as_bytes());
    assert!(message.contains("bytes, and"), "{message}");
}

#[test]
fn a_million_networks_are_refused_at_once() {
    let (_folder, path) = saved();
    let file = path.join("atlas.json");
    let text = fs::read_to_string(&file).unwrap();
    let start = text.find("      {\n        \"name\": \"net\"").unwrap();
    let end = text.find("    ],\n    \"golden\"").unwrap();
    let network = text[start..end].trim_end();
    let mut networks = String::new();
    for index in 0..1_000_000 {
        networks.push_str(&network.replacen(
            "\"name\": \"net\"",
            &format!("\"name\": \"net{index}\""),
            1,
        ));
        networks.push_str(",\n");
    }
    networks.truncate(networks.len() - 2);
    fs::write(
        &file,
        format!("{}{networks}\n{}", &text[..start], &text[end..]),
    )
    .unwrap();
    let message = typed_refusal(&path).to_string();
    assert!(
        message.ends_with("it is larger than 67108864 bytes"),
        "{message}"
    );
}

#[test]
fn a_manifest_of_more_values_than_a_model_has_is_refused_before_it_is_parsed() {
    let list = format!("\"notes\": {{\"a\": [{}0]}}", "0, ".repeat(3_000_000));
    let message = replaced("\"notes\": {}", &list);
    assert!(
        message.ends_with("it holds more than 2097152 values"),
        "{message}"
    );
}

#[test]
fn a_parameter_that_would_allocate_a_terabyte_is_refused_first() {
    let message = replaced("\"width\": 1", "\"width\": 1000000");
    assert!(
        message.contains("`net/0.weight` = F32 [1, 1]: the model asks for F32 [1000000, 1000000]"),
        "{message}"
    );
}

#[test]
fn a_parameter_that_would_build_for_ever_is_refused() {
    let message = replaced("\"layers\": 1", "\"layers\": 9007199254740993");
    assert!(message.contains("1000 problems"), "{message}");
    assert!(
        message.contains("`net/1.weight`: missing; the model asks for F32 [1, 1]"),
        "{message}"
    );
}

#[test]
fn a_bundle_without_its_behaviour_check_is_refused() {
    let (_folder, path) = saved();
    fs::remove_file(path.join("golden.safetensors")).unwrap();
    forge(&path, |text| {
        let (head, rest) = text.split_once("  \"golden\": {").unwrap();
        let (_, tail) = rest.split_once("\n  },\n").unwrap();
        let text = format!("{head}  \"golden\": null,\n{tail}");
        let (head, rest) = text.split_once("    \"golden\": \"").unwrap();
        let (_, tail) = rest.split_once('"').unwrap();
        format!("{head}    \"golden\": null{tail}")
    });
    let error = typed_refusal(&path);
    assert!(error.is_behaviour(), "{error}");
    assert!(
        error
            .to_string()
            .contains("it holds no behaviour check, and the model has one"),
        "{error}"
    );
    assert_eq!(
        Tiny::load_with(&path, LoadOptions::new().golden(false))
            .unwrap()
            .width,
        1
    );
}
