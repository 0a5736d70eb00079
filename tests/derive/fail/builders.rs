//! Networks that nothing builds, and builders that do not return what they should.

use atlas_core::prelude::*;
use atlas_core::candle_nn::{Linear, Sequential, VarBuilder};

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Model {
    #[param(default = 1)]
    size: usize,
    #[derived(with = no_result_derived)]
    derived: usize,
    #[network]
    other_new: Linear,
    #[network]
    no_new: Sequential,
    #[network]
    new_without_result: Net,
    #[network(with = no_result)]
    no_result: Linear,
    #[network(with = text_error)]
    text_error: Linear,
    #[network(with = other_type)]
    other_type: Linear,
    #[network(with = other_arguments)]
    other_arguments: Linear,
}

struct Net;

impl Net {
    fn new(_: &ModelParams, _: VarBuilder) -> Self {
        Self
    }
}

fn no_result_derived(params: &ModelParams) -> usize {
    params.size
}

fn no_result(_: &ModelParams, _: VarBuilder) -> Linear {
    unreachable!()
}

fn text_error(_: &ModelParams, _: VarBuilder) -> Result<Linear, String> {
    unreachable!()
}

fn other_type(_: &ModelParams, _: VarBuilder) -> Result<Sequential> {
    unreachable!()
}

fn other_arguments(_: VarBuilder, _: &ModelParams) -> Result<Linear> {
    unreachable!()
}

#[derive(AtlasModel)]
#[atlas(unchecked, build = build)]
struct Whole {
    #[network]
    net: Linear,
}

fn build(_: &WholeParams, _: &atlas_core::NetworkBuilder) -> Result<Linear, &'static str> {
    unreachable!()
}

fn main() {}
