//! Choices: names of their own, and nothing but names.

use atlas_core::prelude::*;

#[derive(Choice, Clone, Debug, PartialEq)]
enum Fields {
    A(usize),
    B { size: usize },
    C,
}

#[derive(Choice, Clone, Debug, PartialEq)]
enum Empty {}

#[derive(Choice, Clone, Debug, PartialEq)]
enum Names {
    GeluTanh,
    #[choice(name = "gelu-tanh")]
    Gelu,
    #[choice(name = "")]
    Nothing,
    #[choice(name = "a, b")]
    Two,
    HTTPHead,
    HttpHead,
}

#[derive(Choice, Clone, Debug, PartialEq)]
#[choice(nmae = "x", name = "x", crate = "atlas_core")]
enum Keys {
    #[choice(nam = "a", crate = atlas_core, name = 3)]
    A,
    #[choice(name = "b", name = "c")]
    B,
    #[choice = "c"]
    C,
}

fn main() {}
