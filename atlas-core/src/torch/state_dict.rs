//! The dictionary of tensors in a file, and the names of its tensors.

use std::collections::{BTreeMap, BTreeSet};

use super::SAVE;
use super::pickle::Pickle;
use super::values::{TensorRef, Value, Values};
use crate::error::{Problem, Report};

/// The customary keys of the dictionary of tensors in a checkpoint.
const KEYS: [&str; 16] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "net_state_dict",
    "network",
    "weights",
    "params",
    "ema",
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "params_ema",
    "teacher",
];
/// What `DataParallel` puts before every name.
const PARALLEL: &str = "module.";
/// What `torch.compile` puts into the names of what it compiled.
const COMPILED: &str = "_orig_mod";
/// A longer name is refused.
const LONGEST_NAME: usize = 1024;
/// Problems beyond this many are not looked for.
const MOST_PROBLEMS: usize = 1000;
/// How many keys a message names.
const NAMED: usize = 8;

type Items<'p, 'a> = &'p [(Value<'a>, Value<'a>)];

/// The named tensors of a file in their order.
pub(super) fn find<'p, 'a>(
    pickle: &'p Pickle<'a>,
) -> Result<Vec<(String, &'p TensorRef<'a>)>, Report> {
    let values = &pickle.values;
    let items = dictionary(values, pickle.root).map_err(|why| Report::from(why.as_str()))?;
    let mut seen = BTreeSet::new();
    let entries = items.iter().map(|(key, value)| {
        let name = match *key {
            Value::Text(name) if name.len() <= LONGEST_NAME => name,
            _ => {
                let why = format!(
                    "a key of its dictionary is not a text, or longer than {LONGEST_NAME} bytes: {SAVE}"
                );
                return Err(Problem::new("", why));
            }
        };
        match values.tensor(*value) {
            _ if !seen.insert(name) => Err(Problem::new(name, "it is there twice")),
            Some(tensor) => Ok((name, tensor)),
            None => {
                let (what, remedy) = describe(values, *value);
                let why = format!("it is {what}, and no tensor that is read: {remedy}");
                Err(Problem::new(name, why))
            }
        }
    });
    let (entries, problems) = split(entries);
    if problems.is_empty() {
        stripped(entries)
    } else {
        Err(Report::from_iter(problems))
    }
}

/// What is good, and the first of what is not.
fn split<T>(results: impl Iterator<Item = Result<T, Problem>>) -> (Vec<T>, Vec<Problem>) {
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(problem) => problems.push(problem),
        }
        if problems.len() == MOST_PROBLEMS {
            break;
        }
    }
    (good, problems)
}

/// The items of the dictionary of tensors: that of the whole file, or the one among them that has
/// a customary key.
fn dictionary<'p, 'a>(values: &'p Values<'a>, root: Value<'a>) -> Result<Items<'p, 'a>, String> {
    let Some(items) = values.dict(root) else {
        let (what, _) = describe(values, root);
        return Err(format!(
            "it holds {what}, and no dictionary of tensors: {SAVE}"
        ));
    };
    let is_tensor = |value: &Value<'a>| matches!(value, Value::Tensor(_));
    let mut every = items.iter();
    if every.all(|(key, value)| matches!(key, Value::Text(_)) && is_tensor(value)) {
        return Ok(items);
    }
    let nested: Vec<_> = KEYS
        .into_iter()
        .filter_map(|key| Some((key, values.dict(value_of(items, key)?)?)))
        .filter(|(_, items)| items.iter().any(|(_, value)| is_tensor(value)))
        .collect();
    match nested.as_slice() {
        &[(_, items)] => Ok(items),
        [] if items.iter().any(|(_, value)| is_tensor(value)) => Ok(items),
        [] => Err(no_tensors(values, items)),
        several => {
            let keys = several.iter().map(|(key, _)| *key);
            Err(format!(
                "it holds several dictionaries of tensors, {}: save one of them alone, as by \
                 `torch.save(checkpoint[\"{}\"], path)`",
                quoted(keys),
                several[0].0
            ))
        }
    }
}

/// The value of a key; of several, the one that Python keeps.
fn value_of<'a>(items: Items<'_, 'a>, key: &str) -> Option<Value<'a>> {
    let found = items
        .iter()
        .rfind(|(found, _)| matches!(found, Value::Text(found) if *found == key));
    found.map(|(_, value)| *value)
}

/// Why a dictionary without tensors is refused: most often a module is saved whole in it.
fn no_tensors<'a>(values: &Values<'a>, items: Items<'_, 'a>) -> String {
    let objects = || items.iter().filter(|(_, v)| values.object(*v).is_some());
    let is_module = |value| values.object(value).is_some_and(|(o, _)| o.is_module);
    let object = objects()
        .find(|(_, value)| is_module(*value))
        .or_else(|| objects().next());
    let held = object.map_or(String::new(), |(_, value)| {
        format!("{}, and ", describe(values, *value).0)
    });
    let keys = items.iter().filter_map(|(key, _)| match *key {
        Value::Text(key) if key.len() <= LONGEST_NAME => Some(key),
        _ => None,
    });
    format!(
        "it holds {held}no dictionary of tensors, neither as a whole nor under a customary key \
         such as `state_dict` or `model`; its keys are {}: {SAVE}",
        quoted(keys)
    )
}

