//! Weights of other programs become those of a model by a mapping, or an error says why not.
//!
//! `write_fixtures.py` wrote the files and, by PyTorch, the outputs.

mod mapping;
#[cfg(feature = "torch")]
mod pytorch;
mod read;

use std::path::{Path, PathBuf};

use atlas_core::Result;
use atlas_core::weights::Weights;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/weights")
        .join(name)
}

/// A tensor of a file: name, dtype, shape, bytes.
type Stored<'a> = (&'a str, Dtype, &'a [usize], &'a [u8]);

fn write(path: &Path, tensors: &[Stored]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes).unwrap();
        (*name, view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// Tensors of bytes, of so many elements.
fn bytes<'a>(tensors: &[(&'a str, &'a [usize], &'a [u8])]) -> Vec<Stored<'a>> {
    let tensors = tensors.iter();
    tensors
        .map(|(name, shape, bytes)| (*name, Dtype::U8, *shape, *bytes))
        .collect()
}

fn weights(tensors: &[Stored]) -> Result<Weights> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("weights.safetensors");
    write(&path, tensors);
    Weights::read(path)
}

/// All that is wrong, a text each.
#[track_caller]
fn problems<T>(result: Result<T>) -> Vec<String> {
    let error = result.err().expect("an error");
    assert!(error.is_import(), "{error}");
    error.problems().iter().map(ToString::to_string).collect()
}
