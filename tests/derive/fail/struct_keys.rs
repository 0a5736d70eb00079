//! Keys of `#[atlas(…)]`: unknown, misspelt, twice, with a value of another kind.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(nmae = "mlp", versoin = 2, colour = 3, golden, golden)]
#[atlas(params = First, params = Second)]
struct Keys {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(name = mlp, version = "2", params = "Sizes", build = "build", validate = |_| Ok(()), golden = true)]
#[atlas(migrate = step, crate = "atlas_core")]
struct Values {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(name, version = , "mlp", build = build(), validate = 3, migrate(), crate = a::b::<c> golden)]
struct Malformed {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
#[atlas = "mlp"]
#[param]
#[network]
#[derived]
struct Misplaced {
    #[network]
    #[atlas(name = "net")]
    net: Net,
}

#[derive(Params, Clone, Debug, PartialEq)]
#[atlas(name = "group", version = 2, valdate = check, colour = 3)]
struct Group {
    #[param]
    size: usize,
}

#[derive(AtlasModel)]
#[atlas(unchecked, params = OwnName)]
struct OwnName {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, params_derive = Eq)]
struct Derives {
    #[network]
    net: Net,
}

struct Net;

fn main() {}
