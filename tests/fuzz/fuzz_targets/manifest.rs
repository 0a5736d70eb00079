//! Any bytes as `atlas.json`: opening refuses them, or they say one thing and in one way.

#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use atlas_core::Bundle;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(atlas_fuzz::folder);

fuzz_target!(|bytes: &[u8]| {
    open(bytes);
    open(&atlas_fuzz::seal(bytes.to_vec()));
});

fn open(bytes: &[u8]) {
    fs::write(FOLDER.path().join("atlas.json"), bytes).expect("a write");
    match Bundle::open(FOLDER.path()) {
        Ok(bundle) => accepted(bytes, &bundle),
        Err(error) => assert!(error.is_corrupt(), "{error}"),
    }
}

fn accepted(bytes: &[u8], bundle: &Bundle) {
    let text = std::str::from_utf8(bytes).expect("a manifest is UTF-8");
    let content = atlas_fuzz::content(bytes).expect("a manifest has content");
    assert_eq!(bundle.digest(), blake3::hash(content).to_hex().as_str());

    // A key that is given twice, or another spelling of a value, would not come out again.
    let value: Value = serde_json::from_str(text).expect("a manifest is JSON");
    // Rust's JSON writes `1e+16`, and a manifest `1e16`.
    let again = without(&['+'], &value.to_string());
    assert_eq!(again, without(&[' ', '\n'], text));
    assert_eq!(value["content"]["model"], bundle.model());
    assert_eq!(value["content"]["version"], bundle.version());
    assert_eq!(value["content"]["params"], bundle.params());
    assert_eq!(value["golden"].is_null(), !bundle.has_golden());

    let mut files = BTreeSet::new();
    for network in bundle.networks() {
        let file = network.file_name();
        let name = file.strip_suffix(".safetensors").expect("a tensor file");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        );
        let bytes = network.tensors().map(|tensor| {
            let size = tensor.dtype.size_in_bytes();
            let dims = tensor.shape.iter().copied();
            dims.fold(size, |bytes, dim| {
                bytes.checked_mul(dim).expect("a size of memory")
            })
        });
        assert!(bytes.sum::<usize>() as u64 <= network.bytes());
        assert!(files.insert(file), "a file for each network");
    }
    let has_files = !files.is_empty() || bundle.has_golden();
    assert_eq!(
        bundle.verify().is_err(),
        has_files,
        "its files do not exist"
    );
}

/// The text without these characters where they are in no string.
fn without(characters: &[char], text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    text.chars()
        .filter(|character| {
            if escaped {
                escaped = false;
            } else if *character == '"' {
                in_string = !in_string;
            } else {
                escaped = in_string && *character == '\\';
            }
            in_string || !characters.contains(character)
        })
        .collect()
}
