//! The impls of a choice.

use proc_macro2::TokenStream;
use quote::quote;

use super::{generated, scope};
use crate::checked::Choice;

/// The impls of an enum that derives `Choice`.
pub(crate) fn choice(choice: &Choice) -> TokenStream {
    let ident = &generated(&choice.ident);
    let variants: Vec<_> = choice
        .items
        .iter()
        .map(|item| generated(&item.ident))
        .collect();
    let names: Vec<_> = choice.items.iter().map(|item| &item.name).collect();
    let docs = choice.items.iter().map(|item| &item.doc.0);
    let conversions = conversions(choice);
    let impls = quote! {
        #[automatically_derived]
        impl __atlas::Choice for #ident {
            const ITEMS: &'static [__atlas::ChoiceItem] =
                &[#(__atlas::ChoiceItem { name: #names, doc: #docs }),*];

            fn name(&self) -> &'static str {
                match self {
                    #(Self::#variants => #names,)*
                }
            }

            fn from_name(__name: &str) -> ::core::option::Option<Self> {
                match __name {
                    #(#names => ::core::option::Option::Some(Self::#variants),)*
                    _ => ::core::option::Option::None,
                }
            }
        }

        #[automatically_derived]
        impl __atlas::ParamValue for #ident {
            type Element = Self;

            fn kind() -> __atlas::Kind {
                __atlas::Kind::Choice(<Self as __atlas::Choice>::ITEMS.to_vec())
            }

            fn to_json(&self) -> __atlas::Value {
                __atlas::Value::String(::std::string::String::from(<Self as __atlas::Choice>::name(self)))
            }

            fn from_json(__json: &__atlas::Value) -> ::core::option::Option<Self> {
                <Self as __atlas::Choice>::from_name(__json.as_str()?)
            }
        }

        #conversions
    };
    scope(&choice.krate, &impls)
}

/// The name as text, from text and as a serialised value.
fn conversions(choice: &Choice) -> TokenStream {
    let ident = &generated(&choice.ident);
    quote! {
        #[automatically_derived]
        impl ::core::fmt::Display for #ident {
            fn fmt(&self, __formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __formatter.pad(<Self as __atlas::Choice>::name(self))
            }
        }

        #[automatically_derived]
        impl ::core::str::FromStr for #ident {
            type Err = __atlas::Error;

            fn from_str(__name: &str) -> ::core::result::Result<Self, Self::Err> {
                __atlas::parse_choice(__name)
            }
        }

        #[automatically_derived]
        impl __atlas::Serialize for #ident {
            fn serialize<__S: __atlas::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                __serializer.serialize_str(<Self as __atlas::Choice>::name(self))
            }
        }
    }
}
