//! Which files are read, and which are refused.

use std::fs;

use atlas_core::weights::Weights;
use candle_core::DType;
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{bytes, fixture, problems, weights, write};

#[test]
fn dtypes_that_no_bundle_holds_become_others_with_the_same_values() {
    let weights = weights(&[
        ("bool", Dtype::BOOL, &[2], &[0, 1]),
        ("i8", Dtype::I8, &[2], &[0x80, 0x7F]),
        ("u16", Dtype::U16, &[2], &[0xFF, 0xFF, 1, 0]),
    ]);
    let weights = weights.unwrap();
    let read: Vec<(&str, DType, Vec<f32>)> = weights
        .tensors()
        .map(|(name, tensor)| {
            let wide = tensor.to_dtype(DType::F32).unwrap();
            (name, tensor.dtype(), wide.to_vec1().unwrap())
        })
        .collect();
    let expected = [
        ("bool", DType::U8, vec![0.0, 1.0]),
        ("i8", DType::I16, vec![-128.0, 127.0]),
        ("u16", DType::U32, vec![65535.0, 1.0]),
    ];
    assert_eq!(read, expected);
}

#[test]
fn other_dtypes_are_refused_each_by_name() {
    let read = weights(&[
        ("a", Dtype::F8_E4M3, &[2], &[0, 1]),
        ("b", Dtype::U64, &[1], &[0; 8]),
        ("c", Dtype::U8, &[1], &[0]),
    ]);
    let expected = [
        "`b`: it is of dtype U64, which no bundle can hold",
        "`a`: it is of dtype F8_E4M3, which no bundle can hold",
    ];
    assert_eq!(problems(read), expected);
    let read = weights(&[("a", Dtype::BOOL, &[2], &[0, 2])]);
    let expected = ["`a`: it is of dtype BOOL, and an element is neither 0 nor 1"];
    assert_eq!(problems(read), expected);
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.safetensors");
    let whole = fs::read(fixture("cnn.safetensors")).unwrap();
    for length in [0, 7, 8, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Weights::read(&path).unwrap_err();
        assert!(error.is_import(), "{length}: {error}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    let problems = problems(Weights::read(&path));
    assert!(problems[0].starts_with("its tensors take "), "{problems:?}");
}

#[test]
fn no_altered_header_makes_a_panic() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("altered.safetensors");
    let whole = fs::read(fixture("cnn.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for at in 0..header {
        for change in [1, 0x10] {
            let mut altered = whole.clone();
            altered[at] ^= change;
            fs::write(&path, altered).unwrap();
            // A change of a name or a dtype may give another file that is whole.
            if let Err(error) = Weights::read(&path) {
                assert!(error.is_import(), "{at}: {error}");
            }
        }
    }
}

#[test]
fn a_header_that_says_less_than_its_tensors_need_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.safetensors");
    for (header, expected) in [
        (
            r#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}"#,
            "its header is malformed",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
            "its header is malformed",
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[2]}}"#,
            "its header is malformed",
        ),
        ("[]", "its header is malformed"),
    ] {
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&length[..], header.as_bytes(), &[0, 0]].concat()).unwrap();
        let problems = problems(Weights::read(&path));
        assert!(problems[0].starts_with(expected), "{header}: {problems:?}");
    }
}

#[test]
fn a_tensor_that_is_there_twice_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("twice.safetensors");
    let entry = |dtype| format!(r#""w":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,4]}}"#);
    let header = format!("{{{},{}}}", entry("F32"), entry("I32"));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes().chain([0; 4]));
    fs::write(&path, file).unwrap();
    let error = Weights::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("its header is malformed: `w` is given twice"),
        "{error}"
    );

    fs::remove_file(&path).unwrap();
    let index = r#"{"weight_map":{"w":"a.safetensors","w":"b.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let error = Weights::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`w` is given twice"), "{error}");
}

