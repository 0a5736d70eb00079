//! JSON that people and other programs write.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};

/// The mark that some editors put before a text of UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// What a JSON text says. A byte-order mark before it is skipped.
///
/// ```
/// use atlas_core::json;
///
/// let params: serde_json::Value = json::read("\u{feff}{\"width\": 8}".as_bytes())?;
/// assert_eq!(params["width"], 8);
///
/// let error = json::read::<serde_json::Value>(br#"{"width": 8, "width": 9}"#).unwrap_err();
/// assert!(error.to_string().starts_with("`width` is given twice at line 1"));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// If it is no JSON, is no `T`, or an object in it has a key twice: of that, two readers could see
/// two values.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let _: UniqueKeys = serde_json::from_slice(text)?;
    serde_json::from_slice(text)
}

/// JSON in which no object has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeys)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("`{key}` is given twice")));
            }
            members.next_value::<Self>()?;
            keys.insert(key);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn json_is_read_as_it_stands() {
        let text = r#"{"b":[1,-2,1.5e-6,18446744073709551615,null,true],"a":{"é":"x"}}"#;
        assert_eq!(read::<Value>(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"c":2,"a":3}}]"#] {
            let message = read::<Value>(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains("`a` is given twice"), "{message}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = "[".repeat(1 << 20);
        let message = read::<Value>(text.as_bytes()).unwrap_err().to_string();
        assert!(message.contains("recursion limit"), "{message}");
    }
}
