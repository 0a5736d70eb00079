//! The storages of a file: the elements that its tensors lie in.

use std::collections::BTreeSet;

/// Where the bytes of storages come from.
pub(super) trait Storages {
    /// The keys of all that there are.
    fn keys(&self) -> BTreeSet<String>;

    /// How many bytes a storage has.
    fn bytes(&self, key: &str) -> Option<u64>;

    /// The bytes of a storage.
    fn read(&mut self, key: &str) -> Result<Vec<u8>, String>;
}
