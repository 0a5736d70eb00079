//! Overrides with the defaults filled in.

use serde_json::{Map, Value};

use super::schema::{Kind, Schema};

/// Fills in the default of every absent parameter, at every depth. What is present stays, even
/// where it is wrong: the check reports it.
pub(super) fn complete(schema: &Schema, overrides: &Value) -> Value {
    let Some(given) = overrides.as_object() else {
        return overrides.clone();
    };
    let mut completed = Map::new();
    for field in &schema.fields {
        let value = match (given.get(field.name), &field.default) {
            (Some(value), default) => with_base(&field.kind, value, default.as_ref()),
            (None, Some(default)) => default.clone(),
            // A group that has no default as a whole may still have defaults inside.
            (None, None) => match &field.kind {
                Kind::Group(group) => complete(group, &Value::Object(Map::new())),
                _ => continue,
            },
        };
        completed.insert(field.name.to_owned(), value);
    }
    for (name, value) in given {
        if schema.field(name).is_none() {
            completed.insert(name.clone(), value.clone());
        }
    }
    Value::Object(completed)
}

/// A given value of a field; a group takes what it leaves out from the field's default, elements
/// of lists and optional groups from the group's own.
fn with_base(kind: &Kind, value: &Value, default: Option<&Value>) -> Value {
    match kind {
        Kind::Group(group) => match (value.as_object(), default.and_then(Value::as_object)) {
            (Some(given), Some(base)) => complete(group, &Value::Object(merge(group, base, given))),
            _ => complete(group, value),
        },
        Kind::Option(_) if value.is_null() => Value::Null,
        Kind::Option(inner) => {
            let default = default.filter(|default| !default.is_null());
            with_base(inner, value, default)
        }
        Kind::List(inner) | Kind::Array(inner, _) => match value.as_array() {
            Some(elements) => elements
                .iter()
                .map(|element| with_base(inner, element, None))
                .collect(),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}

/// `given` on top of `base`, group by group.
fn merge(
    group: &Schema,
    base: &Map<String, Value>,
    given: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = base.clone();
    for (name, value) in given {
        let value = match group.field(name) {
            Some(field) => with_base(&field.kind, value, base.get(name)),
            None => value.clone(),
        };
        merged.insert(name.clone(), value);
    }
    merged
}
