//! `atlas`, run as a person runs it.

mod drawings;
mod evaluate;
mod generate;
mod help;
mod import;
mod input;
mod inspect;
mod interrupt;
mod kept;
mod latent_space;
mod latents;
mod outputs;
mod own_model;
mod refusals;
mod resume;
mod shards;
mod support;
mod train;
mod transfer;
