//! Where every mistake of one item is collected.

use std::cell::RefCell;
use std::fmt::Display;

use quote::ToTokens;

/// The mistakes found so far.
///
/// Nothing returns early because of a mistake: it is reported here and the work goes on, so that
/// one compile shows them all. [`Ctxt::finish`] must be called; forgetting it would lose them, and
/// panics in debug builds.
pub(crate) struct Ctxt {
    errors: RefCell<Option<Vec<syn::Error>>>,
}

impl Ctxt {
    pub(crate) fn new() -> Self {
        Self {
            errors: RefCell::new(Some(Vec::new())),
        }
    }

    /// Reports a mistake at the user's tokens.
    pub(crate) fn error(&self, at: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    /// Reports a mistake that already knows its place.
    pub(crate) fn push(&self, error: syn::Error) {
        if let Some(errors) = self.errors.borrow_mut().as_mut() {
            errors.push(error);
        }
    }

    /// All mistakes as one error, if there were any.
    pub(crate) fn finish(self) -> syn::Result<()> {
        let errors = self.errors.take().unwrap_or_default();
        let combined = errors.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        });
        combined.map_or(Ok(()), Err)
    }
}

impl Drop for Ctxt {
    fn drop(&mut self) {
        let forgotten = self.errors.get_mut().is_some();
        debug_assert!(
            !forgotten || std::thread::panicking(),
            "the mistakes of a Ctxt were not looked at"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Ctxt;
    use proc_macro2::Span;

    #[test]
    fn every_mistake_is_kept_in_order() {
        let ctxt = Ctxt::new();
        ctxt.push(syn::Error::new(Span::call_site(), "first"));
        ctxt.push(syn::Error::new(Span::call_site(), "second"));
        let messages: Vec<String> = ctxt
            .finish()
            .unwrap_err()
            .into_iter()
            .map(|error| error.to_string())
            .collect();
        assert_eq!(messages, ["first", "second"]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "not looked at"]
    fn mistakes_cannot_be_forgotten() {
        drop(Ctxt::new());
    }
}
