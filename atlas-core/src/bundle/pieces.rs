//! Reading a file in pieces, by several threads, each of which digests what it has read while it
//! is in its cache.
//!
//! BLAKE3 digests a tree of chunks. The digest of a file follows from the chaining values of its
//! pieces, if these are a power of two of chunks long, but for the last (the BLAKE3 paper,
//! section 2.1).

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::sync::{Mutex, OnceLock, PoisonError};

use blake3::hazmat::{self, ChainingValue, HasherExt, Mode};
use rustix::io::Errno;

/// Bytes of a piece: a power of two, and a multiple of BLAKE3's chunks. Smaller pieces cost more
/// calls of the system, larger ones leave the cache before they are digested.
const PIECE: usize = 512 << 10;

/// A stretch of a file.
pub(super) enum Stretch<'a> {
    /// Its bytes are known.
    Known(&'a [u8]),
    /// Its bytes are to be read.
    Missing(&'a mut [MaybeUninit<u8>]),
}

impl<'a> Stretch<'a> {
    fn len(&self) -> usize {
        match self {
            Self::Known(bytes) => bytes.len(),
            Self::Missing(room) => room.len(),
        }
    }

    fn split_at(self, length: usize) -> (Self, Self) {
        match self {
            Self::Known(bytes) => {
                let (left, right) = bytes.split_at(length);
                (Self::Known(left), Self::Known(right))
            }
            Self::Missing(room) => {
                let (left, right) = room.split_at_mut(length);
                (Self::Missing(left), Self::Missing(right))
            }
        }
    }
}

/// Reads the missing stretches of a file that consists of these. After `Ok`, which has the digest
/// of the whole, every byte of them has been written.
pub(super) fn read<'a>(
    file: &File,
    stretches: impl IntoIterator<Item = Stretch<'a>>,
) -> io::Result<blake3::Hash> {
    let mut pieces = cut(stretches);
    if pieces.len() < 2 {
        // One piece is the root of its tree.
        let only = pieces.pop().map(|piece| piece.read(file)).transpose()?;
        return Ok(only.unwrap_or_default().finalize());
    }
    let values = read_each(file, pieces)?;
    let (left, right) = children(&values);
    Ok(hazmat::merge_subtrees_root(
        &merge(left),
        &merge(right),
        Mode::Hash,
    ))
}

/// Reads all pieces; their chaining values.
///
/// The thread that is here takes part beside all of the pool, rather than wait for it: where the
/// system has two threads take turns on one processor, there is one left for each of the others.
fn read_each(file: &File, pieces: Vec<Piece<'_>>) -> io::Result<Vec<ChainingValue>> {
    start_pool();
    let helpers = rayon::current_num_threads().min(pieces.len() - 1);
    let mut values = vec![ChainingValue::default(); pieces.len()];
    let queue = Mutex::new(pieces.into_iter().zip(&mut values));
    let failure = OnceLock::new();
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while failure.get().is_none()
            && let Some((piece, value)) = next()
        {
            match piece.read(file) {
                Ok(hasher) => *value = hasher.finalize_non_root(),
                Err(error) => drop(failure.set(error)),
            }
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| work());
        }
        work();
    });
    drop(queue);
    match failure.into_inner() {
        None => Ok(values),
        Some(error) => Err(error),
    }
}

/// Waits until the pool's threads have started, unless they have before. A thread that starts asks
/// for memory of its own, and nobody can populate any before it has got it, which takes long where
/// it shares a processor with one that computes.
fn start_pool() {
    if rayon::current_thread_index().is_none() {
        // As it would start by itself. An error means that it has, or that it cannot.
        let _ = rayon::ThreadPoolBuilder::new().build_global();
    }
}

fn cut<'a>(stretches: impl IntoIterator<Item = Stretch<'a>>) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut piece = Piece::at(0);
    let mut room = PIECE;
    for mut stretch in stretches {
        while stretch.len() > 0 {
            if room == 0 {
                let next = Piece::at(piece.offset + PIECE as u64);
                pieces.push(std::mem::replace(&mut piece, next));
                room = PIECE;
            }
            let length = stretch.len().min(room);
            let (within, beyond) = stretch.split_at(length);
            piece.stretches.push(within);
            room -= length;
            stretch = beyond;
        }
    }
    pieces.push(piece);
    pieces
}

/// The chaining value of neighbouring pieces, at least one.
fn merge(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [value] => *value,
        _ => {
            let (left, right) = children(values);
            hazmat::merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
        }
    }
}

/// At least two pieces as BLAKE3 parts them: the left subtree is complete, and no smaller than
/// the right one.
fn children(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().div_ceil(2).next_power_of_two())
}

/// As much of a file as one thread reads at a time.
struct Piece<'a> {
    offset: u64,
    stretches: Vec<Stretch<'a>>,
}

