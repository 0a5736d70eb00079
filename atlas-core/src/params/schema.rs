//! The description of a parameters struct that everything else is derived from.

use std::fmt;

use serde_json::{Map, Value};

/// The result of a check: `Err` holds what was expected.
pub(crate) type CheckResult = Result<(), String>;

/// The description of a group of parameters.
///
/// Made by the derives; read it to print a table of parameters, to build a form, or as JSON
/// Schema ([`Schema::to_json_schema`]).
#[derive(Clone)]
pub struct Schema {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) fields: Vec<Field>,
    pub(crate) validate: Option<fn(&Value) -> CheckResult>,
}

/// One parameter of a [`Schema`].
#[derive(Clone)]
pub struct Field {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Option<Value>,
    pub(crate) constraint: Constraint,
}

/// The type of a parameter, as JSON sees it.
#[derive(Clone)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number within the bounds of its Rust type, both included.
    Integer {
        /// Name of the Rust type, such as `u32`.
        rust: &'static str,
        /// Smallest value of the type.
        min: i64,
        /// Largest value of the type.
        max: u64,
    },
    /// A finite number of the Rust type `f32` or `f64`.
    Float {
        /// Name of the Rust type.
        rust: &'static str,
    },
    /// A text.
    String,
    /// `null` or a value.
    Option(Box<Kind>),
    /// Any number of values.
    List(Box<Kind>),
    /// A fixed number of values.
    Array(Box<Kind>, usize),
    /// A nested group.
    Group(Box<Schema>),
    /// One of a fixed set of names.
    Choice(Vec<ChoiceItem>),
}

/// One name of a [`Kind::Choice`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceItem {
    /// The name as written in JSON and on the command line.
    pub name: &'static str,
    /// The variant's documentation, empty when it has none.
    pub doc: &'static str,
}

/// What a parameter's value must satisfy beyond its type.
#[derive(Clone, Default)]
pub(crate) struct Constraint {
    pub(crate) min: Option<Value>,
    pub(crate) max: Option<Value>,
    pub(crate) one_of: Vec<Value>,
    pub(crate) multiple_of: Option<Value>,
    pub(crate) len: Option<(usize, Option<usize>)>,
    pub(crate) check: Option<fn(&Value) -> CheckResult>,
}

impl Schema {
    /// The name of the Rust struct.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The struct's documentation.
    pub fn doc(&self) -> &str {
        self.doc
    }

    /// The parameters in the order they were declared.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The parameter of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Every default as a JSON object, or `None` if a parameter has none.
    pub(crate) fn defaults(&self) -> Option<Value> {
        let mut defaults = Map::new();
        for field in &self.fields {
            defaults.insert(field.name.to_owned(), field.default.clone()?);
        }
        Some(Value::Object(defaults))
    }
}

impl Field {
    /// The parameter's name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The parameter's documentation, lines separated by `\n`.
    pub fn doc(&self) -> &str {
        self.doc
    }

    /// The parameter's type.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The value that an absent parameter takes, or `None` if it is required.
    pub fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// What the value must satisfy beyond its type, in words, such as `at least 1, a multiple of
    /// 8`; empty when anything of the type will do.
    pub fn constraint(&self) -> String {
        self.constraint.to_string()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish()
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("name", &self.name)
            .field("kind", &self.kind.to_string())
            .field("default", &self.default)
            .field("constraint", &self.constraint())
            .finish()
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}

/// The type in words: `an integer (usize)`, `a list of a number (f32)`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => f.write_str("true or false"),
            Kind::Integer { rust, .. } => write!(f, "an integer ({rust})"),
            Kind::Float { rust } => write!(f, "a finite number ({rust})"),
            Kind::String => f.write_str("a text"),
            Kind::Option(inner) => write!(f, "null or {inner}"),
            Kind::List(inner) => write!(f, "a list, each {inner}"),
            Kind::Array(inner, len) => write!(f, "a list of {len}, each {inner}"),
            Kind::Group(schema) => write!(f, "a group of parameters ({})", schema.name),
            Kind::Choice(items) => {
                f.write_str("one of ")?;
                list(f, items.iter().map(|item| item.name))
            }
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => parts.push(format!("{} to {}", text(min), text(max))),
            (Some(min), None) => parts.push(format!("at least {}", text(min))),
            (None, Some(max)) => parts.push(format!("at most {}", text(max))),
            (None, None) => {}
        }
        if !self.one_of.is_empty() {
            let values: Vec<String> = self.one_of.iter().map(text).collect();
            parts.push(format!("one of {}", values.join(", ")));
        }
        if let Some(factor) = &self.multiple_of {
            parts.push(format!("a multiple of {}", text(factor)));
        }
        if let Some(len) = self.len {
            parts.push(length_text(len));
        }
        f.write_str(&parts.join(", "))
    }
}

/// `length 1 to 8`, for `(1, Some(8))`.
pub(crate) fn length_text((min, max): (usize, Option<usize>)) -> String {
    match max {
        Some(max) if max == min => format!("length {min}"),
        Some(max) => format!("length {min} to {max}"),
        None => format!("length at least {min}"),
    }
}

/// A bound as a person writes it: a text without the quotes that JSON needs.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list<'a>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (position, name) in names.enumerate() {
        if position > 0 {
            f.write_str(", ")?;
        }
        f.write_str(name)?;
    }
    Ok(())
}
