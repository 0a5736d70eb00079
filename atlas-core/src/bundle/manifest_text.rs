//! How `atlas.json` is laid out: JSON that people can read, with byte-exact regions that any
//! language can hash.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// Below this depth everything is on one line, so that a tensor or a vocabulary takes one.
const PRETTY_DEPTH: usize = 4;

/// `value` as it stands in `atlas.json`, indented as a member of the top-level object.
pub(super) fn render(value: &impl Serialize) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    let formatter = DepthFormatter {
        pretty: PrettyFormatter::with_indent(b"  "),
        depth: 0,
    };
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    let text = String::from_utf8(bytes).map_err(serde::ser::Error::custom)?;
    // JSON text has no raw line breaks inside strings, so these are the layout's own.
    Ok(text.replace('\n', "\n  "))
}

/// serde_json's pretty layout down to a depth, its compact one below.
struct DepthFormatter {
    pretty: PrettyFormatter<'static>,
    depth: usize,
}

impl DepthFormatter {
    fn is_pretty(&self) -> bool {
        self.depth <= PRETTY_DEPTH
    }
}

/// Forwards to the pretty formatter, or writes what the compact one does.
macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) $compact:expr;)*) => {$(
        fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $arg: $type)*) -> io::Result<()> {
            if self.is_pretty() {
                self.pretty.$name(writer $(, $arg)*)
            } else {
                let compact: fn(&mut W $(, $type)*) -> io::Result<()> = $compact;
                compact(writer $(, $arg)*)
            }
        }
    )*};
}

impl Formatter for DepthFormatter {
    /// The shortest digits that read back to the same bits, with a fraction or an exponent:
    /// `0.1`, `20.0`, `1e16`, `1e-7`. Said here and not left to serde_json, whose notation is not
    /// the same in all its versions: digests depend on it.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write!(writer, "{value:?}")
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_pretty() {
            self.pretty.begin_array(writer)
        } else {
            writer.write_all(b"[")
        }
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let result = if self.is_pretty() {
            self.pretty.end_array(writer)
        } else {
            writer.write_all(b"]")
        };
        self.depth -= 1;
        result
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.is_pretty() {
            self.pretty.begin_object(writer)
        } else {
            writer.write_all(b"{")
        }
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let result = if self.is_pretty() {
            self.pretty.end_object(writer)
        } else {
            writer.write_all(b"}")
        };
        self.depth -= 1;
        result
    }

    forward! {
        begin_array_value(first: bool) |writer, first| if first { Ok(()) } else { writer.write_all(b", ") };
        end_array_value() |_| Ok(());
        begin_object_key(first: bool) |writer, first| if first { Ok(()) } else { writer.write_all(b", ") };
        begin_object_value() |writer| writer.write_all(b": ");
        end_object_value() |_| Ok(());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_are_written_with_the_shortest_digits() {
        let floats = json!([
            0.1,
            20.0,
            -0.0,
            1e15,
            1e16,
            123456789012345680.0,
            1e-5,
            1.5e-6,
            5e-324,
            f64::MAX
        ]);
        let lines = render(&floats).unwrap();
        let written: Vec<&str> = lines
            .lines()
            .map(|line| line.trim().trim_end_matches(','))
            .collect();
        assert_eq!(
            written,
            [
                "[",
                "0.1",
                "20.0",
                "-0.0",
                "1000000000000000.0",
                "1e16",
                "1.2345678901234568e17",
                "1e-5",
                "1.5e-6",
                "5e-324",
                "1.7976931348623157e308",
                "]",
            ]
        );
    }

    #[test]
    fn what_is_deep_is_on_one_line() {
        let value = json!({ "a": { "b": [{ "c": [{ "d": [1, { "e": null }] }, []] }], "empty": {} }, "text": "\n\u{1}é" });
        let expected = r#"{
    "a": {
      "b": [
        {
          "c": [{"d": [1, {"e": null}]}, []]
        }
      ],
      "empty": {}
    },
    "text": "\n\u0001é"
  }"#;
        assert_eq!(render(&value).unwrap(), expected);
    }
}
