//! `atlas`, run as a person runs it.

mod evaluate;
mod help;
mod inspect;
mod interrupt;
mod latents;
mod refusals;
mod support;
mod train;
