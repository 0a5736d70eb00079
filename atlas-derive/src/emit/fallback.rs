//! What a failed derive still emits, so that one mistake is one error.
//!
//! The code elsewhere that names the parameters struct, `Mlp::create` or `schema` is not wrong
//! because an attribute is. These impls satisfy it; they can never run, since the errors that go
//! with them stop the compilation.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Data, Generics, Path, parse_quote};

use super::scope;
use crate::shape::{Shape, shape_of};
use crate::syntax::{RawChoice, RawField, RawStruct, Role, Slot, krate};

/// The parameters struct and the impls of a struct that could not derive `AtlasModel`.
pub(crate) fn model(raw: &RawStruct) -> TokenStream {
    let (ident, vis, generics) = (&raw.input.ident, &raw.input.vis, &raw.input.generics);
    let given = raw.params_ident();
    let params = if given == *ident {
        quote::format_ident!("{ident}Params")
    } else {
        given
    };
    let fields = raw
        .fields
        .iter()
        .filter(|field| is_param(field) && !mentions(field, generics))
        .map(|field| {
            let (vis, ident, ty) = (&field.field.vis, field.ident, &field.field.ty);
            quote!(#[doc = ""] #vis #ident: #ty)
        });
    let derives = raw.slots.params_derive.value();
    let derives = derives.map(|derives| quote!(#[derive(#(#derives),*)]));
    let params_struct = quote! {
        #[doc = "The parameters, as far as they could be read."]
        #derives
        #vis struct #params {
            #(#fields,)*
        }
    };
    let standard = standard_impls(&params);
    let group = group_impls(&params, &Generics::default());
    let (impl_generics, ty_generics, _) = generics.split_for_impl();
    let model = quote! {
        impl #impl_generics __atlas::AtlasModel for #ident #ty_generics
        where
            Self: 'static,
        {
            const NAME: &'static str = "";
            const VERSION: u32 = 1;
            const DOC: &'static str = "";
            const NETWORKS: &'static [&'static str] = &[];

            type Params = #params;

            fn build(_: &#params, _: &__atlas::NetworkBuilder) -> __atlas::Result<Self> {
                ::core::unreachable!()
            }
        }
    };
    let impls = in_scope(&raw.slots.krate, &quote!(#group #model));
    quote!(#params_struct #standard #impls)
}

/// The impls of a struct that could not derive `Params`.
pub(crate) fn group(raw: &RawStruct) -> TokenStream {
    if matches!(raw.input.data, Data::Union(_)) {
        return TokenStream::new();
    }
    let (ident, generics) = (&raw.input.ident, &bounded(&raw.input.generics));
    let default = default_impl(ident, generics);
    let impls = in_scope(&raw.slots.krate, &group_impls(ident, generics));
    quote!(#default #impls)
}

/// The impls of an enum that could not derive `Choice`.
pub(crate) fn choice(raw: &RawChoice) -> TokenStream {
    if matches!(raw.input.data, Data::Union(_)) {
        return TokenStream::new();
    }
    let (ident, generics) = (&raw.input.ident, &bounded(&raw.input.generics));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let param_value = param_value_impl(ident, generics);
    let impls = quote! {
        #param_value

        impl #impl_generics __atlas::Choice for #ident #ty_generics #where_clause {
            const ITEMS: &'static [__atlas::ChoiceItem] = &[];

            fn name(&self) -> &'static str {
                ::core::unreachable!()
            }

            fn from_name(_: &str) -> ::core::option::Option<Self> {
                ::core::unreachable!()
            }
        }

        impl #impl_generics ::core::fmt::Display for #ident #ty_generics #where_clause {
            fn fmt(&self, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::unreachable!()
            }
        }

        impl #impl_generics ::core::str::FromStr for #ident #ty_generics #where_clause {
            type Err = __atlas::Error;

            fn from_str(_: &str) -> ::core::result::Result<Self, Self::Err> {
                ::core::unreachable!()
            }
        }
    };
    in_scope(&raw.krate, &impls).unwrap_or_default()
}

/// The parameters of a generic item with the bounds that `ParamValue` asks of the item: its own
/// derives hold under conditions. A union has no such derives, and gets no impls.
fn bounded(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    if !generics.params.is_empty() {
        let bound =
            parse_quote!(Self: ::core::clone::Clone + ::core::fmt::Debug + ::core::cmp::PartialEq);
        generics.make_where_clause().predicates.push(bound);
    }
    generics
}

/// The impls in their scope, unless it is not known where `atlas_core` is.
fn in_scope(given: &Slot<Path>, impls: &TokenStream) -> Option<TokenStream> {
    let is_known = given.key().is_some() == given.value().is_some();
    is_known.then(|| scope(&krate(given), impls))
}

/// Whether the field goes into the parameters struct. One that does not say what it is does if it
/// looks like a parameter.
fn is_param(raw: &RawField) -> bool {
    match &raw.role {
        Some((_, role)) => matches!(role, Role::Param(_)),
        None => shape_of(&raw.field.ty).is_ok_and(|shape| *shape.element() != Shape::Other),
    }
}

/// Whether the field's type names a parameter of the struct, which the parameters struct lacks.
fn mentions(raw: &RawField, generics: &Generics) -> bool {
    fn any(tokens: TokenStream, names: &[String]) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => names.contains(&ident.to_string()),
            TokenTree::Group(group) => any(group.stream(), names),
            _ => false,
        })
    }
    let names: Vec<String> = generics
        .params
        .iter()
        .map(|param| match param {
            syn::GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
            syn::GenericParam::Type(param) => param.ident.to_string(),
            syn::GenericParam::Const(param) => param.ident.to_string(),
        })
        .collect();
    any(raw.field.ty.to_token_stream(), &names)
}

