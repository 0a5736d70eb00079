//! Networks: at least one, each with a file of its own, built in one way.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct None {
    #[param]
    size: usize,
}

#[derive(AtlasModel)]
#[atlas(unchecked, build = build)]
struct NoneToBuild {}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Files {
    #[network]
    encoder: Net,
    #[network]
    Encoder: Net,
    #[network]
    golden: Net,
    #[network]
    checkpoint: Net,
    #[network]
    größe: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, build = build)]
struct TwoWays {
    #[network(with = build_encoder)]
    encoder: Net,
    #[network]
    decoder: Net,
}

struct Net;

fn main() {}
