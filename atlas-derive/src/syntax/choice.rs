//! An enum that derives `Choice`, as written.

use syn::{Data, DeriveInput, Fields, LitStr, Path, Variant};

use super::keys::Keys;
use super::structure::{refuse_generics, refuse_rename};
use super::{Ctxt, Slot, value};

/// An enum with its attributes read.
pub(crate) struct RawChoice<'a> {
    pub(crate) input: &'a DeriveInput,
    pub(crate) krate: Slot<Path>,
    pub(crate) variants: Vec<RawVariant<'a>>,
}

/// A variant with its attributes read.
pub(crate) struct RawVariant<'a> {
    pub(crate) variant: &'a Variant,
    pub(crate) name: Slot<LitStr>,
}

const ENUM_KEYS: Keys = Keys {
    attribute: "#[choice]",
    known: &["crate"],
    elsewhere: Some((&["name"], "`#[choice(…)]` on a variant")),
};
const VARIANT_KEYS: Keys = Keys {
    attribute: "#[choice]",
    known: &["name"],
    elsewhere: Some((&["crate"], "`#[choice(…)]` on the enum")),
};

impl<'a> RawChoice<'a> {
    /// Reads the enum. Whatever is wrong with it, something is returned.
    pub(crate) fn parse(ctxt: &Ctxt, input: &'a DeriveInput) -> Self {
        refuse_generics(ctxt, "Choice", input);
        let mut krate = Slot::absent();
        for attribute in input
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("choice"))
        {
            ENUM_KEYS.each(ctxt, attribute, |key, input| {
                krate.read(ctxt, key, input, value::module)
            });
        }
        refuse_rename(ctxt, "choice", &krate, &input.ident);
        let only = "`Choice` can be derived only for enums whose variants have no fields";
        let variants = match &input.data {
            Data::Enum(data) => data
                .variants
                .iter()
                .map(|variant| RawVariant::parse(ctxt, variant))
                .collect(),
            Data::Struct(data) => {
                ctxt.error(
                    data.struct_token,
                    format!("{only}; for a group of parameters, derive `Params`"),
                );
                Vec::new()
            }
            Data::Union(data) => {
                ctxt.error(data.union_token, only);
                Vec::new()
            }
        };
        Self {
            input,
            krate,
            variants,
        }
    }

    /// Whether the item is an enum that has no variants.
    pub(crate) fn is_empty_enum(&self) -> bool {
        matches!(&self.input.data, Data::Enum(data) if data.variants.is_empty())
    }
}

impl<'a> RawVariant<'a> {
    fn parse(ctxt: &Ctxt, variant: &'a Variant) -> Self {
        let mut name = Slot::absent();
        for attribute in variant
            .attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("choice"))
        {
            VARIANT_KEYS.each(ctxt, attribute, |key, input| {
                name.read(ctxt, key, input, value::text)
            });
        }
        let only = "a variant of a `Choice` has no fields: it stands for a name";
        match &variant.fields {
            Fields::Unit => {}
            Fields::Named(fields) => ctxt.error(fields, only),
            Fields::Unnamed(fields) => ctxt.error(fields, only),
        }
        Self { variant, name }
    }
}
