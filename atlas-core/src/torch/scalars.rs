//! The integers and texts of a pickle, from the bytes that it writes them in.

use super::values::{Result, Value};

/// The number that the files before PyTorch 1.6 begin with.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

fn integer(value: i128) -> Value<'static> {
    match i64::try_from(value) {
        Ok(value) => Value::Int(value),
        Err(_) if value == MAGIC => Value::Magic,
        Err(_) => Value::Other("an integer beyond 64 bits"),
    }
}

/// The integer of these bytes, little-endian, the last of which has the sign.
pub(super) fn integer_of_bytes(bytes: &[u8]) -> Value<'static> {
    let is_negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if is_negative { 0xff } else { 0 }; 16];
    match whole.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::Other("an integer beyond 64 bits"),
    }
    integer(i128::from_le_bytes(whole))
}

pub(super) fn integer_of_digits(digits: &str) -> Result<Value<'static>> {
    let value = digits.parse().map_err(|_| "an integer is not of digits")?;
    Ok(integer(value))
}

pub(super) fn text(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or(Value::Other("a text that is not UTF-8"), Value::Text)
}

pub(super) fn bytes(_: &[u8]) -> Value<'static> {
    Value::Other("bytes")
}

/// A text without the quotes around it.
pub(super) fn quoted(line: &str) -> Result<Value<'_>> {
    let text = ['\'', '"'].into_iter().find_map(|quote| {
        let text = line.strip_prefix(quote)?;
        text.strip_suffix(quote)
    });
    text.map(unescaped)
        .ok_or_else(|| "a text has no quotes around it".to_owned())
}

/// A text as it stands; no name of a tensor has characters that are escaped.
pub(super) fn unescaped(text: &str) -> Value<'_> {
    if text.contains('\\') {
        Value::Other("a text with escapes")
    } else {
        Value::Text(text)
    }
}
