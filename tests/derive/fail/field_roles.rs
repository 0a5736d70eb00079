//! Every field says what it is, once.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Roles {
    forgotten: usize,
    #[param]
    #[network]
    two: usize,
    #[param(default = 1)]
    #[param(min = 1)]
    twice: usize,
    #[derived]
    from_what: usize,
    #[derived(with = "tokenizer")]
    from_text: usize,
    #[network(wiht = build)]
    net: Net,
    #[network(with = build, with = build)]
    other: Net,
    #[network = build]
    third: Net,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    forgotten: usize,
    #[network]
    net: usize,
    #[derived(with = compute)]
    derived: usize,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Misspelt {
    #[parm(default = 3)]
    size: usize,
    #[network]
    net: Net,
}

struct Net;

fn main() {}
