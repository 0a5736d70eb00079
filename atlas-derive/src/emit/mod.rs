//! The code that the derives stand for.
//!
//! Every path in it is absolute and every name begins with two underscores, so that nothing in the
//! user's module is captured and nothing there can get in the way. An expression of the user's is
//! emitted once, so that a mistake in it is reported once.

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

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Path;

/// The span of generated tokens that are blamed on the user's. Locals among them still resolve as
/// generated ones, also where the user's tokens come from a `macro_rules!`.
fn blamed_on(user: Span) -> Span {
    Span::call_site().located_at(user)
}

/// The code in a scope of its own, in which `__atlas` is what it may call.
fn scope(krate: &Path, code: &TokenStream) -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[allow(
            deprecated,
            non_snake_case,
            non_upper_case_globals,
            trivial_numeric_casts,
            unused_comparisons,
            unused_qualifications,
            clippy::absurd_extreme_comparisons,
            clippy::cargo,
            clippy::complexity,
            clippy::nursery,
            clippy::pedantic,
            clippy::perf,
            clippy::restriction,
            clippy::style
        )]
        const _: () = {
            use #krate::__private as __atlas;
            #code
        };
    }
}
