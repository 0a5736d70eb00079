//! From what was written to what is emitted: every rule that spans keys, fields or values.

mod choice;
mod constraint;
mod len;
mod name;
mod param;
mod structure;
mod version;

pub(crate) use choice::choice;
pub(crate) use structure::{group, model};

use quote::{ToTokens, quote};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::checked::Doc;

/// The documentation of an item, its lines joined.
fn doc(attributes: &[Attribute]) -> Doc {
    let pieces: Vec<&Expr> = attributes.iter().filter_map(doc_piece).collect();
    if let Some(texts) = pieces
        .iter()
        .map(|piece| literal_text(piece))
        .collect::<Option<Vec<String>>>()
    {
        let text = texts.join("\n");
        let text = text.trim();
        return Doc(quote!(#text));
    }
    // `#[doc = include_str!("…")]` is known only to the compiler.
    let pieces = pieces.iter().map(|piece| match literal_text(piece) {
        Some(text) => text.to_token_stream(),
        None => piece.to_token_stream(),
    });
    Doc(quote!(::core::concat!(#(#pieces, "\n"),*)))
}

fn doc_piece(attribute: &Attribute) -> Option<&Expr> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => Some(&pair.value),
        _ => None,
    }
}

/// The text of a `///` line without the space after the slashes.
fn literal_text(piece: &Expr) -> Option<String> {
    let Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    }) = piece
    else {
        return None;
    };
    let text = text.value();
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    Some(lines.join("\n"))
}

/// The attributes of an item that what is generated from it takes over.
fn shared(attributes: &[Attribute], names: &[&str]) -> Vec<Attribute> {
    attributes
        .iter()
        .filter(|attribute| names.iter().any(|name| attribute.path().is_ident(name)))
        .cloned()
        .collect()
}
