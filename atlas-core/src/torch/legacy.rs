//! Files as `torch.save` wrote them before PyTorch 1.6: five pickles (a magic number, the version
//! of the layout, the machine, the dictionary, the keys of its storages), then for each key the
//! number of elements and the elements.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::byte_order_refused;
use super::pickle::{self, Pickle};
use super::storages::Storages;
use super::values::Value;

/// The one version of the layout.
const VERSION: i64 = 1001;
/// The bytes before a storage: the number of its elements.
const COUNT: u64 = 8;

/// The bytes that the pickles at the beginning of the file are in.
pub(super) fn head(file: &mut File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = file.take(pickle::LARGEST).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The pickles of a file.
pub(super) struct Pickles<'a> {
    /// The dictionary of tensors.
    pub(super) state: Pickle<'a>,
    /// The keys of the storages in the order in which they follow.
    keys: Vec<&'a str>,
    /// Where they begin.
    end: u64,
}

impl<'a> Pickles<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut at = 0;
        let mut next = || {
            let pickle = pickle::read(&bytes[at..])?;
            at += pickle.length;
            Ok::<_, String>(pickle)
        };
        if !matches!(next()?.root, Value::Magic) {
            return Err("it has not the magic number of `torch.save`".to_owned());
        }
        match next()?.root {
            Value::Int(VERSION) => {}
            _ => return Err(format!("its layout is not of version {VERSION}")),
        }
        check_machine(&next()?)?;
        let state = next()?;
        let keys = next()?;
        let text = |key: &Value<'a>| match *key {
            Value::Text(key) => Some(key),
            _ => None,
        };
        let keys = keys
            .values
            .list(keys.root)
            .map(|keys| keys.iter().map(text).collect());
        let keys = keys
            .flatten()
            .ok_or("the keys of its storages are no list of texts")?;
        let end = at as u64;
        Ok(Self { state, keys, end })
    }
}

fn check_machine(machine: &Pickle<'_>) -> Result<(), String> {
    let items = machine.values.dict(machine.root).unwrap_or_default();
    let is_little = |(key, value): &(Value<'_>, Value<'_>)| {
        matches!(
            (key, value),
            (Value::Text("little_endian"), Value::Bool(true))
        )
    };
    if items.iter().any(is_little) {
        Ok(())
    } else {
        Err(byte_order_refused("big"))
    }
}

/// The storages of a file.
pub(super) struct LegacyStorages {
    file: File,
    /// Where each storage begins, and its bytes.
    places: BTreeMap<String, (u64, u64)>,
}

impl LegacyStorages {
    /// Finds the storages in a file of `size` bytes: they fill the rest of it exactly.
    pub(super) fn find(file: File, size: u64, pickles: &Pickles<'_>) -> Result<Self, String> {
        let sizes: BTreeMap<&str, usize> = pickles
            .state
            .values
            .storages()
            .iter()
            .map(|storage| (storage.key, storage.dtype.map_or(1, |dtype| dtype.size)))
            .collect();
        let mut places = BTreeMap::new();
        let mut at = pickles.end;
        for key in &pickles.keys {
            let element = sizes.get(key);
            let element = element.ok_or_else(|| format!("no tensor is in its storage `{key}`"))?;
            let cut_off = || format!("storage `{key}` is cut off: copy or download the file again");
            let mut count = [0; COUNT as usize];
            file.read_exact_at(&mut count, at).map_err(|_| cut_off())?;
            let bytes = u64::from_le_bytes(count).checked_mul(*element as u64);
            at += COUNT;
            let end = bytes
                .and_then(|bytes| at.checked_add(bytes))
                .filter(|end| *end <= size);
            let end = end.ok_or_else(cut_off)?;
            if places.insert((*key).to_owned(), (at, end - at)).is_some() {
                return Err(format!("storage `{key}` is there twice"));
            }
            at = end;
        }
        if at == size {
            Ok(Self { file, places })
        } else {
            Err(format!("{} bytes follow its last storage", size - at))
        }
    }
}

impl Storages for LegacyStorages {
    fn keys(&self) -> BTreeSet<String> {
        self.places.keys().cloned().collect()
    }

    fn bytes(&self, key: &str) -> Option<u64> {
        self.places.get(key).map(|(_, bytes)| *bytes)
    }

    fn read(&mut self, key: &str) -> Result<Vec<u8>, String> {
        let (start, size) = *self.places.get(key).ok_or("its storage is missing")?;
        let mut bytes = Vec::new();
        let reserved = usize::try_from(size).map(|size| bytes.try_reserve_exact(size));
        if !matches!(reserved, Ok(Ok(()))) {
            return Err(format!("there is no memory for {size} bytes"));
        }
        bytes.resize(size as usize, 0);
        self.file
            .read_exact_at(&mut bytes, start)
            .map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}
