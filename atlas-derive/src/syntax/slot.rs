//! [`Slot`]: the value of one key of an attribute. A second value is an error.

use proc_macro2::Ident;
use syn::parse::ParseStream;

use super::Ctxt;

/// What was written for one key of an attribute.
///
/// A slot remembers that its key was given even when the value was no use, so that a duplicate is
/// a duplicate and a missing key is not reported beside a wrong one.
pub(crate) struct Slot<T> {
    key: Option<Ident>,
    value: Option<T>,
}

/// How the value of a key is read; the key is there for the message.
pub(crate) type Reader<T> = fn(&Ident, ParseStream) -> syn::Result<T>;

impl<T> Slot<T> {
    /// The slot of a key that has not been given.
    pub(crate) fn absent() -> Self {
        Self {
            key: None,
            value: None,
        }
    }

    /// Reads the value of `key` into the slot; a second value is reported and dropped.
    pub(crate) fn read(
        &mut self,
        ctxt: &Ctxt,
        key: &Ident,
        input: ParseStream,
        reader: Reader<T>,
    ) -> syn::Result<()> {
        let value = reader(key, input);
        if self.key.is_some() {
            ctxt.error(key, format!("duplicate key `{key}`"));
            return value.map(drop);
        }
        self.key = Some(key.clone());
        self.value = Some(value?);
        Ok(())
    }

    /// The key, if it was given, whether its value could be read or not.
    pub(crate) fn key(&self) -> Option<&Ident> {
        self.key.as_ref()
    }

    /// The value, if it was given and could be read.
    pub(crate) fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }
}
