//! The types a parameter can have, and how each is written in JSON and read back.

use std::fmt;

use serde_json::{Number, Value};

use super::schema::{ChoiceItem, Kind};

/// A type that a parameter can have.
///
/// Implemented for `bool`, every integer type up to 64 bits, `f32`, `f64`, `String`, and for `Option`, `Vec` and
/// arrays of those; `#[derive(Params)]` and `#[derive(Choice)]` implement it for groups and
/// choices.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a parameter",
    label = "not the type of a parameter",
    note = "an enum of names derives `Choice`, a struct of parameters derives `Params`"
)]
pub trait ParamValue: Sized + Clone + PartialEq + fmt::Debug {
    /// What a bound of the parameter is compared with: the type itself, or of `Option`, `Vec` and
    /// arrays the type inside.
    type Element: ParamValue;

    /// The type, for the schema.
    fn kind() -> Kind;

    /// The value in JSON.
    ///
    /// A float that is not finite becomes the text `NaN`, `inf` or `-inf`, which no float
    /// parameter accepts, so that the check of the value reports it.
    fn to_json(&self) -> Value;

    /// The value from JSON that has passed the checks of its schema; `None` for any other.
    fn from_json(json: &Value) -> Option<Self>;
}

/// A field-less enum whose variants a parameter can name.
///
/// Implemented by `#[derive(Choice)]`, which also implements `Display`, `FromStr` and
/// `Serialize`, all by the variant's name.
///
/// ```
/// use atlas_core::prelude::*;
///
/// /// What follows a linear layer.
/// #[derive(Choice, Clone, Copy, Debug, PartialEq)]
/// enum Activation {
///     /// max(0, x)
///     Relu,
///     /// x · Φ(x), approximated by tanh
///     GeluTanh,
/// }
///
/// assert_eq!(Activation::GeluTanh.name(), "gelu-tanh");
/// assert_eq!(Activation::from_name("relu"), Some(Activation::Relu));
/// ```
pub trait Choice: ParamValue {
    /// Every name with its documentation, in the order of the variants.
    const ITEMS: &'static [ChoiceItem];

    /// The name of this variant.
    fn name(&self) -> &'static str;

    /// The variant of that name.
    fn from_name(name: &str) -> Option<Self>;
}

impl ParamValue for bool {
    type Element = Self;

    fn kind() -> Kind {
        Kind::Bool
    }

    fn to_json(&self) -> Value {
        Value::Bool(*self)
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_bool()
    }
}

impl ParamValue for String {
    type Element = Self;

    fn kind() -> Kind {
        Kind::String
    }

    fn to_json(&self) -> Value {
        Value::String(self.clone())
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_str().map(str::to_owned)
    }
}

macro_rules! integers {
    ($($type:ident)*) => {$(
        impl ParamValue for $type {
            type Element = Self;

            fn kind() -> Kind {
                Kind::Integer { rust: stringify!($type), min: $type::MIN as i64, max: $type::MAX as u64 }
            }

            fn to_json(&self) -> Value {
                Value::Number(Number::from(*self))
            }

            fn from_json(json: &Value) -> Option<Self> {
                match json.as_i64() {
                    Some(value) => value.try_into().ok(),
                    None => json.as_u64()?.try_into().ok(),
                }
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

/// A finite float as a number, anything else as a text that no float parameter accepts.
fn float_to_json(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}

impl ParamValue for f64 {
    type Element = Self;

    fn kind() -> Kind {
        Kind::Float { rust: "f64" }
    }

    fn to_json(&self) -> Value {
        float_to_json(*self)
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_f64().filter(|value| value.is_finite())
    }
}

impl ParamValue for f32 {
    type Element = Self;

    fn kind() -> Kind {
        Kind::Float { rust: "f32" }
    }

    /// The shortest decimal that reads back to the same bits, so that `0.1_f32` is written `0.1`.
    fn to_json(&self) -> Value {
        let exact = f64::from(*self);
        match self.to_string().parse::<f64>() {
            Ok(short) if (short as f32).to_bits() == self.to_bits() => float_to_json(short),
            _ => float_to_json(exact),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_f64()
            .map(|value| value as f32)
            .filter(|value| value.is_finite())
    }
}

impl<T: ParamValue> ParamValue for Option<T> {
    type Element = T::Element;

    fn kind() -> Kind {
        Kind::Option(Box::new(T::kind()))
    }

    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }

    fn from_json(json: &Value) -> Option<Self> {
        match json {
            Value::Null => Some(None),
            value => T::from_json(value).map(Some),
        }
    }
}

impl<T: ParamValue> ParamValue for Vec<T> {
    type Element = T::Element;

    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }

    fn to_json(&self) -> Value {
        self.iter().map(T::to_json).collect()
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_array()?.iter().map(T::from_json).collect()
    }
}

impl<T: ParamValue, const N: usize> ParamValue for [T; N] {
    type Element = T::Element;

    fn kind() -> Kind {
        Kind::Array(Box::new(T::kind()), N)
    }

    fn to_json(&self) -> Value {
        self.iter().map(T::to_json).collect()
    }

    fn from_json(json: &Value) -> Option<Self> {
        Vec::from_json(json)?.try_into().ok()
    }
}
