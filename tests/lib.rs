//! The tests that span the crates of Atlas. As a library it is the README, whose code is run.
#![doc = include_str!("../README.md")]