impl Piece<'_> {
    fn at(offset: u64) -> Self {
        Self {
            offset,
            stretches: Vec::new(),
        }
    }

    /// Reads what is missing, and digests all of it.
    fn read(self, file: &File) -> io::Result<blake3::Hasher> {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(self.offset);
        let mut offset = self.offset;
        for stretch in self.stretches {
            let bytes = match stretch {
                Stretch::Known(bytes) => bytes,
                Stretch::Missing(room) => {
                    populate(room);
                    read_exact(file, room, offset)?
                }
            };
            hasher.update(bytes);
            offset += bytes.len() as u64;
        }
        Ok(hasher)
    }
}

/// Fills `room` with what the file has from `offset` on.
fn read_exact<'a>(
    file: &File,
    room: &'a mut [MaybeUninit<u8>],
    mut offset: u64,
) -> io::Result<&'a [u8]> {
    let mut missing = &mut *room;
    while !missing.is_empty() {
        let count = match rustix::io::pread(file, &mut *missing, offset) {
            Ok((read, _)) => read.len(),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        missing = &mut missing[count..];
        offset += count as u64;
    }
    // SAFETY: all of it has been written.
    Ok(unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), room.len()) })
}

/// Has the system find the pages that lie within `room`, which is to be overwritten, all at once:
/// one by one, as each is first written to, takes longer. Best effort.
fn populate(room: &mut [MaybeUninit<u8>]) {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};

        let page = rustix::param::page_size();
        let before = room.as_ptr().addr().wrapping_neg() % page;
        let within = room.len().saturating_sub(before) / page * page;
        if within > 0 {
            let first = room[before..].as_mut_ptr();
            // SAFETY: the pages are all of `room`, and what they hold stays as it is.
            let _ = unsafe { madvise(first.cast(), within, Advice::LinuxPopulateWrite) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = room;
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What is read of a file that holds `bytes`, of which stretches of these lengths, by turns,
    /// are known and missing.
    fn read_back(bytes: &[u8], lengths: &[usize]) -> (Vec<u8>, blake3::Hash) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut room = vec![MaybeUninit::new(0xEE); bytes.len()];
        let mut stretches = Vec::new();
        let (mut known, mut missing) = (bytes, &mut room[..]);
        for (index, length) in lengths.iter().cycle().enumerate() {
            let length = (*length).min(known.len());
            let (from, to);
            (from, known) = known.split_at(length);
            (to, missing) = missing.split_at_mut(length);
            if index % 2 == 0 {
                to.write_copy_of_slice(from);
                stretches.push(Stretch::Known(from));
            } else {
                stretches.push(Stretch::Missing(to));
            }
            if known.is_empty() {
                break;
            }
        }
        let digest = read(&file, stretches).unwrap();
        // SAFETY: it has been initialised all along.
        let read = unsafe { std::mem::transmute::<Vec<MaybeUninit<u8>>, Vec<u8>>(room) };
        (read, digest)
    }

    #[test]
    fn what_is_read_and_its_digest_are_those_of_the_whole_file() {
        let bytes: Vec<u8> = (0..5 * PIECE as u32 + 1025)
            .map(|index| (index.wrapping_mul(0x9E37_79B9) >> 24) as u8)
            .collect();
        let sizes = [0, 1, 1023, 1024, 1025, PIECE - 1, PIECE, PIECE + 1]
            .into_iter()
            .chain((2..=5).flat_map(|count| [count * PIECE, count * PIECE + 1025]));
        for size in sizes {
            let bytes = &bytes[..size];
            for lengths in [
                &[0, PIECE][..],
                &[9, 100_000, 0, 7],
                &[PIECE + 3, 2 * PIECE],
            ] {
                let (read, digest) = read_back(bytes, lengths);
                assert!(read == bytes, "{size} bytes in {lengths:?}");
                assert_eq!(digest, blake3::hash(bytes), "{size} bytes in {lengths:?}");
            }
        }
    }

    #[test]
    fn within_a_pool_of_any_size_the_digest_is_the_same() {
        let bytes: Vec<u8> = (0..3 * PIECE + 7)
            .map(|index| (index % 251) as u8)
            .collect();
        for threads in 1..4 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let read = || read_back(&bytes, &[7, bytes.len()]);
            let (read, digest) = pool.build().unwrap().install(read);
            assert!(read == bytes, "{threads} threads");
            assert_eq!(digest, blake3::hash(&bytes), "{threads} threads");
        }
    }

    #[test]
    fn populating_changes_no_byte() {
        let mut room: Vec<_> = (0..100_000)
            .map(|index| MaybeUninit::new(index as u8))
            .collect();
        for range in [0..100_000, 1..1, 1..2, 17..5000, 5..99_999] {
            populate(&mut room[range]);
        }
        // SAFETY: it has been initialised all along.
        let bytes = room.iter().map(|byte| unsafe { byte.assume_init() });
        assert!(bytes.eq((0..100_000).map(|index| index as u8)));
    }

    #[test]
    fn a_file_that_ends_too_soon_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 2 * PIECE]).unwrap();
        let mut room = vec![MaybeUninit::uninit(); 2 * PIECE + 1];
        let error = read(&file, [Stretch::Missing(&mut room)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
