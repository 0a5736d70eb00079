//! The behaviour check catches what shapes cannot show.

use std::fs;
use std::path::PathBuf;

use atlas_core::Bundle;
use atlas_core::prelude::*;
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Dropout, LayerNorm, Linear, Module, ModuleT, VarBuilder, layer_norm, linear};
use tempfile::TempDir;

/// What one version of the code does; the parameters and tensors of all are the same.
trait Behaviour: Sized + 'static {
    const EPSILON: f64 = 1e-5;

    fn activate(hidden: &Tensor) -> candle_core::Result<Tensor> {
        hidden.relu()
    }

    fn drop(hidden: Tensor) -> candle_core::Result<Tensor> {
        Ok(hidden)
    }

    fn tokens(text: &str) -> Vec<u32> {
        text.bytes().map(|byte| u32::from(byte) % 7).collect()
    }
}

macro_rules! text_model {
    ($($module:ident: { $($behaviour:tt)* })*) => {$(
        mod $module {
            use super::*;

            #[derive(AtlasModel)]
            #[atlas(name = "text-model", golden)]
            pub struct TextModel {
                #[param(default = 6, min = 1)]
                pub width: usize,
                #[network(with = build)]
                pub net: (Linear, LayerNorm, Linear),
            }

            fn build(params: &TextModelParams, vb: VarBuilder) -> candle_core::Result<(Linear, LayerNorm, Linear)> {
                let norm = layer_norm(params.width, Self_::EPSILON, vb.pp("norm"))?;
                Ok((linear(1, params.width, vb.pp("in"))?, norm, linear(params.width, 3, vb.pp("out"))?))
            }

            struct Self_;

            impl Behaviour for Self_ { $($behaviour)* }

            impl Golden for TextModel {
                fn golden_inputs(&self) -> Result<GoldenInputs> {
                    Ok(GoldenInputs::texts(["CCO", "c1ccccc1", "C(=O)Cl"]))
                }

                fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
                    let rows = inputs.as_texts().iter().map(|text| self.encode_one(text));
                    let rows = rows.collect::<candle_core::Result<Vec<_>>>()?;
                    let latents = Tensor::cat(&rows, 0)?;
                    Ok(vec![("latents".to_owned(), latents.clone()), ("norms".to_owned(), latents.sqr()?.sum(D::Minus1)?)])
                }
            }

            impl TextModel {
                fn encode_one(&self, text: &str) -> candle_core::Result<Tensor> {
                    let (first, norm, last) = &self.net;
                    let tokens: Vec<f32> = Self_::tokens(text).into_iter().map(|token| token as f32).collect();
                    let tokens = Tensor::new(tokens, first.weight().device())?.unsqueeze(1)?;
                    let tokens = tokens.to_dtype(first.weight().dtype())?;
                    let hidden = Self_::drop(Self_::activate(&norm.forward_t(&first.forward(&tokens)?, false)?)?)?;
                    last.forward(&hidden)?.mean_keepdim(0)
                }
            }

            pub fn load(path: &std::path::Path) -> Result<(), Error> {
                TextModel::load(path).map(|_| ())
            }
        }
    )*};
}

text_model! {
    as_saved: {}
    gelu: {
        fn activate(hidden: &Tensor) -> candle_core::Result<Tensor> {
            hidden.gelu_erf()
        }
    }
    epsilon: {
        const EPSILON: f64 = 1e-3;
    }
    dropout: {
        fn drop(hidden: Tensor) -> candle_core::Result<Tensor> {
            Dropout::new(0.1).forward_t(&hidden, true)
        }
    }
    tokenizer: {
        // `Cl` is one token.
        fn tokens(text: &str) -> Vec<u32> {
            text.replace("Cl", "Q").bytes().map(|byte| u32::from(byte) % 7).collect()
        }
    }
}

fn saved() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    create().save(&path).unwrap();
    (folder, path)
}

fn create() -> Model<as_saved::TextModel> {
    let options = CreateOptions::new().seed(7);
    as_saved::TextModel::create_with(as_saved::TextModelParams::default(), options).unwrap()
}

#[test]
fn the_same_behaviour_loads() {
    let (_folder, path) = saved();
    as_saved::load(&path).unwrap();
    assert!(Bundle::open(&path).unwrap().has_golden());
}

#[test]
fn a_changed_behaviour_is_caught_though_every_shape_is_equal() {
    let (_folder, path) = saved();
    for (name, load) in [
        (
            "ReLU became GELU",
            gelu::load as fn(&std::path::Path) -> Result<(), Error>,
        ),
        ("an epsilon of 1e-5 became 1e-3", epsilon::load),
        ("dropout was left on", dropout::load),
        ("a rule of the tokenizer changed", tokenizer::load),
    ] {
        match load(&path) {
            Ok(()) => panic!("{name}, and nobody noticed"),
            Err(error) => assert!(error.is_behaviour(), "{name}: {error}"),
        }
    }
}

