//! An item whose rules are checked: what `check` makes and `emit` turns into code.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Expr, ExprPath, Path, Type, Visibility};

use crate::shape::Shape;

/// A model.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    /// Attributes that the parameters struct shares with the model, such as `#[allow]`.
    pub(crate) shared: Vec<Attribute>,
    /// The identity in every bundle.
    pub(crate) name: String,
    pub(crate) version: u32,
    /// The step from every older version, the first from version 1.
    pub(crate) migrations: Vec<ExprPath>,
    pub(crate) behaviour: Behaviour,
    /// What builds all networks at once.
    pub(crate) build: Option<ExprPath>,
    pub(crate) networks: Vec<Network>,
    pub(crate) derived: Vec<Derived>,
    /// What the parameters struct derives besides.
    pub(crate) params_derive: Vec<Path>,
    /// The struct that is generated for the parameters.
    pub(crate) params: Group,
}

/// How the behaviour of a model is checked.
pub(crate) enum Behaviour {
    /// By its impl of `Golden`, which `golden` at this place says.
    Golden(Span),
    /// By a function of the model.
    Function(ExprPath),
    /// The one network on an input of a shape that it says.
    Network,
    Unchecked,
}

/// A struct of parameters.
pub(crate) struct Group {
    /// The path of `atlas_core`.
    pub(crate) krate: Path,
    pub(crate) ident: Ident,
    pub(crate) doc: Doc,
    pub(crate) validate: Option<ExprPath>,
    pub(crate) params: Vec<Param>,
}

/// A field that holds a parameter.
pub(crate) struct Param {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) ty: Type,
    pub(crate) shape: Shape,
    /// The name in JSON.
    pub(crate) name: String,
    pub(crate) doc: Doc,
    /// Attributes that the field of the parameters struct shares, documentation among them.
    pub(crate) shared: Vec<Attribute>,
    pub(crate) default: Default,
    pub(crate) constraint: Constraint,
}

/// What an absent parameter becomes.
pub(crate) enum Default {
    /// Nothing: it must be given.
    Required,
    /// This value.
    Value(Expr),
    /// The default of the group's own type.
    Nested,
}

/// What a value must satisfy beyond its type.
pub(crate) struct Constraint {
    pub(crate) min: Option<Expr>,
    pub(crate) max: Option<Expr>,
    pub(crate) one_of: Vec<Expr>,
    pub(crate) multiple_of: Option<Expr>,
    pub(crate) len: Option<Len>,
    pub(crate) check: Option<ExprPath>,
}

/// Bounds of a length, both included.
pub(crate) struct Len {
    pub(crate) min: Option<Expr>,
    pub(crate) max: Option<Expr>,
}

/// A field that holds a network.
pub(crate) struct Network {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// The name in the bundle.
    pub(crate) name: String,
    /// What builds it; without, the type's `new`.
    pub(crate) with: Option<ExprPath>,
    /// The shape of the input that its behaviour is checked on.
    pub(crate) golden: Vec<Expr>,
    /// The names of tensors that are kept and not optimised.
    pub(crate) buffers: Vec<String>,
}

/// A field computed from the parameters.
pub(crate) struct Derived {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) name: String,
    pub(crate) with: ExprPath,
}

/// An enum of names.
pub(crate) struct Choice {
    pub(crate) krate: Path,
    pub(crate) ident: Ident,
    pub(crate) items: Vec<ChoiceItem>,
}

/// A variant of a [`Choice`].
pub(crate) struct ChoiceItem {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) doc: Doc,
}

/// Documentation, as an expression of type `&'static str`.
pub(crate) struct Doc(pub(crate) TokenStream);
