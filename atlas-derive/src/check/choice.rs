//! Choices: every variant has a name of its own.

use std::collections::HashMap;

use super::{doc, name};
use crate::checked::{Choice, ChoiceItem};
use crate::syntax::{Ctxt, RawChoice, RawVariant, krate};

/// Checks an enum that derives `Choice`.
pub(crate) fn choice(ctxt: &Ctxt, raw: &RawChoice) -> Choice {
    let items: Vec<ChoiceItem> = raw
        .variants
        .iter()
        .map(|variant| item(ctxt, variant))
        .collect();
    if raw.is_empty_enum() {
        ctxt.error(&raw.input.ident, "a `Choice` has at least one variant");
    }
    let mut seen = HashMap::new();
    for (item, variant) in items.iter().zip(&raw.variants) {
        if let Some(other) = seen.insert(&item.name, &item.ident) {
            let message = format!(
                "`{}` and `{other}` are both named `{}`",
                item.ident, item.name
            );
            match variant.name.value() {
                Some(given) => ctxt.error(given, message),
                None => ctxt.error(&item.ident, message),
            }
        }
    }
    Choice {
        krate: krate(&raw.krate),
        ident: raw.input.ident.clone(),
        items,
    }
}

fn item(ctxt: &Ctxt, raw: &RawVariant) -> ChoiceItem {
    ChoiceItem {
        ident: raw.variant.ident.clone(),
        name: name::variant(ctxt, &raw.variant.ident, &raw.name),
        doc: doc(&raw.variant.attrs),
    }
}
