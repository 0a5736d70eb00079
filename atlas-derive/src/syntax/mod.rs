//! Reads an item as it is written: every key into its [`Slot`], every mistake collected. Rules
//! across keys come later, in `check`.

mod choice;
mod ctxt;
mod field;
mod keys;
mod slot;
mod structure;
mod value;

pub(crate) use choice::{RawChoice, RawVariant};
pub(crate) use ctxt::Ctxt;
pub(crate) use field::{ParamSlots, RawField, Role};
pub(crate) use slot::Slot;
pub(crate) use structure::{Derive, RawStruct, StructSlots, krate};
pub(crate) use value::{Step, Version, unraw};
