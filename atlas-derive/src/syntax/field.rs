//! A field with its `#[param]`, `#[network]` or `#[derived]`, as written.

use proc_macro2::Ident;
use syn::parse::ParseStream;
use syn::{Attribute, Expr, ExprLit, ExprPath, Field, LitStr, token};

use super::keys::{Keys, suggestion};
use super::{Ctxt, Derive, Slot, value};

/// A named field with its attributes read.
pub(crate) struct RawField<'a> {
    pub(crate) field: &'a Field,
    pub(crate) ident: &'a Ident,
    /// What the field is, with the attribute that says so. More than one is reported.
    pub(crate) role: Option<(&'a Attribute, Role)>,
}

/// What a field is.
pub(crate) enum Role {
    Param(Box<ParamSlots>),
    Network(NetworkSlots),
    /// With the function that computes it.
    Derived(Slot<ExprPath>),
}

/// The keys of `#[network(…)]`.
pub(crate) struct NetworkSlots {
    /// The function that builds it.
    pub(crate) with: Slot<ExprPath>,
    /// The shape of the input that its behaviour is checked on.
    pub(crate) golden: Slot<(token::Bracket, Vec<Expr>)>,
    /// The tensors that are kept and not optimised.
    pub(crate) buffers: Slot<Vec<LitStr>>,
}

/// The keys of `#[param(…)]`.
pub(crate) struct ParamSlots {
    pub(crate) default: Slot<Expr>,
    pub(crate) min: Slot<Expr>,
    pub(crate) max: Slot<Expr>,
    pub(crate) one_of: Slot<(token::Bracket, Vec<Expr>)>,
    pub(crate) multiple_of: Slot<Expr>,
    pub(crate) len: Slot<Expr>,
    pub(crate) check: Slot<ExprPath>,
    pub(crate) nested: Slot<()>,
}

const PARAM_KEYS: Keys = Keys {
    attribute: "#[param]",
    known: &[
        "default",
        "min",
        "max",
        "one_of",
        "multiple_of",
        "len",
        "check",
        "nested",
    ],
    elsewhere: None,
};
const NETWORK_KEYS: Keys = Keys {
    attribute: "#[network]",
    known: &["with", "golden", "buffers"],
    elsewhere: None,
};
const DERIVED_KEYS: Keys = Keys {
    attribute: "#[derived]",
    known: &["with"],
    elsewhere: None,
};

impl<'a> RawField<'a> {
    /// Reads a field; `None` only for a field without a name.
    pub(super) fn parse(ctxt: &Ctxt, derive: Derive, field: &'a Field) -> Option<Self> {
        let ident = field.ident.as_ref()?;
        refuse_rust_default(ctxt, derive, field);
        let mut role: Option<(&Attribute, Role)> = None;
        for attribute in &field.attrs {
            if attribute.path().is_ident("atlas") {
                ctxt.error(attribute.path(), "`#[atlas(…)]` belongs on the struct");
                continue;
            }
            let Some(next) = Role::parse(ctxt, attribute) else {
                continue;
            };
            if derive == Derive::Params && !matches!(next, Role::Param(_)) {
                let message = format!(
                    "a group holds only parameters; `{}` belongs in a model",
                    next.name()
                );
                ctxt.error(attribute.path(), message);
            }
            match &role {
                None => role = Some((attribute, next)),
                Some((_, first)) => ctxt.error(attribute.path(), twice(first.name(), next.name())),
            }
        }
        if role.is_none() {
            report_missing(ctxt, derive, field, ident);
        }
        Some(Self { field, ident, role })
    }
}

impl Role {
    fn parse(ctxt: &Ctxt, attribute: &Attribute) -> Option<Self> {
        let path = attribute.path();
        if path.is_ident("param") {
            Some(Self::Param(Box::new(ParamSlots::parse(ctxt, attribute))))
        } else if path.is_ident("network") {
            Some(Self::Network(NetworkSlots::parse(ctxt, attribute)))
        } else if path.is_ident("derived") {
            let mut with = Slot::absent();
            DERIVED_KEYS.each(ctxt, attribute, |key, input| {
                with.read(ctxt, key, input, value::function)
            });
            Some(Self::Derived(with))
        } else {
            None
        }
    }

