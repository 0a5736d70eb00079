//! Constraints of constants that contradict themselves: the compiler evaluates them.

use atlas_core::prelude::*;

const TEN: usize = 10;
const NONE: usize = 0;
const UNBOUNDED: f64 = f64::INFINITY;

#[derive(Params, Clone, Debug, PartialEq)]
struct Constants {
    #[param(min = TEN, max = 1)]
    crossed: usize,
    #[param(one_of = [10, TEN])]
    twice: usize,
    #[param(multiple_of = NONE)]
    zero: usize,
    #[param(max = UNBOUNDED)]
    infinite: f64,
    #[param(len = TEN..TEN)]
    empty: Vec<u8>,
}

fn main() {}
