//! Generates the code of the derives.
//!
//! Every path in it is absolute and every helper begins with two underscores, so that nothing in
//! the user's module is captured and nothing there can get in the way. An expression of the user's
//! is emitted once, so that a mistake in it is reported once.

mod choice;
mod claims;
mod fallback;
mod group;
mod implementation;
mod param;
mod written;

pub(crate) use choice::choice;
pub(crate) use fallback::{
    choice as fallback_choice, group as fallback_group, model as fallback_model,
};
pub(crate) use group::group;
pub(crate) use implementation::model;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Path;

/// The span of generated tokens that are blamed on the user's. Locals among them still resolve as
/// generated ones, also where the user's tokens come from a `macro_rules!`.
fn blamed_on(user: Span) -> Span {
    Span::call_site().located_at(user)
}

/// The user's name in code that is not the user's, where no lint is about it.
fn generated(ident: &Ident) -> Ident {
    let mut generated = ident.clone();
    generated.set_span(blamed_on(ident.span()));
    generated
}

/// The code in a scope of its own, in which `__atlas` is what it may call.
fn scope(krate: &Path, code: &TokenStream) -> TokenStream {
    quote! {
        #[doc(hidden)]
        const _: () = {
            use #krate::__private as __atlas;
            #code
        };
    }
}
