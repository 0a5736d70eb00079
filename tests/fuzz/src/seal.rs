//! What somebody who can hash does: digests made to fit, so that a change is not found by them.

use std::ops::Range;

/// The digits of a digest.
const DIGITS: usize = 64;

/// The value of `content` as it stands in a manifest.
pub fn content(manifest: &[u8]) -> Option<&[u8]> {
    manifest.get(content_range(manifest)?)
}

/// Makes the content digest and the checksum of a manifest fit.
pub fn seal(mut manifest: Vec<u8>) -> Vec<u8> {
    if let Some(range) = content_range(&manifest) {
        let digest = blake3::hash(&manifest[range.clone()]).to_hex();
        let at = range.end + b",\n  \"digest\": \"".len();
        replace(&mut manifest, at, digest.as_bytes());
    }
    let line = b"\n  \"checksum\": \"";
    if let Some(at) = manifest
        .windows(line.len())
        .rposition(|window| window == line)
    {
        let checksum = blake3::hash(&manifest[..=at]).to_hex();
        replace(&mut manifest, at + line.len(), checksum.as_bytes());
    }
    manifest
}

/// Makes what a manifest says of a tensor file's size and digest fit the file.
pub fn seal_file(mut manifest: Vec<u8>, name: &str, file: &[u8]) -> Vec<u8> {
    let entry = format!("\"name\": \"{name}\",");
    let Some(entry) = find(&manifest, entry.as_bytes(), 0) else {
        return manifest;
    };
    let (size, digest) = (b"\"bytes\": ", b"\"blake3\": \"");
    if let Some(at) = find(&manifest, size, entry) {
        let start = at + size.len();
        let digits = manifest[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let end = start + digits.count();
        manifest.splice(start..end, file.len().to_string().into_bytes());
    }
    if let Some(at) = find(&manifest, digest, entry) {
        let hash = blake3::hash(file).to_hex();
        replace(&mut manifest, at + digest.len(), hash.as_bytes());
    }
    manifest
}

fn content_range(manifest: &[u8]) -> Option<Range<usize>> {
    let before = b"\n  \"content\": ";
    let start = find(manifest, before, 0)? + before.len();
    Some(start..find(manifest, b",\n  \"digest\": ", start)?)
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let found = bytes
        .get(from..)?
        .windows(what.len())
        .position(|window| window == what)?;
    Some(from + found)
}

fn replace(bytes: &mut [u8], at: usize, digits: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + DIGITS) {
        place.copy_from_slice(digits);
    }
}