/// A folder with the files of these names, each with tensors of one byte.
fn folder(files: &[(&str, &[&str])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (file, names) in files {
        let tensors: Vec<_> = names
            .iter()
            .map(|name| (*name, &[1][..], &[0][..]))
            .collect();
        write(&folder.path().join(file), &bytes(&tensors));
    }
    folder
}

fn names(weights: &Weights) -> Vec<&str> {
    weights.tensors().map(|(name, _)| name).collect()
}

#[test]
fn a_folder_without_index_has_the_tensors_of_all_its_safetensors_files() {
    let folder = folder(&[("1.safetensors", &["a"]), ("2.safetensors", &["b"])]);
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    fs::write(folder.path().join("training_args.bin"), "").unwrap();
    assert_eq!(names(&Weights::read(folder.path()).unwrap()), ["a", "b"]);

    write(
        &folder.path().join("3.safetensors"),
        &bytes(&[("a", &[1], &[0])]),
    );
    let expected = ["`a`: it is in two files, 1.safetensors and 3.safetensors"];
    assert_eq!(problems(Weights::read(folder.path())), expected);
}

/// A folder of two shards with this index.
fn sharded(weight_map: Value) -> TempDir {
    let shards = [
        ("1.safetensors", &["a", "b"][..]),
        ("2.safetensors", &["c"]),
    ];
    let folder = folder(&shards);
    let index = json!({ "metadata": {}, "weight_map": weight_map });
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(path, index.to_string()).unwrap();
    folder
}

#[test]
fn the_shards_of_an_index_are_read_and_no_other_file() {
    let index = json!({ "a": "1.safetensors", "b": "1.safetensors" });
    let folder = sharded(index);
    assert_eq!(names(&Weights::read(folder.path()).unwrap()), ["a", "b"]);
    let path = folder.path().join("model.safetensors.index.json");
    assert_eq!(names(&Weights::read(path).unwrap()), ["a", "b"]);
}

#[test]
fn an_index_that_does_not_say_what_its_shards_hold_is_refused() {
    let index = json!({ "a": "2.safetensors", "c": "2.safetensors", "d": "1.safetensors" });
    let expected = [
        "`a`: the index has it in 2.safetensors, and it is in 1.safetensors",
        "`d`: the index has it in 1.safetensors, and it is in no shard",
        "`b`: it is in 1.safetensors, and the index does not name it",
    ];
    assert_eq!(problems(Weights::read(sharded(index).path())), expected);
}

#[test]
fn shards_that_are_missing_or_elsewhere_are_refused() {
    let index = json!({ "a": "1.safetensors", "b": "../1.safetensors", "c": "3.safetensors" });
    let expected = [
        "`../1.safetensors`: a shard is a file beside its index",
        "`3.safetensors`: missing",
    ];
    assert_eq!(problems(Weights::read(sharded(index).path())), expected);
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = sharded(json!({ "a": "1.safetensors", "c": "2.safetensors" }));
    write(
        &folder.path().join("2.safetensors"),
        &bytes(&[("a", &[1], &[0])]),
    );
    let expected = ["`a`: it is in two files, 1.safetensors and 2.safetensors"];
    assert_eq!(problems(Weights::read(folder.path())), expected);
}

#[test]
fn an_index_without_a_weight_map_is_refused() {
    let folder = folder(&[("1.safetensors", &["a"])]);
    let path = folder.path().join("model.safetensors.index.json");
    fs::write(&path, "{}").unwrap();
    let problems = problems(Weights::read(path));
    assert!(
        problems[0].starts_with("missing field `weight_map`"),
        "{problems:?}"
    );
}

#[test]
fn several_pytorch_files_or_indices_are_refused_with_their_names() {
    let folder = TempDir::new().unwrap();
    for name in ["b.pt", "a.bin"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let expected = ["it holds the PyTorch files a.bin, b.pt: name one of them"];
    assert_eq!(problems(Weights::read(folder.path())), expected);
    for name in ["a.safetensors.index.json", "b.safetensors.index.json"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let names = "a.safetensors.index.json, b.safetensors.index.json";
    let expected = [format!("it holds the indices {names}: name one of them")];
    assert_eq!(problems(Weights::read(folder.path())), expected);
}

#[cfg(feature = "torch")]
#[test]
fn the_one_pytorch_file_of_a_folder_is_read() {
    let folder = TempDir::new().unwrap();
    fs::copy(
        fixture("tagger.pt"),
        folder.path().join("pytorch_model.bin"),
    )
    .unwrap();
    assert_eq!(Weights::read(folder.path()).unwrap().tensors().len(), 11);
}

#[cfg(not(feature = "torch"))]
#[test]
fn a_pytorch_file_needs_the_feature_torch() {
    let expected = ["it is a PyTorch file, which the Cargo feature `torch` of atlas-core reads"];
    assert_eq!(problems(Weights::read(fixture("tagger.pt"))), expected);
}

#[test]
fn what_is_no_file_of_weights_is_refused() {
    let folder = TempDir::new().unwrap();
    let problem = problems(Weights::read(folder.path())).remove(0);
    assert_eq!(
        problem,
        "it holds no file of weights: .safetensors, .pt, .pth or .bin"
    );
    let path = folder.path().join("weights.onnx");
    fs::write(&path, "").unwrap();
    let problem = problems(Weights::read(path)).remove(0);
    assert!(problem.starts_with("its name is not that of"), "{problem}");
    let error = Weights::read(folder.path().join("nothing")).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
