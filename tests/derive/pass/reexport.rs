//! Atlas behind a re-export.

/// A crate that re-exports Atlas, as this one sees it.
mod facade {
    pub(crate) mod atlas {
        pub(crate) use atlas_core::*;
    }
}

use facade::atlas::prelude::*;

/// In `crate::…`.
#[derive(Choice, Clone, Copy, Debug, PartialEq)]
#[choice(crate = crate::reexport::facade::atlas)]
enum Cell {
    Gru,
    Lstm,
}

/// By a relative path.
#[derive(Params, Clone, Debug, PartialEq)]
#[atlas(crate = facade::atlas)]
struct Group {
    #[param(default = Cell::Gru)]
    cell: Cell,
}

/// In `self::…`.
#[derive(AtlasModel)]
#[atlas(unchecked, crate = self::facade::atlas)]
struct Model {
    #[param(nested)]
    group: Group,
    #[network(with = net)]
    net: candle_nn::Linear,
}

fn net(_: &ModelParams, vb: candle_nn::VarBuilder) -> candle_core::Result<candle_nn::Linear> {
    candle_nn::linear(1, 1, vb)
}

#[test]
fn the_derives_name_the_crate_they_are_told() {
    assert_eq!(Cell::Lstm.name(), "lstm");
    let model = Model::create(ModelParams::default()).unwrap();
    assert_eq!(model.group.cell, Cell::Gru);
    assert_eq!(model.net.weight().dims(), [1, 1]);
}
