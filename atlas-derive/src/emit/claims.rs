//! What the compiler is left to prove: constants that do not evaluate if a constraint is broken.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;

use super::param::{constant, element, is_default_constant};
use crate::model::{Claim, Default, Param, Relation};

/// A constant for each claim, blamed on the user's tokens.
pub(super) fn claims(param: &Param) -> TokenStream {
    param
        .claims
        .iter()
        .map(|claim| claim_item(param, claim))
        .collect()
}

fn claim_item(param: &Param, claim: &Claim) -> TokenStream {
    let message = &claim.otherwise;
    let span = claim.span;
    let (value, is_broken) = broken(param, &claim.relation, span);
    quote_spanned! {span=>
        #[allow(clippy::all)]
        const _: () = {
            #value
            if #is_broken {
                ::core::panic!("{}", #message)
            }
        };
    }
}

/// The value that is claimed something of, as a constant, and when the claim is broken.
fn broken(param: &Param, relation: &Relation, span: Span) -> (TokenStream, TokenStream) {
    let constant = |key: &str| {
        let mut name = constant(param, key);
        name.set_span(span);
        name
    };
    let [min, max, factor, one_of] = ["min", "max", "multiple_of", "one_of"].map(constant);
    // What is not finite has a claim of its own, and NaN is neither less nor greater.
    let finite = param
        .shape
        .element()
        .is_float()
        .then(|| quote!(&&__value.is_finite()));
    match relation {
        Relation::IsNumber(key) => {
            // Of all types that a parameter can have, only numbers are cast to a float.
            let bound = constant(key);
            (
                quote_spanned!(span=> const __value: f64 = #bound as f64;),
                quote!(!__value.is_finite()),
            )
        }
        Relation::MinIsAtMostMax => (quote!(), quote!(#min > #max)),
        Relation::FactorIsPositive => (quote!(), quote!(#factor < 1)),
        Relation::MinLenIsAtMostMaxLen => {
            let (min, max) = lens(param);
            (quote!(), quote!(#min > #max))
        }
        Relation::IsFinite(value) => (value_of(param, value), quote!(!__value.is_finite())),
        Relation::IsAtLeastMin(value) => (value_of(param, value), quote!(__value < #min #finite)),
        Relation::IsAtMostMax(value) => (value_of(param, value), quote!(__value > #max #finite)),
        Relation::IsMultiple(value) => (
            value_of(param, value),
            quote!(#factor > 0 && __value % #factor != 0),
        ),
        Relation::EqualsOneOf(value) => {
            let positions = 0..param.constraint.one_of.len();
            (
                value_of(param, value),
                quote!(#(__value != #one_of[#positions])&&*),
            )
        }
        Relation::MatchesOneOf(value) => {
            let paths = &param.constraint.one_of;
            (
                value_of(param, value),
                quote!(!::core::matches!(__value, #(#paths)|*)),
            )
        }
        Relation::LenIsAtLeast(length) => {
            let (min, _) = lens(param);
            (length_of(length), quote!(__value < #min))
        }
        Relation::LenIsAtMost(length) => {
            let (_, max) = lens(param);
            (length_of(length), quote!(__value > #max))
        }
    }
}

fn value_of(param: &Param, value: &Expr) -> TokenStream {
    let element = element(&param.ty);
    let is_default = matches!(&param.default, Default::Value(default) if default == value);
    let value = if is_default && is_default_constant(param) {
        constant(param, "default").into_token_stream()
    } else {
        value.into_token_stream()
    };
    quote!(const __value: #element = #value;)
}

fn length_of(length: &Expr) -> TokenStream {
    quote!(const __value: usize = #length;)
}

fn lens(param: &Param) -> (TokenStream, TokenStream) {
    let len = param.constraint.len.as_ref();
    let bound = |bound: Option<&Expr>| bound.map(ToTokens::to_token_stream).unwrap_or_default();
    (
        bound(len.and_then(|len| len.min.as_ref())),
        bound(len.and_then(|len| len.max.as_ref())),
    )
}
