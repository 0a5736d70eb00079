//! The checking of a JSON value against a schema: one walk that reports everything.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::Absent;
use super::schema::{Constraint, Field, Kind, Schema, length_text};
use crate::error::{Problem, Report, suggestion};

/// Checks names, types, constraints, each field's own check, and, for a group in which nothing
/// else is wrong, the check across its fields.
pub(super) fn check(schema: &Schema, value: &Value, absent: Absent) -> Report {
    let mut check = Check {
        report: Report::default(),
        absent,
    };
    check.group(schema, value, "");
    check.report
}

struct Check {
    report: Report,
    absent: Absent,
}

impl Check {
    fn group(&mut self, schema: &Schema, value: &Value, path: &str) {
        let Some(given) = value.as_object() else {
            let expected = format!("expected an object of parameters ({})", schema.name);
            return self
                .report
                .push(Problem::new(path, expected).with_value(value));
        };
        let before = self.report.problems().len();
        for name in given.keys().filter(|name| schema.field(name).is_none()) {
            self.unknown(schema, given, name, path);
        }
        for field in &schema.fields {
            let path = join(path, field.name);
            match given.get(field.name) {
                Some(value) => self.field(field, value, &path),
                None => self.missing(field, &path),
            }
        }
        if self.report.problems().len() == before
            && let Some(validate) = schema.validate
            && let Err(expected) = validate(value)
        {
            self.report.push(Problem::new(path, expected));
        }
    }

    fn unknown(&mut self, schema: &Schema, given: &Map<String, Value>, name: &str, path: &str) {
        // A name that was given cannot be the one that was meant.
        let free = schema
            .fields
            .iter()
            .map(|field| field.name)
            .filter(|known| !given.contains_key(*known));
        let near = suggestion(name, free)
            .or_else(|| suggestion(name, schema.fields.iter().map(|field| field.name)));
        let expected = match near {
            Some(_) => "unknown parameter".to_owned(),
            None => {
                let names: Vec<String> = schema
                    .fields
                    .iter()
                    .map(|field| format!("`{}`", field.name))
                    .collect();
                format!(
                    "unknown parameter; `{}` has {}",
                    schema.name,
                    names.join(", ")
                )
            }
        };
        self.report
            .push(Problem::new(join(path, name), expected).with_suggestion(near));
    }

    fn missing(&mut self, field: &Field, path: &str) {
        let why = match self.absent {
            Absent::IsRequired => "required, and has no default",
            Absent::WasLost => "missing, and stored parameters never fall back on a default",
        };
        self.report.push(Problem::new(
            path,
            format!("{why}; expected {}", field.kind),
        ));
    }

    fn field(&mut self, field: &Field, value: &Value, path: &str) {
        let before = self.report.problems().len();
        self.value(&field.kind, &field.constraint, value, path);
        if self.report.problems().len() == before
            && let Some(check) = field.constraint.check
            && let Err(expected) = check(value)
        {
            self.report
                .push(Problem::new(path, expected).with_value(value));
        }
    }

    fn value(&mut self, kind: &Kind, constraint: &Constraint, value: &Value, path: &str) {
        match kind {
            Kind::Option(_) if value.is_null() => {}
            Kind::Option(inner) => self.value(inner, constraint, value, path),
            Kind::List(inner) => self.list(inner, None, constraint, value, path),
            Kind::Array(inner, len) => self.list(inner, Some(*len), constraint, value, path),
            Kind::Group(schema) => self.group(schema, value, path),
            scalar => {
                if let Err(expected) = of_kind(scalar, value) {
                    self.report
                        .push(Problem::new(path, format!("expected {expected}")).with_value(value));
                } else {
                    self.scalar(scalar, constraint, value, path);
                }
            }
        }
    }

    fn list(
        &mut self,
        inner: &Kind,
        len: Option<usize>,
        constraint: &Constraint,
        value: &Value,
        path: &str,
    ) {
        let Some(elements) = value.as_array() else {
            return self.report.push(
                Problem::new(path, format!("expected a list, each {inner}")).with_value(value),
            );
        };
        if let Some(len) = len.filter(|len| *len != elements.len()) {
            let expected = format!("expected {len} elements, found {}", elements.len());
            self.report.push(Problem::new(path, expected));
        }
        self.length(constraint, elements.len(), value, path);
        for (index, element) in elements.iter().enumerate() {
            self.value(
                inner,
                &constraint.of_elements(),
                element,
                &format!("{path}[{index}]"),
            );
        }
    }

