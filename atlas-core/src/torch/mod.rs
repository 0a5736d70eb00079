//! What Python programs save with PyTorch: the tensors of a file ([`state_dict`]), and models of
//! `args.json` and a `NAME.pt` for each network ([`read`]).

mod archive;
mod calls;
mod dtype;
mod layout;
mod legacy;
mod pickle;
mod scalars;
mod state_dict;
mod storages;
mod tensor_ref;
mod torch_file;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;

use candle_core::Tensor;
use serde_json::{Map, Value, json};

use crate::error::{Error, Problem, Report, Result};
use crate::json;
use crate::snapshot::Snapshot;
use crate::tensors::{self, Tensors};

/// The file of the parameters.
const ARGS: &str = "args.json";
/// A larger one is refused before it is read.
const LARGEST_ARGS: u64 = 64 << 20;
/// The topic of the note that an import leaves in the provenance.
const NOTE: &str = "imported";
/// What to do about most files that are refused.
const SAVE: &str = "save `model.state_dict()` with `torch.save`";

/// The snapshot of a model that a Python program left in the folder at `path`: `args.json` with
/// every parameter, and for each of these networks a `NAME.pt`, the `state_dict` of its module as
/// `torch.save` writes it.
///
/// The folder holds these files and no others. Each `NAME.pt` is read by [`state_dict`]; the counters
/// of batch norms (`num_batches_tracked` beside a `running_mean`) are left out. Whether parameters
/// and tensors are exactly those of the model,
/// [`Model::from_snapshot`](crate::Model::from_snapshot) checks. The snapshot is of dtype f32,
/// unless you set [another](Snapshot::dtype); nothing is converted. The provenance notes the digest
/// of each file.
///
/// ```no_run
/// # use atlas_core::prelude::*;
/// # use atlas_core::candle_nn::{Linear, VarBuilder};
/// # #[derive(AtlasModel)]
/// # struct Mlp {
/// #     #[param(min = 1)]
/// #     width: usize,
/// #     #[network(with = build, golden = [2, width])]
/// #     net: Linear,
/// # }
/// # fn build(params: &MlpParams, vb: VarBuilder) -> candle_core::Result<Linear> {
/// #     atlas_core::candle_nn::linear(params.width, 1, vb)
/// # }
/// use atlas_core::torch;
///
/// let snapshot = torch::read("old/mlp", Mlp::NAME, Mlp::VERSION, Mlp::NETWORKS)?;
/// let options = LoadOptions::new().golden(false);
/// Model::<Mlp>::from_snapshot(snapshot, &options)?.save("runs/mlp")?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If a file is missing, left over, or cannot be read; the message lists all that is wrong.
pub fn read(
    path: impl AsRef<Path>,
    model: &str,
    version: u32,
    networks: &[&str],
) -> Result<Snapshot> {
    let path = path.as_ref();
    check_names(path, networks)?;
    let mut sources = Map::new();
    let mut snapshot = Snapshot::new(model, version);
    snapshot.params = read_params(path, &mut sources)?;
    snapshot.networks = read_networks(path, networks, &mut sources)?;
    snapshot.provenance.note(NOTE, json!({ "files": sources }));
    Ok(snapshot)
}

/// The tensors of the file at `path` by name, as `torch.save(model.state_dict(), path)` wrote it.
///
/// The file is an archive, or has the layout of PyTorch before 1.6, and its pickle is of protocol 1
/// to 5, also as Python 2 writes it. It is read as data, and none of its code is run.
///
/// The tensors are one dictionary. A checkpoint may hold it beside other things, under one customary
/// key such as `state_dict`, `model_state_dict`, `model`, `net` or `ema`; the rest is then left
/// aside, and code in it not run.
///
/// The tensors have the names of the module that was saved. The prefix `module.` of `DataParallel`
/// is taken away where every name has it, and the part `_orig_mod` of `torch.compile` wherever it
/// stands.
///
/// Tensors have the shape that they had, [] for a single number, and lie in memory without gaps. Of
/// PyTorch's dtypes that no bundle holds, `bool` becomes u8, `int8` i16 and `uint16` u32, with the
/// same values; complex numbers, `uint64`, the floats of eight bits and quantised integers are
/// refused.
///
/// An archive with checksums is checked against them. One that was saved without (`torch.save` under
/// `set_crc32_options(False)`) has 0 in place of all of them, and damage to its elements goes
/// unnoticed.
///
/// ```no_run
/// use atlas_core::torch;
///
/// for (name, tensor) in torch::state_dict("old/encoder.pt")? {
///     println!("{name}: {:?} {:?}", tensor.dtype(), tensor.shape());
/// }
/// # Ok::<(), atlas_core::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be read, or holds anything else; the message says what it holds and how to
/// save it instead, and lists every tensor that is refused.
pub fn state_dict(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    torch_file::read(open(path)?).map_err(|report| Error::import(path, report))
}

