//! [`Shard`]: one of the disjoint shares that files of molecules are cut into, and where they are
//! cut.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;

/// Bytes of a line that are looked at: enough to know the end of a record of an SDF.
const LOOKED_AT: u64 = 4096;

/// One of `count` shares of files that are laid end to end.
///
/// A row belongs to the share in whose bytes its first byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0, below `count`.
    pub index: u64,
    /// How many shares there are, at least 1.
    pub count: u64,
}

impl Shard {
    /// The share of `total` bytes.
    pub fn range(self, total: u64) -> Range<u64> {
        let end_of = |index: u64| {
            let end = u128::from(total) * u128::from(index) / u128::from(self.count.max(1));
            u64::try_from(end).unwrap_or(total)
        };
        end_of(self.index)..end_of(self.index + 1)
    }
}

/// Where a file may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// At the beginning of a line.
    Lines,
    /// After the end of a record of an SDF.
    Records,
    /// Nowhere: it is compressed.
    Nowhere,
}

/// The first place from `from` on where a file of `length` bytes may be cut.
pub(super) fn row_start(file: &File, length: u64, from: u64, cut: Cut) -> io::Result<u64> {
    if from == 0 || from >= length {
        return Ok(from.min(length));
    }
    let back = if cut == Cut::Records { LOOKED_AT } else { 1 };
    let mut at = from.saturating_sub(back);
    let mut file = file;
    file.seek(SeekFrom::Start(at))?;
    let mut from_file = BufReader::new(file);
    let mut is_whole_line = at == 0;
    let mut line = Vec::new();
    loop {
        let read = read_line(&mut from_file, &mut line)?;
        at += read;
        let is_end = cut != Cut::Records || (is_whole_line && is_record_end(&line));
        if read == 0 || at >= length || (at >= from && is_end) {
            return Ok(at.min(length));
        }
        is_whole_line = true;
    }
}

/// Whether a line ends a record of an SDF.
pub(super) fn is_record_end(line: &[u8]) -> bool {
    line.trim_ascii_end() == b"$$$$"
}

/// Reads a line and its end, of which `line` gets the first bytes; the bytes that were read.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let (mut read, mut after_return) = (0, false);
    loop {
        let buffer = from.fill_buf()?;
        if after_return || buffer.is_empty() {
            let is_rest = buffer.first() == Some(&b'\n');
            from.consume(usize::from(is_rest));
            return Ok(read + u64::from(is_rest));
        }
        let end = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let taken = end.map_or(buffer.len(), |end| end + 1);
        let kept = taken.min(LOOKED_AT as usize - line.len().min(LOOKED_AT as usize));
        line.extend_from_slice(&buffer[..kept]);
        after_return = buffer[taken - 1] == b'\r';
        from.consume(taken);
        read += taken as u64;
        if end.is_some() && !after_return {
            return Ok(read);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn starts(text: &str, cut: Cut) -> Vec<u64> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let length = text.len() as u64;
        let start = |from| row_start(&file, length, from, cut).unwrap();
        (0..=length + 1).map(start).collect()
    }

    #[test]
    fn shares_are_disjoint_and_leave_out_nothing() {
        for total in [0, 1, 2, 7, 1000, u64::MAX] {
            for count in 1..=9 {
                let mut end = 0;
                for index in 0..count {
                    let range = Shard { index, count }.range(total);
                    assert_eq!(range.start, end);
                    end = range.end;
                }
                assert_eq!(end, total);
            }
        }
    }

    #[test]
    fn text_is_cut_at_the_first_byte_of_a_line_whatever_ends_it() {
        assert_eq!(starts("a\nb\n", Cut::Lines), [0, 2, 2, 4, 4, 4]);
        assert_eq!(starts("a\rb\r", Cut::Lines), [0, 2, 2, 4, 4, 4]);
        assert_eq!(starts("a\r\nb\r\n", Cut::Lines), [0, 3, 3, 3, 6, 6, 6, 6]);
        assert_eq!(starts("\n\r\r\nx", Cut::Lines), [0, 1, 2, 4, 4, 5, 5]);
    }

    #[test]
    fn an_sdf_is_cut_after_the_line_that_ends_a_record() {
        assert_eq!(
            starts("a\n$$$$\nb\n", Cut::Records),
            [0, 7, 7, 7, 7, 7, 7, 7, 9, 9, 9]
                .into_iter()
                .take(11)
                .collect::<Vec<_>>()
        );
        assert_eq!(starts("$$$$ \r\nb", Cut::Records)[1..=7], [7; 7]);
        // It is no end within a line.
        assert_eq!(starts("x$$$$\nb", Cut::Records)[1..], [7; 8]);
    }
}
