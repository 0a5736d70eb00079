//! Types of parameters that lack their own derive.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Layer {
    #[param(default = Cell::Gru)]
    cell: Cell,
    #[param(nested)]
    side: Side,
}

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Gru,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Side {
    size: usize,
}

fn main() {}