fn standard_impls(ident: &Ident) -> TokenStream {
    let default = default_impl(ident, &Generics::default());
    quote! {
        impl ::core::clone::Clone for #ident {
            fn clone(&self) -> Self {
                ::core::unreachable!()
            }
        }

        impl ::core::fmt::Debug for #ident {
            fn fmt(&self, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::unreachable!()
            }
        }

        impl ::core::cmp::PartialEq for #ident {
            fn eq(&self, _: &Self) -> bool {
                ::core::unreachable!()
            }
        }

        #default
    }
}

fn default_impl(ident: &Ident, generics: &Generics) -> TokenStream {
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    quote! {
        impl #impl_generics ::core::default::Default for #ident #ty_generics #where_clause {
            fn default() -> Self {
                ::core::unreachable!()
            }
        }
    }
}

fn group_impls(ident: &Ident, generics: &Generics) -> TokenStream {
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let param_value = param_value_impl(ident, generics);
    let mut de_generics = generics.clone();
    de_generics.params.insert(0, parse_quote!('__de));
    let (de_generics, ..) = de_generics.split_for_impl();
    quote! {
        #param_value

        impl #impl_generics __atlas::Params for #ident #ty_generics #where_clause {
            fn schema() -> __atlas::Schema {
                ::core::unreachable!()
            }
        }

        impl #de_generics __atlas::Deserialize<'__de> for #ident #ty_generics #where_clause {
            fn deserialize<__D: __atlas::Deserializer<'__de>>(
                _: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                ::core::unreachable!()
            }
        }
    }
}

fn param_value_impl(ident: &Ident, generics: &Generics) -> TokenStream {
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    quote! {
        impl #impl_generics __atlas::ParamValue for #ident #ty_generics #where_clause {
            type Element = Self;

            fn kind() -> __atlas::Kind {
                ::core::unreachable!()
            }

            fn to_json(&self) -> __atlas::Value {
                ::core::unreachable!()
            }

            fn from_json(_: &__atlas::Value) -> ::core::option::Option<Self> {
                ::core::unreachable!()
            }
        }

        impl #impl_generics __atlas::Serialize for #ident #ty_generics #where_clause {
            fn serialize<__S: __atlas::Serializer>(
                &self,
                _: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                ::core::unreachable!()
            }
        }
    }
}
