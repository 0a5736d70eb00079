//! Names: of models, networks and choices.

use std::collections::HashMap;

use proc_macro2::Ident;
use syn::LitStr;

use crate::checked::Network;
use crate::syntax::{Ctxt, Slot, unraw};

/// The identity of a model: what was given, or the struct's name in kebab-case.
pub(super) fn model(ctxt: &Ctxt, ident: &Ident, given: &Slot<LitStr>) -> String {
    let rule = "lower-case ASCII letters, digits, `-` and `_`";
    if let Some(name) = given.value() {
        let text = name.value();
        if text.is_empty() {
            ctxt.error(name, "the name of a model cannot be empty");
        } else if !is_identity(&text) {
            ctxt.error(name, format!("the name of a model consists of {rule}"));
        }
        return text;
    }
    let name = kebab_case(&unraw(ident));
    if given.key().is_none() && !is_identity(&name) {
        let message = format!(
            "`{name}` cannot name the model in a bundle; give a name of {rule}: `name = \"…\"`"
        );
        ctxt.error(ident, message);
    }
    name
}

fn is_identity(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        })
}

/// Why no network can have this name, lower-cased, if none can.
fn reserved(name: &str) -> Option<&'static str> {
    let is_port = |prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|digit| matches!(digit.as_bytes(), [b'1'..=b'9']))
    };
    if matches!(name, "atlas" | "checkpoint" | "golden") {
        Some("a bundle keeps that name for a file of its own")
    } else if matches!(name, "aux" | "con" | "nul" | "prn") || is_port("com") || is_port("lpt") {
        Some(
            "Windows keeps that name for a device, and the network's file could not be written there",
        )
    } else {
        None
    }
}

/// Network names are file names, on any file system.
pub(super) fn networks(ctxt: &Ctxt, networks: &[Network]) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for network in networks {
        let folded = network.name.to_lowercase();
        if let Some(why) = reserved(&folded) {
            ctxt.error(
                &network.ident,
                format!("a network cannot be named `{}`: {why}", network.name),
            );
        }
        match seen.get(folded.as_str()) {
            None => {
                seen.insert(folded, &network.name);
            }
            Some(other) if *other != network.name => {
                let message = format!(
                    "`{}` and `{other}` differ only by case: their files would be one where the file system \
                     ignores case",
                    network.name
                );
                ctxt.error(&network.ident, message);
            }
            // The compiler reports two fields of one name.
            Some(_) => {}
        }
    }
}

/// The name of a variant: what was given, or the variant's name in kebab-case.
pub(super) fn variant(ctxt: &Ctxt, ident: &Ident, given: &Slot<LitStr>) -> String {
    let Some(name) = given.value() else {
        return kebab_case(&unraw(ident));
    };
    let text = name.value();
    if text.is_empty() {
        ctxt.error(name, "the name of a choice cannot be empty");
    } else if text
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | '"' | '[' | ']'))
    {
        ctxt.error(
            name,
            "the name of a choice has no white space, commas, quotes or brackets: `--set` reads it",
        );
    }
    text
}

/// `GruVae` as `gru-vae`, `HTTPHead` as `http-head`, `Conv2d` as `conv2d`.
fn kebab_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut kebab = String::with_capacity(name.len() + 4);
    for (position, &c) in chars.iter().enumerate() {
        let before = position.checked_sub(1).map(|before| chars[before]);
        let after = chars.get(position + 1);
        let starts_word = c.is_uppercase()
            && before.is_some_and(|before| {
                before != '_' && {
                    // `D` in `Conv2D` and `P` in `HTTP` go on with the word; `H` in `HTTPHead` starts one.
                    before.is_lowercase() || after.is_some_and(|after| after.is_lowercase())
                }
            });
        if c == '_' {
            kebab.push('-');
            continue;
        }
        if starts_word {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::{is_identity, kebab_case, reserved};

    #[test]
    fn names_become_kebab_case_at_their_words() {
        for (name, kebab) in [
            ("Mlp", "mlp"),
            ("GruVae", "gru-vae"),
            ("GRU", "gru"),
            ("HTTPHead", "http-head"),
            ("Conv2d", "conv2d"),
            ("Conv2D", "conv2d"),
            ("Conv2DNet", "conv2d-net"),
            ("Net2Layer", "net2-layer"),
            ("X", "x"),
            ("Snake_Case", "snake-case"),
            ("snake_case", "snake-case"),
            ("Übung", "übung"),
        ] {
            assert_eq!(kebab_case(name), kebab, "{name}");
        }
    }

    #[test]
    fn files_of_the_bundle_and_devices_are_reserved() {
        for name in ["atlas", "checkpoint", "golden", "aux", "com1", "lpt9"] {
            assert!(reserved(name).is_some(), "{name}");
        }
        for name in ["net", "com", "com0", "com10", "auxiliary"] {
            assert!(reserved(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_identity_is_plain() {
        assert!(is_identity("gru-vae_2"));
        for name in ["", "Mlp", "a b", "a/b", "..", "é"] {
            assert!(!is_identity(name), "{name}");
        }
    }
}
