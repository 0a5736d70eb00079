//! What Python makes when it unpickles by a call: here without calling anything.

use super::tensor_ref::rebuild_tensor;
use super::values::{Global, Result, Value, Values};

/// The attribute in which a `torch.nn.Module` has its parameters.
const PARAMETERS: &str = "_parameters";
/// It is one of the first.
const FIRST: usize = 8;
const UNKNOWN: &str = "a tensor is made of something that is not known";

/// What a function or a class makes of its arguments.
pub(super) fn call<'a>(
    values: &mut Values<'a>,
    function: Value<'a>,
    arguments: Value<'a>,
) -> Result<Value<'a>> {
    let (function, arguments) = called(values, function, arguments)?;
    let function = match function {
        Value::Global(function) => function,
        // What an unknown function returned.
        object @ Value::Object(_) => return Ok(object),
        _ => return Err("what is called is no function".to_owned()),
    };
    let arguments = values.tuple(arguments).ok_or("arguments are a tuple")?;
    match (function, arguments) {
        (Global::Foreign(name), _) => Ok(values.push_object(name)),
        (Global::OrderedDict, []) => Ok(values.push_dict(Vec::new())),
        (Global::OrderedDict, &[items]) => {
            let items = pairs(values, items).ok_or("items are for a dictionary")?;
            Ok(values.push_dict(items))
        }
        (Global::RebuildTensor, arguments @ [_, _, _, _])
        | (Global::RebuildTensorV2, arguments @ [_, _, _, _, _, _, ..]) => {
            let tensor = rebuild_tensor(values, arguments, None)?;
            Ok(values.push_tensor(tensor))
        }
        (Global::RebuildTensorV3, &[ref first @ .., Value::Global(Global::Dtype(dtype))])
            if first.len() == 6 =>
        {
            let tensor = rebuild_tensor(values, first, Some(dtype))?;
            Ok(values.push_tensor(tensor))
        }
        // The last argument is attributes that a program has given it.
        (
            Global::RebuildParameter,
            &[data, Value::Bool(_), hooks] | &[data, Value::Bool(_), hooks, _],
        ) if is_data(data) => match values.dict(hooks) {
            Some([]) => Ok(data),
            _ => Err("a parameter has hooks, which are code: remove them".to_owned()),
        },
        (Global::TensorClass, &[data] | &[data, Value::Bool(_)]) if is_data(data) => Ok(data),
        (Global::Size, &[sizes @ Value::Tuple { .. }]) => Ok(sizes),
        _ => Err(UNKNOWN.to_owned()),
    }
}

/// The function and the arguments that a call is about: some functions only call another.
fn called<'a>(
    values: &Values<'a>,
    function: Value<'a>,
    arguments: Value<'a>,
) -> Result<(Value<'a>, Value<'a>)> {
    match (function, arguments, values.tuple(arguments)) {
        (Value::Global(Global::New), Value::Tuple { start, len }, Some(&[class, ..])) => {
            let (start, len) = (start + 1, len - 1);
            Ok((class, Value::Tuple { start, len }))
        }
        (Value::Global(Global::RebuildFromType), _, Some(&[function, class, arguments, _])) => {
            match class {
                Value::Global(Global::TensorClass) => Ok((function, arguments)),
                Value::Global(Global::Foreign(_)) => Ok((class, arguments)),
                _ => Err(UNKNOWN.to_owned()),
            }
        }
        _ => Ok((function, arguments)),
    }
}

/// Whether a parameter can have it as its data: if not a tensor, then one that is not read.
fn is_data(value: Value<'_>) -> bool {
    matches!(value, Value::Tensor(_) | Value::Object(_))
}

/// The items of a dictionary of Python 2: a list of pairs.
fn pairs<'a>(values: &Values<'a>, items: Value<'a>) -> Option<Vec<(Value<'a>, Value<'a>)>> {
    let sequence = |value| values.list(value).or_else(|| values.tuple(value));
    let pair = |pair: &Value<'a>| match sequence(*pair) {
        Some(&[key, value]) => Some((key, value)),
        _ => None,
    };
    sequence(items)?.iter().map(pair).collect()
}

/// Gives an object attributes. None changes the elements of a tensor or the items of a dictionary.
pub(super) fn set_attributes<'a>(
    values: &mut Values<'a>,
    object: Value<'a>,
    attributes: Value<'a>,
) -> Result<()> {
    match object {
        Value::Object(index) => {
            let attributes = values.dict(attributes).unwrap_or_default();
            let mut names = attributes.iter().take(FIRST).map(|(name, _)| name);
            if names.any(|name| matches!(name, Value::Text(PARAMETERS))) {
                values.objects[index].is_module = true;
            }
            Ok(())
        }
        Value::Dict(_) => Ok(()),
        // Of four or five parts, it would set the elements.
        Value::Tensor(_)
            if values
                .tuple(attributes)
                .is_none_or(|parts| parts.len() == 3) =>
        {
            Ok(())
        }
        _ => Err(UNKNOWN.to_owned()),
    }
}
