//! `atlas.json`: what a bundle says it is.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::format::render;
use super::layout::{Layout, TensorEntry};
use crate::error::{Error, Result};
use crate::provenance::Provenance;
use crate::storage;

/// The name of the manifest in a bundle's folder.
pub(super) const MANIFEST: &str = "atlas.json";
/// The name of the tensor file of the behaviour check.
pub(super) const GOLDEN_NAME: &str = "golden";
/// The name of the tensor file of the state of training.
pub(super) const CHECKPOINT_NAME: &str = "checkpoint";
/// The version of the format that this crate writes and reads.
const FORMAT: u64 = 1;
/// A manifest of more bytes is refused before it is read.
pub(super) const LARGEST: u64 = 64 << 20;
/// A manifest of more values is refused before it is parsed: each takes far more memory than its
/// text.
const MOST_VALUES: usize = 1 << 21;
/// The longest name of a network.
const LONGEST_NAME: usize = 128;

/// A manifest and the digest of its content.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) content: Content,
    pub(super) digest: String,
    pub(super) evidence: Evidence,
}

/// What stands beside the content, outside its digest.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) golden: Option<TensorFile>,
    pub(super) checkpoint: Option<CheckpointEntry>,
    pub(super) provenance: Provenance,
}

/// The state of training that a bundle carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointEntry {
    pub(super) values: Map<String, Value>,
    pub(super) file: TensorFile,
}

/// What the content digest covers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) model: String,
    pub(super) version: u32,
    pub(super) dtype: safetensors::Dtype,
    /// By name, at every depth.
    pub(super) params: Map<String, Value>,
    /// By name.
    pub(super) networks: Vec<TensorFile>,
    /// The digest of the golden inputs, for a model that has a behaviour check.
    pub(super) golden: Option<String>,
}

/// One tensor file in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TensorFile {
    /// The network's name; `golden` for the file of the behaviour check, `checkpoint` for that of
    /// the state of training.
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) blake3: String,
    /// By name.
    pub(super) tensors: Vec<TensorEntry>,
}

/// The file that holds the tensors of a network.
pub(crate) fn file_name(network: &str) -> String {
    format!("{network}.safetensors")
}

/// Why there can be no network of that name: files are named after networks.
pub(crate) fn name_defect(network: &str) -> Option<String> {
    let is_word = network
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_');
    if network.is_empty() || network.len() > LONGEST_NAME || !is_word {
        return Some(format!(
            "`{network}` is no name of a network: 1 to {LONGEST_NAME} of a-z, A-Z, 0-9 and _"
        ));
    }
    let kept_for = match network {
        GOLDEN_NAME => "the behaviour check",
        CHECKPOINT_NAME => "the state of training",
        _ => return None,
    };
    let file = file_name(network);
    Some(format!(
        "no network can be called `{network}`: {file} is {kept_for}"
    ))
}

/// Parameters as the manifest holds them: by name, at every depth.
pub(super) fn stored_params(mut params: Value) -> Result<Map<String, Value>> {
    params.sort_all_objects();
    match params {
        Value::Object(params) => Ok(params),
        _ => Err(Error::internal("parameters are not an object")),
    }
}

impl Content {
    /// The text of the content as it stands in the manifest.
    fn text(&self) -> Result<String> {
        render(self)
            .map_err(|error| Error::internal(format!("the manifest cannot be written: {error}")))
    }

    /// The content digest.
    pub(super) fn digest(&self) -> Result<String> {
        Ok(hash(self.text()?.as_bytes()))
    }
}

/// The text of a manifest.
pub(super) fn write(content: &Content, evidence: &Evidence) -> Result<String> {
    let unwritable = |error| Error::internal(format!("the manifest cannot be written: {error}"));
    let content = content.text()?;
    let mut head = format!(
        "{{\n  \"atlas\": {FORMAT},\n  \"content\": {content},\n  \"digest\": \"{}\",\n  \"golden\": {},\n",
        hash(content.as_bytes()),
        render(&evidence.golden).map_err(unwritable)?,
    );
    if let Some(checkpoint) = &evidence.checkpoint {
        let checkpoint = render(checkpoint).map_err(unwritable)?;
        head.push_str(&format!("  \"checkpoint\": {checkpoint},\n"));
    }
    let provenance = render(&evidence.provenance).map_err(unwritable)?;
    head.push_str(&format!("  \"provenance\": {provenance},\n"));
    let checksum = hash(head.as_bytes());
    Ok(format!("{head}  \"checksum\": \"{checksum}\"\n}}\n"))
}

/// Reads a manifest: every byte is accounted for.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Manifest> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::corrupt(path, error))?;
    if count_values(bytes) > MOST_VALUES {
        return Err(Error::corrupt(
            path,
            format_args!("it holds more than {MOST_VALUES} values"),
        ));
    }
    let regions = Regions::of(path, text)?;
    let content: Content = parse(path, "content", regions.content)?;
    let evidence = Evidence {
        golden: parse(path, "golden", regions.golden)?,
        checkpoint: match regions.checkpoint {
            Some(checkpoint) => Some(parse(path, "checkpoint", checkpoint)?),
            None => None,
        },
        provenance: parse(path, "provenance", regions.provenance)?,
    };
    // What is written again must be the same bytes. That leaves no room for repeated keys, other
    // orders or other spellings of a number, of which two readers could see two models.
    if write(&content, &evidence)? != text {
        return Err(Error::corrupt(
            path,
            "it is not laid out as Atlas writes it",
        ));
    }
    check(&content, &evidence).map_err(|why| Error::corrupt(path, why))?;
    Ok(Manifest {
        digest: hash(regions.content.as_bytes()),
        content,
        evidence,
    })
}

