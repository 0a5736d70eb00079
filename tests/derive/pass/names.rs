//! Raw identifiers lose their `r#` wherever a name is written.

use atlas_core::ParamValue;
use atlas_core::prelude::*;
use candle_nn::{Linear, VarBuilder, linear};
use serde_json::json;

/// Keywords all over.
#[allow(non_camel_case_types)]
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct r#match {
    #[param(default = 1)]
    r#type: usize,
    #[derived(with = r#if)]
    r#fn: usize,
    #[network(with = r#loop)]
    r#struct: Linear,
}

fn r#if(params: &matchParams) -> Result<usize> {
    Ok(params.r#type + 1)
}

fn r#loop(params: &matchParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.r#type, 1, vb)
}

#[test]
fn raw_identifiers_are_stored_without_their_prefix() {
    assert_eq!(r#match::NAME, "match");
    assert_eq!(r#match::NETWORKS, ["struct"]);
    let params = matchParams { r#type: 2 };
    assert_eq!(params.to_json(), json!({"type": 2}));
    let model = r#match::create(params).unwrap();
    assert_eq!(model.r#fn, 3);
    assert_eq!(model.r#struct.weight().dims(), [1, 2]);
    assert!(model.network("struct").is_some());
}

/// Declares a model, some of it with tokens of its own.
macro_rules! declare {
    ($name:ident = $text:literal, $params:ident, $size:ident: $ty:ty = $default:expr) => {
        /// By a macro.
        #[derive(AtlasModel)]
        #[atlas(unchecked, name = $text, params = $params)]
        struct $name {
            #[param(default = $default, min = LEAST, check = is_small)]
            $size: $ty,
            #[param(default = $text, one_of = [$text, "b"])]
            text: String,
            #[param(default = vec![$text])]
            texts: Vec<String>,
            #[network]
            net: Declared,
        }

        struct Declared(Linear);

        impl Declared {
            fn new(params: &$params, vb: VarBuilder) -> candle_core::Result<Self> {
                linear(params.$size, params.text.len(), vb).map(Self)
            }
        }
    };
}

const LEAST: usize = 1;

fn is_small(size: &usize) -> Result<(), &'static str> {
    if *size < 10 {
        Ok(())
    } else {
        Err("expected a small size")
    }
}

declare!(ByMacro = "a", ByMacroSizes, width: usize = LEAST + 1);

#[test]
fn a_macro_can_declare_a_model() {
    let model = ByMacro::create(ByMacroSizes::default()).unwrap();
    assert_eq!(ByMacro::NAME, "a");
    assert_eq!(
        (
            model.width,
            model.text.as_str(),
            model.texts.join(" ").as_str()
        ),
        (2, "a", "a")
    );
    assert_eq!(model.net.0.weight().dims(), [1, 2]);
}

/// Its name is kebab-case unless it is given.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct HTTPHead2d {
    #[network(with = net)]
    net: Linear,
}

fn net(_: &HTTPHead2dParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(1, 1, vb)
}

#[test]
fn a_name_is_the_structs_in_kebab_case() {
    assert_eq!(HTTPHead2d::NAME, "http-head2d");
    let model = HTTPHead2d::create(HTTPHead2dParams {}).unwrap();
    assert_eq!(model.net.weight().dims(), [1, 1]);
}

mod upper_case {
    #![deny(warnings)]

    use atlas_core::prelude::*;
    use candle_nn::{Linear, VarBuilder, linear};

    /// The lints that the struct allows are allowed for what stands for it.
    #[allow(non_snake_case)]
    #[derive(AtlasModel)]
    #[atlas(unchecked)]
    pub(super) struct UpperCase {
        #[param(default = 3, min = 1)]
        pub(super) K: usize,
        #[network(with = net)]
        pub(super) net: Linear,
    }

    fn net(params: &UpperCaseParams, vb: VarBuilder) -> candle_core::Result<Linear> {
        linear(params.K, 1, vb)
    }
}

#[test]
fn a_field_may_have_an_upper_case_name() {
    let model = upper_case::UpperCase::create(upper_case::UpperCaseParams::default()).unwrap();
    assert_eq!((model.K, model.net.weight().dims()), (3, &[1, 3][..]));
}
