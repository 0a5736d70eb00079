//! Keys of `#[param(…)]`: unknown, misspelt, twice, without a value or with one of another kind.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Keys {
    #[param(defualt = 1, minimum = 2, range = 0..1)]
    unknown: usize,
    #[param(default = 1, default = 2, min = 0, min = 1)]
    twice: usize,
    #[param(default, min = , max)]
    absent: usize,
    #[param(one_of = 3, check = "check", nested = true, len = "many")]
    kinds: Vec<u8>,
    #[param(default = 1 min = 0, max = 2)]
    comma: usize,
    #[param(3, default = 1)]
    no_key: usize,
    #[param = 3]
    no_parentheses: usize,
    #[param(default = )]
    nothing: usize,
    #[param(check = |value| Ok(()))]
    closure: usize,
}

fn main() {}
