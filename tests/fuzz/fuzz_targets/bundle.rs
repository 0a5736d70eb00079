//! A bundle whose files were edited, by chance or by somebody who can hash: it loads as the model
//! that its digest says, or not at all.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use atlas_core::Bundle;
use atlas_core::prelude::*;
use atlas_fuzz::{FILES, Subject, WHOLE};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

#[derive(Arbitrary, Debug)]
struct Damage {
    edits: Vec<Edit>,
    /// Whether digests are then made to fit.
    sealed: bool,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Overwrite {
        file: u8,
        at: u16,
        bytes: Vec<u8>,
    },
    Insert {
        file: u8,
        at: u16,
        bytes: Vec<u8>,
    },
    Cut {
        file: u8,
        at: u16,
        bytes: u8,
    },
    Truncate {
        file: u8,
        at: u16,
    },
    Exchange {
        one: u8,
        other: u8,
    },
    Delete {
        file: u8,
    },
    /// Puts another value after the `nth` colon of the manifest.
    Value {
        nth: u8,
        value: Replacement,
    },
}

#[derive(Arbitrary, Debug)]
enum Replacement {
    Text(String),
    Integer(i64),
    Large(u64),
    Float(f64),
    List(Vec<u32>),
    Raw(String),
}

static FOLDER: LazyLock<TempDir> = LazyLock::new(atlas_fuzz::folder);

fuzz_target!(|damage: Damage| {
    let whole = WHOLE.each_ref().map(|file| Some(file.clone()));
    let mut files = whole.clone();
    for edit in &damage.edits {
        apply(edit, &mut files);
    }
    if damage.sealed {
        reseal(&mut files);
    }
    let path = FOLDER.path().join("damaged");
    write(&path, &files);

    let untyped = Bundle::open(&path).and_then(|bundle| bundle.verify().map(|()| bundle));
    let loaded = Subject::load(&path);
    if files == whole {
        assert!(
            untyped.is_ok() && loaded.is_ok(),
            "a whole bundle was refused"
        );
    } else if !damage.sealed {
        assert!(
            untyped.is_err() && loaded.is_err(),
            "damage was not noticed"
        );
    }
    let Ok(model) = loaded else { return };
    let digest = untyped.expect("what loads is whole").digest().to_owned();
    assert_eq!(model.digest().expect("a digest"), digest);
    let again = FOLDER.path().join("again");
    model.save(&again).expect("a save");
    assert_eq!(Bundle::open(&again).expect("a bundle").digest(), digest);
});

fn apply(edit: &Edit, files: &mut [Option<Vec<u8>>; 3]) {
    let count = files.len();
    match edit {
        Edit::Overwrite {
            file: index,
            at,
            bytes,
        } => {
            let file = files[usize::from(*index) % count].get_or_insert_default();
            let start = usize::from(*at).min(file.len());
            let end = (start + bytes.len()).min(file.len());
            file[start..end].copy_from_slice(&bytes[..end - start]);
        }
        Edit::Insert {
            file: index,
            at,
            bytes,
        } => {
            let file = files[usize::from(*index) % count].get_or_insert_default();
            let at = usize::from(*at).min(file.len());
            file.splice(at..at, bytes.iter().copied());
        }
        Edit::Cut {
            file: index,
            at,
            bytes,
        } => {
            let file = files[usize::from(*index) % count].get_or_insert_default();
            let start = usize::from(*at).min(file.len());
            let end = (start + usize::from(*bytes)).min(file.len());
            file.drain(start..end);
        }
        Edit::Truncate { file: index, at } => files[usize::from(*index) % count]
            .get_or_insert_default()
            .truncate(usize::from(*at)),
        Edit::Exchange { one, other } => {
            files.swap(usize::from(*one) % count, usize::from(*other) % count);
        }
        Edit::Delete { file } => files[usize::from(*file) % count] = None,
        Edit::Value { nth, value } => {
            let manifest = files[0].get_or_insert_default();
            let colons = manifest
                .windows(2)
                .enumerate()
                .filter(|(_, pair)| pair == b": ");
            let Some((colon, _)) = colons.skip(usize::from(*nth)).next() else {
                return;
            };
            let start = colon + 2;
            let value_end = manifest[start..]
                .iter()
                .position(|byte| b",\n}".contains(byte));
            let end = value_end.map_or(manifest.len(), |length| start + length);
            manifest.splice(start..end, value.text().into_bytes());
        }
    }
}

impl Replacement {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Large(value) => value.to_string(),
            Self::Float(value) => serde_json::Value::from(*value).to_string(),
            Self::List(values) => format!("{values:?}"),
            Self::Raw(text) => text.clone(),
        }
    }
}

fn reseal(files: &mut [Option<Vec<u8>>; 3]) {
    let [manifest, tensors @ ..] = files;
    let Some(mut sealed) = manifest.take() else {
        return;
    };
    for (file, name) in tensors.iter().zip(["golden", "net"]) {
        let file = file.as_deref().unwrap_or_default();
        sealed = atlas_fuzz::seal_file(sealed, name, file);
    }
    *manifest = Some(atlas_fuzz::seal(sealed));
}

fn write(path: &Path, files: &[Option<Vec<u8>>; 3]) {
    fs::create_dir_all(path).expect("a folder");
    for (name, bytes) in FILES.iter().zip(files) {
        let path = path.join(name);
        match bytes {
            Some(bytes) => fs::write(path, bytes).expect("a write"),
            None if path.exists() => fs::remove_file(path).expect("a removal"),
            None => {}
        }
    }
}
