//! Parses the keys of an attribute, `#[param(key = value, …)]`.

use proc_macro2::{Ident, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Meta, Token};

use super::Ctxt;

/// The keys that an attribute takes where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    /// The attribute as users write it, such as `#[param]`.
    pub(crate) attribute: &'static str,
    /// The keys it takes.
    pub(crate) known: &'static [&'static str],
    /// Keys that it takes elsewhere, with where that is.
    pub(crate) elsewhere: Option<(&'static [&'static str], &'static str)>,
}

impl Keys {
    /// Calls `read` for every known key of the attribute. What `read` does not understand is
    /// reported and skipped up to the next comma.
    pub(crate) fn each(
        self,
        ctxt: &Ctxt,
        attribute: &Attribute,
        mut read: impl FnMut(&Ident, ParseStream) -> syn::Result<()>,
    ) {
        let list = match &attribute.meta {
            Meta::Path(_) => return,
            Meta::List(list) => list,
            other => {
                return ctxt.error(
                    other,
                    format!(
                        "expected `{}`, with its keys in parentheses",
                        self.example()
                    ),
                );
            }
        };
        let walked = list.parse_args_with(|input: ParseStream| {
            while !input.is_empty() {
                if let Err(error) = self.entry(input, &mut read) {
                    ctxt.push(error);
                    skip_to_comma(input);
                }
                let _: Option<Token![,]> = input.parse()?;
            }
            Ok(())
        });
        if let Err(error) = walked {
            ctxt.push(error);
        }
    }

    fn entry(
        self,
        input: ParseStream,
        read: &mut impl FnMut(&Ident, ParseStream) -> syn::Result<()>,
    ) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format!("expected a key: {}", self.listed())));
        }
        let key = input.call(Ident::parse_any)?;
        if !self.known.iter().any(|known| key == known) {
            return Err(self.unknown(&key));
        }
        read(&key, input)?;
        if input.is_empty() || input.peek(Token![,]) {
            Ok(())
        } else {
            Err(input.error(format!("expected `,` after the value of `{key}`")))
        }
    }

    fn unknown(self, key: &Ident) -> syn::Error {
        let name = key.to_string();
        let elsewhere = self
            .elsewhere
            .filter(|(keys, _)| keys.contains(&name.as_str()));
        let message = if let Some((_, place)) = elsewhere {
            format!("`{name}` is a key of {place}")
        } else if let Some(near) = suggestion(&name, self.known) {
            format!("unknown key `{name}`; did you mean `{near}`?")
        } else {
            format!("unknown key `{name}`; {}", self.listed())
        };
        syn::Error::new(key.span(), message)
    }

    fn listed(self) -> String {
        match self.known {
            [] => format!("`{}` takes no keys", self.attribute),
            known => format!("`{}` takes {}", self.attribute, list(known)),
        }
    }

    fn example(self) -> String {
        self.attribute.replace(']', "(…)]")
    }
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// The known name nearest to `unknown`, if it is near enough to be a slip of the keyboard.
pub(crate) fn suggestion(unknown: &str, known: &[&'static str]) -> Option<&'static str> {
    let unknown = unknown.to_lowercase().replace('-', "_");
    let allowed = (unknown.chars().count() / 3).max(1);
    known
        .iter()
        .map(|name| (strsim::osa_distance(&unknown, name), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn skip_to_comma(input: ParseStream) {
    while !input.is_empty() && !input.peek(Token![,]) && input.parse::<TokenTree>().is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::{list, suggestion};

    #[test]
    fn a_slip_is_suggested_and_another_word_is_not() {
        let known = &["default", "multiple_of", "min", "max"];
        assert_eq!(suggestion("defualt", known), Some("default"));
        assert_eq!(suggestion("multiple-of", known), Some("multiple_of"));
        assert_eq!(suggestion("mni", known), Some("min"));
        assert_eq!(suggestion("range", known), None);
    }

    #[test]
    fn names_are_listed_as_a_sentence_would() {
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
