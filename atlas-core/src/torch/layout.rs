//! How a file is laid out, by its first bytes, and what it is if `torch.save` did not write it.

use super::SAVE;
use super::pickle;
use super::values::Value;

/// As many bytes as tell files apart.
pub(super) const BEGINNING: u64 = 512;
/// The pickle of the number that the files before PyTorch 1.6 begin with is shorter.
const LONGEST_MAGIC: usize = 64;

/// The layouts of `torch.save`.
pub(super) enum Layout {
    /// A ZIP archive.
    Archive,
    /// That of PyTorch before 1.6.
    Legacy,
}

/// Where in a file which bytes are, what it is then, and what to do about it.
type Kind = (usize, &'static [u8], &'static str, &'static str);

const DECOMPRESS: &str = "decompress it first";
const KINDS: [Kind; 10] = [
    (
        257,
        b"ustar",
        "a tar archive, as PyTorch before 0.1.10 wrote",
        "load it with `torch.load(path, weights_only=False)` and save its `state_dict()` again",
    ),
    (
        0,
        b"version https://git-lfs",
        "the pointer that Git LFS keeps in place of the file",
        "fetch the file with `git lfs pull`",
    ),
    (0, b"\x1f\x8b", "compressed by gzip", DECOMPRESS),
    (0, b"BZh", "compressed by bzip2", DECOMPRESS),
    (0, b"\xfd7zXZ\0", "compressed by xz", DECOMPRESS),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", DECOMPRESS),
    (0, b"\x89HDF\r\n\x1a\n", "a file of HDF5", SAVE),
    (0, b"\x93NUMPY", "an array of NumPy", SAVE),
    (0, b"GGUF", "a file of GGUF", SAVE),
    (
        0,
        b"<",
        "a web page in place of the file",
        "download the file itself",
    ),
];

impl Layout {
    /// The layout of a file that begins so; why it has none.
    pub(super) fn of(beginning: &[u8]) -> Result<Self, String> {
        if beginning.starts_with(b"PK\x03\x04") {
            return Ok(Self::Archive);
        }
        let magic = pickle::read(&beginning[..beginning.len().min(LONGEST_MAGIC)]);
        if matches!(magic, Ok(pickle) if matches!(pickle.root, Value::Magic)) {
            return Ok(Self::Legacy);
        }
        let (what, remedy) = kind(beginning);
        Err(format!("it is {what}: {remedy}"))
    }
}

/// What a file is that begins so, and what to do about it.
fn kind(beginning: &[u8]) -> (&'static str, &'static str) {
    let known = KINDS.iter().find(|(at, magic, ..)| {
        let bytes = beginning.get(*at..).unwrap_or_default();
        bytes.starts_with(magic)
    });
    match (known, beginning) {
        (Some((_, _, what, remedy)), _) => (what, remedy),
        (None, []) => ("empty", "copy or download it again"),
        // The version of the format, then the name of the program that wrote it, or the graph.
        (None, [0x08, _, 0x12 | 0x3a, ..]) => ("a file of ONNX", SAVE),
        // The length of the header in eight bytes, then the header, which is JSON.
        (None, [_, _, _, _, 0, 0, 0, 0, b'{', ..]) => (
            "a file of safetensors",
            "save `safetensors.torch.load_file(path)` with `torch.save`",
        ),
        (None, [0x80, 2..=5, ..]) => ("a pickle that `torch.save` did not write", SAVE),
        (None, _) => ("not a file that `torch.save` writes", SAVE),
    }
}
