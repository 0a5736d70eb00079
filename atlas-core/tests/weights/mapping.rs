//! What a mapping makes of tensors.

use std::collections::BTreeMap;

use atlas_core::weights::Mapping;
use atlas_core::{Error, Result};
use candle_core::Tensor;
use safetensors::Dtype;
use serde_json::json;

use crate::{Stored, bytes, problems, weights};

/// The tensors of `net` and `other` that a mapping makes of two vectors and a matrix.
fn mapped(mapping: Mapping) -> Result<BTreeMap<String, BTreeMap<String, Tensor>>> {
    let tensors = [
        ("a.bias", &[2][..], &[1, 2][..]),
        ("a.weight", &[2, 3], &[0, 1, 2, 3, 4, 5]),
        ("b.bias", &[2], &[1, 3]),
    ];
    let weights = weights(&bytes(&tensors)).unwrap();
    let snapshot = weights.snapshot("model", 1, &["net", "other"], &mapping)?;
    Ok(snapshot.networks)
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mapping = Mapping::new()
        .transpose("a.weight", "other/w")
        .rename("a.*", "net/first.*")
        .rename("*", "net/*");
    let networks = mapped(mapping).unwrap();
    assert_eq!(
        networks["net"].keys().collect::<Vec<_>>(),
        ["b.bias", "first.bias"]
    );
    let transposed = networks["other"]["w"].to_vec2::<u8>().unwrap();
    assert_eq!(transposed, [[0, 3], [1, 4], [2, 5]]);
}

#[test]
fn one_network_takes_all_tensors_by_their_names() {
    let networks = mapped(Mapping::network("net")).unwrap();
    assert_eq!(
        networks["net"].keys().collect::<Vec<_>>(),
        ["a.bias", "a.weight", "b.bias"]
    );
}

#[test]
fn a_pattern_can_name_networks() {
    let networks = mapped(Mapping::new().ignore("b.*").rename("*.*", "net/*-*")).unwrap();
    assert_eq!(
        networks["net"].keys().collect::<Vec<_>>(),
        ["a-bias", "a-weight"]
    );
    let error = mapped(Mapping::new().rename("*.*", "*/*"));
    let expected = [
        "`a`: the model has no such network, but net, other",
        "`b`: the model has no such network, but net, other",
    ];
    assert_eq!(problems(error), expected);
}

#[test]
fn everything_that_a_mapping_misses_is_reported_at_once() {
    let mapping = Mapping::new()
        .rename("a.bias", "nett/bias")
        .rename("*.gamma", "net/*.gamma")
        .transpose("b.bias", "net/bias")
        .rename("b.*", "net/*");
    let expected = [
        "`a.weight` = U8 [2, 3]: no rule matches it",
        "`b.bias` = U8 [2]: only a matrix can be transposed",
        "`nett`: the model has no such network, but net, other; did you mean `net`?",
        "`*.gamma`: it matches no tensor",
        "`b.*`: other rules take all tensors that it matches",
    ];
    assert_eq!(problems(mapped(mapping)), expected);
}

#[test]
fn different_tensors_cannot_become_one() {
    let mapping = Mapping::new()
        .rename("*.bias", "net/bias*")
        .rename("a.weight", "net/biasa");
    let expected = ["`net/biasa`: `a.bias` and `a.weight` become it, and differ"];
    assert_eq!(problems(mapped(mapping)), expected);
}

#[test]
fn equal_tensors_can_become_one() {
    let tied = weights(&bytes(&[("head", &[2], &[1, 2]), ("words", &[2], &[1, 2])])).unwrap();
    let mapping = Mapping::new()
        .rename("head", "net/words")
        .rename("words", "net/words");
    let snapshot = tied.snapshot("model", 1, &["net"], &mapping).unwrap();
    assert_eq!(snapshot.networks["net"].len(), 1);
}

#[test]
fn malformed_rules_are_reported_at_once() {
    let mapping: Mapping = serde_json::from_value(json!([
        { "from": "a.bias", "to": "net/a", "ignore": true },
        { "from": "a.weight" },
        { "from": "b.bias", "ignore": true, "transpose": true },
        { "from": "a.*", "to": "net/a.*.*" },
        { "from": "b.*", "to": "b.*" },
    ]))
    .unwrap();
    let expected = [
        "`a.bias`: a rule has no `to` if it has `ignore`",
        "`a.weight`: a rule has `to` or `ignore`",
        "`b.bias`: what is ignored is not transposed",
        "`a.*`: `net/a.*.*` has 2 `*`, and not 1 as `from` has",
        "`b.*`: `b.*` is not `network/name`",
    ];
    assert_eq!(problems(mapped(mapping)), expected);
}

#[test]
fn an_unknown_key_of_a_rule_is_refused() {
    let rule = json!([{ "from": "a", "to": "net/a", "transposed": true }]);
    let error = serde_json::from_value::<Mapping>(rule)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("unknown field `transposed`, expected one of"),
        "{error}"
    );
}

#[test]
fn the_counters_of_batch_norms_are_left_out_unless_a_rule_names_them() {
    let count: Stored = ("bn.num_batches_tracked", Dtype::I64, &[], &[0; 8]);
    let mean: Stored = ("bn.running_mean", Dtype::F32, &[1], &[0; 4]);
    let names = |tensors: &[Stored], mapping: &Mapping| {
        let weights = weights(tensors).unwrap();
        let snapshot = weights.snapshot("model", 1, &["net"], mapping)?;
        Ok::<_, Error>(snapshot.networks["net"].keys().cloned().collect::<Vec<_>>())
    };
    let all = Mapping::network("net");
    let named = all.clone().rename("*.num_batches_tracked", "net/*.steps");
    assert_eq!(names(&[count, mean], &all).unwrap(), ["bn.running_mean"]);
    assert_eq!(
        names(&[count, mean], &named).unwrap(),
        ["bn.running_mean", "bn.steps"]
    );
    // Without a batch norm beside it, and as a float, it is a tensor like others.
    assert_eq!(names(&[count], &all).unwrap(), ["bn.num_batches_tracked"]);
    let float: Stored = ("bn.num_batches_tracked", Dtype::F32, &[], &[0; 4]);
    let both = ["bn.num_batches_tracked", "bn.running_mean"];
    assert_eq!(names(&[float, mean], &all).unwrap(), both);
}
