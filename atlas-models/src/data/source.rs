//! [`Source`]: a file, a pipe or standard input, read once from its beginning, decompressed, with
//! every end of a line as `\n`; or some lines of a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use atlas_core::{Error, Result};
use flate2::bufread::MultiGzDecoder;

use super::input::{InputFile, open_at};
use super::line_starts::{LineEnds, LineStarts};

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 18;
/// The bytes that say what a file is.
const HEAD: usize = 64;

/// What a file begins with that is no text, and what can be done with it.
const FOREIGN: [(&[u8], &str); 12] = [
    (
        b"\xff\xfe\0\0",
        "text in UTF-32; convert it by `iconv -f UTF-32 -t UTF-8`",
    ),
    (
        b"\xff\xfe",
        "text in UTF-16; convert it by `iconv -f UTF-16 -t UTF-8`",
    ),
    (
        b"\xfe\xff",
        "text in UTF-16; convert it by `iconv -f UTF-16 -t UTF-8`",
    ),
    (
        b"PK\x03\x04",
        "a ZIP archive, as Excel's workbooks are, too; unpack it, or export the sheet as CSV",
    ),
    (
        b"\xd0\xcf\x11\xe0",
        "a document of Microsoft Office; export the sheet as CSV",
    ),
    (b"BZh", "compressed by bzip2; unpack it by `bunzip2`"),
    (b"\xfd7zXZ\0", "compressed by xz; unpack it by `unxz`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"PAR1", "a table of Parquet; export its molecules as CSV"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF document"),
];

/// A stream of text.
pub(super) struct Source {
    pub(super) file: Arc<InputFile>,
    pub(super) from: Box<dyn BufRead>,
    pub(super) starts: LineStarts,
    pub(super) is_compressed: bool,
}

/// How much of a source was read, in bytes as they are stored.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Of `total` bytes, where that is known.
    pub(super) fn of(total: Option<u64>) -> Self {
        Self {
            read: Arc::default(),
            total,
        }
    }

    /// The share that was read, from 0 to 1; `None` where the length is not known, as of a pipe.
    pub fn share(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        let read = self.read.load(Ordering::Relaxed);
        Some((read as f64 / total as f64).min(1.0))
    }

    fn count<R>(&self, from: R) -> Counted<R> {
        Counted {
            from,
            read: Arc::clone(&self.read),
        }
    }
}

impl Source {
    /// Opens a file or standard input.
    pub(super) fn open(file: &Arc<InputFile>, progress: &Progress) -> Result<Self> {
        let path = file.path();
        if path == Path::new("-") {
            return Self::new(io::stdin().lock(), file, progress);
        }
        let opened = File::open(path).map_err(|error| Error::io("open", path, error))?;
        Self::new(opened, file, progress)
    }

    /// Opens some bytes of a file of text, which begin and end where lines do.
    pub(super) fn open_range(
        file: &Arc<InputFile>,
        range: Range<u64>,
        progress: &Progress,
    ) -> Result<Self> {
        if range.start == 0 {
            let opened = open_at(file.path(), Some(range));
            let opened = opened.map_err(|error| Error::io("open", file.path(), error))?;
            return Self::new(opened, file, progress);
        }
        let start = range.start;
        let opened = open_at(file.path(), Some(range));
        let from = opened.map_err(|error| Error::io("open", file.path(), error))?;
        let from = BufReader::with_capacity(BLOCK, progress.count(from));
        Ok(Self::of_lines(from, file, start))
    }

    /// A stream.
    pub(super) fn new(
        from: impl Read + 'static,
        file: &Arc<InputFile>,
        progress: &Progress,
    ) -> Result<Self> {
        let failed = |error| Error::io("read", file.label(), error);
        let from = BufReader::with_capacity(BLOCK, progress.count(from));
        let (head, from) = peek(from).map_err(failed)?;
        let is_gzip = head.starts_with(b"\x1f\x8b");
        let is_zstd = head.starts_with(b"\x28\xb5\x2f\xfd");
        let decompressed: Box<dyn Read> = if is_gzip {
            Box::new(Unpacked(MultiGzDecoder::new(from)))
        } else if is_zstd {
            Box::new(Unpacked(zstd::Decoder::with_buffer(from).map_err(failed)?))
        } else {
            Box::new(from)
        };
        let (head, mut from) =
            peek(BufReader::with_capacity(BLOCK, decompressed)).map_err(failed)?;
        if let Some(what) = foreign(&head) {
            return Err(Error::new(format_args!(
                "{}: not a text: {what}",
                file.label()
            )));
        }
        // The mark that editors of Windows begin a file with.
        let mark: &[u8] = b"\xef\xbb\xbf";
        let mut start = 0;
        if head.starts_with(mark) {
            from.read_exact(&mut [0; 3]).map_err(failed)?;
            start = mark.len() as u64;
        }
        Ok(Self {
            is_compressed: is_gzip || is_zstd,
            ..Self::of_lines(from, file, start)
        })
    }

