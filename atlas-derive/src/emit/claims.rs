//! What the compiler proves: that the values of a constraint agree with each other, and the
//! default with them.
//!
//! Each claim is a constant that does not evaluate if the claim is false. Literals and constants
//! are proved alike, so that one compile reports them all. What needs a call is checked at run
//! time, with every other value of the parameter.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Lit};

use super::blamed_on;
use super::param::{constant, element, is_default_constant};
use super::written::{Written, elements, inside_some, is_constant, leaves, literal, path};
use crate::checked::{Default, Param};
use crate::shape::Shape;

/// A constant for each claim about the parameter, blamed on the user's tokens.
pub(super) fn claims(param: &Param) -> TokenStream {
    let mut claims = Claims {
        param,
        shape: param.shape.element(),
        code: TokenStream::new(),
    };
    claims.bounds();
    claims.one_of();
    claims.lengths();
    if let Default::Value(default) = &param.default {
        claims.length_of_default(default);
        for (shape, leaf) in leaves(&param.shape, default) {
            claims.default(&shape, &leaf);
        }
    }
    claims.code
}

struct Claims<'a> {
    param: &'a Param,
    /// The shape of what bounds apply to.
    shape: &'a Shape,
    code: TokenStream,
}

impl Claims<'_> {
    /// Claims that `is_broken`, in which `values` are known, is false.
    fn claim(&mut self, at: Span, values: TokenStream, is_broken: TokenStream, otherwise: &str) {
        let panic = quote_spanned!(at=> ::core::panic!("{}", #otherwise));
        self.code.extend(quote_spanned! {blamed_on(at)=>
            const _: () = {
                #values
                if #is_broken {
                    #panic
                }
            };
        });
    }

    /// `min` and `max` are finite and not crossed, and `multiple_of` is positive.
    fn bounds(&mut self) {
        let (name, constraint) = (&self.param.name, &self.param.constraint);
        let is_float = self.shape.is_float() || *self.shape == Shape::Other;
        for (key, bound) in [
            ("min", &constraint.min),
            ("max", &constraint.max),
            ("multiple_of", &constraint.multiple_of),
        ] {
            if let Some(bound) = bound
                && is_float
                && is_constant(bound)
            {
                let mut value = constant(self.param, key);
                value.set_span(blamed_on(bound.span()));
                self.finite(bound, &value, &format!("the `{key}` of `{name}`"));
            }
        }
        if let (Some(min), Some(max)) = (&constraint.min, &constraint.max)
            && is_constant(min)
            && is_constant(max)
        {
            let [low, high] = ["min", "max"].map(|key| constant(self.param, key));
            let message = format!(
                "the `min` of `{name}` is greater than {}",
                shown("max", max)
            );
            self.claim(min.span(), quote!(), quote!(#low > #high), &message);
        }
        if let Some(factor) = &constraint.multiple_of
            && is_constant(factor)
        {
            let value = constant(self.param, "multiple_of");
            let message = format!("the `multiple_of` of `{name}` must be 1 or more");
            self.claim(factor.span(), quote!(), quote!(#value < 1), &message);
        }
    }

    /// The values of `one_of` are finite, and none is there twice.
    fn one_of(&mut self) {
        let param = self.param;
        let items = &param.constraint.one_of;
        for (position, item) in items.iter().enumerate() {
            if is_float(self.shape, item) {
                let what = format!("a value that `{}` may take", param.name);
                self.finite(item, &self.value(item), &what);
            }
            if let Some(is_twice) = self.is_among(self.shape, item, &items[..position]) {
                let message = "this value is in `one_of` already";
                self.claim(item.span(), quote!(), is_twice, message);
            }
        }
    }

    /// The smallest length is not greater than the largest.
    fn lengths(&mut self) {
        if let Some(len) = &self.param.constraint.len
            && let (Some(min), Some(max)) = (&len.min, &len.max)
            && min != max
            && is_constant(min)
            && is_constant(max)
        {
            let values = quote!(const __MIN: usize = #min; const __MAX: usize = #max;);
            let message = format!("the `len` of `{}` is an empty range", self.param.name);
            self.claim(min.span(), values, quote!(__MIN > __MAX), &message);
        }
    }

    /// The length of the default, if it is written out, is within `len`.
    fn length_of_default(&mut self, default: &Expr) {
        let Some(len) = &self.param.constraint.len else {
            return;
        };
        if let Some(inside) = inside_some(default) {
            return self.length_of_default(inside);
        }
        let Some((length, found)) = length_of(default) else {
            return;
        };
        let message = format!(
            "the default of `{}` has {found} that its `len` does not allow",
            self.param.name
        );
        for (bound, is_broken) in [
            (&len.min, quote!(__LENGTH < __BOUND)),
            (&len.max, quote!(__LENGTH > __BOUND)),
        ] {
            if let Some(bound) = bound
                && is_constant(bound)
            {
                let values =
                    quote!(const __LENGTH: usize = #length; const __BOUND: usize = #bound;);
                self.claim(default.span(), values, is_broken, &message);
            }
        }
    }

    /// A scalar of the default satisfies the constraint.
    fn default(&mut self, shape: &Shape, leaf: &Expr) {
        let (param, constraint) = (self.param, &self.param.constraint);
        let what = format!("the default of `{}`", param.name);
        let value = self.value(leaf);
        // What is not finite has a claim of its own.
        let is_finite = is_float(shape, leaf).then(|| {
            self.finite(leaf, &value, &what);
            quote!(&& (#value as f64).is_finite())
        });
        if is_number(shape, leaf) {
            let [min, max, factor] = ["min", "max", "multiple_of"].map(|key| constant(param, key));
            for (key, bound, is_broken, verb) in [
                (
                    "min",
                    &constraint.min,
                    quote!(#value < #min #is_finite),
                    "is less than",
                ),
                (
                    "max",
                    &constraint.max,
                    quote!(#value > #max #is_finite),
                    "is greater than",
                ),
                (
                    "multiple_of",
                    &constraint.multiple_of,
                    quote!(#factor > 0 && #value.wrapping_rem(#factor) != 0),
                    "breaks",
                ),
            ] {
                if let Some(bound) = bound
                    && is_constant(bound)
                {
                    let message = format!("{what} {verb} {}", shown(key, bound));
                    self.claim(leaf.span(), quote!(), is_broken, &message);
                }
            }
        }
        let items = &constraint.one_of;
        if !items.is_empty()
            && let Some(is_among) = self.is_among(shape, leaf, items)
        {
            let message = format!("{what} is not among its `one_of`");
            self.claim(leaf.span(), quote!(), quote!(!#is_among), &message);
        }
    }

    fn finite(&mut self, at: &Expr, value: &impl ToTokens, what: &str) {
        // Of all types that a parameter can have, only numbers are cast to a float.
        let value = quote_spanned!(blamed_on(at.span())=> const __VALUE: f64 = #value as f64;);
        let message = format!("{what} must be a finite number");
        self.claim(at.span(), value, quote!(!__VALUE.is_finite()), &message);
    }

    /// Whether a value is one of the others, as an expression of a constant; `None` if only the
    /// running program can tell.
    fn is_among(&self, shape: &Shape, value: &Expr, others: &[Expr]) -> Option<TokenStream> {
        let all = |is_such: fn(&Shape, &Expr) -> bool| {
            is_such(shape, value) && others.iter().all(|other| is_such(shape, other))
        };
        if all(is_float) {
            // Apart, since a lint may forbid to compare floats.
            let value = self.value(value);
            let others = others.iter().map(|other| self.value(other));
            Some(quote!(__atlas::is_number_among(#value as f64, &[#(#others as f64),*])))
        } else if all(is_number) || all(is_bool) {
            let value = self.value(value);
            let others = others.iter().map(|other| self.value(other));
            Some(quote!((false #(|| #value == #others)*)))
        } else if all(is_text) {
            Some(quote!(__atlas::is_among(#value, &[#(#others),*])))
        } else if all(is_path) {
            let is_written = others.iter().any(|other| path(other) == path(value));
            let value = self.value(value);
            Some(match others {
                _ if is_written => quote!(true),
                [] => quote!(false),
                _ => quote!(::core::matches!(#value, #(#others)|*)),
            })
        } else {
            None
        }
    }

    /// The value as a constant of the type that bounds have.
    fn value(&self, value: &Expr) -> TokenStream {
        let is_default = matches!(&self.param.default, Default::Value(default) if default == value);
        if is_default && is_default_constant(self.param) {
            return constant(self.param, "default").into_token_stream();
        }
        let element = element(&self.param.ty);
        quote!({ const __VALUE: #element = #value; __VALUE })
    }
}

/// Whether the scalar is a number that a constant can hold. Of a type of no known shape only a
/// literal is known to be one.
fn is_number(shape: &Shape, value: &Expr) -> bool {
    match literal(value) {
        Some(Lit::Int(_) | Lit::Float(_)) => shape.is_number() || *shape == Shape::Other,
        Some(_) => false,
        None => shape.is_number() && is_constant(value),
    }
}

fn is_float(shape: &Shape, value: &Expr) -> bool {
    let is_literal = matches!(literal(value), Some(Lit::Float(_)));
    is_number(shape, value) && (shape.is_float() || *shape == Shape::Other && is_literal)
}

fn is_bool(_: &Shape, value: &Expr) -> bool {
    matches!(literal(value), Some(Lit::Bool(_)))
}

fn is_text(_: &Shape, value: &Expr) -> bool {
    matches!(literal(value), Some(Lit::Str(_)))
}

fn is_path(shape: &Shape, value: &Expr) -> bool {
    *shape == Shape::Other && path(value).is_some()
}

/// The length of a text or list that is written out, as an expression and in words.
fn length_of(value: &Expr) -> Option<(TokenStream, String)> {
    if let Some(Lit::Str(text)) = literal(value) {
        let count = text.value().chars().count();
        return Some((quote!(#count), counted(count, "character")));
    }
    match elements(value)? {
        Written::Each(each) => {
            let count = each.len();
            Some((quote!(#count), counted(count, "element")))
        }
        Written::Repeat(_, len) if is_constant(&len) => {
            Some((len.to_token_stream(), "a length".to_owned()))
        }
        Written::Repeat(..) => None,
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("a length of {count} {what}{plural}")
}

/// The tokens of a bound as a message shows them, if it is short enough to show.
fn shown(key: &str, bound: &Expr) -> String {
    let tokens = bound.to_token_stream().to_string();
    match bound {
        Expr::Lit(_) => format!("`{key} = {tokens}`"),
        // A sign stands apart from its number in a token stream.
        Expr::Unary(_) => format!("`{key} = {}`", tokens.replace("- ", "-")),
        _ => format!("its `{key}`"),
    }
}
