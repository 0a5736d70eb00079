//! How the derives describe a struct. Not for other callers: a schema that disagrees with its type
//! would make parameters unreadable.

use serde_json::Value;

use super::schema::{CheckResult, Constraint, Field, Kind, Schema};
use super::value::ParamValue;

#[doc(hidden)]
impl Schema {
    pub fn new(name: &'static str, doc: &'static str, fields: Vec<Field>) -> Self {
        Self {
            name,
            doc,
            fields,
            validate: None,
        }
    }

    /// `validate` reads the typed group from JSON and checks across its fields.
    pub fn with_validate(mut self, validate: fn(&Value) -> CheckResult) -> Self {
        self.validate = Some(validate);
        self
    }
}

#[doc(hidden)]
impl Field {
    /// A parameter, required until a default is given.
    pub fn new(name: &'static str, doc: &'static str, kind: Kind) -> Self {
        Self {
            name,
            doc,
            kind,
            default: None,
            constraint: Constraint::default(),
        }
    }

    /// The default.
    pub fn with_default(mut self, default: Value) -> Self {
        self.default = Some(default);
        self
    }

    /// The default of a `nested` parameter that names none: its group's own defaults, `null` for
    /// an optional group, no element for a list of groups.
    pub fn with_nested_default(mut self) -> Self {
        self.default = match &self.kind {
            Kind::Group(schema) => schema.defaults(),
            Kind::Option(_) => Some(Value::Null),
            Kind::List(_) => Some(Value::Array(Vec::new())),
            _ => None,
        };
        self
    }

    /// `min` of each element.
    pub fn with_min<E: ParamValue>(mut self, min: E) -> Self {
        self.constraint.min = Some(min.to_json());
        self
    }

    /// `max` of each element, included.
    pub fn with_max<E: ParamValue>(mut self, max: E) -> Self {
        self.constraint.max = Some(max.to_json());
        self
    }

    /// The values that each element may take.
    pub fn with_one_of(mut self, values: Vec<Value>) -> Self {
        self.constraint.one_of = values;
        self
    }

    /// What each element must be a multiple of.
    pub fn with_multiple_of<E: ParamValue>(mut self, factor: E) -> Self {
        self.constraint.multiple_of = Some(factor.to_json());
        self
    }

    /// The number of elements, or of characters of a text; both bounds included.
    pub fn with_len(mut self, min: usize, max: Option<usize>) -> Self {
        self.constraint.len = Some((min, max));
        self
    }

    /// `check` reads the typed value from JSON and checks it.
    pub fn with_check(mut self, check: fn(&Value) -> CheckResult) -> Self {
        self.constraint.check = Some(check);
        self
    }
}