fn quoted<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let keys: Vec<String> = keys.take(NAMED).map(|key| format!("`{key}`")).collect();
    keys.join(", ")
}

/// The tensors under their names in the module that was saved, not in what was wrapped around it.
fn stripped<'p, 'a>(
    entries: Vec<(&'a str, &'p TensorRef<'a>)>,
) -> Result<Vec<(String, &'p TensorRef<'a>)>, Report> {
    let mut names: Vec<String> = entries.iter().map(|(name, _)| uncompiled(name)).collect();
    let is_parallel = |name: &String| name.len() > PARALLEL.len() && name.starts_with(PARALLEL);
    if names.iter().all(is_parallel) {
        names
            .iter_mut()
            .for_each(|name| drop(name.drain(..PARALLEL.len())));
    }
    let mut originals = BTreeMap::new();
    let named = names.into_iter().zip(entries).map(|(name, (original, tensor))| {
        match originals.insert(name.clone(), original) {
            None => Ok((name, tensor)),
            Some(other) => {
                let why = format!(
                    "`{other}` and `{original}` both have this name without the `{COMPILED}` of \
                     `torch.compile`: rename one of them"
                );
                Err(Problem::new(name, why))
            }
        }
    });
    let (named, problems) = split(named);
    if problems.is_empty() {
        Ok(named)
    } else {
        Err(Report::from_iter(problems))
    }
}

/// A name without the components of `torch.compile`, wherever they stand before the last.
fn uncompiled(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((path, last)) => {
            let parts = path.split('.').filter(|part| *part != COMPILED);
            parts.chain([last]).collect::<Vec<_>>().join(".")
        }
        None => name.to_owned(),
    }
}

/// What a value is, and what to do about one that is no tensor.
fn describe<'a>(values: &Values<'a>, value: Value<'a>) -> (String, &'static str) {
    let what = match value {
        Value::None => "`None`",
        Value::Bool(_) => "a truth value",
        Value::Int(_) | Value::Magic => "an integer",
        Value::Text(_) => "a text",
        Value::Other(what) => what,
        Value::Global(_) => "a class or a function of Python",
        Value::Tuple { .. } => "a tuple",
        Value::List(_) => "a list",
        Value::Dict(_) => "a dictionary",
        Value::Storage(_) => "a storage",
        Value::Tensor(_) => "a single tensor",
        Value::Object(_) => return describe_object(values, value),
    };
    (what.to_owned(), "leave it out of the dictionary")
}

/// The tensors that are not read, by the function that rebuilds them: what they are, and as what
/// to save them.
const TENSORS: [(&str, &str, &str); 7] = [
    (
        "_rebuild_sparse_tensor",
        "a sparse tensor",
        "save it as `.to_dense()`",
    ),
    (
        "_rebuild_qtensor",
        "a quantised tensor",
        "save it as `.dequantize()`",
    ),
    (
        "_rebuild_nested_tensor",
        "a nested tensor",
        "save it as `.to_padded_tensor(0.0)`",
    ),
    (
        "_rebuild_meta_tensor_no_storage",
        "a tensor of the device `meta`, which has no elements",
        "load its elements before it is saved",
    ),
    (
        "_rebuild_device_tensor_from_cpu_tensor",
        "a tensor of a device that has no storages",
        "save it as `.cpu()`",
    ),
    (
        "_rebuild_device_tensor_from_numpy",
        "a tensor of a device that has no storages",
        "save it as `.cpu()`",
    ),
    (
        "_rebuild_wrapper_subclass",
        "a tensor of a class of its own",
        "save it as an ordinary tensor",
    ),
];

fn describe_object<'a>(values: &Values<'a>, value: Value<'a>) -> (String, &'static str) {
    let Some((object, (module, name))) = values.object(value) else {
        return ("an object".to_owned(), SAVE);
    };
    let tensor = TENSORS.iter().find(|row| row.0 == name);
    match tensor {
        Some((_, what, remedy)) if module == "torch._utils" => ((*what).to_owned(), remedy),
        _ if object.is_module => (
            format!("a whole module (class `{module}.{name}`), which is code"),
            SAVE,
        ),
        _ if module.starts_with("numpy") => (
            "a value of NumPy".to_owned(),
            "save it as `torch.from_numpy(value)`",
        ),
        _ => (
            format!("an object of `{module}.{name}`, which is code"),
            "leave it out of the dictionary",
        ),
    }
}