/// The file of a network.
fn file_name(network: &str) -> String {
    format!("{network}.pt")
}

/// An error unless the folder holds the files of these networks, the parameters, and no more.
fn check_names(path: &Path, networks: &[&str]) -> Result<()> {
    let failed = |error| Error::io("read the folder", path, error);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        found.insert(name.to_string_lossy().into_owned());
    }
    let expected: BTreeSet<String> = networks
        .iter()
        .map(|network| file_name(network))
        .chain([ARGS.to_owned()])
        .collect();
    let missing = expected.difference(&found);
    let unknown = found.difference(&expected);
    let names: Vec<&str> = expected.iter().map(String::as_str).collect();
    let surplus = format!("the model has {}", names.join(", "));
    let problems = missing
        .map(|name| Problem::new(name, "missing"))
        .chain(unknown.map(|name| Problem::new(name, &surplus)));
    Report::from_iter(problems).into_result(|report| Error::import(path, report))
}

fn read_params(path: &Path, sources: &mut Map<String, Value>) -> Result<Map<String, Value>> {
    let path = path.join(ARGS);
    let mut file = open(&path)?;
    let mut bytes = Vec::new();
    let read = (&mut file).take(LARGEST_ARGS + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("read", &path, error))?;
    if bytes.len() as u64 > LARGEST_ARGS {
        let why = format!("it is larger than {} bytes", LARGEST_ARGS);
        return Err(Error::import(&path, why.as_str()));
    }
    sources.insert(ARGS.to_owned(), source(&path, &mut file)?);
    let value =
        json::read(&bytes).map_err(|error| Error::import(&path, error.to_string().as_str()))?;
    match value {
        Value::Object(params) => Ok(params),
        _ => Err(Error::import(&path, "it is not a JSON object")),
    }
}

/// The tensors of every network; where files cannot be read, all that is wrong with any.
fn read_networks(
    path: &Path,
    networks: &[&str],
    sources: &mut Map<String, Value>,
) -> Result<BTreeMap<String, Tensors>> {
    let mut networks_read = BTreeMap::new();
    let mut problems = Vec::new();
    for network in networks {
        let name = file_name(network);
        let path = path.join(&name);
        let mut file = open(&path)?;
        sources.insert(name.clone(), source(&path, &mut file)?);
        match torch_file::read(file) {
            Ok(mut read) => {
                let all = read.clone();
                read.retain(|name, _| !tensors::is_batch_counter(name, &all));
                networks_read.insert((*network).to_owned(), read);
            }
            Err(report) => problems.extend(report.problems().iter().map(|problem| {
                let place = match problem.path() {
                    "" => name.clone(),
                    tensor => format!("{network}/{tensor}"),
                };
                Problem::new(place, problem.expected())
            })),
        }
    }
    Report::from_iter(problems).into_result(|report| Error::import(path, report))?;
    Ok(networks_read)
}

/// Why a file of another byte order is refused.
fn byte_order_refused(order: &str) -> String {
    format!(
        "its byte order is `{order}`, and only little-endian is read: load it with `torch.load` on \
         a little-endian machine and save it again"
    )
}

/// Opens a file, which is no pipe that never ends.
fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io("open", path, error);
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::import(path, "it is not a plain file"));
    }
    File::open(path).map_err(failed)
}

/// What the provenance says of a file that is read from its beginning.
fn source(path: &Path, file: &mut File) -> Result<Value> {
    let mut hasher = blake3::Hasher::new();
    let digested = file
        .rewind()
        .and_then(|()| io::copy(file, &mut hasher))
        .and_then(|bytes| file.rewind().map(|()| bytes));
    let bytes = digested.map_err(|error| Error::io("read", path, error))?;
    Ok(json!({ "bytes": bytes, "blake3": hasher.finalize().to_hex().as_str() }))
}
