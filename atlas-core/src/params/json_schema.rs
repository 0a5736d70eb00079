//! A schema as JSON Schema, draft 2020-12.

use serde_json::{Map, Number, Value, json};

use super::schema::{Constraint, Field, Kind, Schema};

impl Schema {
    /// The parameters as [JSON Schema](https://json-schema.org/draft/2020-12/schema), with their
    /// defaults, bounds and documentation.
    ///
    /// It describes overrides: a parameter that has a default is not `required`, and a name that
    /// is no parameter is refused. Checks written in Rust (`check`, `validate`) have no form in
    /// JSON Schema; a value that passes the schema may still be refused by them. JSON Schema
    /// counts `20.0` as an integer, Atlas does not.
    pub fn to_json_schema(&self) -> Value {
        let mut schema = Map::new();
        schema.insert(
            "$schema".into(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        schema.insert("title".into(), self.name.into());
        schema.extend(group(self));
        Value::Object(schema)
    }
}

fn group(schema: &Schema) -> Map<String, Value> {
    let mut object = Map::new();
    if !schema.doc.is_empty() {
        object.insert("description".into(), schema.doc.into());
    }
    object.insert("type".into(), "object".into());
    let properties: Map<String, Value> = schema
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    object.insert("properties".into(), Value::Object(properties));
    let required: Vec<Value> = schema
        .fields
        .iter()
        .filter(|field| is_required(field))
        .map(|field| field.name.into())
        .collect();
    if !required.is_empty() {
        object.insert("required".into(), Value::Array(required));
    }
    object.insert("additionalProperties".into(), Value::Bool(false));
    object
}

/// A group without a default of its own may be left out if all inside it have one.
fn is_required(field: &Field) -> bool {
    match (&field.default, &field.kind) {
        (Some(_), _) => false,
        (None, Kind::Group(schema)) => schema.fields.iter().any(is_required),
        (None, _) => true,
    }
}

fn property(field: &Field) -> Value {
    let mut property = of_kind(&field.kind, &field.constraint);
    if !field.doc.is_empty() {
        property.insert("description".into(), field.doc.into());
    }
    if let Some(default) = &field.default {
        property.insert("default".into(), default.clone());
    }
    Value::Object(property)
}

fn of_kind(kind: &Kind, constraint: &Constraint) -> Map<String, Value> {
    let mut object = Map::new();
    match kind {
        Kind::Bool => {
            object.insert("type".into(), "boolean".into());
        }
        Kind::String => {
            object.insert("type".into(), "string".into());
            length(&mut object, constraint, "minLength", "maxLength");
        }
        Kind::Integer { min, max, .. } => {
            object.insert("type".into(), "integer".into());
            object.insert("minimum".into(), (*min).into());
            object.insert("maximum".into(), (*max).into());
            bounds(&mut object, constraint);
        }
        Kind::Float { rust } => {
            object.insert("type".into(), "number".into());
            if *rust == "f32" {
                // Half a step beyond the greatest f32, where rounding begins to give infinity.
                let beyond = 2f64.powi(128) - 2f64.powi(103);
                object.insert("exclusiveMinimum".into(), number(-beyond));
                object.insert("exclusiveMaximum".into(), number(beyond));
            }
            bounds(&mut object, constraint);
        }
        Kind::Choice(items) => {
            object.insert("type".into(), "string".into());
            let names: Vec<Value> = items.iter().map(|item| item.name.into()).collect();
            object.insert("enum".into(), Value::Array(names));
        }
        Kind::Group(schema) => return group(schema),
        Kind::Option(inner) => {
            let inner = Value::Object(of_kind(inner, constraint));
            object.insert("anyOf".into(), json!([inner, { "type": "null" }]));
            return object;
        }
        Kind::List(inner) | Kind::Array(inner, _) => {
            let elements = Constraint {
                len: None,
                ..constraint.clone()
            };
            object.insert("type".into(), "array".into());
            object.insert("items".into(), Value::Object(of_kind(inner, &elements)));
            if let Kind::Array(_, len) = kind {
                object.insert("minItems".into(), (*len).into());
                object.insert("maxItems".into(), (*len).into());
            }
            length(&mut object, constraint, "minItems", "maxItems");
            return object;
        }
    }
    if !constraint.one_of.is_empty() {
        object.insert("enum".into(), Value::Array(constraint.one_of.clone()));
    }
    object
}

fn bounds(object: &mut Map<String, Value>, constraint: &Constraint) {
    for (name, bound) in [
        ("minimum", &constraint.min),
        ("maximum", &constraint.max),
        ("multipleOf", &constraint.multiple_of),
    ] {
        if let Some(bound) = bound {
            object.insert(name.into(), bound.clone());
        }
    }
}

fn length(object: &mut Map<String, Value>, constraint: &Constraint, min: &str, max: &str) {
    if let Some((least, most)) = constraint.len {
        object.insert(min.into(), least.into());
        if let Some(most) = most {
            object.insert(max.into(), most.into());
        }
    }
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