/// The texts of the manifest's members.
struct Regions<'a> {
    content: &'a str,
    golden: &'a str,
    checkpoint: Option<&'a str>,
    provenance: &'a str,
}

impl<'a> Regions<'a> {
    fn of(path: &Path, text: &'a str) -> Result<Self> {
        let rest = text.strip_prefix("{\n  \"atlas\": ").ok_or_else(|| {
            Error::corrupt(path, "it does not begin as the manifest of a bundle does")
        })?;
        let (format, rest) = rest.split_once(',').unwrap_or((rest, ""));
        match format.parse::<u64>() {
            Ok(FORMAT) => {}
            Ok(newer) if newer > FORMAT => {
                let why = format!("it is of format {newer}; this program reads up to {FORMAT}");
                return Err(Error::corrupt(path, why));
            }
            _ => {
                return Err(Error::corrupt(
                    path,
                    format!("`{format}` is no format version"),
                ));
            }
        }
        Self::split(rest)
            .ok_or_else(|| Error::corrupt(path, "it is cut off or not laid out as Atlas writes it"))
            .and_then(|(regions, checksum)| {
                let head = text.len() - "  \"checksum\": \"\"\n}\n".len() - checksum.len();
                if hash(&text.as_bytes()[..head]) != checksum {
                    return Err(Error::corrupt(
                        path,
                        "its checksum does not match: it has been altered",
                    ));
                }
                Ok(regions)
            })
    }

    fn split(rest: &'a str) -> Option<(Self, &'a str)> {
        let rest = rest.strip_prefix("\n  \"content\": ")?;
        let (content, rest) = rest.split_once(",\n  \"digest\": ")?;
        let (_, rest) = rest.split_once(",\n  \"golden\": ")?;
        let (between, rest) = rest.split_once(",\n  \"provenance\": ")?;
        let (golden, checkpoint) = match between.split_once(",\n  \"checkpoint\": ") {
            Some((golden, checkpoint)) => (golden, Some(checkpoint)),
            None => (between, None),
        };
        let (provenance, rest) = rest.split_once(",\n  \"checksum\": \"")?;
        let checksum = rest.strip_suffix("\"\n}\n")?;
        Some((
            Self {
                content,
                golden,
                checkpoint,
                provenance,
            },
            checksum,
        ))
    }
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, member: &str, text: &'a str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::corrupt(path, format_args!("`{member}`: {error}")))
}

/// An upper bound of the values that the text has, keys included.
fn count_values(text: &[u8]) -> usize {
    1 + text
        .iter()
        .filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{'))
        .count()
}

/// Whether the members of all objects in a value are in the order of their names.
fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.keys().is_sorted() && members.values().all(is_sorted),
        Value::Array(elements) => elements.iter().all(is_sorted),
        _ => true,
    }
}

/// What must hold of a manifest beyond its layout; an error says what does not.
fn check(content: &Content, evidence: &Evidence) -> Result<(), String> {
    if !storage::tensor_dtype(content.dtype).is_some_and(|dtype| dtype.is_float()) {
        return Err(format!("no model is of dtype {:?}", content.dtype));
    }
    if !content.params.keys().is_sorted() || !content.params.values().all(is_sorted) {
        return Err("its parameters are not in the order of their names".to_owned());
    }
    for network in &content.networks {
        name_defect(&network.name).map_or(Ok(()), Err)?;
        check_file(network)?;
    }
    if let Some(pair) = content
        .networks
        .windows(2)
        .find(|pair| pair[0].name >= pair[1].name)
    {
        return Err(format!(
            "network `{}` comes after `{}`",
            pair[1].name, pair[0].name
        ));
    }
    let golden = evidence.golden.as_ref();
    if golden.is_some() != content.golden.is_some() {
        return Err("the behaviour check is only half there".to_owned());
    }
    let checkpoint = evidence.checkpoint.as_ref().map(|entry| &entry.file);
    let files = [
        (golden, GOLDEN_NAME, "the behaviour check"),
        (checkpoint, CHECKPOINT_NAME, "the state of training"),
    ];
    for (file, name, what) in files {
        match file {
            Some(file) if file.name != name => {
                return Err(format!("{what} cannot be called `{}`", file.name));
            }
            Some(file) => check_file(file)?,
            None => {}
        }
    }
    Ok(())
}

fn check_file(file: &TensorFile) -> Result<(), String> {
    let within = |why: String| format!("{}: {why}", file_name(&file.name));
    let bytes = Layout::of(&file.tensors).map_err(within)?.bytes;
    if bytes == file.bytes {
        return Ok(());
    }
    Err(within(format!(
        "its tensors take {bytes} bytes, and it is said to have {}",
        file.bytes
    )))
}

/// BLAKE3 in 64 hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
