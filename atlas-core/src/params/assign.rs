//! Reading `name=value` texts by the schema.

use serde_json::{Map, Value};

use super::schema::{Kind, Schema};
use crate::error::{Problem, Report, suggestion};
use crate::json;

/// One step of a path.
#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

/// Puts the value of `assignment` into `overrides`, or a problem into `report`.
pub(super) fn assign(
    schema: &Schema,
    overrides: &mut Value,
    assignment: &str,
    report: &mut Report,
) {
    let Some((path, text)) = assignment.split_once('=') else {
        let expected = "expected `name=value`, such as `hidden_size=64`";
        return report.push(Problem::new("", expected).with_found(format!("`{assignment}`")));
    };
    let path = path.trim();
    if let Err(problem) = try_assign(schema, overrides, path, text.trim()) {
        report.push(problem);
    }
}

fn try_assign(
    schema: &Schema,
    overrides: &mut Value,
    path: &str,
    text: &str,
) -> Result<(), Problem> {
    let steps = parse_path(path).ok_or_else(|| {
        Problem::new(
            path,
            "expected a dotted path such as `encoder.layers[2].width`",
        )
    })?;
    let root = Kind::Group(Box::new(schema.clone()));
    let kind = resolve(&root, &steps, path)?;
    let value = parse(kind, text).ok_or_else(|| {
        Problem::new(path, format!("expected {kind}")).with_found(format!("`{text}`"))
    })?;
    let mut place = overrides;
    let mut kind = &root;
    let mut default = schema.complete(&Value::Object(Map::new()));
    for (depth, step) in steps.iter().enumerate() {
        (place, kind, default) = enter(place, kind, default, *step).ok_or_else(|| {
            Problem::new(
                path,
                format!("there is no element {}", display(&steps[..=depth])),
            )
        })?;
    }
    *place = value;
    Ok(())
}

/// Goes one step down, making the objects and lists on the way. A list starts from its default,
/// so that one element of it can be changed.
fn enter<'v, 'k>(
    place: &'v mut Value,
    kind: &'k Kind,
    default: Value,
    step: Step<'_>,
) -> Option<(&'v mut Value, &'k Kind, Value)> {
    match (kind, step) {
        (Kind::Option(inner), step) => enter(place, inner, default, step),
        (Kind::Group(schema), Step::Name(name)) => {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            let below = default.get(name).cloned().unwrap_or(Value::Null);
            let place = place.as_object_mut()?.entry(name).or_insert(Value::Null);
            Some((place, &schema.field(name)?.kind, below))
        }
        (Kind::List(inner) | Kind::Array(inner, _), Step::Index(index)) => {
            if !place.is_array() {
                *place = if default.is_array() {
                    default.clone()
                } else {
                    Value::Array(Vec::new())
                };
            }
            let elements = place.as_array_mut()?;
            if index == elements.len() && matches!(kind, Kind::List(_)) {
                elements.push(Value::Null);
            }
            let below = default.get(index).cloned().unwrap_or(Value::Null);
            Some((elements.get_mut(index)?, inner, below))
        }
        _ => None,
    }
}

fn parse_path(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Name(name));
        let mut rest = indices;
        while !rest.is_empty() {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

/// The kind at the end of the path.
fn resolve<'k>(root: &'k Kind, steps: &[Step<'_>], path: &str) -> Result<&'k Kind, Problem> {
    let mut kind = root;
    for (depth, step) in steps.iter().enumerate() {
        while let Kind::Option(inner) = kind {
            kind = inner;
        }
        kind = match (kind, *step) {
            (Kind::Group(schema), Step::Name(name)) => match schema.field(name) {
                Some(field) => &field.kind,
                None => return Err(unknown(schema, &steps[..=depth], name)),
            },
            (Kind::List(inner) | Kind::Array(inner, _), Step::Index(_)) => inner,
            (other, Step::Name(_)) => {
                return Err(Problem::new(
                    path,
                    format!("`{}` is {other}, it has no names", display(&steps[..depth])),
                ));
            }
            (other, Step::Index(_)) => {
                return Err(Problem::new(
                    path,
                    format!("`{}` is {other}, not a list", display(&steps[..depth])),
                ));
            }
        };
    }
    Ok(kind)
}

fn unknown(schema: &Schema, steps: &[Step<'_>], name: &str) -> Problem {
    let known = || schema.fields.iter().map(|field| field.name);
    let near = suggestion(name, known());
    let expected = match near {
        Some(_) => "unknown parameter".to_owned(),
        None => format!(
            "unknown parameter; the names here are {}",
            known().collect::<Vec<_>>().join(", ")
        ),
    };
    Problem::new(display(steps), expected).with_suggestion(near)
}

fn display(steps: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.extend([".", name]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// The value that a text stands for. Whether it fits its constraints is checked later.
fn parse(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::String => Some(Value::String(unquoted(text))),
        Kind::Choice(_) => Some(Value::String(unquoted(text))),
        Kind::Bool => text.parse().ok().map(Value::Bool),
        Kind::Integer { .. } => {
            let digits = text.replace('_', "");
            digits
                .parse::<i64>()
                .map(Value::from)
                .or_else(|_| digits.parse::<u64>().map(Value::from))
                .ok()
        }
        Kind::Float { .. } => {
            let number: f64 = text.parse().ok()?;
            // What is not finite goes on as a text, so that the check names it.
            Some(
                serde_json::Number::from_f64(number)
                    .map_or_else(|| Value::String(text.to_owned()), Value::Number),
            )
        }
        Kind::Option(_) if matches!(text, "null" | "none" | "None") => Some(Value::Null),
        Kind::Option(inner) => parse(inner, text),
        Kind::List(_) | Kind::Array(..) if text.starts_with('[') => {
            json::read(text.as_bytes()).ok()
        }
        Kind::List(_) if text.is_empty() => Some(Value::Array(Vec::new())),
        Kind::List(inner) | Kind::Array(inner, _) => text
            .split(',')
            .map(|element| parse(inner, element.trim()))
            .collect::<Option<Vec<_>>>()
            .map(Value::Array),
        Kind::Group(_) => json::read(text.as_bytes()).ok().filter(Value::is_object),
    }
}

/// A text in JSON's quotes without them, so that the shell and JSON both read naturally.
fn unquoted(text: &str) -> String {
    if text.len() > 1 && text.starts_with('"') {
        serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
    } else {
        text.to_owned()
    }
}
