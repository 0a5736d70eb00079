//! Types of parameters that lack their own derive.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Layer {
    #[param(default = Cell::Gru)]
    cell: Cell,
    #[param(default = Reset::Before, one_of = [Reset::Before])]
    listed: Reset,
    #[param(nested)]
    side: Side,
}

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Gru,
}

#[derive(Clone, Debug, PartialEq)]
enum Reset {
    Before,
    After,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    size: usize,
}

fn main() {}
