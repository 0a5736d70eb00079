//! A module in which every name of the standard prelude means something else.

#![allow(dead_code, non_camel_case_types, unused_macros)]

struct Result;
struct Option;
struct String;
struct Vec;
struct Box;
struct Some;
struct None;
struct Ok;
struct Err;
struct Self_;
trait Default {}
trait Clone {}
trait Debug {}
trait PartialEq {}
trait From {}
trait Into {}
trait ToString {}
trait Iterator {}
mod core {}
mod std {}
mod alloc {}
mod serde {}
mod serde_json {}
mod candle_core {}
mod atlas_core {}
mod __private {}

macro_rules! panic {
    () => {};
}
macro_rules! matches {
    () => {};
}
macro_rules! concat {
    () => {};
}

const LEAST: usize = 1;

/// A choice.
#[derive(::atlas_core::Choice, ::std::clone::Clone, ::std::fmt::Debug, ::std::cmp::PartialEq)]
enum Cell {
    Gru,
    Lstm,
}

const CELL: Cell = Cell::Gru;

/// A group.
#[derive(::atlas_core::Params, ::std::clone::Clone, ::std::fmt::Debug, ::std::cmp::PartialEq)]
#[atlas(validate = check_group)]
struct Group {
    #[param(default = 3, min = LEAST, max = 4, multiple_of = LEAST, one_of = [3, LEAST], check = check)]
    size: usize,
    #[param(default = CELL, one_of = [Cell::Gru, Cell::Lstm])]
    cell: Cell,
    #[param(default = "text", one_of = ["text"], len = 1..=LEAST + 3)]
    text: ::std::string::String,
    #[param(default = ::std::option::Option::Some(::std::vec!["a"]), len = LEAST)]
    texts: ::std::option::Option<::std::vec::Vec<::std::string::String>>,
}

fn check(_: &usize) -> ::std::result::Result<(), &'static str> {
    ::std::result::Result::Ok(())
}

fn check_group(_: &Group) -> ::std::result::Result<(), &'static str> {
    ::std::result::Result::Ok(())
}

/// A model.
#[derive(::atlas_core::AtlasModel)]
#[atlas(unchecked, version = 2, migrate(1 => migrate))]
struct Model {
    #[param(nested)]
    group: Group,
    #[param(default = 0.5, min = ::std::primitive::f64::MIN)]
    rate: f64,
    #[derived(with = derived)]
    derived: usize,
    #[network(with = net)]
    net: ::candle_nn::Linear,
}

fn migrate(_: &mut ::atlas_core::Snapshot) -> ::atlas_core::Result<()> {
    ::std::result::Result::Ok(())
}

fn derived(params: &ModelParams) -> ::atlas_core::Result<usize> {
    ::std::result::Result::Ok(params.group.size)
}

fn net(_: &ModelParams, vb: ::candle_nn::VarBuilder) -> ::candle_core::Result<::candle_nn::Linear> {
    ::candle_nn::linear(1, 1, vb)
}

#[test]
fn nothing_in_the_users_module_is_captured() {
    use ::atlas_core::AtlasModel as _;
    let params = <ModelParams as ::std::default::Default>::default();
    let model = Model::create(params).unwrap();
    assert_eq!(model.group.size, 3);
    assert_eq!(
        model.group.texts,
        ::std::option::Option::Some(::std::vec![::std::string::String::from("a")])
    );
    assert_eq!(model.derived, 3);
}
