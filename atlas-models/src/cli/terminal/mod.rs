//! What people see: results, messages, tables, progress; and the signals that they send.

pub mod interrupt;
pub mod output;
pub mod progress;
pub mod table;
pub mod text;
pub mod values;
