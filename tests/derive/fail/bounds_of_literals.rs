//! Constraints of literals that contradict themselves.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Literals {
    #[param(min = 10, max = 1)]
    crossed: usize,
    #[param(min = -1.0, max = -2.0)]
    negative: f32,
    #[param(multiple_of = 0)]
    zero: usize,
    #[param(multiple_of = -8)]
    below: i32,
    #[param(one_of = [1, 2, 1, 0x2])]
    twice: usize,
    #[param(one_of = ["a", "a"])]
    texts: String,
    #[param(one_of = [Cell::Gru, Cell::Lstm, Cell::Gru])]
    cells: Cell,
    #[param(max = 1e999)]
    infinite: f64,
    #[param(one_of = [0.5, 1e39])]
    infinite_in_f32: f32,
    #[param(len = 8..=1)]
    crossed_lengths: Vec<u8>,
    #[param(len = 3..3)]
    empty: Vec<u8>,
}

#[derive(Choice, Clone, Debug, PartialEq)]
enum Cell {
    Gru,
    Lstm,
}

fn main() {}
