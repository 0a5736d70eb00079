//! Files that PyTorch wrote become the tensors that they hold, or an error that says why not.

use std::fs;
use std::path::{Path, PathBuf};

use atlas_core::prelude::*;
use atlas_core::{Bundle, torch};
use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use tempfile::TempDir;

/// A linear layer, twice.
#[expect(dead_code, reason = "networks are built here, and not run")]
#[derive(AtlasModel)]
#[atlas(unchecked, name = "pair")]
struct Pair {
    #[param(default = 3, min = 1)]
    width: usize,
    #[param(default = 0.5)]
    rate: f64,
    #[network(with = layer)]
    encoder: [Tensor; 2],
    #[network(with = layer)]
    decoder: [Tensor; 2],
}

fn layer(params: &PairParams, vb: VarBuilder) -> candle_core::Result<[Tensor; 2]> {
    Ok([
        vb.get((params.width, 2), "weight")?,
        vb.get(params.width, "bias")?,
    ])
}

/// A tensor of each dtype, and of each way to lie in a storage.
#[expect(dead_code, reason = "networks are built here, and not run")]
#[derive(AtlasModel)]
#[atlas(unchecked, name = "every-kind")]
struct EveryKind {
    #[param(default = 1)]
    nothing: usize,
    #[network(with = every_kind)]
    net: Vec<Tensor>,
}

const DTYPES: [(&str, DType); 9] = [
    ("uint8", DType::U8),
    ("uint32", DType::U32),
    ("int16", DType::I16),
    ("int32", DType::I32),
    ("int64", DType::I64),
    ("bfloat16", DType::BF16),
    ("float16", DType::F16),
    ("float32", DType::F32),
    ("float64", DType::F64),
];

const VIEWS: [(&str, &[usize], &[f64]); 10] = [
    ("shared.first", &[8], &[0., 1., 2., 3., 4., 5., 6., 7.]),
    ("shared.second", &[8], &[4., 5., 6., 7., 8., 9., 10., 11.]),
    ("transposed", &[3, 2], &[0., 3., 1., 4., 2., 5.]),
    ("strided", &[2, 2], &[4., 6., 8., 10.]),
    ("expanded", &[3, 2], &[5., 6., 5., 6., 5., 6.]),
    ("scalar", &[], &[2.5]),
    ("empty", &[0, 3], &[]),
    ("empty.strided", &[0, 2], &[]),
    ("parameter", &[2], &[1., -1.]),
    ("tied", &[2], &[1., -1.]),
];

fn every_kind(_: &EveryKindParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    let of_dtypes = DTYPES
        .iter()
        .map(|(name, dtype)| vb.get_with_hints_dtype((2, 3), name, Default::default(), *dtype));
    let views = VIEWS.iter().map(|(name, shape, _)| vb.get(*shape, name));
    of_dtypes.chain(views).collect()
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    folder.join(format!("{name}.pt"))
}

/// A folder with these parameters and, under each name, a fixture.
fn folder(args: &str, files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("args.json"), args).unwrap();
    for (name, source) in files {
        fs::copy(fixture(source), folder.path().join(name)).unwrap();
    }
    folder
}

const ARGS: &str = r#"{"width": 3, "rate": 0.25}"#;

/// The model in a folder.
fn read<T: AtlasModel>(path: impl AsRef<Path>) -> Result<Model<T>> {
    read_as(path.as_ref(), DType::F32)
}

fn read_as<T: AtlasModel>(path: &Path, dtype: DType) -> Result<Model<T>> {
    let mut snapshot = torch::read(path, T::NAME, T::VERSION, T::NETWORKS)?;
    snapshot.dtype = dtype;
    // Whoever reads the file says so.
    Model::from_snapshot(snapshot, &LoadOptions::new().golden(false)).map_err(|error| {
        if error.is_params() {
            error.within(path.join("args.json").display())
        } else {
            error
        }
    })
}

/// The pair, its decoder from that fixture.
fn import(decoder: &str) -> Result<Model<Pair>> {
    let folder = folder(ARGS, &[("encoder.pt", "linear"), ("decoder.pt", decoder)]);
    read(folder.path())
}

#[track_caller]
fn refused<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it was imported"),
        Err(error) => error,
    }
}

