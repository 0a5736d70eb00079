//! The name of a model.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked, name = "")]
struct Empty {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, name = "Mlp v2")]
struct Spaced {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Größe {
    #[network]
    net: Net,
}

struct Net;

fn main() {}