#[test]
fn the_message_names_the_output_the_largest_difference_and_its_index() {
    let (_folder, path) = saved();
    let error = epsilon::load(&path).unwrap_err();
    let start = format!(
        "{}: the loaded model does not behave as the saved one did: ",
        path.display()
    );
    assert!(error.to_string().starts_with(&start), "{error}");
    let problem = &error.problems()[0];
    let (output, index) = problem.path().split_once('[').unwrap();
    let index: Vec<usize> = index
        .trim_end_matches(']')
        .split(", ")
        .map(|index| index.parse().unwrap())
        .collect();
    assert_eq!((output, index.len()), ("latents", 2));
    assert!(index[0] < 3 && index[1] < 3);
    let (expected, rest) = problem
        .expected()
        .strip_prefix("expected ")
        .unwrap()
        .split_once(", off by ")
        .unwrap();
    let (distance, _) = rest.split_once(' ').unwrap();
    let found: f64 = problem.found().unwrap().parse().unwrap();
    let expected: f64 = expected.parse().unwrap();
    assert_eq!((expected - found).abs(), distance.parse::<f64>().unwrap());
}

#[test]
fn the_check_can_be_left_out_and_is_for_casts_too() {
    let (_folder, path) = saved();
    let unchecked = LoadOptions::new().golden(false);
    gelu::TextModel::load_with(&path, unchecked.clone()).unwrap();
    gelu::TextModel::load_with(&path, unchecked.cast(DType::BF16)).unwrap();
    let cast = |dtype| LoadOptions::new().cast(dtype);
    as_saved::TextModel::load_with(&path, cast(DType::BF16)).unwrap();
    let error = gelu::TextModel::load_with(&path, cast(DType::BF16)).unwrap_err();
    assert!(error.is_behaviour(), "{error}");
    // candle's layer norm knows no f64: such a model does not run, and is not given out.
    let error = as_saved::TextModel::load_with(&path, cast(DType::F64)).unwrap_err();
    assert!(
        error.to_string().contains("the behaviour check: "),
        "{error}"
    );
}

#[test]
fn every_dtype_is_checked_within_its_own_tolerance() {
    // candle's layer norm knows no f64.
    for dtype in [DType::F16, DType::BF16] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("model");
        let options = CreateOptions::new().seed(7).dtype(dtype);
        let model = as_saved::TextModel::create_with(as_saved::TextModelParams::default(), options)
            .unwrap();
        model.save(&path).unwrap();
        as_saved::load(&path).unwrap();
    }
}

#[test]
fn other_weights_change_outputs_and_inputs_are_in_the_digest() {
    let one = create().digest().unwrap();
    let options = CreateOptions::new().seed(7);
    let other =
        tokenizer::TextModel::create_with(tokenizer::TextModelParams::default(), options).unwrap();
    // The same inputs: outputs may differ in their last bits between machines, and are no part of
    // the digest.
    assert_eq!(other.digest().unwrap(), one);
}

