//! The documentation of an item, as rustdoc reads it.

use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::checked::Doc;

/// The documentation of an item: its lines joined, without the indentation that all share.
pub(super) fn doc(attributes: &[Attribute]) -> Doc {
    let pieces: Vec<&Expr> = attributes.iter().filter_map(doc_piece).collect();
    let texts: Vec<Option<String>> = pieces.iter().map(|piece| literal_text(piece)).collect();
    let lines = texts.iter().flatten().flat_map(|text| text.lines());
    let indent = lines.filter_map(indentation).min().unwrap_or(0);
    let texts = texts
        .iter()
        .map(|text| Some(unindented(text.as_ref()?, indent)));
    if let Some(texts) = texts.clone().collect::<Option<Vec<String>>>() {
        let text = texts.join("\n");
        let text = text.trim();
        return Doc(quote!(#text));
    }
    // What `include_str!("…")` reads is known only to the compiler.
    let pieces = pieces.iter().zip(texts).map(|(piece, text)| match text {
        Some(text) => text.to_token_stream(),
        None => piece.to_token_stream(),
    });
    let mut joined = Vec::new();
    for piece in pieces {
        if !joined.is_empty() {
            joined.push(quote!("\n"));
        }
        joined.push(piece);
    }
    Doc(quote!(::core::concat!(#(#joined),*)))
}

/// The value of `///`, `/** */` or `#[doc = …]`.
fn doc_piece(attribute: &Attribute) -> Option<&Expr> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => Some(&pair.value),
        _ => None,
    }
}

/// The text of a literal; of a block comment without the column of stars.
fn literal_text(piece: &Expr) -> Option<String> {
    let Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    }) = piece
    else {
        return None;
    };
    let text = text.value();
    let Some((first, rest)) = text.split_once('\n') else {
        return Some(text);
    };
    let without_stars: Option<Vec<&str>> = rest
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.trim_start().strip_prefix('*'))
        .collect();
    Some(match without_stars {
        Some(lines) => format!("{first}\n{}", lines.join("\n")),
        None => text,
    })
}

/// How far a line is indented, unless it is blank.
fn indentation(line: &str) -> Option<usize> {
    line.find(|c: char| !c.is_whitespace())
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
    }

    #[test]
    fn included_files_stay_what_includes_them() {
        assert_eq!(
            read("/// A.\n#[doc = include_str!(\"a.md\")]").replace(' ', ""),
            r#"::core::concat!("A.","\n",include_str!("a.md"))"#
        );
    }
}
