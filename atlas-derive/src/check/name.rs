//! Names: of models, networks and choices.

use proc_macro2::Ident;
use syn::LitStr;

use crate::checked::Network;
use crate::syntax::{Ctxt, Slot, unraw};

/// How long the name of a network may be, as the core has it.
const LONGEST_NETWORK: usize = 128;

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

/// Why no network can have this name, if none can: the rule of the core, which names files after
/// networks.
fn network_defect(name: &str) -> Option<String> {
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if name.is_empty() || name.len() > LONGEST_NETWORK || !is_word {
        return Some(format!(
            "`{name}` cannot name a network: 1 to {LONGEST_NETWORK} of a-z, A-Z, 0-9 and _"
        ));
    }
    let kept_for = match name {
        "golden" => "the behaviour check",
        "checkpoint" => "the state of training",
        _ => return None,
    };
    Some(format!(
        "a network cannot be named `{name}`: a bundle keeps that name for {kept_for}"
    ))
}

/// Network names are file names, on any file system.
pub(super) fn networks(ctxt: &Ctxt, networks: &[Network]) {
    for (index, network) in networks.iter().enumerate() {
        let Network { ident, name, .. } = network;
        if let Some(defect) = network_defect(name) {
            ctxt.error(ident, defect);
        }
        let is_like = |other: &&Network| other.name.eq_ignore_ascii_case(name);
        // The compiler reports two fields of one name.
        if let Some(other) = networks[..index].iter().find(is_like)
            && other.name != *name
        {
            let other = &other.name;
            let message = format!(
                "`{name}` and `{other}` differ only by case: their files would be one where the \
                 file system ignores case"
            );
            ctxt.error(ident, message);
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
    use super::{is_identity, kebab_case, network_defect};

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
    fn a_network_is_named_as_the_core_allows() {
        let longest = "n".repeat(128);
        for name in [
            "net", "con", "aux", "Atlas", "atlas", "Golden", "_0", &longest,
        ] {
            assert_eq!(network_defect(name), None);
        }
        let longer = "n".repeat(129);
        for name in ["", "golden", "checkpoint", "größe", "a-b", &longer] {
            assert!(network_defect(name).is_some(), "{name}");
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
