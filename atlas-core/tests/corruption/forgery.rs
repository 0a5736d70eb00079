//! Damage on purpose, by somebody who can hash.

use std::fs;

use atlas_core::prelude::*;

use super::tiny::{
    Tiny, forge, forged, measured_refusal, replaced, saved, typed_refusal, untyped_refusal,
};

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
    assert!(message.contains("expected value"), "{message}");
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
    let (error, peak) = measured_refusal(&path);
    let message = error.to_string();
    assert!(
        message.ends_with("it is larger than 67108864 bytes"),
        "{message}"
    );
    assert!(peak < 1 << 20, "{peak} bytes were allocated");
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

/// The bundle is consistent: its file is of four terabytes, of which the disk holds nothing.
#[test]
fn a_tensor_of_four_terabytes_that_takes_no_disk_is_refused_before_it_is_read() {
    let (_folder, path) = saved();
    let file = path.join("net.safetensors");
    let old = fs::read(&file).unwrap();
    let length = u64::from_le_bytes(old[..8].try_into().unwrap());
    let header = std::str::from_utf8(&old[8..8 + length as usize]).unwrap();
    let rows = 1_u64 << 40;
    let end = 4 + 4 * rows;
    let mut header = header
        .trim_end()
        .replace("[1,1]", &format!("[{rows},1]"))
        .replace("[4,8]", &format!("[4,{end}]"));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    fs::write(
        &file,
        [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat(),
    )
    .unwrap();
    let bytes = 8 + header.len() as u64 + end;
    let sparse = fs::File::options().write(true).open(&file).unwrap();
    if sparse.set_len(bytes).is_err() {
        eprintln!("skipped: this file system has no such large files");
        return;
    }
    forge(&path, |text| {
        text.replacen("\"shape\": [1, 1]", &format!("\"shape\": [{rows}, 1]"), 1)
            .replacen(
                &format!("\"bytes\": {}", old.len()),
                &format!("\"bytes\": {bytes}"),
                1,
            )
    });
    let message = typed_refusal(&path).to_string();
    assert!(message.contains("memory"), "{message}");
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

#[test]
fn a_network_that_the_model_does_not_have_is_refused_before_it_is_read() {
    // There is no such file, and nobody looks for it.
    assert_eq!(
        replaced("\"name\": \"net\"", "\"name\": \"nets\""),
        "BUNDLE: it does not hold the tensors that the model asks for: it holds a network `nets`; `tiny` has net"
    );
}

/// Infinity is as far from everything as a tolerance of a share of it allows.
#[test]
fn an_infinite_golden_output_is_refused() {
    let (_folder, path) = saved();
    let file = path.join("golden.safetensors");
    let old = fs::read(&file).unwrap();
    let start = 8 + u64::from_le_bytes(old[..8].try_into().unwrap()) as usize;
    // After the one element of the input `ones` comes the one of the output.
    let mut new = old.clone();
    new[start + 4..start + 8].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(&file, &new).unwrap();
    forge(&path, |text| {
        let old_digest = blake3::hash(&old).to_hex();
        text.replace(old_digest.as_str(), blake3::hash(&new).to_hex().as_str())
    });
    let why = "golden.safetensors is not as it was saved: output `output` is not finite";
    assert!(untyped_refusal(&path).to_string().ends_with(why));
    assert!(typed_refusal(&path).to_string().ends_with(why));
}

/// Somebody who can hash names the digest of other inputs.
#[test]
fn golden_inputs_that_are_not_those_of_the_manifest_are_refused() {
    let (_folder, path) = saved();
    forge(&path, |text| {
        let (head, rest) = text.split_once("    \"golden\": \"").unwrap();
        let (_, tail) = rest.split_once('"').unwrap();
        format!("{head}    \"golden\": \"{}\"{tail}", "0".repeat(64))
    });
    let why = "its inputs are not those that atlas.json names";
    assert!(untyped_refusal(&path).to_string().ends_with(why));
    assert!(typed_refusal(&path).to_string().ends_with(why));
}