/// What is said of the decoder from that fixture, one problem each.
#[track_caller]
fn problems(decoder: &str) -> Vec<String> {
    let error = refused(import(decoder));
    assert!(error.is_import(), "{error}");
    error.problems().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_problem(decoder: &str, expected: &str) {
    let problems = problems(decoder);
    assert!(
        problems.len() == 1 && problems[0].contains(expected),
        "{decoder}: {problems:?}"
    );
}

fn elements(tensor: &Tensor) -> Vec<f64> {
    let wide = tensor.to_dtype(DType::F64).unwrap();
    wide.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_linear(model: &Model<Pair>) {
    for network in model.networks() {
        let weight = network.tensor("weight").unwrap();
        assert_eq!(weight.dims(), [3, 2]);
        assert_eq!(elements(weight), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(elements(network.tensor("bias").unwrap()), [0.5, -0.5, 0.25]);
    }
}

/// The linear layer, from that fixture.
#[track_caller]
fn assert_reads(file: &str) {
    let tensors =
        torch::state_dict(fixture(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(tensors.len(), 2, "{file}");
    assert_eq!(tensors["weight"].dims(), [3, 2], "{file}");
    let weight = elements(&tensors["weight"]);
    assert_eq!(weight, [0., 1., 2., 3., 4., 5.], "{file}");
    assert_eq!(elements(&tensors["bias"]), [0.5, -0.5, 0.25], "{file}");
}

/// The names of the tensors in a fixture.
fn names(file: &str) -> Vec<String> {
    let tensors = torch::state_dict(fixture(file)).unwrap();
    tensors.into_keys().collect()
}

#[test]
fn a_folder_of_the_python_system_is_imported_and_saved() {
    let source = folder(ARGS, &[("encoder.pt", "linear"), ("decoder.pt", "dict")]);
    let model = read::<Pair>(source.path()).unwrap();
    assert_eq!((model.width, model.rate), (3, 0.25));
    assert_linear(&model);
    assert_eq!(model.provenance().seed(), None);
    let note = &model.provenance().notes()["imported"]["files"];
    for name in ["args.json", "encoder.pt", "decoder.pt"] {
        let bytes = fs::read(source.path().join(name)).unwrap();
        assert_eq!(note[name]["bytes"], bytes.len());
        let digest = blake3::hash(&bytes).to_hex();
        assert_eq!(note[name]["blake3"], digest.as_str());
    }
    let target = TempDir::new().unwrap();
    let path = target.path().join("pair");
    model.save(&path).unwrap();
    let loaded = Pair::load(&path).unwrap();
    assert_linear(&loaded);
    assert_eq!(
        Bundle::open(&path).unwrap().digest(),
        model.digest().unwrap()
    );
}

#[test]
fn the_layout_before_pytorch_1_6_holds_the_same() {
    assert_linear(&import("linear-legacy").unwrap());
}

#[test]
fn every_dtype_and_every_view_is_read() {
    for file in ["every-kind", "every-kind-legacy"] {
        let folder = folder(r#"{"nothing": 1}"#, &[("net.pt", file)]);
        let model = read::<EveryKind>(folder.path()).unwrap();
        let network = model.network("net").unwrap();
        for (name, dtype) in DTYPES {
            let tensor = network.tensor(name).unwrap();
            assert_eq!((tensor.dtype(), tensor.dims()), (dtype, &[2, 3][..]));
            let first = if name.starts_with('u') { 0 } else { -1 };
            let ramp: Vec<f64> = (first..first + 6).map(f64::from).collect();
            assert_eq!(elements(tensor), ramp, "{name}");
        }
        for (name, shape, expected) in VIEWS {
            let tensor = network.tensor(name).unwrap();
            assert_eq!(tensor.dims(), shape, "{name}");
            assert_eq!(elements(tensor), expected, "{name}");
        }
    }
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Widened {
    #[param(default = 3)]
    tensors: usize,
    #[network(with = widened)]
    net: Vec<Tensor>,
}

/// What becomes of dtypes that no bundle holds.
const WIDENED: [(&str, DType, &[usize], &[f64]); 3] = [
    ("bool", DType::U8, &[2, 3], &[1., 0., 1., 0., 0., 1.]),
    ("int8", DType::I16, &[3, 2], &[-128., 0., 127., 1., -1., 2.]),
    (
        "uint16",
        DType::U32,
        &[2, 3],
        &[65535., 0., 1., 32768., 2., 3.],
    ),
];

fn widened(params: &WidenedParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
    let tensors = WIDENED.iter().take(params.tensors);
    tensors
        .map(|(name, dtype, shape, _)| {
            vb.get_with_hints_dtype(*shape, name, Default::default(), *dtype)
        })
        .collect()
}

#[test]
fn dtypes_that_no_bundle_holds_become_others_with_the_same_values() {
    for (file, tensors) in [("widened", 3), ("widened-legacy", 2)] {
        let args = format!(r#"{{"tensors": {tensors}}}"#);
        let folder = folder(&args, &[("net.pt", file)]);
        let model = read::<Widened>(folder.path()).unwrap();
        assert_eq!(model.net.len(), tensors);
        for (tensor, (name, dtype, shape, expected)) in model.net.iter().zip(WIDENED) {
            assert_eq!((tensor.dtype(), tensor.dims()), (dtype, shape), "{name}");
            assert_eq!(elements(tensor), expected, "{name}");
        }
    }
}

#[test]
fn a_truth_value_that_is_neither_true_nor_false_is_refused() {
    let folder = folder(r#"{"tensors": 3}"#, &[("net.pt", "truth")]);
    let error = refused(read::<Widened>(folder.path()));
    let problems: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["`net/bool`: it is of dtype torch.bool, and an element is neither 0 nor 1"]
    );
}

#[test]
fn tensors_of_another_dtype_are_imported_where_it_is_named() {
    let folder = folder(ARGS, &[("encoder.pt", "f64"), ("decoder.pt", "f64")]);
    let error = refused(read::<Pair>(folder.path()));
    assert!(
        error.is_mismatch() && error.problems().len() == 4,
        "{error}"
    );
    let model = read_as::<Pair>(folder.path(), DType::F64).unwrap();
    assert_linear(&model);
    let vars = model.networks()[0].tensors();
    assert!(
        vars.into_iter()
            .all(|(_, tensor)| tensor.dtype() == DType::F64)
    );
}

#[test]
fn every_parameter_that_does_not_fit_is_listed() {
    let args = r#"{"widht": 3, "rate": "fast"}"#;
    let folder = folder(args, &[("encoder.pt", "linear"), ("decoder.pt", "linear")]);
    let error = refused(read::<Pair>(folder.path()));
    assert!(error.is_params() && error.problems().len() == 3, "{error}");
    let message = error.to_string();
    for part in [
        "args.json",
        "`rate` = \"fast\"",
        "`width`",
        "did you mean `width`?",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn parameters_that_are_given_twice_are_refused() {
    let args = r#"{"width": 3, "rate": 0.25, "width": 4}"#;
    let folder = folder(args, &[("encoder.pt", "linear"), ("decoder.pt", "linear")]);
    let error = refused(read::<Pair>(folder.path())).to_string();
    assert!(error.contains("`width` is given twice"), "{error}");
}

#[test]
fn every_file_that_is_missing_or_left_over_is_listed() {
    let folder = folder(ARGS, &[("encoder.pt", "linear"), ("critic.pt", "linear")]);
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    let error = refused(read::<Pair>(folder.path()));
    assert!(error.is_import(), "{error}");
    let paths: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.path())
        .collect();
    assert_eq!(paths, ["decoder.pt", "critic.pt", "notes.txt"]);
}

#[test]
fn a_folder_that_does_not_exist_is_an_io_error() {
    let error = refused(read::<Pair>("no/such/folder"));
    assert!(error.is_io() && error.is_not_found(), "{error}");
}

#[test]
fn a_network_that_is_a_folder_is_refused() {
    let folder = folder(ARGS, &[("encoder.pt", "linear")]);
    fs::create_dir(folder.path().join("decoder.pt")).unwrap();
    let error = refused(read::<Pair>(folder.path())).to_string();
    assert!(
        error.contains("decoder.pt: it is not a plain file"),
        "{error}"
    );
}

#[test]
fn every_tensor_that_does_not_fit_the_model_is_listed() {
    let args = r#"{"width": 4, "rate": 0.25}"#;
    let folder = folder(
        args,
        &[("encoder.pt", "linear"), ("decoder.pt", "every-kind")],
    );
    let error = refused(read::<Pair>(folder.path()));
    assert!(error.is_mismatch(), "{error}");
    // Two of another shape, two that are missing, and all of the other file.
    assert_eq!(
        error.problems().len(),
        4 + DTYPES.len() + VIEWS.len(),
        "{error}"
    );
    let message = error.to_string();
    for part in [
        "`encoder/weight` = F32 [3, 2]: the model asks for F32 [4, 2]",
        "`decoder/weight`: missing; the model asks for F32 [4, 2]",
        "`decoder/scalar` = F32 []: the model asks for no such tensor",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn problems_of_all_files_are_listed() {
    let folder = folder(
        ARGS,
        &[("encoder.pt", "code"), ("decoder.pt", "unsupported")],
    );
    let error = refused(read::<Pair>(folder.path())).to_string();
    for part in ["`encoder.pt`", "`decoder/complex32`", "`decoder/uint64`"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn code_is_refused_by_its_name() {
    assert_problem(
        "code",
        "it holds an object of `posix.system`, which is code",
    );
    let modules = [
        ("module", "torch.nn.modules.linear.Linear"),
        ("whole-module", "mymodel.Net"),
        ("whole-module-protocol-4", "mymodel.Net"),
        ("whole-module-legacy", "mymodel.Net"),
        ("module-in-checkpoint", "mymodel.Net"),
    ];
    for (file, class) in modules {
        let expected = format!("it holds a whole module (class `{class}`), which is code");
        assert_problem(file, &expected);
        assert_problem(file, "save `model.state_dict()` with `torch.save`");
    }
}

#[test]
fn dtypes_that_no_bundle_holds_are_refused_by_name() {
    let problems = problems("unsupported");
    let dtypes = [
        "complex32",
        "complex64",
        "complex128",
        "uint64",
        "float8_e4m3fn",
    ];
    assert_eq!(problems.len(), dtypes.len(), "{problems:?}");
    for (dtype, problem) in dtypes.iter().zip(problems) {
        let expected = format!("`decoder/{dtype}`: it is of dtype torch.{dtype}, which no bundle");
        assert!(problem.starts_with(&expected), "{problem}");
    }
    assert_problem("unsupported-legacy", "it is of dtype torch.complex64");
}

#[test]
fn what_is_no_dictionary_of_tensors_is_refused() {
    assert_problem(
        "no-dictionary",
        "it holds a single tensor, and no dictionary of tensors: save `model.state_dict()`",
    );
    assert_problem(
        "extra-state",
        "`decoder/_extra_state`: it is a dictionary, and no tensor that is read: leave it out",
    );
    assert_problem("other-key", "a key of its dictionary is not a text");
    assert!(problems("twice").contains(&"`decoder/weight`: it is there twice".to_owned()));
    assert_problem("negative", "a conjugate or negative bit");
}

#[test]
fn pickles_of_another_kind_are_refused() {
    assert_problem("cut-pickle", "its pickle is cut off");
    assert_problem("deep", "it holds a tuple, and no dictionary of tensors");
    assert_problem("protocol-0", "save with `pickle_protocol=2`");
}

#[test]
fn storages_that_do_not_fit_are_refused() {
    assert_problem("short-storage", "its storage `0` has 20 bytes");
    assert_problem("long-storage", "its storage `0` has 28 bytes");
    assert_problem("no-storage", "`decoder/bias`: its storage `1` is missing");
    assert_problem("unused-storage", "no tensor is in its storage `9`");
    assert_problem(
        "beyond",
        "it reaches beyond the 6 elements of its storage `0`",
    );
}

#[test]
fn a_tensor_far_larger_than_its_file_is_refused_before_it_is_allocated() {
    assert_problem("repeats", "would be far larger than the file");
}

#[test]
fn archives_that_pytorch_does_not_write_are_refused() {
    assert_problem("compressed", "is compressed");
    assert_problem("big-endian", "its byte order is `big`");
    assert_problem("newer", "it is of version `11`");
    assert_problem("unknown-member", "`readme` is no member");
    assert_problem("two-folders", "`other/data/0` is in another folder");
    assert_problem("repeated-member", "share a name or bytes");
    assert_problem("no-pickle", "it has no `data.pkl`");
}

#[test]
fn an_archive_without_checksums_holds_the_same() {
    assert_reads("no-checksums");
}

#[test]
fn a_checksum_that_does_not_fit_is_refused() {
    assert_problem("one-checksum-less", "`archive/data/0`: Invalid checksum");
}

#[test]
fn pickles_of_protocol_1_to_5_hold_the_same() {
    for protocol in 1..=5 {
        assert_reads(&format!("protocol-{protocol}"));
        assert_reads(&format!("protocol-{protocol}-legacy"));
    }
}

#[test]
fn files_of_python_2_hold_the_same() {
    assert_reads("python-2");
    assert_reads("python-2-protocol-1");
    assert_reads("python-2-checkpoint");
}

#[test]
fn parameters_hold_the_same_as_their_tensors() {
    assert_reads("parameter-with-state");
    assert_reads("tensor-with-attributes");
    assert_reads("variable");
}

#[test]
fn the_dictionary_of_tensors_in_a_checkpoint_is_read() {
    assert_reads("checkpoint");
    for key in [
        "model_state_dict",
        "model",
        "module",
        "net",
        "weights",
        "ema",
    ] {
        assert_reads(&format!("under-{key}"));
    }
}

/// The state of an optimizer, its storages, and objects of classes that nothing here knows.
#[test]
fn what_stands_beside_the_dictionary_of_tensors_is_left_aside() {
    assert_reads("training");
    assert_reads("training-protocol-4");
    assert_reads("training-legacy");
}

#[test]
fn several_dictionaries_of_tensors_are_refused_by_their_keys() {
    assert_problem(
        "two-models",
        "it holds several dictionaries of tensors, `model`, `ema`: save one of them alone",
    );
}

#[test]
fn a_dictionary_of_tensors_under_no_customary_key_is_refused() {
    assert_problem("other-dictionary", "its keys are `mine`, `epoch`: save");
}

#[test]
fn the_prefixes_of_wrappers_are_taken_away() {
    for file in [
        "parallel",
        "compiled",
        "compiled-parallel",
        "parallel-compiled",
    ] {
        assert_reads(file);
    }
    assert_eq!(names("compiled-part"), ["layers.0.weight", "layers.1.bias"]);
}

#[test]
fn a_prefix_that_not_every_name_has_stays() {
    assert_eq!(names("parallel-part"), ["bias", "module.weight"]);
}

#[test]
fn names_that_differ_by_a_prefix_alone_are_refused() {
    assert_problem(
        "compiled-twice",
        "`decoder/weight`: `_orig_mod.weight` and `weight` both have this name",
    );
}

#[test]
fn tensors_that_are_not_read_are_refused_with_what_to_save_instead() {
    for (file, what) in [
        ("sparse", "a sparse tensor"),
        ("quantised", "a quantised tensor"),
        (
            "meta",
            "a tensor of the device `meta`, which has no elements",
        ),
        ("array", "a value of NumPy"),
        ("other-device", "a tensor of a device that has no storages"),
    ] {
        assert_problem(file, &format!("`decoder/weight`: it is {what}, "));
    }
    assert_problem("sparse", "save it as `.to_dense()`");
    assert_problem("quantised", "save it as `.dequantize()`");
    assert_problem("other-device", "save it as `.cpu()`");
    assert_problem("negative", "save it as `.resolve_conj().resolve_neg()`");
}

/// The first bytes of files that have the name of a file of PyTorch.
#[test]
fn files_of_other_programs_are_refused_by_what_they_are() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let kinds: [(&[u8], &str, &str); 13] = [
        (
            &tar,
            "a tar archive",
            "torch.load(path, weights_only=False)",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "Git LFS",
            "git lfs pull",
        ),
        (b"\x1f\x8b\x08\0", "compressed by gzip", "decompress it"),
        (b"BZh91AY&SY", "compressed by bzip2", "decompress it"),
        (b"\x28\xb5\x2f\xfd\0", "compressed by zstd", "decompress it"),
        (b"\x89HDF\r\n\x1a\n\0", "a file of HDF5", "state_dict"),
        (b"\x93NUMPY\x01\0", "an array of NumPy", "state_dict"),
        (
            b"\x08\0\0\0\0\0\0\0{}      ",
            "a file of safetensors",
            "load_file",
        ),
        (b"\x08\x08\x12\x07pytorch", "a file of ONNX", "state_dict"),
        (b"<!DOCTYPE html>", "a web page", "download the file itself"),
        (b"", "empty", "download it again"),
        (
            b"\x80\x04\x95\x01\0\0\0\0\0\0\0}.",
            "a pickle that `torch.save` did not",
            "state_dict",
        ),
        (
            b"PK\x03\x04\x14\0",
            "damaged or cut off",
            "download it again",
        ),
    ];
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("net.pt");
    for (bytes, what, remedy) in kinds {
        fs::write(&path, bytes).unwrap();
        let error = refused(torch::state_dict(&path));
        assert!(error.is_import(), "{error}");
        let message = error.to_string();
        for part in ["net.pt", what, remedy] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn a_program_is_refused_with_how_to_get_its_tensors() {
    assert_problem(
        "script",
        "load it with `torch.jit.load` and save its `state_dict()`",
    );
    assert_problem("exported", "it is a program that `torch.export` saved");
}

#[test]
fn the_tensors_of_one_file_are_read_by_name() {
    assert_eq!(names("linear"), ["bias", "weight"]);
    let error = refused(torch::state_dict(fixture("no-such-file")));
    assert!(error.is_io() && error.is_not_found(), "{error}");
    let error = refused(torch::state_dict(fixture("extra-state")));
    let paths: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.path())
        .collect();
    assert_eq!(paths, ["_extra_state"]);
}

/// Reads the same, or is an error: whatever is cut off, whichever byte is another.
#[test]
fn a_damaged_archive_is_refused_or_reads_the_same() {
    let whole = fs::read(fixture("linear")).unwrap();
    let folder = folder(ARGS, &[("encoder.pt", "linear"), ("decoder.pt", "linear")]);
    let path = folder.path().join("decoder.pt");
    let import = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read::<Pair>(folder.path())
    };
    for length in 0..whole.len() {
        assert!(import(&whole[..length]).is_err(), "{length} bytes");
    }
    let mut same = 0;
    for index in 0..whole.len() {
        for value in [whole[index] ^ (1 << (index % 8)), !whole[index]] {
            let mut changed = whole.clone();
            changed[index] = value;
            if let Ok(model) = import(&changed) {
                assert_linear(&model);
                same += 1;
            }
        }
    }
    // Padding, times and the like say nothing; the rest is noticed.
    assert!(same < 2 * whole.len(), "nothing was noticed");
}

/// Without checksums, what is cut off is an error, and nothing panics.
#[test]
fn a_damaged_file_without_checksums_does_not_panic() {
    let folder = folder(ARGS, &[("encoder.pt", "linear"), ("decoder.pt", "linear")]);
    let path = folder.path().join("decoder.pt");
    let import = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read::<Pair>(folder.path())
    };
    for file in ["linear-legacy", "python-2", "no-checksums"] {
        let whole = fs::read(fixture(file)).unwrap();
        for length in 0..whole.len() {
            assert!(import(&whole[..length]).is_err(), "{length} bytes");
        }
        for index in 0..whole.len() {
            for value in [whole[index] ^ (1 << (index % 8)), !whole[index]] {
                let mut changed = whole.clone();
                changed[index] = value;
                if let Ok(model) = import(&changed) {
                    assert_eq!(model.networks()[1].elements(), 9);
                }
            }
        }
    }
}

/// A batch norm.
#[expect(dead_code, reason = "the network is built here, and not run")]
#[derive(AtlasModel)]
#[atlas(unchecked, name = "normed")]
struct Normed {
    #[network(with = batch_norm)]
    net: candle_nn::BatchNorm,
}

fn batch_norm(_: &NormedParams, vb: VarBuilder) -> candle_core::Result<candle_nn::BatchNorm> {
    candle_nn::batch_norm(3, 1e-5, vb)
}

#[test]
fn the_counter_of_a_batch_norm_is_left_out() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("args.json"), "{}").unwrap();
    fs::copy(fixture("batch-norm"), folder.path().join("net.pt")).unwrap();
    let read = torch::state_dict(folder.path().join("net.pt")).unwrap();
    assert!(read.contains_key("num_batches_tracked"));
    let snapshot = torch::read(folder.path(), "normed", 1, &["net"]).unwrap();
    let names: Vec<&String> = snapshot.networks["net"].keys().collect();
    assert_eq!(names, ["bias", "running_mean", "running_var", "weight"]);
    let model = Model::<Normed>::from_snapshot(snapshot, &LoadOptions::new()).unwrap();
    assert_eq!(model.buffers().len(), 2);
}
