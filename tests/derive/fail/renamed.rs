//! `atlas_core` under another name, which the items do not say.

use atlas::candle_nn::{Linear, VarBuilder, linear};
use atlas::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Model {
    #[param(default = 1)]
    size: usize,
    #[param(nested)]
    group: Group,
    #[network(with = net)]
    net: Linear,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param(default = Cell::Gru)]
    cell: Cell,
}

#[derive(Choice, Clone, Debug, PartialEq)]
enum Cell {
    Gru,
}

#[derive(Choice, Clone, Debug, PartialEq)]
#[choice(crate = ::atlas)]
enum Said {
    Gru,
}

fn net(params: &ModelParams, vb: VarBuilder) -> Result<Linear> {
    Ok(linear(params.size, 1, vb)?)
}

fn main() {}
