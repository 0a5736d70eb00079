//! What the code that the derives emit calls. Not a public interface.

pub use crate::build::NetworkBuilder;
pub use crate::error::{Error, Result};
pub use crate::migration::Migration;
pub use crate::model::{AtlasModel, GoldenFns};
pub use crate::params::{Choice, ChoiceItem, Field, Kind, ParamValue, Params, Schema};
pub use serde::{Serialize, Serializer};
pub use serde_json::{Map, Value};

use std::fmt::Display;

/// The field `name` of a group, read as its type.
pub fn field<T: ParamValue>(group: &Value, name: &str) -> Option<T> {
    T::from_json(group.as_object()?.get(name)?)
}

/// Runs the check of a field or a group on the JSON that has passed the schema's own checks.
pub fn run_check<T, E>(
    json: &Value,
    check: fn(&T) -> core::result::Result<(), E>,
) -> core::result::Result<(), String>
where
    T: ParamValue,
    E: Display,
{
    match T::from_json(json) {
        Some(value) => check(&value).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// Serialises parameters as the JSON that a bundle stores.
pub fn serialize<T: ParamValue, S: Serializer>(
    value: &T,
    serializer: S,
) -> core::result::Result<S::Ok, S::Error> {
    value.to_json().serialize(serializer)
}

/// The value of a `#[derived]` field, its error naming the field.
pub fn derived<T, E: Into<Error>>(
    field: &'static str,
    result: core::result::Result<T, E>,
) -> Result<T> {
    result.map_err(|error| {
        error
            .into()
            .within(format_args!("the derived field `{field}`"))
    })
}

/// The reading of a choice's name.
pub fn parse_choice<T: Choice>(name: &str) -> core::result::Result<T, Error> {
    T::from_name(name).ok_or_else(|| crate::params::unknown_choice(name, T::ITEMS))
}

/// Whether a text is one of some texts, for constants.
pub const fn is_among(text: &str, texts: &[&str]) -> bool {
    let mut position = 0;
    while position < texts.len() {
        if is_same(text.as_bytes(), texts[position].as_bytes()) {
            return true;
        }
        position += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut position = 0;
    while position < a.len() && position < b.len() && a[position] == b[position] {
        position += 1;
    }
    position == a.len() && position == b.len()
}
