//! What the fuzz targets share: a small model whose bundles they damage, a folder in memory to
//! damage them in, and the skill to hash.
//!
//! ```text
//! cargo run --manifest-path tests/fuzz/Cargo.toml --bin seeds
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz fuzz_target_bundle -- -max_total_time=900
//! ```

mod seal;
mod subject;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;

pub use seal::{content, seal, seal_file};
pub use subject::{Subject, SubjectParams};

/// The files of a [`Subject`]'s bundle.
pub const FILES: [&str; 3] = ["atlas.json", "golden.safetensors", "net.safetensors"];

/// The bundle of a [`Subject`], file by file.
pub static WHOLE: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let folder = folder();
    let path = folder.path().join("subject");
    subject::model().save(&path).expect("a save");
    FILES.map(|name| fs::read(path.join(name)).expect("a file of the bundle"))
});

/// A folder that is removed when it is dropped, in memory where the system has a place for that.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    }
    .expect("a folder")
}
