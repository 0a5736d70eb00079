//! Generates `Params` and its companions, for a group of parameters and for the parameters of a
//! model.

use proc_macro2::TokenStream;
use quote::quote;

use super::{claims, generated, param, scope};
use crate::checked::{Default, Group};

/// The impls of a struct that derives `Params`, in their scope.
pub(crate) fn group(group: &Group) -> TokenStream {
    scope(&group.krate, &impls(group))
}

/// The impls, for a scope.
pub(super) fn impls(group: &Group) -> TokenStream {
    let constants = group.params.iter().map(param::constants);
    let claims = group.params.iter().map(claims::claims);
    let default = default(group);
    let param_value = param_value(group);
    let params = params(group);
    let serde = serde(group);
    quote! {
        #(#constants)*
        #(#claims)*
        #default
        #param_value
        #params
        #serde
    }
}

/// `Default`, if every parameter has one.
fn default(group: &Group) -> Option<TokenStream> {
    let ident = &generated(&group.ident);
    if group
        .params
        .iter()
        .any(|param| matches!(param.default, Default::Required))
    {
        return None;
    }
    let nested = group
        .params
        .iter()
        .filter(|param| matches!(param.default, Default::Nested))
        .map(|param| &param.ty);
    let fields = group.params.iter().map(|param| {
        let (name, value) = (generated(&param.ident), param::default(param));
        quote!(#name: #value)
    });
    // Under `for<'__atlas>` the bounds are not checked here: `Default` exists exactly if every
    // nested group has one.
    Some(quote! {
        #[automatically_derived]
        impl ::core::default::Default for #ident
        where
            #(for<'__atlas> #nested: ::core::default::Default,)*
        {
            fn default() -> Self {
                Self { #(#fields),* }
            }
        }
    })
}

fn param_value(group: &Group) -> TokenStream {
    let ident = &generated(&group.ident);
    let to_json = group.params.iter().map(|param| {
        let (ident, value) = (generated(&param.ident), param::as_value(&param.ty));
        quote!(#value::to_json(&self.#ident))
    });
    let from_json = group.params.iter().map(|param| {
        let (ident, name, value) = (
            generated(&param.ident),
            &param.name,
            param::as_value(&param.ty),
        );
        quote!(#ident: #value::from_json(__atlas::member(__json, #name)?)?)
    });
    let names: Vec<_> = group.params.iter().map(|param| &param.name).collect();
    quote! {
        #[automatically_derived]
        impl __atlas::ParamValue for #ident {
            type Element = Self;

            fn kind() -> __atlas::Kind {
                __atlas::Kind::Group(::std::boxed::Box::new(<Self as __atlas::Params>::schema()))
            }

            fn to_json(&self) -> __atlas::Value {
                let mut __group = __atlas::Map::new();
                #(
                    __group.insert(
                        ::std::string::String::from(#names),
                        #to_json,
                    );
                )*
                __atlas::Value::Object(__group)
            }

            fn from_json(__json: &__atlas::Value) -> ::core::option::Option<Self> {
                ::core::option::Option::Some(Self {
                    #(#from_json),*
                })
            }
        }
    }
}

fn params(group: &Group) -> TokenStream {
    let (ident, doc) = (&generated(&group.ident), &group.doc.0);
    let name = crate::syntax::unraw(ident);
    let fields = group.params.iter().map(param::field);
    let validate = group
        .validate
        .as_ref()
        .map(|path| quote!(.with_validate(|__json| __atlas::run_check::<Self, _>(__json, #path))));
    quote! {
        #[automatically_derived]
        impl __atlas::Params for #ident {
            fn schema() -> __atlas::Schema {
                __atlas::Schema::new(#name, #doc, ::std::vec::Vec::from([#(#fields),*]))
                    #validate
            }
        }
    }
}

fn serde(group: &Group) -> TokenStream {
    let ident = &generated(&group.ident);
    quote! {
        #[automatically_derived]
        impl __atlas::Serialize for #ident {
            fn serialize<__S: __atlas::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                __atlas::serialize(self, __serializer)
            }
        }

        #[automatically_derived]
        impl<'__de> __atlas::Deserialize<'__de> for #ident {
            fn deserialize<__D: __atlas::Deserializer<'__de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                __atlas::deserialize(__deserializer)
            }
        }
    }
}
