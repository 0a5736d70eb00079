//! Literals that their type cannot hold.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param(default = 300)]
    byte: u8,
    #[param(default = vec![1, -200])]
    bytes: Vec<i8>,
    #[param(max = 70000)]
    short: u16,
}

fn main() {}
