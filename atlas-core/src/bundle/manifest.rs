//! `atlas.json`: what a bundle says it is.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::manifest_text::render;
use super::tensor_header::{Layout, TensorInfo};
use crate::error::{Error, Result};
use crate::snapshot::Provenance;
use crate::tensors::{self, CHECKPOINT, GOLDEN};

/// The name of the manifest in a bundle's folder.
pub(super) const MANIFEST: &str = "atlas.json";
/// The version of the format that this crate writes and reads.
const FORMAT: u64 = 1;
/// A manifest of more bytes is refused before it is read.
pub(super) const LARGEST: u64 = 64 << 20;
/// A manifest of more values is refused before it is parsed: each takes far more memory than its
/// text.
const MOST_VALUES: usize = 1 << 21;
/// A manifest and the digest of its content.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) content: Content,
    pub(super) digest: String,
    pub(super) attachments: Attachments,
}

/// What stands beside the content, outside its digest.
#[derive(Clone, Debug)]
pub(super) struct Attachments {
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
    pub(super) tensors: Vec<TensorInfo>,
}

/// The file that holds the tensors of a network.
pub(crate) fn file_name(network: &str) -> String {
    format!("{network}.safetensors")
}

/// Parameters as the manifest holds them: by name, at every depth.
pub(super) fn sorted(params: Map<String, Value>) -> Map<String, Value> {
    let mut params = params;
    params.sort_keys();
    params.values_mut().for_each(Value::sort_all_objects);
    params
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
pub(super) fn write(content: &Content, attachments: &Attachments) -> Result<String> {
    let unwritable = |error| Error::internal(format!("the manifest cannot be written: {error}"));
    let content = content.text()?;
    let mut head = format!(
        "{{\n  \"atlas\": {FORMAT},\n  \"content\": {content},\n  \"digest\": \"{}\",\n  \"golden\": {},\n",
        hash(content.as_bytes()),
        render(&attachments.golden).map_err(unwritable)?,
    );
    if let Some(checkpoint) = &attachments.checkpoint {
        let checkpoint = render(checkpoint).map_err(unwritable)?;
        head.push_str(&format!("  \"checkpoint\": {checkpoint},\n"));
    }
    let provenance = render(&attachments.provenance).map_err(unwritable)?;
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
    check_format(path, text)?;
    check_checksum(path, text)?;
    let members: Members = serde_json::from_str(text).map_err(|error| {
        let why = format!("it is cut off or not laid out as Atlas writes it: {error}");
        Error::corrupt(path, why)
    })?;
    let content: Content = parse(path, "content", members.content)?;
    let attachments = Attachments {
        golden: parse(path, "golden", members.golden)?,
        checkpoint: members
            .checkpoint
            .map(|checkpoint| parse(path, "checkpoint", checkpoint))
            .transpose()?,
        provenance: parse(path, "provenance", members.provenance)?,
    };
    // What is written again must be the same bytes. That leaves no room for repeated keys, other
    // orders or other spellings of a number, of which two readers could see two models.
    if write(&content, &attachments)? != text {
        return Err(Error::corrupt(
            path,
            "it is not laid out as Atlas writes it",
        ));
    }
    check(&content, &attachments).map_err(|why| Error::corrupt(path, why))?;
    Ok(Manifest {
        digest: hash(members.content.get().as_bytes()),
        content,
        attachments,
    })
}

/// The members of a manifest of this format, each as it stands there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(rename = "atlas")]
    _format: u64,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(rename = "digest")]
    _digest: &'a str,
    golden: &'a RawValue,
    checkpoint: Option<&'a RawValue>,
    provenance: &'a RawValue,
    #[serde(rename = "checksum")]
    _checksum: &'a str,
}

/// An error unless the manifest begins with the format that this program reads. Of a newer one
/// nothing else is known.
fn check_format(path: &Path, text: &str) -> Result<()> {
    let rest = text.strip_prefix("{\n  \"atlas\": ").ok_or_else(|| {
        Error::corrupt(path, "it does not begin as the manifest of a bundle does")
    })?;
    let format = rest.split(',').next().unwrap_or(rest);
    match format.parse::<u64>() {
        Ok(FORMAT) => Ok(()),
        Ok(newer) if newer > FORMAT => Err(Error::newer_format(path, newer, FORMAT)),
        _ => Err(Error::corrupt(
            path,
            format_args!("`{format}` is no format version"),
        )),
    }
}

/// An error if the manifest ends in a checksum that is not that of the text before it.
fn check_checksum(path: &Path, text: &str) -> Result<()> {
    let Some((head, checksum)) = text.rsplit_once("  \"checksum\": \"") else {
        return Err(Error::corrupt(
            path,
            "it is cut off or not laid out as Atlas writes it",
        ));
    };
    if checksum.strip_suffix("\"\n}\n") == Some(hash(head.as_bytes()).as_str()) {
        return Ok(());
    }
    Err(Error::corrupt(
        path,
        "its checksum does not match: it has been altered",
    ))
}

fn parse<'a, T: Deserialize<'a>>(path: &Path, member: &str, text: &'a RawValue) -> Result<T> {
    serde_json::from_str(text.get())
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
fn check(content: &Content, attachments: &Attachments) -> Result<(), String> {
    if !tensors::tensor_dtype(content.dtype).is_some_and(|dtype| dtype.is_float()) {
        return Err(format!("no model is of dtype {:?}", content.dtype));
    }
    if !content.params.keys().is_sorted() || !content.params.values().all(is_sorted) {
        return Err("its parameters are not in the order of their names".to_owned());
    }
    for network in &content.networks {
        tensors::name_defect(&network.name).map_or(Ok(()), Err)?;
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
    let golden = attachments.golden.as_ref();
    if golden.is_some() != content.golden.is_some() {
        return Err("the behaviour check is only half there".to_owned());
    }
    let checkpoint = attachments.checkpoint.as_ref().map(|entry| &entry.file);
    let files = [
        (golden, GOLDEN, "the behaviour check"),
        (checkpoint, CHECKPOINT, "the state of training"),
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
