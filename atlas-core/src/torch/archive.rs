//! The ZIP archives of `torch.save`. One with a member that is unknown, compressed or overlaps
//! another is refused.
//!
//! Each member has a checksum, and one that does not fit is refused. PyTorch can be told not to
//! compute them, and puts 0 in place of every one: only then is nothing checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};

use zip::{CompressionMethod, ZipArchive};

use super::storages::Storages;
use super::{SAVE, byte_order_refused, pickle};

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

/// The place in the archive and the size of members, by name.
type Places = BTreeMap<String, (usize, u64)>;

/// An archive of a pickle and its storages.
pub(super) struct Archive {
    members: Members,
    /// By their keys.
    storages: Places,
}

/// The members of an archive.
struct Members {
    zip: ZipArchive<BufReader<File>>,
    has_checksums: bool,
}

impl Archive {
    /// Opens an archive in a file of `size` bytes; with it, the bytes of its pickle.
    pub(super) fn open(file: File, size: u64) -> Result<(Self, Vec<u8>), String> {
        let unreadable = |error| {
            format!("its archive is damaged or cut off: copy or download it again ({error})")
        };
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
        if zip.has_duplicate_names() || zip.has_overlapping_files().map_err(unreadable)? {
            return Err("two of its members share a name or bytes".to_owned());
        }
        let (mut places, has_checksums) = places(&mut zip, size)?;
        let mut members = Members { zip, has_checksums };
        let (pickle, _) = places
            .remove("data.pkl")
            .ok_or_else(|| format!("it has no `data.pkl`: {SAVE}"))?;
        if let Some((byte_order, _)) = places.remove("byteorder") {
            let byte_order = members.read(byte_order, LONGEST_WORD)?;
            if byte_order != b"little" {
                return Err(byte_order_refused(&String::from_utf8_lossy(&byte_order)));
            }
        }
        let (version, _) = places.remove("version").ok_or("it has no `version`")?;
        check_version(&members.read(version, LONGEST_WORD)?)?;
        let pickle = members.read(pickle, pickle::LARGEST)?;
        let mut storages = Places::new();
        for (name, place) in places {
            match name.strip_prefix("data/") {
                Some(key) => drop(storages.insert(key.to_owned(), place)),
                None if LABELS.contains(&name.as_str()) => {}
                None => return Err(format!("`{name}` is no member that `torch.save` writes")),
            }
        }
        Ok((Self { members, storages }, pickle))
    }
}

/// Every member by its name without the folder that they are all in; and whether they have
/// checksums.
fn places(zip: &mut ZipArchive<BufReader<File>>, size: u64) -> Result<(Places, bool), String> {
    let mut places = Places::new();
    let mut folder = None;
    let mut has_checksums = false;
    for index in 0..zip.len() {
        let member = zip.by_index_raw(index).map_err(|error| error.to_string())?;
        let name = member
            .name()
            .map_err(|error| error.to_string())?
            .into_owned();
        if name.contains("/code/") || name.ends_with("/constants.pkl") {
            return Err(
                "it is a TorchScript program: load it with `torch.jit.load` and save its \
                 `state_dict()` with `torch.save`"
                    .to_owned(),
            );
        }
        if name.ends_with("/archive_format") {
            return Err(format!(
                "it is a program that `torch.export` saved: {SAVE} where the module is"
            ));
        }
        if member.compression() != CompressionMethod::Stored || member.encrypted() {
            return Err(format!(
                "`{name}` is compressed, and `torch.save` compresses nothing: {SAVE}"
            ));
        }
        if member.size() != member.compressed_size() || member.size() > size {
            return Err(format!("`{name}` is said to have {} bytes", member.size()));
        }
        let (first, rest) = name
            .split_once('/')
            .ok_or_else(|| format!("`{name}` is in no folder, as `torch.save` writes: {SAVE}"))?;
        if *folder.get_or_insert_with(|| first.to_owned()) != first {
            return Err(format!("`{name}` is in another folder than the rest"));
        }
        has_checksums |= member.crc32() != 0;
        places.insert(rest.to_owned(), (index, member.size()));
    }
    Ok((places, has_checksums))
}

impl Members {
    /// The bytes of a member, checked against its checksum.
    fn read(&mut self, index: usize, most: u64) -> Result<Vec<u8>, String> {
        let member = if self.has_checksums {
            self.zip.by_index(index)
        } else {
            self.zip.by_index_raw(index)
        };
        let mut member = member.map_err(|error| error.to_string())?;
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
        let damaged = |error| failed(&format_args!("{error}: copy or download the file again"));
        let read = (&mut member).take(size).read_to_end(&mut bytes);
        read.map_err(damaged)?;
        let end = member.read(&mut [0]).map_err(damaged)?;
        if bytes.len() as u64 == size && end == 0 {
            Ok(bytes)
        } else {
            Err(failed(&"it is cut off: copy or download the file again"))
        }
    }
}

fn check_version(version: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(version);
    match text.trim_ascii_end().parse::<u32>() {
        Ok(1..=NEWEST) => Ok(()),
        _ => Err(format!(
            "it is of version `{}`, and {NEWEST} is the newest known: save it with an older PyTorch",
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
        self.members.read(index, size)
    }
}
