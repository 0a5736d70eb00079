//! What the code that the derives emit calls. Not a public interface.

pub use crate::build::NetworkBuilder;
pub use crate::error::{Error, Result};
pub use crate::migration::Migration;
pub use crate::model::{AtlasModel, Golden, GoldenFns, Model};
pub use crate::params::{Choice, ChoiceItem, Field, Kind, ParamValue, Params, Schema};
pub use serde::{Deserialize, Deserializer, Serialize, Serializer};
pub use serde_json::{Map, Value};

use std::fmt::Display;

use candle_core::{ModuleT, Tensor};
use candle_nn::VarBuilder;

use crate::model::AnyModel as _;
use crate::snapshot::GoldenInputs;
use crate::tensors;

/// The member `name` of a group.
pub fn member<'v>(group: &'v Value, name: &str) -> Option<&'v Value> {
    group.as_object()?.get(name)
}

/// Values as JSON.
pub fn to_json<E: ParamValue>(values: Vec<E>) -> Vec<Value> {
    values.iter().map(ParamValue::to_json).collect()
}

/// Runs the check of a field or a group on the JSON that has passed the schema's own checks.
pub fn run_check<T, E>(
    json: &Value,
    check: fn(&T) -> core::result::Result<(), E>,
) -> core::result::Result<(), String>
where
    T: ParamValue,
    E: Display,
{
    match T::from_json(json) {
        Some(value) => check(&value).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// Serialises parameters as the JSON that a bundle stores.
pub fn serialize<T: ParamValue, S: Serializer>(
    value: &T,
    serializer: S,
) -> core::result::Result<S::Ok, S::Error> {
    value.to_json().serialize(serializer)
}

/// What a function returns that makes a network or the value of a `#[derived]` field.
#[diagnostic::on_unimplemented(
    message = "a function that makes `{T}` returns `Result<{T}, E>`, where `E` converts to `atlas_core::Error`",
    label = "this returns `{Self}`",
    note = "return `atlas_core::Result<…>` or `candle_core::Result<…>`; `atlas_core::Error::new` makes an error of a text"
)]
pub trait BuildResult<T> {
    fn into_result(self) -> Result<T>;
}

#[diagnostic::do_not_recommend]
impl<T, E: Into<Error>> BuildResult<T> for core::result::Result<T, E> {
    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// A type that builds itself as a network. Nothing implements it: it is there for its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no function `new` that builds a network",
    label = "no function `new`",
    note = "name the function that builds it: `#[network(with = path)]`"
)]
pub trait HasNew {}

/// Names a `new` of types without one of their own, so that [`HasNew`] is what they lack.
pub trait NoNew: Sized {
    fn new<P>(_: &P, _: VarBuilder<'static>) -> Result<Self> {
        Err(Error::internal("a network was built by no function"))
    }
}

impl<T: HasNew> NoNew for T {}

/// Builds a network. The function is a pointer, so that one of another signature is reported as
/// such, at its path.
pub fn build<T, P, R: BuildResult<T>>(
    networks: &NetworkBuilder,
    name: &str,
    params: &P,
    with: fn(&P, VarBuilder<'static>) -> R,
) -> Result<T> {
    networks.build(name, |vb| with(params, vb).into_result())
}

/// Builds a network by the `new` of its type. A `new` of another signature has the compiler show
/// the first line of this function.
#[rustfmt::skip]
pub fn build_by_new<T, P, R: BuildResult<T>>( // or name the function: `#[network(with = path)]`
    networks: &NetworkBuilder,
    name: &str,
    params: &P,
    new: fn(&P, VarBuilder<'static>) -> R,
) -> Result<T> {
    build(networks, name, params, new)
}

/// Builds all networks.
pub fn build_all<T, P, R: BuildResult<T>>(
    networks: &NetworkBuilder,
    params: &P,
    build: fn(&P, &NetworkBuilder) -> R,
) -> Result<T> {
    networks.build_all(|networks| build(params, networks).into_result())
}

/// The value of a `#[derived]` field, its error naming the field.
pub fn derived<T, P, R: BuildResult<T>>(
    field: &'static str,
    params: &P,
    with: fn(&P) -> R,
) -> Result<T> {
    with(params)
        .into_result()
        .map_err(|error| error.within(format_args!("the derived field `{field}`")))
}

/// The behaviour check of a model's own impl.
pub fn by_golden<T: Golden>() -> GoldenFns<T> {
    GoldenFns::new(
        |model| model.golden_inputs(),
        |model, inputs| model.golden_outputs(inputs),
    )
}

/// What a function returns that a behaviour check compares.
#[diagnostic::on_unimplemented(
    message = "a behaviour check compares tensors, and this is `{Self}`",
    label = "not outputs",
    note = "return a `Tensor`, an array of names and tensors, or a `Vec` of these"
)]
pub trait GoldenOutputs {
    fn named(self) -> Vec<(String, Tensor)>;
}

