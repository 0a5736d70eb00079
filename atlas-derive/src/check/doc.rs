//! The documentation of an item, as rustdoc reads it.

use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::checked::Doc;

/// The documentation of an item: its pieces joined, without the indentation that all share.
pub(super) fn doc(attributes: &[Attribute]) -> Doc {
    let pieces: Vec<Piece> = attributes.iter().filter_map(Piece::of).collect();
    // A comment is indented by the space after its slashes, an attribute is not.
    let is_mixed =
        pieces.iter().any(|piece| piece.is_comment) && pieces.iter().any(|piece| !piece.is_comment);
    let indents = pieces.iter().filter_map(|piece| {
        let added = usize::from(is_mixed && !piece.is_comment);
        Some(piece.indentation()? + added)
    });
    let indent = indents.min().unwrap_or(0);
    let texts = pieces.iter().map(|piece| {
        let added = usize::from(is_mixed && !piece.is_comment);
        let text = piece.text.as_ref()?;
        Some(unindented(text, indent.saturating_sub(added)))
    });
    if let Some(texts) = texts.clone().collect::<Option<Vec<String>>>() {
        let text = texts.join("\n");
        let text = text.trim();
        return Doc(quote!(#text));
    }
    // What `include_str!("…")` reads is known only to the compiler.
    let mut joined = Vec::new();
    for (piece, text) in pieces.iter().zip(texts) {
        if !joined.is_empty() {
            joined.push(quote!("\n"));
        }
        joined.push(match text {
            Some(text) => text.to_token_stream(),
            None => piece.value.to_token_stream(),
        });
    }
    Doc(quote!(::core::concat!(#(#joined),*).trim_ascii()))
}

/// One `///`, `/** */` or `#[doc = …]`.
struct Piece<'a> {
    value: &'a Expr,
    /// The text, if it is a literal.
    text: Option<String>,
    is_comment: bool,
}

impl<'a> Piece<'a> {
    fn of(attribute: &'a Attribute) -> Option<Self> {
        let value = match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => &pair.value,
            _ => return None,
        };
        let Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) = value
        else {
            return Some(Self {
                value,
                text: None,
                is_comment: false,
            });
        };
        // A comment comes as an attribute, too; its source begins with a slash.
        let source = text.span().source_text();
        let is_comment = source.is_none_or(|source| source.starts_with('/'));
        let text = text.value();
        let text = if is_comment {
            without_stars(text)
        } else {
            text
        };
        Some(Self {
            value,
            text: Some(text),
            is_comment,
        })
    }

    /// How far all its lines are indented, but for blank ones.
    fn indentation(&self) -> Option<usize> {
        let lines = self.text.as_deref()?.lines();
        let indents = lines.filter_map(|line| line.find(|c: char| !c.is_whitespace()));
        indents.min()
    }
}

/// A comment of several lines without its column of stars, if all lines after the first have it.
fn without_stars(text: String) -> String {
    let Some((first, rest)) = text.trim_end().split_once('\n') else {
        return text;
    };
    let lines: Option<Vec<&str>> = rest
        .lines()
        .map(|line| line.trim_start().strip_prefix('*'))
        .collect();
    match lines {
        Some(lines) => format!("{first}\n{}", lines.join("\n")),
        None => text,
    }
}

fn unindented(text: &str, indent: usize) -> String {
    let lines = text.split('\n');
    let lines = lines.map(|line| line.get(indent..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use syn::{DeriveInput, parse_str};

    use super::doc;

    fn read(written: &str) -> String {
        let input: DeriveInput = parse_str(&format!("{written}\nstruct A;")).unwrap();
        doc(&input.attrs).0.to_string()
    }

    #[test]
    fn lines_lose_the_indentation_that_all_share() {
        assert_eq!(read("/// A.\n///\n///   - b\n"), r#""A.\n\n  - b""#);
        assert_eq!(read("///A."), r#""A.""#);
    }

    #[test]
    fn block_comments_lose_their_stars() {
        assert_eq!(read("/** A.\n *\n *   b\n */"), r#""A.\n\n  b""#);
        assert_eq!(read("/**\n    A.\n      b\n*/"), r#""A.\n  b""#);
        // A line without a star: the others are a list.
        assert_eq!(read("/**\n * a\n\n * b\n*/"), r#""* a\n\n* b""#);
    }

    #[test]
    fn included_files_stay_what_includes_them() {
        assert_eq!(
            read("/// A.\n#[doc = include_str!(\"a.md\")]").replace(' ', ""),
            r#"::core::concat!("A.","\n",include_str!("a.md")).trim_ascii()"#
        );
    }
}
