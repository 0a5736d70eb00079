//! Types that no parameter has, and keys that do not fit the type.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Types {
    #[param]
    reference: &'static str,
    #[param]
    tuple: (usize, usize),
    #[param]
    letter: Option<char>,
    #[param]
    function: fn() -> usize,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Keys {
    #[param(min = 1)]
    flag: bool,
    #[param(max = 3)]
    text: String,
    #[param(multiple_of = 2)]
    texts: Vec<String>,
    #[param(multiple_of = 0.5)]
    rate: f32,
    #[param(len = 1..)]
    size: usize,
    #[param(len = 2)]
    pair: [usize; 2],
    #[param(nested)]
    number: Option<usize>,
    #[param(nested, min = 1, one_of = [1, 2])]
    group: Group,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Group {
    #[param]
    size: usize,
}

fn main() {}
