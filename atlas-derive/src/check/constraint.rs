//! The constraint of a parameter: whether its parts agree with each other, and then whether the
//! default agrees with them.

use std::cmp::Ordering;

use syn::Expr;
use syn::spanned::Spanned;

use super::param::shown;
use super::proof::Proof;
use crate::literal::{Literal, is_constant, path};
use crate::model::{Claim, Constraint, Relation, Shape};
use crate::syntax::{Ctxt, ParamSlots};

/// The constraint, and what the compiler is left to prove about it.
pub(super) fn constraint(
    ctxt: &Ctxt,
    name: &str,
    shape: &Shape,
    slots: &ParamSlots,
) -> (Constraint, Vec<Claim>) {
    let constraint = Constraint {
        min: slots.min.value().cloned(),
        max: slots.max.value().cloned(),
        one_of: slots
            .one_of
            .value()
            .map(|(_, items)| items.clone())
            .unwrap_or_default(),
        multiple_of: slots.multiple_of.value().cloned(),
        len: slots
            .len
            .value()
            .and_then(|written| super::len::len(ctxt, written)),
        check: slots.check.value().cloned(),
    };
    if let Some((brackets, items)) = slots.one_of.value()
        && items.is_empty()
    {
        ctxt.push(syn::Error::new(
            brackets.span.join(),
            format!("`one_of` leaves no value for `{name}`"),
        ));
    }
    let mut proof = Proof::new(ctxt, name, shape.element(), &constraint);
    numbers(&mut proof);
    bounds(&mut proof);
    factor(&mut proof);
    distinct(&mut proof);
    lengths(&mut proof);
    if let Some(default) = slots.default.value() {
        proof.default(shape, default);
    }
    let claims = proof.finish();
    (constraint, claims)
}

/// Bounds are finite, and `min` ≤ `max`.
fn bounds(proof: &mut Proof) {
    let constraint = proof.constraint;
    let element = proof.element;
    for (key, bound) in [("min", &constraint.min), ("max", &constraint.max)] {
        if let Some(bound) = bound {
            proof.finite(element, bound, &format!("the `{key}` of `{}`", proof.name));
        }
    }
    for one in &constraint.one_of {
        proof.finite(
            element,
            one,
            &format!("a value that `{}` may take", proof.name),
        );
    }
    let (Some(min), Some(max)) = (&constraint.min, &constraint.max) else {
        return;
    };
    let message = format!(
        "the `min` of `{}` is greater than {}",
        proof.name,
        shown("max", max)
    );
    proof.refute(
        (min, Ordering::Greater, max),
        element,
        min,
        Relation::MinIsAtMostMax,
        message,
    );
}

/// What bounds a type of no known shape is a number. Of literals the type says so.
fn numbers(proof: &mut Proof) {
    let constraint = proof.constraint;
    let bounds = [
        ("min", &constraint.min),
        ("max", &constraint.max),
        ("multiple_of", &constraint.multiple_of),
    ];
    for (key, bound) in bounds {
        if let Some(bound) = bound
            && *proof.element == Shape::Other
            && Literal::of(bound, proof.element).is_none()
            && is_constant(bound)
        {
            let message = format!("the `{key}` of `{}` must be a finite number", proof.name);
            proof.claim(bound.span(), Relation::IsNumber(key), message);
        }
    }
}

/// `multiple_of` > 0.
fn factor(proof: &mut Proof) {
    let Some(factor) = &proof.constraint.multiple_of else {
        return;
    };
    let message = format!("the `multiple_of` of `{}` must be 1 or more", proof.name);
    match Literal::of(factor, proof.element) {
        // That the parameter is no integer is reported already.
        _ if matches!(proof.element, Shape::Bool | Shape::Text) || proof.element.is_float() => {}
        Some(Literal::Integer {
            negative: false,
            size: 1..,
        }) => {}
        Some(_) => proof.ctxt.error(factor, message),
        None if is_constant(factor) => {
            proof.claim(factor.span(), Relation::FactorIsPositive, message)
        }
        None => {}
    }
}

/// No value is twice in `one_of`.
fn distinct(proof: &mut Proof) {
    let items = &proof.constraint.one_of;
    for (position, item) in items.iter().enumerate() {
        if items[..position]
            .iter()
            .any(|before| same(before, item, proof.element))
        {
            proof.ctxt.error(item, "this value is in `one_of` already");
        }
    }
}

/// Whether two expressions are the same literal or the same path.
fn same(a: &Expr, b: &Expr, shape: &Shape) -> bool {
    match (Literal::of(a, shape), Literal::of(b, shape)) {
        (Some(a), Some(b)) => a.compare(&b) == Some(Ordering::Equal),
        (None, None) => path(a).is_some_and(|a| path(b) == Some(a)),
        _ => false,
    }
}

/// The smallest length ≤ the largest.
fn lengths(proof: &mut Proof) {
    let Some(len) = &proof.constraint.len else {
        return;
    };
    let (Some(min), Some(max)) = (&len.min, &len.max) else {
        return;
    };
    let message = format!("the `len` of `{}` is an empty range", proof.name);
    let relation = Relation::MinLenIsAtMostMaxLen;
    proof.refute(
        (min, Ordering::Greater, max),
        &Shape::Integer,
        min,
        relation,
        message,
    );
}
