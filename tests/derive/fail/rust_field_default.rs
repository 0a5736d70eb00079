//! Rust's own field defaults would be a second place for a default.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Model {
    #[param]
    size: usize = 20,
    #[param(default = 3)]
    other: usize = SIZE + 1,
    #[network]
    net: Net,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param]
    size: usize = 20,
}

const SIZE: usize = 3;

struct Net;

fn main() {}
