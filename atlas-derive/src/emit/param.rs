//! One parameter: its constants, its default, its line in the schema.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Type};

use super::blamed_on;
use super::written::{is_constant, owned_texts};
use crate::checked::{Default, Param};
use crate::syntax::unraw;

/// The user's expressions, each as a constant or a function that everything else names.
pub(super) fn constants(param: &Param) -> TokenStream {
    let element = element(&param.ty);
    let bounds = [
        ("min", &param.constraint.min),
        ("max", &param.constraint.max),
        ("multiple_of", &param.constraint.multiple_of),
    ];
    let bounds = bounds.into_iter().filter_map(|(key, bound)| {
        let bound = bound.as_ref().filter(|bound| is_constant(bound))?;
        let name = constant(param, key);
        Some(quote!(const #name: #element = #bound;))
    });
    let one_of = is_one_of_constant(param).then(|| {
        let (name, items) = (constant(param, "one_of"), &param.constraint.one_of);
        let count = items.len();
        quote!(const #name: [#element; #count] = [#(#items),*];)
    });
    let default = default_item(param);
    quote!(#(#bounds)* #one_of #default)
}

fn default_item(param: &Param) -> Option<TokenStream> {
    let Default::Value(value) = &param.default else {
        return None;
    };
    let (ty, name) = (&param.ty, constant(param, "default"));
    if is_default_constant(param) {
        return Some(quote!(const #name: #ty = #value;));
    }
    let value = owned_texts(&param.shape, value);
    Some(quote! {
        fn #name() -> #ty {
            #value
        }
    })
}

/// The default, as an expression of the parameter's type.
pub(super) fn default(param: &Param) -> TokenStream {
    let (ty, name) = (&param.ty, constant(param, "default"));
    match &param.default {
        Default::Value(_) if is_default_constant(param) => quote!(#name),
        Default::Value(_) => quote!(#name()),
        Default::Nested | Default::Required => quote!(<#ty as ::core::default::Default>::default()),
    }
}

/// Whether the default is a constant rather than a function: a number that one can hold.
pub(super) fn is_default_constant(param: &Param) -> bool {
    matches!(&param.default, Default::Value(value) if param.shape.is_number() && is_constant(value))
}

/// Whether `one_of` is a constant: numbers that one can hold.
pub(super) fn is_one_of_constant(param: &Param) -> bool {
    let items = &param.constraint.one_of;
    !items.is_empty() && param.shape.element().is_number() && items.iter().all(is_constant)
}

/// The name of what one of the user's expressions became.
pub(super) fn constant(param: &Param, key: &str) -> Ident {
    format_ident!("__{}_of_{}", key, unraw(&param.ident))
}

/// The type of a parameter as such, blamed on the type. One expression wherever it is asked for, so
/// that a type that no parameter has is reported once.
pub(super) fn as_value(ty: &Type) -> TokenStream {
    quote_spanned!(blamed_on(ty.span())=> <#ty as __atlas::ParamValue>)
}

/// What bounds are compared with.
pub(super) fn element(ty: &Type) -> TokenStream {
    let value = as_value(ty);
    quote_spanned!(blamed_on(ty.span())=> #value::Element)
}

/// The parameter in the schema.
pub(super) fn field(param: &Param) -> TokenStream {
    let (ty, name, doc) = (&param.ty, &param.name, &param.doc.0);
    let param_value = as_value(ty);
    let default = match &param.default {
        Default::Required => None,
        Default::Value(_) => {
            let value = default(param);
            Some(quote!(.with_default(#param_value::to_json(&#value))))
        }
        Default::Nested => Some(quote!(.with_nested_default())),
    };
    let constraint = constraint(param);
    // By a closure, so that a function of `&[T]` or `&str` does.
    let check = param.constraint.check.as_ref().map(|path| {
        let check = quote_spanned!(blamed_on(path.span())=> |__value| #path(__value));
        quote!(.with_check(|__json| __atlas::run_check::<#ty, _>(__json, #check)))
    });
    quote! {
        __atlas::Field::new(#name, #doc, #param_value::kind()) #default #constraint #check
    }
}

fn constraint(param: &Param) -> TokenStream {
    let constraint = &param.constraint;
    let element = element(&param.ty);
    let bound = |key: &str, bound: &Option<Expr>| {
        let bound = bound.as_ref()?;
        let setter = format_ident!("with_{key}");
        let value = if is_constant(bound) {
            constant(param, key).into_token_stream()
        } else {
            bound.into_token_stream()
        };
        Some(quote!(.#setter::<#element>(#value)))
    };
    let min = bound("min", &constraint.min);
    let max = bound("max", &constraint.max);
    let multiple_of = bound("multiple_of", &constraint.multiple_of);
    let one_of = (!constraint.one_of.is_empty()).then(|| {
        let values = if is_one_of_constant(param) {
            constant(param, "one_of").into_token_stream()
        } else {
            let items = constraint
                .one_of
                .iter()
                .map(|item| owned_texts(&param.shape, item));
            quote!([#(#items),*])
        };
        // Blamed on the type, where a type that no parameter has is reported.
        let values = quote_spanned! {blamed_on(param.ty.span())=>
            __atlas::to_json::<#element>(::std::vec::Vec::from(#values))
        };
        quote!(.with_one_of(#values))
    });
    let len = constraint.len.as_ref().map(|len| {
        let min = len
            .min
            .as_ref()
            .map_or_else(|| quote!(0), ToTokens::to_token_stream);
        let max = match &len.max {
            Some(max) => quote!(::core::option::Option::Some(#max)),
            None => quote!(::core::option::Option::None),
        };
        quote!(.with_len(#min, #max))
    });
    quote!(#min #max #multiple_of #one_of #len)
}
