//! Versions and the steps to them.

use atlas_core::prelude::*;

#[derive(AtlasModel)]
#[atlas(unchecked, version = 0)]
struct Zero {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 99999999999)]
struct Large {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 3)]
struct NoSteps {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 3, migrate(1 => first))]
struct OneMissing {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 4000000000, migrate(2 => second))]
struct ManyMissing {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 3, migrate(1 => first, 2 => second, 2 => second, 3 => third))]
struct DuplicateAndNew {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, migrate(1 => first))]
struct NoVersion {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 2, migrate(0 => zeroth))]
struct StepZero {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 2, migrate(1 => "first"))]
struct StepOfText {
    #[network]
    net: Net,
}

#[derive(AtlasModel)]
#[atlas(unchecked, version = 2, migrate(1 = first))]
struct StepWithoutArrow {
    #[network]
    net: Net,
}

struct Net;

fn main() {}
