//! Models and groups: rules across their keys and fields.

use proc_macro2::Ident;
use syn::spanned::Spanned;
use syn::{Data, Fields, LitStr};

use super::param::param;
use super::version::version;
use super::{doc, name, shared};
use crate::checked::{Behaviour, Derived, Group, Model, Network};
use crate::syntax::{Ctxt, RawField, RawStruct, Role, krate, unraw};

/// Checks a struct that derives `Params`.
pub(crate) fn group(ctxt: &Ctxt, raw: &RawStruct) -> Group {
    let params = raw.fields.iter().filter_map(|field| match &field.role {
        Some((_, Role::Param(slots))) => Some(param(ctxt, field, slots)),
        _ => None,
    });
    Group {
        krate: krate(&raw.slots.krate),
        ident: raw.input.ident.clone(),
        doc: doc(&raw.input.attrs),
        validate: raw.slots.validate.value().cloned(),
        params: params.collect(),
    }
}

/// Checks a struct that derives `AtlasModel`.
pub(crate) fn model(ctxt: &Ctxt, raw: &RawStruct) -> Model {
    let ident = &raw.input.ident;
    let slots = &raw.slots;
    let name = name::model(ctxt, ident, &slots.name);
    let (version, migrations) = version(ctxt, slots);
    let params = Group {
        ident: raw.params_ident(),
        ..group(ctxt, raw)
    };
    if let Some(given) = slots.params.value()
        && given == ident
    {
        ctxt.error(
            given,
            "the struct of the parameters needs a name of its own",
        );
    }
    let networks: Vec<Network> = raw
        .fields
        .iter()
        .filter_map(|field| network(ctxt, slots.build.key(), field))
        .collect();
    name::networks(ctxt, &networks);
    if networks.is_empty() && is_complete(raw) {
        let message = "a model has at least one `#[network]`: without weights there is nothing to store; for \
                       parameters alone, derive `Params`";
        ctxt.error(ident, message);
    }
    Model {
        ident: ident.clone(),
        vis: raw.input.vis.clone(),
        shared: shared(&raw.input.attrs, &["allow", "deprecated"]),
        name,
        version,
        migrations,
        behaviour: behaviour(ctxt, raw),
        build: slots.build.value().cloned(),
        params_derive: slots.params_derive.value().cloned().unwrap_or_default(),
        networks,
        derived: raw
            .fields
            .iter()
            .filter_map(|field| derived(ctxt, field))
            .collect(),
        params,
    }
}

/// Whether it is known of every field what it is.
fn is_complete(raw: &RawStruct) -> bool {
    let has_names =
        matches!(&raw.input.data, Data::Struct(data) if matches!(data.fields, Fields::Named(_)));
    has_names && raw.fields.iter().all(|field| field.role.is_some())
}

fn network(ctxt: &Ctxt, build: Option<&Ident>, raw: &RawField) -> Option<Network> {
    let Some((_, Role::Network(slots))) = &raw.role else {
        return None;
    };
    if let (Some(key), Some(_)) = (slots.with.key(), build) {
        let message = format!(
            "`#[atlas(build = …)]` builds every network; remove `with` from `{}`",
            raw.ident
        );
        ctxt.error(key, message);
    }
    let name = unraw(raw.ident);
    Some(Network {
        ident: raw.ident.clone(),
        ty: raw.field.ty.clone(),
        name,
        with: slots.with.value().cloned(),
        golden: slots
            .golden
            .value()
            .map_or(Vec::new(), |(_, shape)| shape.clone()),
        buffers: slots.buffers.value().map_or(Vec::new(), |names| {
            names.iter().map(LitStr::value).collect()
        }),
    })
}

/// How the behaviour is checked. That is said exactly once: of the whole model, or of its one network.
fn behaviour(ctxt: &Ctxt, raw: &RawStruct) -> Behaviour {
    let (golden, unchecked) = (&raw.slots.golden, &raw.slots.unchecked);
    let whole = golden.key().or(unchecked.key());
    let (mut checked, mut others) = (Vec::new(), 0);
    for field in &raw.fields {
        if let Some((_, Role::Network(slots))) = &field.role {
            match slots.golden.key() {
                Some(key) => checked.push((key, slots)),
                None => others += 1,
            }
        }
    }
    for (key, slots) in &checked {
        if let Some((bracket, shape)) = slots.golden.value()
            && shape.is_empty()
        {
            let message = "expected the shape of an input: `golden = [4, input_size]`";
            ctxt.push(syn::Error::new(bracket.span.join(), message));
        }
        if let Some(whole) = whole {
            let message =
                format!("`#[atlas({whole})]` is said of the whole model; remove one of the two");
            ctxt.error(key, message);
        }
    }
    if let (Some(_), Some(key)) = (golden.key(), unchecked.key()) {
        ctxt.error(
            key,
            "the model is checked by `golden`; remove one of the two",
        );
    }
    match (golden.value(), golden.key(), unchecked.key()) {
        (Some(Some(path)), _, _) => return Behaviour::Function(path.clone()),
        (_, Some(key), _) => return Behaviour::Golden(key.span()),
        (_, _, Some(_)) => return Behaviour::Unchecked,
        (_, None, None) => {}
    }
    if checked.is_empty() && others > 0 && is_complete(raw) {
        let message = "\
how the behaviour of this model is checked is not said; write one of
  `#[network(golden = [4, input_size])]`, on the one network: a shape of random inputs, for a candle `Module`
  `#[atlas(golden = path)]`: a function of the model that gives outputs
  `#[atlas(golden)]`: the model implements `Golden`
  `#[atlas(unchecked)]`: a change of an activation, an epsilon or a tokenizer goes unnoticed";
        ctxt.error(&raw.input.ident, message);
    }
    if checked.len() + others > 1 {
        for (key, _) in checked {
            let message = "a model of several networks is checked as a whole, with what it does between them: \
                           `#[atlas(golden = path)]` names a function of it that gives outputs";
            ctxt.error(key, message);
        }
    }
    Behaviour::Network
}

fn derived(ctxt: &Ctxt, raw: &RawField) -> Option<Derived> {
    let Some((attribute, Role::Derived(with))) = &raw.role else {
        return None;
    };
    if with.key().is_none() {
        let message = format!(
            "`{}` needs the function that computes it: `#[derived(with = path)]`",
            raw.ident
        );
        ctxt.push(syn::Error::new(attribute.meta.span(), message));
    }
    Some(Derived {
        ident: raw.ident.clone(),
        ty: raw.field.ty.clone(),
        name: unraw(raw.ident),
        with: with.value()?.clone(),
    })
}
