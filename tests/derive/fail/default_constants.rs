//! Defaults outside their own constraint, as constants, reported beside literals.

use atlas_core::prelude::*;

const ZERO: usize = 0;
const TEN: usize = 10;
const NAN: f32 = f32::NAN;
const LSTM: Cell = Cell::Lstm;

#[derive(Choice, Clone, Copy, Debug, PartialEq)]
enum Cell {
    Gru,
    Lstm,
    Rnn,
}

#[derive(Params, Clone, Debug, PartialEq)]
struct Defaults {
    #[param(default = ZERO, min = 1)]
    low: usize,
    #[param(default = 11, max = TEN)]
    high: usize,
    #[param(default = TEN + 2, multiple_of = 8)]
    uneven: usize,
    #[param(default = TEN, one_of = [1, 2])]
    other: usize,
    #[param(default = vec![1, ZERO], min = 1)]
    list: Vec<usize>,
    #[param(default = vec![1; TEN], len = ..TEN)]
    many: Vec<usize>,
    #[param(default = vec![1, 2], len = TEN)]
    few: Vec<usize>,
    #[param(default = 0, min = 1)]
    beside: usize,
    #[param(default = NAN, min = 0.0)]
    nan: f32,
    #[param(default = f64::INFINITY, max = 1.0)]
    infinite: f64,
    #[param(default = Cell::Rnn, one_of = [Cell::Gru, Cell::Lstm])]
    cell: Cell,
    #[param(default = Some(LSTM), one_of = [Cell::Gru])]
    option: Option<Cell>,
}

fn main() {}
