//! [`LineEnds`]: text with every end of a line as `\n`, and where each line begins in the file.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

/// Turns `\r\n`, and `\r` alone, into `\n`.
pub(super) struct LineEnds<R> {
    from: R,
    starts: LineStarts,
    after_return: bool,
    at_start: bool,
    /// The bytes of the file that were read, and the bytes of text that they gave.
    read: u64,
    given: u64,
}

/// Where lines begin that were read and not yet looked up.
///
/// Of each it keeps the place in the text, in which every line ends in one byte, and the byte in the
/// file. A line takes 16 bytes until a later one is looked up.
#[derive(Clone, Default)]
pub(super) struct LineStarts(Rc<RefCell<VecDeque<(u64, u64)>>>);

impl LineStarts {
    /// The byte of the file at which the line begins that begins at `place` of the text. Lines are
    /// looked up in their order.
    pub(super) fn find(&self, place: u64) -> u64 {
        let mut starts = self.0.borrow_mut();
        while starts.get(1).is_some_and(|(next, _)| *next <= place) {
            starts.pop_front();
        }
        starts
            .front()
            .map_or(place, |(begin, byte)| byte + (place - begin))
    }

    /// How many empty lines there are from `place` of the text on.
    pub(super) fn empty_lines(&self, place: u64) -> u64 {
        let starts = self.0.borrow();
        let from = starts.iter().skip_while(|(begin, _)| *begin <= place);
        let mut next = place;
        let is_next = |(begin, _): &&(u64, u64)| {
            next += 1;
            *begin == next
        };
        from.take_while(is_next).count() as u64
    }
}

impl<R> LineEnds<R> {
    /// Text, of which the first byte is the byte `start` of the file.
    pub(super) fn new(from: R, start: u64) -> (Self, LineStarts) {
        let starts = LineStarts::default();
        let lines = Self {
            from,
            starts: starts.clone(),
            after_return: false,
            at_start: true,
            read: start,
            given: 0,
        };
        (lines, starts)
    }
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.from.read(to)?;
            let mut starts = self.starts.0.borrow_mut();
            let mut kept = 0;
            for place in 0..read {
                let byte = to[place];
                let is_rest = byte == b'\n' && self.after_return;
                self.after_return = byte == b'\r';
                if !is_rest {
                    if self.at_start {
                        let at = (self.given + kept as u64, self.read + place as u64);
                        starts.push_back(at);
                    }
                    self.at_start = matches!(byte, b'\n' | b'\r');
                    to[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
            }
            self.read += read as u64;
            self.given += kept as u64;
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slow(VecDeque<u8>);

    impl Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let byte = self.0.pop_front();
            if let Some(byte) = byte {
                to[0] = byte;
            }
            Ok(usize::from(byte.is_some()))
        }
    }

    #[test]
    fn every_line_is_found_where_it_begins_in_the_file() {
        let text = b"a\r\nb\rc\n\rd\r\r\n\nee";
        let fast: Box<dyn Read> = Box::new(&text[..]);
        let slow = Box::new(Slow(text.iter().copied().collect()));
        for from in [fast, slow] {
            let (mut lines, starts) = LineEnds::new(from, 100);
            let mut read = String::new();
            lines.read_to_string(&mut read).unwrap();
            assert_eq!(read, "a\nb\nc\n\nd\n\n\nee");
            assert_eq!(starts.empty_lines(4), 0);
            assert_eq!(starts.empty_lines(6), 1);
            assert_eq!(starts.empty_lines(9), 2);
            let places = [0, 2, 4, 6, 7, 9, 10, 11];
            let found = places.map(|place| starts.find(place));
            assert_eq!(found, [100, 103, 105, 107, 108, 110, 112, 113]);
        }
    }
}
