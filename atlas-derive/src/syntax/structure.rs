//! A struct that derives `AtlasModel` or `Params`, as written.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{Data, DeriveInput, ExprPath, Fields, LitStr, Path, parse_quote};

use super::field::RawField;
use super::keys::Keys;
use super::{Ctxt, Slot, Step, Version, unraw, value};

/// Which derive is reading the struct.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    Model,
    Params,
}

/// A struct with its attributes read.
pub(crate) struct RawStruct<'a> {
    pub(crate) input: &'a DeriveInput,
    pub(crate) slots: StructSlots,
    /// The named fields; none if the item has no named fields, which is reported.
    pub(crate) fields: Vec<RawField<'a>>,
}

/// The keys of `#[atlas(…)]` on a struct.
pub(crate) struct StructSlots {
    pub(crate) name: Slot<LitStr>,
    pub(crate) version: Slot<Version>,
    pub(crate) migrate: Slot<Vec<Step>>,
    pub(crate) validate: Slot<ExprPath>,
    pub(crate) golden: Slot<Option<ExprPath>>,
    pub(crate) unchecked: Slot<()>,
    pub(crate) build: Slot<ExprPath>,
    pub(crate) params: Slot<Ident>,
    pub(crate) params_derive: Slot<Vec<Path>>,
    pub(crate) krate: Slot<Path>,
}

const MODEL_KEYS: &[&str] = &[
    "name",
    "version",
    "migrate",
    "validate",
    "golden",
    "unchecked",
    "build",
    "params",
    "params_derive",
    "crate",
];
const PARAMS_KEYS: &[&str] = &["validate", "crate"];

impl Derive {
    /// The derive as users write it.
    fn name(self) -> &'static str {
        match self {
            Self::Model => "AtlasModel",
            Self::Params => "Params",
        }
    }

    fn keys(self) -> Keys {
        match self {
            Self::Model => Keys {
                attribute: "#[atlas]",
                known: MODEL_KEYS,
                elsewhere: None,
            },
            Self::Params => Keys {
                attribute: "#[atlas]",
                known: PARAMS_KEYS,
                elsewhere: Some((MODEL_KEYS, "`#[derive(AtlasModel)]`")),
            },
        }
    }
}

impl<'a> RawStruct<'a> {
    /// Reads the struct. Whatever is wrong with it, something is returned.
    pub(crate) fn parse(ctxt: &Ctxt, derive: Derive, input: &'a DeriveInput) -> Self {
        refuse_generics(ctxt, derive.name(), input);
        let slots = StructSlots::parse(ctxt, derive, input);
        refuse_rename(ctxt, "atlas", &slots.krate, &input.ident);
        let fields = named_fields(ctxt, derive, input);
        Self {
            input,
            slots,
            fields,
        }
    }
}

impl RawStruct<'_> {
    /// The name of the parameters struct.
    pub(crate) fn params_ident(&self) -> Ident {
        let ident = &self.input.ident;
        let given = self.slots.params.value().cloned();
        given.unwrap_or_else(|| format_ident!("{}Params", unraw(ident), span = ident.span()))
    }
}

/// The path of `atlas_core`.
pub(crate) fn krate(given: &Slot<Path>) -> Path {
    let given = given.value().cloned();
    given.unwrap_or_else(|| match renamed() {
        Some(name) => parse_quote!(::#name),
        None => parse_quote!(::atlas_core),
    })
}

/// Reports that `atlas_core` has another name here, which the item must say.
pub(super) fn refuse_rename(ctxt: &Ctxt, attribute: &str, given: &Slot<Path>, ident: &Ident) {
    if given.key().is_none()
        && let Some(name) = renamed()
    {
        let message = format!(
            "`atlas_core` is named `{name}` here: write `#[{attribute}(crate = ::{name})]`"
        );
        ctxt.error(ident, message);
    }
}

/// The name that the compiler was given for `atlas_core`, if it is another one. An editor that
/// expands macros outside of the compiler is not told.
fn renamed() -> Option<Ident> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut names = arguments.windows(2).filter_map(|pair| {
        let (name, path) = pair.get(1)?.to_str()?.split_once('=')?;
        let file = std::path::Path::new(path).file_name()?.to_str()?;
        let is_atlas = pair.first()? == "--extern" && file.starts_with("libatlas_core-");
        // Options stand before the name: `priv:atlas_core`.
        is_atlas.then(|| name.rsplit(':').next().unwrap_or(name))
    });
    let first = names.next()?;
    let is_renamed = first != "atlas_core" && names.all(|name| name != "atlas_core");
    is_renamed.then(|| syn::parse_str(first).ok()).flatten()
}