    fn length(&mut self, constraint: &Constraint, length: usize, value: &Value, path: &str) {
        if let Some((min, max)) = constraint.len
            && (length < min || max.is_some_and(|max| length > max))
        {
            let expected = format!("expected {}, found {length}", length_text((min, max)));
            self.report
                .push(Problem::new(path, expected).with_value(value));
        }
    }

    fn scalar(&mut self, kind: &Kind, constraint: &Constraint, value: &Value, path: &str) {
        if let (Kind::String, Value::String(text)) = (kind, value) {
            self.length(constraint, text.chars().count(), value, path);
        }
        let order = |bound: &Value| compare(kind, value, bound);
        let below = constraint
            .min
            .as_ref()
            .is_some_and(|min| order(min) == Some(Ordering::Less));
        let above = constraint
            .max
            .as_ref()
            .is_some_and(|max| order(max) == Some(Ordering::Greater));
        let outside = !constraint.one_of.is_empty()
            && !constraint
                .one_of
                .iter()
                .any(|one| order(one) == Some(Ordering::Equal));
        let uneven = constraint
            .multiple_of
            .as_ref()
            .is_some_and(|factor| !is_multiple(value, factor));
        if below || above || outside || uneven {
            let near = match value {
                Value::String(text) if outside => {
                    suggestion(text, constraint.one_of.iter().filter_map(Value::as_str))
                }
                _ => None,
            };
            let expected = format!("expected {}", constraint.without_len());
            self.report.push(
                Problem::new(path, expected)
                    .with_value(value)
                    .with_suggestion(near),
            );
        }
    }
}

impl Constraint {
    /// What holds for each element of a list: everything but the list's length and own check.
    fn of_elements(&self) -> Self {
        Self {
            len: None,
            check: None,
            ..self.clone()
        }
    }

    fn without_len(&self) -> Self {
        Self {
            len: None,
            ..self.clone()
        }
    }
}

/// Whether the JSON is of a scalar kind; `Err` says what was expected.
fn of_kind(kind: &Kind, value: &Value) -> Result<(), String> {
    let fits = match kind {
        Kind::Bool => value.is_boolean(),
        Kind::String => value.is_string(),
        Kind::Integer { min, max, .. } => {
            return match whole(value) {
                None => Err(kind.to_string()),
                Some(whole) if whole < (*min).into() || whole > (*max).into() => {
                    Err(format!("{kind}, {min} to {max}"))
                }
                Some(_) => Ok(()),
            };
        }
        Kind::Float { rust } => match (*rust, value.as_f64()) {
            ("f32", Some(number)) if !(number as f32).is_finite() => {
                return Err(format!("{kind}, at most {:e} in size", f32::MAX));
            }
            (_, number) => number.is_some_and(f64::is_finite),
        },
        Kind::Choice(items) => match value.as_str() {
            Some(name) if items.iter().any(|item| item.name == name) => true,
            Some(name) => {
                let near = suggestion(name, items.iter().map(|item| item.name));
                let hint = near
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                return Err(format!("{kind}{hint}"));
            }
            None => false,
        },
        Kind::Option(_) | Kind::List(_) | Kind::Array(..) | Kind::Group(_) => false,
    };
    if fits { Ok(()) } else { Err(kind.to_string()) }
}

/// A number without fraction; every parameter's integer fits.
fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    let positive = number.as_u64().map(i128::from);
    positive.or_else(|| number.as_i64().map(i128::from))
}

fn compare(kind: &Kind, value: &Value, bound: &Value) -> Option<Ordering> {
    match kind {
        Kind::Integer { .. } => Some(whole(value)?.cmp(&whole(bound)?)),
        Kind::Float { .. } => value.as_f64()?.partial_cmp(&bound.as_f64()?),
        _ => (value == bound).then_some(Ordering::Equal),
    }
}

fn is_multiple(value: &Value, factor: &Value) -> bool {
    let whole = whole(value).zip(whole(factor));
    whole.is_some_and(|(value, factor)| factor != 0 && value % factor == 0)
}

/// `base.name`, or `name` at the top.
fn join(base: &str, name: &str) -> String {
    if base.is_empty() {
        name.to_owned()
    } else {
        format!("{base}.{name}")
    }
}
