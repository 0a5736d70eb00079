//! [`KnownMolecules`]: a set of molecules, whatever their spelling, by short digests.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use atlas_core::{Error, Result};

use crate::chem;

/// What a file of a set begins with, before what it is a set of.
const MAGIC: &str = "atlas molecules 1 ";

/// What tells a molecule from others, however it is spelt: a digest of its canonical form or, of
/// what cannot exist, of its text. Two molecules have the same with a probability of 2⁻⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoleculeKey(u64);

impl MoleculeKey {
    /// The key of a molecule.
    pub fn of(smiles: &str) -> Self {
        let form = chem::canonical(smiles);
        let text = form.as_deref().unwrap_or(smiles);
        let digest = blake3::hash(text.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        Self(u64::from_le_bytes(first))
    }
}

/// A set of molecules: eight bytes for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownMolecules {
    /// In order, each once.
    keys: Vec<MoleculeKey>,
}

impl KnownMolecules {
    /// The set of the molecules with these keys.
    pub fn new(keys: Vec<MoleculeKey>) -> Self {
        let mut keys = keys;
        keys.sort_unstable();
        keys.dedup();
        Self { keys }
    }

    /// The number of distinct molecules.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a molecule is in the set.
    pub fn contains(&self, key: MoleculeKey) -> bool {
        self.keys.binary_search(&key).is_ok()
    }

    /// Writes the set to a file, as the set of `what`, a text without line ends. No molecule can be
    /// read back from it: only whether one that is at hand is in it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path, what: &str) -> Result<()> {
        let mut bytes = format!("{MAGIC}{what}\n").into_bytes();
        bytes.extend(self.keys.iter().flat_map(|key| key.0.to_le_bytes()));
        fs::write(path, bytes).map_err(|error| Error::io("write", path, error))
    }

    /// Reads the set that was [saved](KnownMolecules::save) as that of `what`; `None` if there is no
    /// file, or it holds something else.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn load(path: &Path, what: &str) -> Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|error| Error::io("read", path, error))?,
        };
        let keys = bytes.strip_prefix(format!("{MAGIC}{what}\n").as_bytes());
        let Some((keys, [])) = keys.map(<[u8]>::as_chunks::<8>) else {
            return Ok(None);
        };
        let keys = keys.iter().map(|key| MoleculeKey(u64::from_le_bytes(*key)));
        Ok(Some(Self::new(keys.collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(smiles: &[&str]) -> KnownMolecules {
        KnownMolecules::new(
            smiles
                .iter()
                .map(|smiles| MoleculeKey::of(smiles))
                .collect(),
        )
    }

    #[test]
    fn a_molecule_is_known_in_every_spelling() {
        let known = set(&["c1ccccc1O", "OCC", "CCO"]);
        assert_eq!(known.len(), 2);
        assert!(known.contains(MoleculeKey::of("Oc1ccccc1")));
        assert!(!known.contains(MoleculeKey::of("Nc1ccccc1")));
        assert_ne!(MoleculeKey::of("c1cccc1"), MoleculeKey::of("c1ccc1"));
    }

    #[test]
    fn a_set_is_the_same_after_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        let known = set(&["CCO", "CCN"]);
        assert_eq!(KnownMolecules::load(&path, "a").unwrap(), None);
        known.save(&path, "a").unwrap();
        assert_eq!(KnownMolecules::load(&path, "a").unwrap(), Some(known));
        assert_eq!(KnownMolecules::load(&path, "b").unwrap(), None);
        fs::write(&path, "CCO\n").unwrap();
        assert_eq!(KnownMolecules::load(&path, "a").unwrap(), None);
    }
}
