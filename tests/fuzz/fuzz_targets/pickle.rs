//! Any bytes as `NAME.pt`, and as the pickle in a well-formed archive: refused with a reason, or
//! tensors whose elements are all in the file.

#![no_main]

use std::fs;
use std::io::{Cursor, Write};
use std::sync::LazyLock;

use atlas_core::prelude::*;
use atlas_core::torch;
use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The tensors of a linear layer.
#[expect(dead_code, reason = "the network is built, and not run")]
#[derive(AtlasModel)]
#[atlas(unchecked, name = "imported")]
struct Imported {
    #[param(default = 3, min = 1)]
    width: usize,
    #[network(with = build)]
    net: [Tensor; 2],
}

fn build(params: &ImportedParams, vb: VarBuilder) -> candle_core::Result<[Tensor; 2]> {
    Ok([
        vb.get((params.width, 2), "weight")?,
        vb.get(params.width, "bias")?,
    ])
}

/// The bytes of the storages that are put beside a pickle: the tests' own, as their pickles say.
const STORAGES: [(&str, usize); 4] = [("0", 24), ("1", 12), ("2", 12), ("3", 24)];

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = atlas_fuzz::folder();
    fs::write(folder.path().join("args.json"), r#"{"width": 3}"#).expect("a write");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    import(bytes);
    for count in [2, 4] {
        import(&archive(bytes, &STORAGES[..count]));
    }
});

fn import(bytes: &[u8]) {
    fs::write(FOLDER.path().join("net.pt"), bytes).expect("a write");
    let snapshot = torch::read(
        FOLDER.path(),
        Imported::NAME,
        Imported::VERSION,
        Imported::NETWORKS,
    );
    let options = LoadOptions::new().golden(false);
    let model = snapshot.and_then(|snapshot| Model::<Imported>::from_snapshot(snapshot, &options));
    let model = match model {
        Ok(model) => model,
        Err(error) => {
            assert!(error.is_import() || error.is_mismatch(), "{error}");
            assert!(!error.problems().is_empty(), "{error}");
            return;
        }
    };
    let network = model.network("net").expect("the network");
    assert_eq!(network.tensors().len(), 2);
    for (name, shape) in [("weight", &[3, 2][..]), ("bias", &[3])] {
        let tensor = network.tensor(name).expect("a tensor");
        assert_eq!((tensor.dims(), tensor.dtype()), (shape, DType::F32));
        // Nothing is made up: zeros apart, every element is somewhere in the file.
        let elements = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
        for element in elements.expect("elements") {
            let element = element.to_le_bytes();
            assert!(
                bytes.windows(4).any(|window| window == element),
                "{element:?}"
            );
        }
    }
    assert_eq!(model.digest().expect("a digest").len(), 64);
}

/// As `torch.save` would have written it.
fn archive(pickle: &[u8], storages: &[(&str, usize)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), stored)
            .expect("a member");
        zip.write_all(bytes).expect("a write");
    };
    add("data.pkl", pickle);
    add("byteorder", b"little");
    add("version", b"3\n");
    for (key, size) in storages {
        let bytes: Vec<u8> = (1..=*size as u8).collect();
        add(&format!("data/{key}"), &bytes);
    }
    zip.finish().expect("an archive").into_inner()
}
