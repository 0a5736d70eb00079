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
