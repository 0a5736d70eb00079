//! The name of a model.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(name = "")]
struct Empty {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(name = "Mlp v2")]
struct Spaced {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
struct Größe {
    #[network]
    net: Net,
}

struct Net;

fn main() {}
