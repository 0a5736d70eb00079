//! Groups of parameters inside a model.

use atlas_core::ParamValue;
use atlas_core::prelude::*;
use candle_nn::{Linear, VarBuilder, linear};
use serde_json::json;

/// One side of an autoencoder.
#[derive(Params, Clone, Debug, PartialEq)]
#[atlas(validate = is_narrowing)]
struct Side {
    /// Features in.
    #[param(default = 8, min = 1)]
    wide: usize,
    /// Features out.
    #[param(default = 4, min = 1)]
    narrow: usize,
}

fn is_narrowing(side: &Side) -> Result<(), String> {
    if side.narrow <= side.wide {
        Ok(())
    } else {
        Err(format!("{} is wider than {}", side.narrow, side.wide))
    }
}

fn all_even(sides: &[Side]) -> Result<(), &'static str> {
    if sides.iter().all(|side| side.wide.is_multiple_of(2)) {
        Ok(())
    } else {
        Err("expected even sides")
    }
}

/// A model of groups.
#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Autoencoder {
    #[param(nested)]
    encoder: Side,
    #[param(nested, default = Side { wide: 16, ..Default::default() })]
    decoder: Side,
    #[param(nested)]
    extra: Option<Side>,
    #[param(nested, len = ..=2, check = all_even)]
    more: Vec<Side>,
    #[param(nested, default = [Side::default(), Side::default()])]
    pair: [Side; 2],
    #[network(with = net)]
    net: Linear,
}

fn net(params: &AutoencoderParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.encoder.wide, params.encoder.narrow, vb)
}

#[test]
fn a_group_without_default_takes_its_own() {
    let params = AutoencoderParams::default();
    assert_eq!(params.encoder, Side { wide: 8, narrow: 4 });
    assert_eq!(
        params.decoder,
        Side {
            wide: 16,
            narrow: 4
        }
    );
    assert_eq!((&params.extra, &params.more), (&None, &Vec::new()));
    assert_eq!(
        AutoencoderParams::schema().complete(&json!({})),
        params.to_json()
    );
    let model = Autoencoder::create(params).unwrap();
    assert_eq!(model.net.weight().dims(), [4, model.encoder.wide]);
}

#[test]
fn problems_in_groups_have_their_paths() {
    let error = AutoencoderParams::from_overrides(&json!({
        "encoder": {"wide": 0, "narrow": 0},
        "decoder": {"wide": 1},
        "extra": {"wid": 3},
        "more": [{}, {}, {}],
    }))
    .unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path().to_owned())
        .collect();
    assert_eq!(
        paths,
        [
            "encoder.wide",
            "encoder.narrow",
            "decoder",
            "extra.wid",
            "more"
        ]
    );
    let error = AutoencoderParams::from_overrides(&json!({"more": [{"wide": 9}]})).unwrap_err();
    assert_eq!(error.problems()[0].path(), "more");
}

/// A group without parameters is a group all the same.
#[derive(Params, Clone, Debug, PartialEq)]
struct Empty {}

#[test]
fn a_group_may_be_empty() {
    assert_eq!(Empty::from_stored(&json!({})).unwrap(), Empty::default());
}

#[test]
fn parameters_are_deserialised_strictly_and_with_their_defaults() {
    let params: AutoencoderParams =
        serde_json::from_str(r#"{"encoder": {"wide": 6}, "more": [{}]}"#).unwrap();
    let expected = AutoencoderParams {
        encoder: Side { wide: 6, narrow: 4 },
        more: vec![Side::default()],
        ..Default::default()
    };
    assert_eq!(params, expected);
    let text = serde_json::to_string(&params).unwrap();
    assert_eq!(
        serde_json::from_str::<AutoencoderParams>(&text).unwrap(),
        params
    );
    assert_eq!(
        serde_json::from_value::<Side>(json!({"narrow": 2})).unwrap(),
        Side { wide: 8, narrow: 2 }
    );
    for (wrong, said) in [
        (json!({"wid": 3}), "did you mean `wide`?"),
        (json!({"wide": 0, "narrow": 0}), "narrow"),
        (json!({"wide": "8"}), "wide"),
        (json!({"wide": 2}), "4 is wider than 2"),
        (json!([8, 4]), "expected an object"),
    ] {
        let error = serde_json::from_value::<Side>(wrong).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
