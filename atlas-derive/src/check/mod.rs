//! From what was written to what is emitted: every rule that spans keys, fields or values.

mod choice;
mod constraint;
mod doc;
mod len;
mod name;
mod param;
mod structure;
mod version;

pub(crate) use choice::choice;
pub(crate) use structure::{group, model};

use syn::Attribute;

use doc::doc;

/// The attributes of an item that what is generated from it takes over.
fn shared(attributes: &[Attribute], names: &[&str]) -> Vec<Attribute> {
    attributes
        .iter()
        .filter(|attribute| names.iter().any(|name| attribute.path().is_ident(name)))
        .cloned()
        .collect()
}