    /// The attribute as users write it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Param(_) => "#[param]",
            Self::Network(_) => "#[network]",
            Self::Derived(_) => "#[derived]",
        }
    }
}

impl NetworkSlots {
    fn parse(ctxt: &Ctxt, attribute: &Attribute) -> Self {
        let mut slots = Self {
            with: Slot::absent(),
            golden: Slot::absent(),
            buffers: Slot::absent(),
        };
        NETWORK_KEYS.each(ctxt, attribute, |key, input| {
            match key.to_string().as_str() {
                "with" => slots.with.read(ctxt, key, input, value::function),
                "golden" => slots.golden.read(ctxt, key, input, value::exprs),
                "buffers" => slots.buffers.read(ctxt, key, input, value::texts),
                _ => Ok(()),
            }
        });
        slots
    }
}

impl ParamSlots {
    fn parse(ctxt: &Ctxt, attribute: &Attribute) -> Self {
        let mut slots = Self {
            default: Slot::absent(),
            min: Slot::absent(),
            max: Slot::absent(),
            one_of: Slot::absent(),
            multiple_of: Slot::absent(),
            len: Slot::absent(),
            check: Slot::absent(),
            nested: Slot::absent(),
        };
        PARAM_KEYS.each(ctxt, attribute, |key, input| slots.read(ctxt, key, input));
        slots
    }

    fn read(&mut self, ctxt: &Ctxt, key: &Ident, input: ParseStream) -> syn::Result<()> {
        match key.to_string().as_str() {
            "default" => self.default.read(ctxt, key, input, value::expr),
            "min" => self.min.read(ctxt, key, input, value::expr),
            "max" => self.max.read(ctxt, key, input, value::expr),
            "one_of" => self.one_of.read(ctxt, key, input, value::exprs),
            "multiple_of" => self.multiple_of.read(ctxt, key, input, value::expr),
            "len" => self.len.read(ctxt, key, input, value::expr),
            "check" => self.check.read(ctxt, key, input, value::function),
            "nested" => self.nested.read(ctxt, key, input, value::flag),
            _ => Ok(()),
        }
    }
}

/// Rust's own field defaults, which are not stable, would be a second place for a default.
fn refuse_rust_default(ctxt: &Ctxt, derive: Derive, field: &Field) {
    let Some((_, default)) = &field.default else {
        return;
    };
    let written = match default {
        Expr::Lit(ExprLit { lit, .. }) => quote::ToTokens::to_token_stream(lit).to_string(),
        _ => "…".to_owned(),
    };
    let networks = match derive {
        Derive::Model => "; networks and derived fields have none",
        Derive::Params => "",
    };
    let message =
        format!("the default of a parameter is written `#[param(default = {written})]`{networks}");
    ctxt.error(default, message);
}

fn twice(first: &str, second: &str) -> String {
    if first == second {
        format!("duplicate `{second}`; one attribute takes all keys")
    } else {
        format!("a field is either `{first}` or `{second}`")
    }
}

/// A field that does not say what it is. An attribute that looks like a slip is named.
fn report_missing(ctxt: &Ctxt, derive: Derive, field: &Field, ident: &Ident) {
    let roles: &[&str] = match derive {
        Derive::Model => &["param", "network", "derived"],
        Derive::Params => &["param"],
    };
    for attribute in &field.attrs {
        let name = attribute
            .path()
            .get_ident()
            .map(ToString::to_string)
            .unwrap_or_default();
        if let Some(near) = suggestion(&name, roles) {
            return ctxt.error(
                attribute.path(),
                format!("unknown attribute; did you mean `#[{near}]`?"),
            );
        }
    }
    let message = match derive {
        Derive::Model => format!(
            "`{ident}` needs one of `#[param]` (a parameter), `#[network]` (a network with weights) and \
             `#[derived(with = …)]` (computed from the parameters)"
        ),
        Derive::Params => {
            format!("`{ident}` needs `#[param]`: every field of a group is a parameter")
        }
    };
    ctxt.error(ident, message);
}
