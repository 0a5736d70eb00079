//! A parameter: whether its keys fit its type and each other.

use proc_macro2::Ident;

use super::{constraint, doc, shared};
use crate::checked::{Default, Param};
use crate::shape::{Shape, shape_of};
use crate::syntax::{Ctxt, ParamSlots, RawField, unraw};

/// Checks a parameter.
pub(super) fn param(ctxt: &Ctxt, raw: &RawField, slots: &ParamSlots) -> Param {
    let shape = shape_of(&raw.field.ty).unwrap_or_else(|why| {
        ctxt.error(&raw.field.ty, why);
        Shape::Other
    });
    let name = unraw(raw.ident);
    keys_fit_shape(ctxt, &name, &shape, slots);
    if let Some(nested) = slots.nested.key() {
        keys_fit_group(ctxt, &shape, nested, slots);
    }
    let constraint = constraint::constraint(ctxt, &name, slots);
    Param {
        ident: raw.ident.clone(),
        vis: raw.field.vis.clone(),
        ty: raw.field.ty.clone(),
        name,
        doc: doc(&raw.field.attrs),
        shared: shared(&raw.field.attrs, &["doc", "allow", "deprecated"]),
        default: default(&shape, slots),
        shape,
        constraint,
    }
}

fn default(shape: &Shape, slots: &ParamSlots) -> Default {
    match slots.default.value() {
        Some(value) => Default::Value(value.clone()),
        // Arrays of groups have no default of their own: `Default` stops at 32 elements.
        None if slots.nested.key().is_some() && !matches!(shape, Shape::Array(_)) => {
            Default::Nested
        }
        None => Default::Required,
    }
}

fn keys_fit_shape(ctxt: &Ctxt, name: &str, shape: &Shape, slots: &ParamSlots) {
    let element = shape.element();
    for key in [slots.min.key(), slots.max.key(), slots.multiple_of.key()]
        .into_iter()
        .flatten()
    {
        let what = match element {
            Shape::Bool => "true or false",
            Shape::Text => "a text",
            _ => continue,
        };
        ctxt.error(
            key,
            format!("`{key}` is for numbers, and `{name}` is {what}"),
        );
    }
    if let Some(key) = slots.multiple_of.key()
        && element.is_float()
    {
        ctxt.error(
            key,
            format!("`{key}` is for integers, and `{name}` is a float"),
        );
    }
    if let Some(key) = slots.len.key() {
        len_fits(ctxt, name, shape, key);
    }
}

fn len_fits(ctxt: &Ctxt, name: &str, shape: &Shape, key: &Ident) {
    match shape {
        Shape::Option(inner) => len_fits(ctxt, name, inner, key),
        Shape::Array(_) => ctxt.error(key, format!("the length of `{name}` is in its type")),
        Shape::Bool | Shape::Integer | Shape::F32 | Shape::F64 => {
            ctxt.error(
                key,
                format!("`{key}` is for texts and lists, and `{name}` has no length"),
            );
        }
        Shape::Text | Shape::List(_) | Shape::Other => {}
    }
}

fn keys_fit_group(ctxt: &Ctxt, shape: &Shape, nested: &Ident, slots: &ParamSlots) {
    if *shape.element() != Shape::Other {
        ctxt.error(nested, "`nested` is for structs that derive `Params`");
    }
    let keys = [
        slots.min.key(),
        slots.max.key(),
        slots.one_of.key(),
        slots.multiple_of.key(),
    ];
    for key in keys.into_iter().flatten() {
        ctxt.error(
            key,
            format!("`{key}` says nothing of a group; constrain the group's own fields"),
        );
    }
}
