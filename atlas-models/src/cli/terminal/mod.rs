//! What is shown on a terminal, and how.

pub mod interrupt;
pub mod output;
pub mod progress;
pub mod table;
pub mod text;