impl StructSlots {
    fn parse(ctxt: &Ctxt, derive: Derive, input: &DeriveInput) -> Self {
        let mut slots = Self {
            name: Slot::absent(),
            version: Slot::absent(),
            migrate: Slot::absent(),
            validate: Slot::absent(),
            golden: Slot::absent(),
            unchecked: Slot::absent(),
            build: Slot::absent(),
            params: Slot::absent(),
            params_derive: Slot::absent(),
            krate: Slot::absent(),
        };
        for attribute in &input.attrs {
            let path = attribute.path();
            if path.is_ident("atlas") {
                derive
                    .keys()
                    .each(ctxt, attribute, |key, input| slots.read(ctxt, key, input));
            } else if let Some(role) = ["param", "network", "derived"]
                .iter()
                .find(|role| path.is_ident(role))
            {
                ctxt.error(
                    path,
                    format!("`#[{role}]` belongs on a field; a struct takes `#[atlas(…)]`"),
                );
            }
        }
        slots
    }

    fn read(
        &mut self,
        ctxt: &Ctxt,
        key: &Ident,
        input: syn::parse::ParseStream,
    ) -> syn::Result<()> {
        match key.to_string().as_str() {
            "name" => self.name.read(ctxt, key, input, value::text),
            "version" => self.version.read(ctxt, key, input, value::version),
            "migrate" => self.migrate.read(ctxt, key, input, value::steps),
            "validate" => self.validate.read(ctxt, key, input, value::function),
            "golden" => self.golden.read(ctxt, key, input, value::flag_or_function),
            "unchecked" => self.unchecked.read(ctxt, key, input, value::flag),
            "build" => self.build.read(ctxt, key, input, value::function),
            "params" => self.params.read(ctxt, key, input, value::ident),
            "params_derive" => self.params_derive.read(ctxt, key, input, value::derives),
            "crate" => self.krate.read(ctxt, key, input, value::module),
            _ => Ok(()),
        }
    }
}

/// Reports type, lifetime and const parameters, and where clauses.
pub(super) fn refuse_generics(ctxt: &Ctxt, derive: &str, input: &DeriveInput) {
    let generics = &input.generics;
    let message = format!(
        "`{derive}` cannot be derived for generic types: what is stored names one concrete type; \
         declare one type per instance"
    );
    if !generics.params.is_empty() {
        ctxt.error(generics, message);
    } else if let Some(clause) = &generics.where_clause {
        ctxt.error(clause, message);
    }
}

fn named_fields<'a>(ctxt: &Ctxt, derive: Derive, input: &'a DeriveInput) -> Vec<RawField<'a>> {
    let only = format!(
        "`{}` can be derived only for structs with named fields",
        derive.name()
    );
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => {
                return fields
                    .named
                    .iter()
                    .filter_map(|field| RawField::parse(ctxt, derive, field))
                    .collect();
            }
            Fields::Unnamed(fields) => {
                ctxt.error(fields, format!("{only}, and this is a tuple struct"))
            }
            Fields::Unit => ctxt.error(&input.ident, format!("{only}, and this is a unit struct")),
        },
        Data::Enum(data) if derive == Derive::Params => {
            ctxt.error(
                data.enum_token,
                format!("{only}; for an enum without fields, derive `Choice`"),
            );
        }
        Data::Enum(data) => ctxt.error(data.enum_token, format!("{only}, and this is an enum")),
        Data::Union(data) => ctxt.error(data.union_token, format!("{only}, and this is a union")),
    }
    Vec::new()
}
