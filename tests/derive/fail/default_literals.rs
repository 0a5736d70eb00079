//! Defaults outside their own constraint, as literals.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Defaults {
    #[param(default = 0, min = 1)]
    low: usize,
    #[param(default = 11, max = 10)]
    high: usize,
    #[param(default = -0.5, min = -0.25, max = 1.0)]
    negative: f32,
    #[param(default = 12, multiple_of = 8)]
    uneven: usize,
    #[param(default = 3, one_of = [1, 2])]
    other: usize,
    #[param(default = "c", one_of = ["a", "b"])]
    text: String,
    #[param(default = true, one_of = [false])]
    flag: bool,
    #[param(default = vec![4, 0, 9], min = 1, max = 8)]
    list: Vec<usize>,
    #[param(default = [[1, 2], [3, 0]], min = 1)]
    matrix: [[usize; 2]; 2],
    #[param(default = Some(0), min = 1)]
    option: Option<usize>,
    #[param(default = Some(vec!["a", "c"]), one_of = ["a", "b"])]
    texts: Option<Vec<String>>,
    #[param(default = vec![], len = 1..)]
    empty: Vec<usize>,
    #[param(default = vec![1; 9], len = ..=8)]
    many: Vec<usize>,
    #[param(default = "abcd", len = ..4)]
    long: String,
    #[param(default = Some("é"), len = 2)]
    short: Option<String>,
    #[param(default = 1e999)]
    infinite: f64,
    #[param(default = 1e39, max = 1.0)]
    infinite_in_f32: f32,
    #[param(default = 0, min = 1, multiple_of = 8, one_of = [8, 16])]
    everything: usize,
    #[param(default = 0, min = 1)]
    alias: Width,
}

type Width = usize;

fn main() {}
