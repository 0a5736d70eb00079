//! Which files of a folder hold weights, and the index of Hugging Face's shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::digested_file::{DigestedFile, FileDigest};
use crate::error::{Error, Problem, Report, Result};
use crate::json;

const INDEX: &str = ".safetensors.index.json";
const SAFETENSORS: &str = ".safetensors";
const TORCH: [&str; 3] = [".pt", ".pth", ".bin"];

/// Where weights are.
pub(super) enum WeightFiles {
    /// In the shards that this file names.
    Index(PathBuf),
    Safetensors(Vec<PathBuf>),
    Torch(PathBuf),
}

/// What an index says: the shard of each tensor.
#[derive(Deserialize)]
pub(super) struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The name of a file, for messages and notes.
pub(super) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The files to read of what is at `path`.
pub(super) fn find(path: &Path) -> Result<WeightFiles> {
    let failed = |error| Error::io("read", path, error);
    let is_folder = fs::metadata(path).map_err(failed)?.is_dir();
    let mut files = vec![path.to_owned()];
    if is_folder {
        let entries = fs::read_dir(path).map_err(failed)?;
        let entries = entries.map(|entry| entry.map(|entry| entry.path()));
        files = entries.collect::<Result<_, _>>().map_err(failed)?;
        files.sort();
    }
    let of_kind = |endings: &[&str]| -> Vec<PathBuf> {
        let files = files.iter().filter(|file| {
            let name = name(file);
            endings.iter().any(|ending| name.ends_with(ending))
        });
        files.cloned().collect()
    };
    let only = |kind: &str, files: &[PathBuf]| match files {
        [file] => Ok(file.clone()),
        files => {
            let names: Vec<String> = files.iter().map(|file| name(file)).collect();
            let why = format!("it holds {kind} {}: name one of them", names.join(", "));
            Err(Error::import(path, why.as_str()))
        }
    };
    let (indices, safetensors) = (of_kind(&[INDEX]), of_kind(&[SAFETENSORS]));
    if !indices.is_empty() {
        return only("the indices", &indices).map(WeightFiles::Index);
    }
    if !safetensors.is_empty() {
        return Ok(WeightFiles::Safetensors(safetensors));
    }
    let torch = of_kind(&TORCH);
    if !torch.is_empty() {
        return only("the PyTorch files", &torch).map(WeightFiles::Torch);
    }
    let why = if is_folder {
        "it holds no file of weights: .safetensors, .pt, .pth or .bin"
    } else {
        "its name is not that of a file of weights: .safetensors, .pt, .pth or .bin"
    };
    Err(Error::import(path, why))
}

impl Index {
    pub(super) fn read(path: &Path) -> Result<(Self, FileDigest)> {
        let mut file = DigestedFile::open(path)?;
        let mut bytes = Vec::new();
        let read = file.read_to_end(&mut bytes);
        read.map_err(|error| Error::io("read", path, error))?;
        let index =
            json::read(&bytes).map_err(|error| Error::import(path, error.to_string().as_str()))?;
        Ok((index, file.digest_rest()?))
    }

    /// The shards, each once; `path` is that of the index.
    pub(super) fn shards(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let names: BTreeSet<&String> = self.weight_map.values().collect();
        let mut problems = Vec::new();
        let mut shards = Vec::new();
        for name in names {
            let shard = path.with_file_name(name);
            if Path::new(name)
                .file_name()
                .is_none_or(|file| file != name.as_str())
            {
                problems.push(Problem::new(name, "a shard is a file beside its index"));
            } else if !shard.is_file() {
                problems.push(Problem::new(name, "missing"));
            }
            shards.push(shard);
        }
        Report::from_iter(problems).into_result(|report| Error::import(path, report))?;
        Ok(shards)
    }

    /// What the index says of tensors that are elsewhere; `places` are the files of all.
    pub(super) fn problems(&self, places: &BTreeMap<String, String>) -> Vec<Problem> {
        let misplaced = self.weight_map.iter().filter_map(|(name, shard)| {
            let why = match places.get(name) {
                Some(place) if place == shard => return None,
                Some(place) => format!("the index has it in {shard}, and it is in {place}"),
                None => format!("the index has it in {shard}, and it is in no shard"),
            };
            Some(Problem::new(name, why))
        });
        let unnamed = places
            .iter()
            .filter(|(name, _)| !self.weight_map.contains_key(*name));
        let unnamed = unnamed.map(|(name, place)| {
            Problem::new(
                name,
                format!("it is in {place}, and the index does not name it"),
            )
        });
        misplaced.chain(unnamed).collect()
    }
}
