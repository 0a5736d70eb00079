//! Weights that other programs trained: safetensors and PyTorch files, by other names.
//!
//! [`Weights::read`] reads them, a [`Mapping`] says what each tensor is called here, and
//! [`Weights::snapshot`] applies it, as strictly as a load: each rule is used, and each tensor has
//! a rule. The [guide](crate::guide::weights) shows it from end to end.

mod digested_file;
mod files;
mod mapping;
mod safetensors_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde_json::json;

use crate::error::{Error, Problem, Report, Result};
use crate::snapshot::Snapshot;
use crate::tensors::Tensors;
use digested_file::{DigestedFile, FileDigest};
use files::{Index, WeightFiles};

pub use mapping::Mapping;

/// The topic of the note that an import leaves in the provenance.
const NOTE: &str = "imported";

/// The tensors of one or more files, by the names that these give them.
#[derive(Clone, Debug)]
pub struct Weights {
    path: PathBuf,
    /// What was read, by the names of the files.
    files: BTreeMap<String, FileDigest>,
    tensors: Tensors,
}

impl Weights {
    /// Reads a `.safetensors` file; with the Cargo feature `torch`, a `.pt`, `.pth` or `.bin` file
    /// as `torch.save` writes it; or a folder. Of a folder are read, whatever else is in it,
    ///
    /// - with a `.safetensors.index.json`, as Hugging Face writes it, the shards that it names,
    /// - else all `.safetensors` files,
    /// - else the one PyTorch file.
    ///
    /// The path of an index stands for its shards. Of the dtypes that no bundle holds, `bool`
    /// becomes u8, `int8` i16 and `uint16` u32, with the same values; others are refused.
    ///
    /// # Errors
    /// If there are no weights at `path`, a file cannot be read, a tensor is in two files, or an
    /// index does not say exactly what its shards hold.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut weights = Self {
            path: path.to_owned(),
            files: BTreeMap::new(),
            tensors: Tensors::new(),
        };
        match files::find(path)? {
            WeightFiles::Index(path) => {
                let (index, digest) = Index::read(&path)?;
                weights.files.insert(files::name(&path), digest);
                let places = weights.read_safetensors(&index.shards(&path)?)?;
                let problems = index.problems(&places);
                Report::from_iter(problems).into_result(|report| Error::import(&path, report))?;
            }
            WeightFiles::Safetensors(files) => {
                weights.read_safetensors(&files)?;
            }
            WeightFiles::Torch(file) => {
                let digest = DigestedFile::open(&file)?.digest_rest()?;
                weights.files.insert(files::name(&file), digest);
                weights.tensors = read_torch(&file)?;
            }
        }
        Ok(weights)
    }

    /// Every tensor with its name, in the order of the names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        let tensors = self.tensors.iter();
        tensors.map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The snapshot of a model of that name, version and networks, with these tensors as the
    /// mapping names them and without parameters, which you add.
    ///
    /// The provenance notes the files with their digests, and the mapping. Whether tensors and
    /// parameters are exactly those of the model, [`Model::from_snapshot`](crate::Model::from_snapshot)
    /// checks. The snapshot is of dtype f32, unless you set [another](Snapshot::dtype); nothing is
    /// converted.
    ///
    /// # Errors
    /// All that is wrong at once: a rule that is malformed or takes no tensor, a tensor without a
    /// rule, two different tensors of one name, a network that the model does not have, and a
    /// tensor that is to be transposed and is no matrix.
    pub fn snapshot(
        &self,
        model: &str,
        version: u32,
        networks: &[&str],
        mapping: &Mapping,
    ) -> Result<Snapshot> {
        let mut snapshot = Snapshot::new(model, version);
        let mapped = mapping.apply(&self.tensors, networks);
        snapshot.networks = mapped.map_err(|report| Error::import(&self.path, report))?;
        let note = json!({ "files": self.files, "mapping": mapping });
        snapshot.provenance.note(NOTE, note);
        Ok(snapshot)
    }

    /// Adds the tensors of these files; the name of the file in which each is.
    fn read_safetensors(&mut self, files: &[PathBuf]) -> Result<BTreeMap<String, String>> {
        let mut places = BTreeMap::new();
        let mut problems = Vec::new();
        for path in files {
            let file = files::name(path);
            let (tensors, digest) = safetensors_file::read(path)?;
            for name in tensors.keys() {
                if let Some(other) = places.insert(name.clone(), file.clone()) {
                    let why = format!("it is in two files, {other} and {file}");
                    problems.push(Problem::new(name, why));
                }
            }
            self.tensors.extend(tensors);
            self.files.insert(file, digest);
        }
        Report::from_iter(problems).into_result(|report| Error::import(&self.path, report))?;
        Ok(places)
    }
}

#[cfg(feature = "torch")]
fn read_torch(path: &Path) -> Result<Tensors> {
    crate::torch::state_dict(path)
}

#[cfg(not(feature = "torch"))]
fn read_torch(path: &Path) -> Result<Tensors> {
    let why = "it is a PyTorch file, which the Cargo feature `torch` of atlas-core reads";
    Err(Error::import(path, why))
}
