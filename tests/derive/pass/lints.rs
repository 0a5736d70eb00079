//! Generated code is free of warnings, whatever a crate denies.

#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused
)]
#![deny(nonstandard_style, rust_2018_idioms, let_underscore, keyword_idents)]
#![deny(
    single_use_lifetimes,
    trivial_casts,
    unused_lifetimes,
    variant_size_differences
)]
#![forbid(
    missing_docs,
    deprecated,
    dead_code,
    non_snake_case,
    non_upper_case_globals,
    trivial_numeric_casts,
    unused_comparisons,
    unused_qualifications,
    unreachable_patterns,
    overflowing_literals,
    clippy::absurd_extreme_comparisons,
    clippy::eq_op,
    clippy::float_cmp,
    clippy::float_cmp_const,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::integer_division_remainder_used,
    clippy::std_instead_of_core,
    clippy::shadow_unrelated,
    clippy::question_mark_used,
    clippy::missing_docs_in_private_items
)]
#![deny(
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::absolute_paths,
    clippy::unwrap_used
)]

use atlas_core::prelude::*;
use candle_nn::{Linear, VarBuilder, linear};

const LEAST: usize = 0;

/// A documented choice.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Gated.
    Gru,
    /// With memory.
    Lstm,
    /// Nobody should use it.
    #[deprecated = "for the test"]
    Rnn,
}

/// A documented group.
#[derive(Params, Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// At least a constant that is the least of its type.
    #[param(default = 3, min = LEAST, max = usize::MAX)]
    pub size: usize,
    /// A choice.
    #[param(default = Cell::Gru, one_of = [Cell::Gru, Cell::Lstm])]
    pub cell: Cell,
}

/// A documented model.
#[derive(AtlasModel, Debug)]
#[atlas(unchecked)]
pub struct Model {
    /// A group.
    #[param(nested)]
    pub group: Group,
    /// A rate.
    #[param(default = 0.5, min = 0.0, one_of = [0.5, f64::MAX])]
    pub rate: f64,
    /// Names.
    #[param(default = vec!["a"], len = 1..)]
    pub names: Vec<String>,
    /// Never read but in the parameters.
    #[param(default = 1)]
    unread: usize,
    /// Nobody should use it.
    #[param(default = 1)]
    #[deprecated = "for the test"]
    pub old: usize,
    /// Gone before the derive sees it.
    #[cfg(any())]
    pub gone: usize,
    /// Here, and its condition is gone.
    #[cfg(not(any()))]
    #[cfg_attr(not(any()), param(default = 2))]
    pub here: usize,
    /// The network.
    #[network(with = net)]
    pub net: Linear,
}

/// Nobody should use it.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
#[deprecated = "for the test"]
pub enum OldCell {
    /// Gated.
    Gru,
}

/// Nobody should use it.
#[derive(Params, Clone, Debug, PartialEq, Eq)]
#[deprecated = "for the test"]
pub struct OldGroup {
    /// A size.
    #[param(default = 3)]
    pub size: usize,
}

/// Nobody should use it.
#[derive(AtlasModel, Debug)]
#[atlas(unchecked, params_derive(Eq))]
#[deprecated = "for the test"]
pub struct OldModel {
    /// A size.
    #[param(default = 3)]
    pub size: usize,
    /// The network.
    #[network]
    pub net: Net,
}

/// A network that builds itself.
#[derive(Debug)]
pub struct Net;

impl Net {
    /// Builds nothing.
    ///
    /// # Errors
    /// Never.
    pub fn new<P>(_: &P, _: VarBuilder<'_>) -> Result<Self> {
        Ok(Self)
    }
}

fn net(params: &ModelParams, vb: VarBuilder<'_>) -> candle_core::Result<Linear> {
    linear(params.group.size, params.unread, vb)
}

#[test]
fn attributes_and_conditions_on_fields_are_kept() {
    let params = ModelParams::default();
    assert_eq!((params.here, params.unread), (2, 1));
}
