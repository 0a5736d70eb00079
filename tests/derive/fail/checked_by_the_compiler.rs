//! What the compiler says of the user's expressions and types, at the user's tokens.

use atlas_core::prelude::*;

#[derive(Params, Clone, Debug, PartialEq)]
struct Expressions {
    #[param(default = "twenty")]
    text_for_number: usize,
    #[param(default = 20)]
    number_for_text: String,
    #[param(default = 1, min = 0)]
    integer_for_float: f32,
    #[param(default = -1)]
    sign: usize,
    #[param(min = "a")]
    text_for_bound: usize,
    #[param(default = 300)]
    range: u8,
    #[param(default = MISSING, min = MISSING_TOO)]
    missing: usize,
    #[param(default = "relu")]
    text_for_choice: Cell,
    #[param(min = Cell::Gru)]
    bound_of_choice: Cell,
    #[param(check = takes_text)]
    check: usize,
}

fn takes_text(_: &str) -> Result<(), String> {
    Ok(())
}

#[derive(Choice, Clone, Debug, PartialEq)]
enum Cell {
    Gru,
}

#[derive(AtlasModel)]
#[atlas(golden)]
struct Networks {
    #[network(with = missing)]
    missing: Net,
}

struct Net;

fn main() {}
