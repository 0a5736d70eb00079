//! JSON values as people read them.

use std::path::Path;

use serde_json::Value;

use crate::cli::terminal::text::grouped;

/// Elements of a list that are shown; a longer one is shown by its beginning.
const LONGEST_LIST: usize = 12;

/// Every value in `value` that is no object, with its dotted name.
pub fn flatten(value: &Value) -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    add("", value, &mut rows);
    rows
}

fn add(prefix: &str, value: &Value, rows: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let dot = if prefix.is_empty() { "" } else { "." };
                add(&format!("{prefix}{dot}{name}"), value, rows);
            }
        }
        _ => rows.push((prefix.to_owned(), value.clone())),
    }
}

/// A value in a line: texts without quotes.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) if elements.is_empty() => "none".to_owned(),
        Value::Array(elements) => {
            let shown: Vec<String> = elements.iter().take(LONGEST_LIST).map(show).collect();
            let shown = shown.join(" ");
            if elements.len() > LONGEST_LIST {
                format!("{shown} … ({} in all)", grouped(elements.len()))
            } else {
                shown
            }
        }
        Value::Object(members) if members.is_empty() => "none".to_owned(),
        // A measured number has more digits than anybody reads; a parameter has few.
        Value::Number(number) if number.is_f64() && number.to_string().len() > 10 => {
            show_measured(value)
        }
        other => other.to_string(),
    }
}

/// A path in JSON, which is UTF-8 where names of files need not be: other bytes become U+FFFD.
pub fn path_json(path: &Path) -> Value {
    path.to_string_lossy().into()
}

/// A measured number with four decimals; anything else as [`show`] does.
pub fn show_measured(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() => format!("{number:.4}"),
        _ => show(value),
    }
}
