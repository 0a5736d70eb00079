//! The ZIP archives of `torch.save`. One with a member that is unknown, compressed or overlaps
//! another is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};

use zip::{CompressionMethod, ZipArchive};

use super::pickle;
use super::storages::Storages;

/// Members that say nothing about tensors.
const LABELS: [&str; 3] = [
    ".format_version",
    ".storage_alignment",
    ".data/serialization_id",
];
/// The longest of the members that are a word.
const LONGEST_WORD: u64 = 64;
/// The newest version of archives that PyTorch reads.
const NEWEST: u32 = 10;

/// An archive of a pickle and its storages.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// The place in the archive and the size of each storage, by its key.
    storages: BTreeMap<String, (usize, u64)>,
}

impl Archive {
    /// Opens an archive in a file of `size` bytes; with it, the bytes of its pickle.
    pub(super) fn open(file: File, size: u64) -> Result<(Self, Vec<u8>), String> {
        let unreadable = |error| format!("it is not a file that `torch.save` writes: {error}");
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
        if zip.has_duplicate_names() || zip.has_overlapping_files().map_err(unreadable)? {
            return Err("two of its members share a name or bytes".to_owned());
        }
        let mut members = members(&mut zip, size)?;
        if let Some((byte_order, _)) = members.remove("byteorder") {
            let byte_order = member(&mut zip, byte_order, LONGEST_WORD)?;
            if byte_order != b"little" {
                let order = String::from_utf8_lossy(&byte_order);
                return Err(format!(
                    "its byte order is `{order}`; only little-endian is read"
                ));
            }
        }
        let (version, _) = members.remove("version").ok_or("it has no `version`")?;
        check_version(&member(&mut zip, version, LONGEST_WORD)?)?;
        let (pickle, _) = members.remove("data.pkl").ok_or("it has no `data.pkl`")?;
        let pickle = member(&mut zip, pickle, pickle::LARGEST)?;
        let mut storages = BTreeMap::new();
        for (name, place) in members {
            match name.strip_prefix("data/") {
                Some(key) => drop(storages.insert(key.to_owned(), place)),
                None if LABELS.contains(&name.as_str()) => {}
                None => return Err(format!("`{name}` is no member that `torch.save` writes")),
            }
        }
        Ok((Self { zip, storages }, pickle))
    }
}

/// Place and size of each member, by its name without the folder that they are all in.
fn members(
    zip: &mut ZipArchive<BufReader<File>>,
    size: u64,
) -> Result<BTreeMap<String, (usize, u64)>, String> {
    let mut members = BTreeMap::new();
    let mut folder = None;
    for index in 0..zip.len() {
        let member = zip.by_index_raw(index).map_err(|error| error.to_string())?;
        let name = member
            .name()
            .map_err(|error| error.to_string())?
            .into_owned();
        if name.contains("/code/") || name.ends_with("/constants.pkl") {
            return Err("it is a TorchScript program: save `module.state_dict()`".to_owned());
        }
        if member.compression() != CompressionMethod::Stored || member.encrypted() {
            return Err(format!(
                "`{name}` is compressed, and `torch.save` compresses nothing"
            ));
        }
        if member.size() != member.compressed_size() || member.size() > size {
            return Err(format!("`{name}` is said to have {} bytes", member.size()));
        }
        let (first, rest) = name
            .split_once('/')
            .ok_or_else(|| format!("`{name}` is in no folder"))?;
        if *folder.get_or_insert_with(|| first.to_owned()) != first {
            return Err(format!("`{name}` is in another folder than the rest"));
        }
        members.insert(rest.to_owned(), (index, member.size()));
    }
    Ok(members)
}

/// The bytes of a member, checked against its checksum.
fn member(
    zip: &mut ZipArchive<BufReader<File>>,
    index: usize,
    most: u64,
) -> Result<Vec<u8>, String> {
    let mut member = zip.by_index(index).map_err(|error| error.to_string())?;
    let name = member
        .name()
        .map_err(|error| error.to_string())?
        .into_owned();
    let size = member.size();
    let failed = |why: &dyn std::fmt::Display| format!("`{name}`: {why}");
    if size > most {
        return Err(failed(&format_args!(
            "{size} bytes; at most {most} are read"
        )));
    }
    let mut bytes = Vec::new();
    let reserved = usize::try_from(size).map(|size| bytes.try_reserve_exact(size));
    if !matches!(reserved, Ok(Ok(()))) {
        return Err(failed(&format_args!("there is no memory for {size} bytes")));
    }
    // Whatever a header says, no more is read than there is room for.
    let read = (&mut member).take(size).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error))?;
    let end = member.read(&mut [0]).map_err(|error| failed(&error))?;
    if bytes.len() as u64 == size && end == 0 {
        Ok(bytes)
    } else {
        Err(failed(&"it is cut off"))
    }
}

fn check_version(version: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(version);
    match text.trim_ascii_end().parse::<u32>() {
        Ok(1..=NEWEST) => Ok(()),
        _ => Err(format!(
            "it is of version `{}`, and {NEWEST} is the newest known",
            text.trim_ascii_end()
        )),
    }
}

impl Storages for Archive {
    fn keys(&self) -> BTreeSet<String> {
        self.storages.keys().cloned().collect()
    }

    fn bytes(&self, key: &str) -> Option<u64> {
        self.storages.get(key).map(|(_, bytes)| *bytes)
    }

    fn read(&mut self, key: &str) -> Result<Vec<u8>, String> {
        let (index, size) = *self.storages.get(key).ok_or("its storage is missing")?;
        member(&mut self.zip, index, size)
    }
}
