//! Constraints that allow nothing, or everything.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Bounds {
    #[param(one_of = [])]
    nothing: usize,
    #[param(len = ..)]
    any: String,
    #[param(len = ..0)]
    none: String,
    #[param(len = length())]
    call: Vec<u8>,
}

fn main() {}
