//! What is decided about a constraint while expanding, and what is left to the compiler.
//!
//! Literals are decided here, at their own tokens. Where a constant is involved the compiler is
//! given a [`Claim`] to evaluate. What needs a call is checked at run time, with every other value
//! of the parameter.

use std::cmp::Ordering;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Expr, parse_quote};

use super::param::shown;
use crate::literal::{Literal, Written, elements, inside_some, is_constant, leaves, path};
use crate::model::{Claim, Constraint, Relation, Shape};
use crate::syntax::Ctxt;

pub(super) struct Proof<'a> {
    pub(super) ctxt: &'a Ctxt,
    /// The parameter.
    pub(super) name: &'a str,
    /// The shape of what bounds apply to.
    pub(super) element: &'a Shape,
    pub(super) constraint: &'a Constraint,
    claims: Vec<Claim>,
}

impl<'a> Proof<'a> {
    pub(super) fn new(
        ctxt: &'a Ctxt,
        name: &'a str,
        element: &'a Shape,
        constraint: &'a Constraint,
    ) -> Self {
        Self {
            ctxt,
            name,
            element,
            constraint,
            claims: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<Claim> {
        self.claims
    }

    pub(super) fn claim(&mut self, span: Span, relation: Relation, otherwise: String) {
        self.claims.push(Claim {
            span,
            relation,
            otherwise,
        });
    }

    /// The value is a finite number, if it is a float at all. Returns whether it may be.
    pub(super) fn finite(&mut self, shape: &Shape, value: &Expr, what: &str) -> bool {
        let message = format!("{what} must be a finite number");
        match Literal::of(value, shape) {
            Some(Literal::Float(number)) if !number.is_finite() => {
                self.ctxt.error(value, message);
                return false;
            }
            Some(_) => {}
            None if shape.is_float() && is_constant(value) => {
                self.claim(value.span(), Relation::IsFinite(value.clone()), message);
            }
            None => {}
        }
        true
    }

    /// The default satisfies the constraint.
    pub(super) fn default(&mut self, shape: &Shape, default: &Expr) {
        self.length(shape, default);
        for (shape, leaf) in leaves(shape, default) {
            if !self.finite(&shape, &leaf, &format!("the default of `{}`", self.name)) {
                continue;
            }
            self.at_least_min(&shape, &leaf);
            self.at_most_max(&shape, &leaf);
            self.multiple(&shape, &leaf);
            self.one_of(&shape, &leaf);
        }
    }

    fn at_least_min(&mut self, shape: &Shape, leaf: &Expr) {
        let Some(min) = &self.constraint.min else {
            return;
        };
        let message = format!(
            "the default of `{}` is less than {}",
            self.name,
            shown("min", min)
        );
        self.refute(
            (leaf, Ordering::Less, min),
            shape,
            leaf,
            Relation::IsAtLeastMin(leaf.clone()),
            message,
        );
    }

    fn at_most_max(&mut self, shape: &Shape, leaf: &Expr) {
        let Some(max) = &self.constraint.max else {
            return;
        };
        let message = format!(
            "the default of `{}` is greater than {}",
            self.name,
            shown("max", max)
        );
        self.refute(
            (leaf, Ordering::Greater, max),
            shape,
            leaf,
            Relation::IsAtMostMax(leaf.clone()),
            message,
        );
    }

    /// Reports `at` if the one expression is less or greater than the other, as `wrong` says: here
    /// for literals, by a claim for constants.
    pub(super) fn refute(
        &mut self,
        wrong: (&Expr, Ordering, &Expr),
        shape: &Shape,
        at: &Expr,
        relation: Relation,
        message: String,
    ) {
        let (left, order, right) = wrong;
        if let (Some(a), Some(b)) = (Literal::of(left, shape), Literal::of(right, shape)) {
            if a.compare(&b) == Some(order) {
                self.ctxt.error(at, message);
            }
            return;
        }
        // The two bounds are of one type whatever it is; a default of unknown shape is not.
        let is_comparable = shape.is_number() || matches!(relation, Relation::MinIsAtMostMax);
        if is_comparable && is_constant(left) && is_constant(right) {
            self.claim(at.span(), relation, message);
        }
    }

    fn multiple(&mut self, shape: &Shape, leaf: &Expr) {
        let Some(factor) = &self.constraint.multiple_of else {
            return;
        };
        let message = format!(
            "the default of `{}` breaks {}",
            self.name,
            shown("multiple_of", factor)
        );
        if let (Some(value), Some(factor)) = (Literal::of(leaf, shape), Literal::of(factor, shape))
        {
            if value.is_multiple_of(&factor) == Some(false) {
                self.ctxt.error(leaf, message);
            }
        } else if shape.is_number() && is_constant(leaf) && is_constant(factor) {
            self.claim(leaf.span(), Relation::IsMultiple(leaf.clone()), message);
        }
    }

    fn one_of(&mut self, shape: &Shape, leaf: &Expr) {
        let items = &self.constraint.one_of;
        if items.is_empty() {
            return;
        }
        let message = format!("the default of `{}` is not among its `one_of`", self.name);
        if let Some(value) = Literal::of(leaf, shape) {
            let literals: Option<Vec<Literal>> =
                items.iter().map(|item| Literal::of(item, shape)).collect();
            if let Some(literals) = literals {
                // A literal of another kind is of another type, which the compiler reports.
                let comparisons = || literals.iter().map(|literal| value.compare(literal));
                if comparisons().all(|order| order.is_some_and(Ordering::is_ne)) {
                    self.ctxt.error(leaf, message);
                }
                return;
            }
        }
        if path(leaf)
            .is_some_and(|leaf| items.iter().any(|item| path(item).as_ref() == Some(&leaf)))
        {
            return;
        }
        if shape.is_number() && is_constant(leaf) && items.iter().all(is_constant) {
            self.claim(leaf.span(), Relation::EqualsOneOf(leaf.clone()), message);
        } else if *shape == Shape::Other
            && path(leaf).is_some()
            && items.iter().all(|item| path(item).is_some())
        {
            self.claim(leaf.span(), Relation::MatchesOneOf(leaf.clone()), message);
        }
    }

    /// The length of the default is within `len`.
    fn length(&mut self, shape: &Shape, default: &Expr) {
        let Some(len) = &self.constraint.len else {
            return;
        };
        if let Some(inside) = inside_some(default) {
            let inner = if let Shape::Option(inner) = shape {
                inner
            } else {
                &Shape::Other
            };
            return self.length(inner, inside);
        }
        let Some((length, found)) = length_of(default) else {
            return;
        };
        let message = format!(
            "the default of `{}` has {found} that its `len` does not allow",
            self.name
        );
        let bounds = [
            (
                &len.min,
                Ordering::Less,
                Relation::LenIsAtLeast(length.clone()),
            ),
            (
                &len.max,
                Ordering::Greater,
                Relation::LenIsAtMost(length.clone()),
            ),
        ];
        for (bound, wrong, relation) in bounds {
            if let Some(bound) = bound {
                self.refute(
                    (&length, wrong, bound),
                    &Shape::Integer,
                    default,
                    relation,
                    message.clone(),
                );
            }
        }
    }
}

/// The length of a text or list that is written out, as an expression and in words.
fn length_of(value: &Expr) -> Option<(Expr, String)> {
    if let Some(Literal::Text(text)) = Literal::of(value, &Shape::Text) {
        let count = text.chars().count();
        return Some((parse_quote!(#count), counted(count, "character")));
    }
    match elements(value)? {
        Written::Each(each) => {
            let count = each.len();
            Some((parse_quote!(#count), counted(count, "element")))
        }
        Written::Repeat(_, len) => Some((*len, "a length".to_owned())),
    }
}

/// `a length of 9 elements`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("a length of {count} {what}{plural}")
}