#[test]
fn a_model_that_computes_nonsense_is_not_saved() {
    let model = create();
    for (_, var) in model.vars() {
        var.set(&(var.ones_like().unwrap() * f64::NAN).unwrap())
            .unwrap();
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let error = model.save(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the behaviour check: output `latents` is not finite"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A model that had a behaviour check and has none.
mod without {
    use super::*;

    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "text-model")]
    pub struct TextModel {
        #[param(default = 6, min = 1)]
        pub width: usize,
        #[network(with = build)]
        pub net: Vec<Tensor>,
    }

    fn build(params: &TextModelParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
        let width = params.width;
        Ok(vec![
            vb.get((width, 1), "in.weight")?,
            vb.get(width, "in.bias")?,
            vb.get(width, "norm.weight")?,
            vb.get(width, "norm.bias")?,
            vb.get((3, width), "out.weight")?,
            vb.get(3, "out.bias")?,
        ])
    }
}

#[test]
fn a_check_that_the_program_no_longer_has_is_missed() {
    let (_folder, path) = saved();
    let error = without::TextModel::load(&path)
        .map(|model| model.net.len())
        .unwrap_err();
    assert!(error.is_behaviour());
    assert!(
        error
            .to_string()
            .ends_with("the bundle holds a behaviour check, and the model has none"),
        "{error}"
    );
}

#[test]
fn the_inputs_are_those_that_were_stored() {
    let (_folder, path) = saved();
    let tensors =
        candle_core::safetensors::load(path.join("golden.safetensors"), &Device::Cpu).unwrap();
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    assert_eq!(names, ["input-texts", "output.latents", "output.norms"]);
    let texts = tensors["input-texts"].to_vec1::<u8>().unwrap();
    assert_eq!(texts, br#"["CCO","c1ccccc1","C(=O)Cl"]"#);
}

/// Versions of a model whose outputs are multiples of one sum, each with its name.
macro_rules! sums {
    ($($module:ident($($key:tt)*): $outputs:expr;)*) => {$(
        mod $module {
            use super::*;

            #[derive(AtlasModel)]
            #[atlas(name = "sums", golden, $($key)*)]
            pub struct Sums {
                #[param(default = 3)]
                pub width: usize,
                #[network(with = build)]
                pub net: Tensor,
            }

            fn build(params: &SumsParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
                vb.get_with_hints(params.width, "weight", candle_nn::Init::Const(2.0))
            }

            #[allow(dead_code, reason = "the first version has no step")]
            fn nothing_to_do(_: &mut atlas_core::Snapshot) -> Result<()> {
                Ok(())
            }

            impl Golden for Sums {
                fn golden_inputs(&self) -> Result<GoldenInputs> {
                    Ok(GoldenInputs::texts(["C"]))
                }

                fn golden_outputs(&self, _: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
                    let outputs: &[(&str, f64)] = &$outputs;
                    let output = |(name, factor): &(&str, f64)| {
                        Ok(((*name).to_owned(), (self.net.sum_all()? * *factor)?))
                    };
                    outputs.iter().map(output).collect()
                }
            }

            #[allow(dead_code, reason = "not all versions are saved")]
            pub fn save(path: &std::path::Path) -> Result<(), Error> {
                Sums::create(SumsParams::default())?.save(path)
            }

            #[allow(dead_code, reason = "not all versions are loaded")]
            pub fn load(path: &std::path::Path) -> Result<(), Error> {
                Sums::load(path).map(|_| ())
            }
        }
    )*};
}

sums! {
    first(version = 1): [("kept", 1.0), ("dropped", 2.0)];
    first_with_less(version = 1): [("kept", 1.0)];
    second(version = 2, migrate(1 => nothing_to_do)): [("kept", 1.0), ("added", 3.0)];
    second_changed(version = 2, migrate(1 => nothing_to_do)): [("kept", 1.5), ("added", 3.0)];
    second_renamed(version = 2, migrate(1 => nothing_to_do)): [("added", 3.0)];
    twice(version = 1): [("kept", 1.0), ("kept", 1.0)];
}

#[test]
fn of_an_older_version_the_outputs_that_both_have_are_compared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sums");
    first::save(&path).unwrap();
    second::load(&path).unwrap();
    let error = second_changed::load(&path).unwrap_err();
    assert!(error.is_behaviour(), "{error}");
    let paths: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.path())
        .collect();
    assert_eq!(paths, ["kept[]"]);
    let error = second_renamed::load(&path).unwrap_err();
    assert!(error.is_behaviour(), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("the older bundle and the model have no output of one name"),
        "{error}"
    );
}

#[test]
fn of_the_same_version_every_output_is_compared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sums");
    first::save(&path).unwrap();
    let error = first_with_less::load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("`dropped`: the model gives no such output"),
        "{error}"
    );
    first_with_less::save(&path).unwrap();
    let error = first::load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("`dropped`: the bundle has no such output"),
        "{error}"
    );
}

#[test]
fn a_model_with_outputs_of_one_name_is_not_created() {
    let folder = TempDir::new().unwrap();
    let error = twice::save(&folder.path().join("sums")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sums`: the behaviour check: there are two outputs `kept`"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[derive(AtlasModel)]
#[atlas(golden)]
struct Ambiguous {
    #[param(default = 2)]
    width: usize,
    #[network(with = build_ambiguous)]
    net: Tensor,
}

fn build_ambiguous(params: &AmbiguousParams, vb: VarBuilder) -> candle_core::Result<Tensor> {
    vb.get_with_hints(params.width, "weight", candle_nn::Init::Const(1.0))
}

impl Golden for Ambiguous {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        let inputs = GoldenInputs::default().with_tensor("points", self.net.clone());
        Ok(inputs.with_tensor("points", (&self.net * 2.0)?))
    }

    fn golden_outputs(&self, _: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![("sum".to_owned(), self.net.sum_all()?)])
    }
}

#[test]
fn a_model_with_inputs_of_one_name_is_not_created() {
    let error = Ambiguous::create(AmbiguousParams::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`ambiguous`: the behaviour check: there are two inputs `points`"
    );
}

#[test]
fn inputs_of_one_name_are_not_saved() {
    let folder = TempDir::new().unwrap();
    let mut snapshot = create().snapshot().unwrap();
    let golden = snapshot.golden.as_mut().unwrap();
    let points = Tensor::ones(2, DType::F32, &Device::Cpu).unwrap();
    let inputs = GoldenInputs::default().with_tensor("points", points.clone());
    golden.inputs = inputs.with_tensor("points", points);
    let error = snapshot.save(folder.path().join("ambiguous")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the behaviour check: there are two inputs `points`"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