impl GoldenOutputs for Tensor {
    fn named(self) -> Vec<(String, Tensor)> {
        vec![("output".to_owned(), self)]
    }
}

impl<S: Into<String>> GoldenOutputs for Vec<(S, Tensor)> {
    fn named(self) -> Vec<(String, Tensor)> {
        let named = self.into_iter();
        named.map(|(name, tensor)| (name.into(), tensor)).collect()
    }
}

impl<S: Into<String>, const N: usize> GoldenOutputs for [(S, Tensor); N] {
    fn named(self) -> Vec<(String, Tensor)> {
        Vec::from(self).named()
    }
}

/// The outputs of a function that the behaviour is checked by.
pub fn golden_outputs<O: GoldenOutputs, E: Into<Error>>(
    outputs: core::result::Result<O, E>,
) -> Result<Vec<(String, Tensor)>> {
    outputs.map(GoldenOutputs::named).map_err(Into::into)
}

/// What the one input of a network is called, whatever the network's name is.
const INPUT: &str = "input";

/// A standard normal input of that shape.
pub fn golden_input<T: AtlasModel>(model: &Model<T>, shape: &[usize]) -> Result<GoldenInputs> {
    let bytes = tensors::byte_count(model.dtype(), shape).unwrap_or(u64::MAX);
    if let Some(defect) = GoldenInputs::size_defect([bytes].into_iter()) {
        return Err(Error::new(defect));
    }
    let input = crate::random::golden_input(shape, model.dtype(), model.device())?;
    Ok(GoldenInputs::default().with_tensor(INPUT, input))
}

/// A network whose behaviour can be checked on an input of a shape.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no candle `Module`, so that a shape is not enough to check its behaviour",
    label = "no `Module`",
    note = "implement `Module`, or check the model by a function of it: `#[atlas(golden = path)]`"
)]
pub trait GoldenNetwork {
    fn golden_forward(&self, input: &Tensor) -> candle_core::Result<Tensor>;
}

#[diagnostic::do_not_recommend]
impl<N: ModuleT> GoldenNetwork for N {
    fn golden_forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        self.forward_t(input, false)
    }
}

/// The output of the network on its input, which has the declared shape: a bundle may come from
/// anybody, and must not have a larger one run.
pub fn golden_forward<N: GoldenNetwork>(
    network: &N,
    name: &str,
    shape: &[usize],
    inputs: &GoldenInputs,
) -> Result<Vec<(String, Tensor)>> {
    let input = inputs
        .tensor(INPUT)
        .ok_or_else(|| Error::new(format_args!("there is no input `{INPUT}`")))?;
    if input.dims() != shape {
        return Err(Error::new(format_args!(
            "the stored input has shape {:?}, and the model declares {shape:?}",
            input.dims()
        )));
    }
    let output = network.golden_forward(input).map_err(|error| {
        let input = tensors::describe(input.dtype(), input.dims());
        Error::from(error).within(format_args!(
            "network `{name}` on the random input {input} that `golden` asks for (one that takes ids \
             is checked by `#[atlas(golden = path)]`)"
        ))
    })?;
    Ok(output.named())
}

/// Reads parameters as a person gives them: strictly, and with their defaults.
pub fn deserialize<'de, P: Params, D: Deserializer<'de>>(
    deserializer: D,
) -> core::result::Result<P, D::Error> {
    let overrides = Value::deserialize(deserializer)?;
    P::from_overrides(&overrides).map_err(serde::de::Error::custom)
}

/// The reading of a choice's name.
pub fn parse_choice<T: Choice>(name: &str) -> core::result::Result<T, Error> {
    T::from_name(name).ok_or_else(|| crate::params::unknown_choice(name, T::ITEMS))
}

/// Whether a text is one of some texts, for constants.
pub const fn is_among(text: &str, texts: &[&str]) -> bool {
    let mut position = 0;
    while position < texts.len() {
        if is_same(text.as_bytes(), texts[position].as_bytes()) {
            return true;
        }
        position += 1;
    }
    false
}

/// Whether a number is one of some numbers, for constants.
pub const fn is_number_among(number: f64, numbers: &[f64]) -> bool {
    let mut position = 0;
    while position < numbers.len() {
        if number == numbers[position] {
            return true;
        }
        position += 1;
    }
    false
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut position = 0;
    while position < a.len() && position < b.len() && a[position] == b[position] {
        position += 1;
    }
    position == a.len() && position == b.len()
}
