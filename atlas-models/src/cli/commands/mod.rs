//! The commands, a file each.

pub mod analogues;
pub mod cast;
pub mod decode;
pub mod diff;
pub mod encode;
pub mod evaluate;
pub mod fit_prior;
pub mod import;
pub mod inspect;
pub mod interpolate;
pub mod map;
pub mod models;
pub mod molecules;
pub mod neighbours;
pub mod params;
pub mod sample;
pub mod train;
pub mod verify;
