//! The derives of [Atlas](https://docs.rs/atlas-core): [`AtlasModel`](macro@AtlasModel) for models,
//! [`Params`](macro@Params) for groups of parameters, [`Choice`](macro@Choice) for parameters that
//! name one of a few things.
//!
//! `atlas_core` re-exports all three; depend on that crate, not on this one. What every attribute
//! means, and what holds when it is absent, is on the page of each derive.
//!
//! Every mistake in an item is reported in one compile, each at the tokens that are wrong; and the
//! code that uses the item is left without further errors.
//!
//! # How this crate works
//!
//! `syntax` reads what was written, attribute by attribute; `check` judges it across keys, fields
//! and values and turns it into what `checked` declares; `emit` writes the code, or, after a mistake, just
//! enough of it for the rest of the program to compile.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod check;
mod checked;
mod emit;
mod shape;
mod syntax;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::syntax::{Ctxt, Derive, RawChoice, RawStruct};

/// Makes a struct a model: its parameters, their defaults and constraints, and how its networks
/// are built from them.
///
/// ```
/// use atlas_core::prelude::*;
/// use atlas_core::candle_core::{self, DType, Device, Tensor};
/// use atlas_core::candle_nn::{Module, Sequential, VarBuilder, linear, seq};
///
/// /// A perceptron with one hidden layer.
/// #[derive(AtlasModel)]
/// #[atlas(name = "mlp", version = 1)]
/// pub struct Mlp {
///     /// Features of one input row.
///     #[param(default = 20, min = 1)]
///     pub input_size: usize,
///     /// Units of the hidden layer.
///     #[param(default = 50, min = 1)]
///     pub hidden_size: usize,
///     /// Features of one output row.
///     #[param(default = 5, min = 1)]
///     pub output_size: usize,
///
///     #[network(with = build_net, golden = [4, input_size])]
///     pub net: Sequential,
/// }
///
/// fn build_net(params: &MlpParams, vb: VarBuilder) -> candle_core::Result<Sequential> {
///     Ok(seq()
///         .add(linear(params.input_size, params.hidden_size, vb.pp("0"))?)
///         .add_fn(Tensor::relu)
///         .add(linear(params.hidden_size, params.output_size, vb.pp("2"))?))
/// }
///
/// let model = Mlp::create(MlpParams { input_size: 3, ..Default::default() })?;
/// let prediction = model.net.forward(&Tensor::zeros((20, 3), DType::F32, &Device::Cpu)?)?;
/// assert_eq!(prediction.dims(), [20, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The derive generates
///
/// - `MlpParams`: the `#[param]` fields with their documentation and visibility, and `Clone`,
///   `Debug`, `PartialEq`, `Serialize`, `Deserialize` and `Params`. It has a `Default` exactly if
///   every parameter has one;
/// - the `AtlasModel` impl of `Mlp`, which provides `create`, `create_with`, `load` and
///   `load_with`.
///
/// The struct has named fields and no type, lifetime or const parameters. Each of its fields is
/// exactly one of `#[param]`, `#[network]` and `#[derived]`.
///
/// # On the struct: `#[atlas(…)]`
///
/// The attribute may be given more than once, each key once.
///
/// - **`name = "mlp"`**: The identity of the model in every bundle: lower-case ASCII letters,
///   digits, `-` and `_`. It must stay the same when the struct is renamed.
///   *When absent: the struct's name in kebab-case, so that `GruVae` is `gru-vae`.*
/// - **`version = 2`**: The version of the parameter schema, counted from 1. Raise it when a
///   parameter or a tensor is added, removed, renamed or means something else.
///   *When absent: 1.*
/// - **`migrate(1 => path, 2 => path)`**: How a bundle of each older version becomes one of the
///   next: a `fn(&mut Snapshot) -> Result<()>` for every version before this one.
///   *When absent: there are no older versions. A missing step is a compile error.*
/// - **`validate = path`**: A constraint across parameters: a `fn(&MlpParams) -> Result<(), E>`
///   where `E: Display`. It runs once every parameter satisfies its own constraint.
///   *When absent: none.*
/// - **`golden = path`**: How the behaviour of the model is checked: a `fn(&Mlp) -> Result<O, E>`
///   where `O` is a tensor or named tensors (`[(&str, Tensor); 2]`, `Vec<(String, Tensor)>`) and `E:
///   Into<Error>`. A save stores its outputs, and a load computes and compares them.
///   **`golden`** alone: the model implements `Golden`, whose inputs are stored, too.
///   *When absent: the one `#[network]` says `golden = […]`.*
/// - **`unchecked`**: The behaviour of the model is not checked: a change of an activation, an
///   epsilon or a tokenizer goes unnoticed.
///   *When absent: the behaviour is checked.*
/// - **`build = path`**: Builds all networks at once, where one needs another: a `fn(&MlpParams,
///   &NetworkBuilder) -> Result<(A, B), E>` where `E: Into<Error>`, returning the networks in the order
///   of their fields, or the network itself if there is one.
///   *When absent: each network builds itself.*
/// - **`params = Sizes`**: The name of the parameters struct.
///   *When absent: the struct's name and `Params`.*
/// - **`params_derive(Eq, Hash)`**: What the parameters struct derives besides.
///   *When absent: nothing.*
/// - **`crate = path`**: Where `atlas_core` is, for a crate that re-exports or renames it.
///   *When absent: `::atlas_core`.*
///
/// # On a field: `#[param]`
///
/// A hyperparameter. Its type is `bool`, an integer, a float, `String`, an `Option`, `Vec` or array
/// of those, a choice or a group. Its documentation is part of the schema.
///
/// - **`default = EXPR`**: The value that an absent parameter takes when a model is created; any
///   expression of the field's type. String literals become `String`s, also inside `Some(…)`,
///   `vec![…]` and `[…]`.
///   *When absent: the parameter is required, and there is no `Default`.*
/// - **`min = EXPR`, `max = EXPR`**: The least and the greatest value of a number, both allowed.
///   For an `Option`, `Vec` or array they hold for every element, as `one_of` and `multiple_of` do.
///   *When absent: the least and greatest of the type. A float is finite in any case.*
/// - **`one_of = [EXPR, EXPR]`**: The values that are allowed.
///   *When absent: all.*
/// - **`multiple_of = EXPR`**: What an integer is a multiple of.
///   *When absent: 1.*
/// - **`len = RANGE`**: The number of elements of a `Vec`, or of characters of a `String`: `1..=8`,
///   `1..9`, `2..`, `..=5` or `3`.
///   *When absent: any.*
/// - **`check = path`**: Whatever else holds for the value: a `fn(&T) -> Result<(), E>` where `T`
///   is the field's type, or `[U]` for a `Vec<U>` and `str` for a `String`, and `E: Display` says
///   what was expected.
///   *When absent: nothing.*
/// - **`nested`**: The field is a group, or an `Option` or `Vec` of groups, which without `default`
///   takes the group's own defaults, `None` or no elements.
///   *When absent: the field is one value, with the default that is given.*
///
/// A default that breaks the parameter's own constraint does not compile, nor does a constraint that
/// contradicts itself. That is so for literals, for constants and arithmetic on them, and for both
/// inside `Some(…)`, `vec![…]` and `[…]`; one compile reports them all. The
/// value of a call, such as `String::from("x")` or `sizes()`, of a constant that is itself a list,
/// and of a constant behind a type alias are checked when a model is created.
///
/// # On a field: `#[network]`
///
/// A network: a part of the model with weights. The name of the field is the name of the network
/// and of its file: 1 to 128 of a-z, A-Z, 0-9 and `_`, and neither `golden` nor `checkpoint`.
///
/// - **`with = path`**: Builds the network: a `fn(&MlpParams, VarBuilder) -> Result<T, E>` where
///   `E: Into<Error>`.
///   *When absent: the `new` of the field's type builds it, with the same arguments; or
///   `#[atlas(build = …)]` does.*
/// - **`golden = [4, input_size]`**: For the network of a model that has but one: the shape of a
///   random input on which its behaviour is checked, expressions of the parameters and derived fields, by their names. The input is standard normal,
///   in the model's dtype, and the same for ever. The field's type is a candle `Module`, or a
///   `ModuleT`, which is run with `train` false. What the model does before and after the network is
///   not covered.
///   *When absent: `#[atlas(golden = …)]` checks the whole model, or `#[atlas(unchecked)]` says that
///   nothing is checked. One of the three is required.*
/// - **`buffers = ["steps"]`**: Tensors that are kept with the model and not optimised, by their
///   names or the last parts of these. They are variables also in a model that is loaded for
///   inference: what is computed with one uses its `as_detached_tensor`, or candle builds a graph.
///   *When absent: `running_mean` and `running_var`, those of a batch norm, which are buffers in any
///   case.*
///
/// # On a field: `#[derived]`
///
/// A value computed from the parameters whenever a model is created or loaded, and never stored: a
/// tokenizer from a vocabulary.
///
/// - **`with = path`**: Computes the value: a `fn(&MlpParams) -> Result<T, E>` where `E:
///   Into<Error>`. Required.
///
/// ```
/// use atlas_core::prelude::*;
/// use atlas_core::candle_core::{self, Tensor};
/// use atlas_core::candle_nn::{Linear, Module, VarBuilder, linear};
///
/// #[derive(AtlasModel)]
/// #[atlas(build = build, validate = has_room, golden = tag)]
/// struct Tagger {
///     #[param(default = vec!["C", "N", "O"], len = 1..)]
///     vocabulary: Vec<String>,
///     #[param(default = 8, multiple_of = 8)]
///     hidden_size: usize,
///     #[derived(with = longest)]
///     longest: usize,
///     #[network]
///     encoder: Linear,
///     #[network]
///     head: Linear,
/// }
///
/// fn has_room(params: &TaggerParams) -> Result<(), &'static str> {
///     if params.vocabulary.len() <= params.hidden_size { Ok(()) } else { Err("more tokens than hidden units") }
/// }
///
/// fn longest(params: &TaggerParams) -> atlas_core::Result<usize> {
///     Ok(params.vocabulary.iter().map(String::len).max().unwrap_or(0))
/// }
///
/// fn build(params: &TaggerParams, networks: &atlas_core::NetworkBuilder) -> candle_core::Result<(Linear, Linear)> {
///     let tokens = params.vocabulary.len();
///     let encoder = linear(tokens, params.hidden_size, networks.builder("encoder")?)?;
///     let head = linear(encoder.weight().dim(0)?, tokens, networks.builder("head")?)?;
///     Ok((encoder, head))
/// }
///
/// /// The logits of one row for each token: what is stored with the model and compared.
/// fn tag(tagger: &Tagger) -> candle_core::Result<Tensor> {
///     let tokens = tagger.vocabulary.len();
///     let rows = Tensor::eye(tokens, tagger.head.weight().dtype(), tagger.head.weight().device())?;
///     tagger.head.forward(&tagger.encoder.forward(&rows)?.relu()?)
/// }
///
/// let tagger = Tagger::create(TaggerParams::default())?;
/// assert_eq!(tagger.longest, 1);
/// assert_eq!(tagger.head.weight().dims(), [3, 8]);
///
/// let error = Tagger::create(TaggerParams { hidden_size: 12, ..Default::default() }).unwrap_err();
/// assert!(error.to_string().contains("a multiple of 8"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[proc_macro_derive(AtlasModel, attributes(atlas, param, network, derived))]
pub fn derive_atlas_model(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    atlas_model(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a struct a group of parameters, for a `#[param(nested)]` field or for use by itself.
///
/// ```
/// use atlas_core::prelude::*;
///
/// /// One side of an autoencoder.
/// #[derive(Params, Clone, Debug, PartialEq)]
/// struct Side {
///     /// Layers, from the input on.
///     #[param(default = vec![256, 64], len = 1.., min = 1)]
///     widths: Vec<usize>,
///     /// The share of units that training leaves out.
///     #[param(default = 0.0, min = 0.0, max = 0.9)]
///     dropout: f64,
/// }
///
/// let side = Side::from_assignments(["widths=128,32"])?;
/// assert_eq!(side, Side { widths: vec![128, 32], ..Default::default() });
///
/// let error = Side::from_assignments(["widths=128,0", "dropout=1"]).unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # Ok::<(), atlas_core::Error>(())
/// ```
///
/// The derive implements `Params`, `ParamValue`, `Serialize`, `Deserialize`, and `Default` exactly
/// if every parameter has a default. `Deserialize` reads what [`from_overrides`] reads, from formats
/// that describe themselves, such as JSON or TOML: an absent parameter takes its default, and an
/// unknown name or a value outside its constraint is an error. `Clone`, `Debug` and `PartialEq` are derived beside it; `Default` must
/// not be. The struct has named fields and no type, lifetime or const parameters.
///
/// # On the struct: `#[atlas(…)]`
///
/// - **`validate = path`**: A constraint across parameters: a `fn(&Side) -> Result<(), E>` where
///   `E: Display`.
///   *When absent: none.*
/// - **`crate = path`**: Where `atlas_core` is, for a crate that re-exports or renames it.
///   *When absent: `::atlas_core`.*
///
/// # On a field: `#[param]`
///
/// Required on every field, so that one that was forgotten is noticed. Its keys are those of
/// [`AtlasModel`](macro@AtlasModel#on-a-field-param).
///
/// [`from_overrides`]: https://docs.rs/atlas-core/latest/atlas_core/trait.Params.html#method.from_overrides
#[proc_macro_derive(Params, attributes(atlas, param, network, derived))]
pub fn derive_params(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    params(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes an enum without fields a choice: a parameter that names one of its variants.
///
/// ```
/// use atlas_core::prelude::*;
///
/// /// What follows a linear layer.
/// #[derive(Choice, Clone, Copy, Debug, PartialEq)]
/// enum Activation {
///     /// max(0, x)
///     Relu,
///     /// x · Φ(x), approximated by tanh
///     GeluTanh,
///     /// x · σ(x)
///     #[choice(name = "swish")]
///     Silu,
/// }
///
/// #[derive(Params, Clone, Debug, PartialEq)]
/// struct Layer {
///     #[param(default = Activation::Relu, one_of = [Activation::Relu, Activation::Silu])]
///     activation: Activation,
/// }
///
/// assert_eq!(Activation::GeluTanh.to_string(), "gelu-tanh");
/// assert_eq!("swish".parse::<Activation>()?, Activation::Silu);
/// assert_eq!(Layer::from_assignments(["activation=swish"])?.activation, Activation::Silu);
/// assert!(Layer::from_assignments(["activation=gelu-tanh"]).is_err());
/// # Ok::<(), atlas_core::Error>(())
/// ```
///
/// The derive implements `Choice`, `ParamValue`, `Display`, `FromStr` and `Serialize`, all by the
/// names. `Clone`, `Debug` and `PartialEq` are derived beside it. The documentation of a variant is
/// part of the schema.
///
/// # On the enum: `#[choice(…)]`
///
/// - **`crate = path`**: Where `atlas_core` is, for a crate that re-exports or renames it.
///   *When absent: `::atlas_core`.*
///
/// # On a variant: `#[choice(…)]`
///
/// - **`name = "swish"`**: The name in bundles and on the command line, without white space,
///   commas, quotes or brackets. It must stay the same when the variant is renamed.
///   *When absent: the variant's name in kebab-case.*
#[proc_macro_derive(Choice, attributes(choice))]
pub fn derive_choice(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    choice(&parse_macro_input!(input as DeriveInput)).into()
}

fn atlas_model(input: &DeriveInput) -> TokenStream {
    let ctxt = Ctxt::new();
    let raw = RawStruct::parse(&ctxt, Derive::Model, input);
    let model = check::model(&ctxt, &raw);
    match ctxt.finish() {
        Ok(()) => emit::model(&model),
        Err(mistakes) => with_mistakes(&mistakes, emit::fallback_model(&raw)),
    }
}

fn params(input: &DeriveInput) -> TokenStream {
    let ctxt = Ctxt::new();
    let raw = RawStruct::parse(&ctxt, Derive::Params, input);
    let group = check::group(&ctxt, &raw);
    match ctxt.finish() {
        Ok(()) => emit::group(&group),
        Err(mistakes) => with_mistakes(&mistakes, emit::fallback_group(&raw)),
    }
}

fn choice(input: &DeriveInput) -> TokenStream {
    let ctxt = Ctxt::new();
    let raw = RawChoice::parse(&ctxt, input);
    let choice = check::choice(&ctxt, &raw);
    match ctxt.finish() {
        Ok(()) => emit::choice(&choice),
        Err(mistakes) => with_mistakes(&mistakes, emit::fallback_choice(&raw)),
    }
}

fn with_mistakes(mistakes: &syn::Error, fallback: TokenStream) -> TokenStream {
    let mut tokens = mistakes.to_compile_error();
    tokens.extend(fallback);
    tokens
}