    /// Lines, of which the first begins at the byte `start` of the file.
    fn of_lines(from: impl Read + 'static, file: &Arc<InputFile>, start: u64) -> Self {
        let (lines, starts) = LineEnds::new(from, start);
        Self {
            file: Arc::clone(file),
            from: Box::new(BufReader::with_capacity(BLOCK, lines)),
            starts,
            is_compressed: false,
        }
    }
}

/// What a file is that is no text, by what it begins with.
fn foreign(head: &[u8]) -> Option<&'static str> {
    let known = FOREIGN.iter().find(|(mark, _)| head.starts_with(mark));
    known.map(|(_, what)| *what).or_else(|| {
        head.contains(&0).then_some(
            "it holds zero bytes, as binary files do, and text in UTF-16 without its mark",
        )
    })
}

type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The first bytes, and all that was to be read.
fn peek<R: Read>(mut from: R) -> io::Result<(Vec<u8>, BufReader<Peeked<R>>)> {
    let mut head = Vec::new();
    from.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(from);
    Ok((head, BufReader::with_capacity(BLOCK, whole)))
}

/// Says what an error of unpacking means.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.read(to).map_err(|error| {
            let what = match error.kind() {
                ErrorKind::UnexpectedEof => "the compressed file is cut off",
                ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other => {
                    "the compressed file is damaged"
                }
                _ => return error,
            };
            io::Error::new(error.kind(), format!("{what} ({error})"))
        })
    }
}

/// Counts what passes.
struct Counted<R> {
    from: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn source(bytes: &[u8], progress: &Progress) -> Result<Source> {
        let file = Arc::new(InputFile::of_text("test"));
        Source::new(Cursor::new(bytes.to_vec()), &file, progress)
    }

    fn read(bytes: &[u8]) -> Result<String> {
        let mut source = source(bytes, &Progress::default())?;
        let mut text = String::new();
        source
            .from
            .read_to_string(&mut text)
            .map_err(|error| Error::io("read", "test", error))?;
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn every_end_of_a_line_is_one() {
        assert_eq!(read(b"a\r\nb\rc\n\rd\r\r\n").unwrap(), "a\nb\nc\n\nd\n\n");
    }

    #[test]
    fn a_mark_at_the_beginning_is_no_text() {
        assert_eq!(read("\u{feff}CCO\n".as_bytes()).unwrap(), "CCO\n");
        assert_eq!(read("\u{feff}".as_bytes()).unwrap(), "");
    }

    #[test]
    fn gzip_of_several_parts_and_zstd_are_unpacked() {
        let parts = [gzip("CCO\n"), gzip("CCN\n")].concat();
        assert_eq!(read(&parts).unwrap(), "CCO\nCCN\n");
        let packed = zstd::encode_all(&b"CCO\r\nCCN\n"[..], 3).unwrap();
        assert_eq!(read(&packed).unwrap(), "CCO\nCCN\n");
    }

    #[test]
    fn a_compressed_file_that_is_cut_off_is_an_error() {
        let packed = gzip(&"CCO\n".repeat(1000));
        let cut_off = |packed: &[u8]| {
            let error = read(&packed[..packed.len() - 9]).unwrap_err();
            assert!(error.is_io());
            assert!(
                error.to_string().contains("the compressed file is cut off"),
                "{error}"
            );
        };
        cut_off(&packed);
        cut_off(&zstd::encode_all("CCO\n".repeat(1000).as_bytes(), 3).unwrap());
    }

    #[test]
    fn what_is_no_text_is_called_by_its_name() {
        for (bytes, name) in [
            (&b"\xff\xfeC\0C\0"[..], "UTF-16"),
            (b"\xfe\xff\0C\0C", "UTF-16"),
            (b"\xff\xfe\0\0C\0\0\0", "UTF-32"),
            (b"C\0C\0O\0", "UTF-16 without its mark"),
            (b"PK\x03\x04\x14\0", "ZIP"),
            (b"BZh91AY", "bzip2"),
            (b"PAR1\x15\x04", "Parquet"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.starts_with("test: not a text: "), "{error}");
            assert!(error.contains(name), "{error}");
        }
        let error = read(&gzip("\u{0}\u{0}")).unwrap_err().to_string();
        assert!(error.contains("zero bytes"), "{error}");
    }

    #[test]
    fn progress_is_of_the_bytes_that_are_stored() {
        let packed = gzip(&"CCO\n".repeat(100_000));
        let progress = Progress::of(Some(packed.len() as u64));
        let mut source = source(&packed, &progress).unwrap();
        io::copy(&mut source.from, &mut io::sink()).unwrap();
        assert_eq!(progress.share(), Some(1.0));
    }
}
