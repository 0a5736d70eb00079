//! What training leaves alone.

use super::*;

#[test]
fn a_frozen_network_stays_as_it_is_with_its_buffers() {
    let mut model: Model<Normed> = create();
    model.set_frozen("net/norm", true).unwrap();
    let frozen = ["net/linear.bias", "net/linear.weight"];
    assert_eq!(names(model.trainable_vars()), frozen);
    let before =
        ["norm.weight", "norm.running_mean", "norm.running_var"].map(|name| values(&model, name));
    let weight = values(&model, "linear.weight");
    train(&mut model, &rows(), &run(2), &mut ()).unwrap();
    let after =
        ["norm.weight", "norm.running_mean", "norm.running_var"].map(|name| values(&model, name));
    assert_eq!(after, before);
    assert_ne!(values(&model, "linear.weight"), weight);
    assert_eq!(values(&model, "rows"), [48.0]);
}

#[test]
fn what_is_frozen_travels_with_the_bundle_and_is_no_part_of_its_digest() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("normed");
    let mut model: Model<Normed> = create();
    let digest = model.digest().unwrap();
    model.set_frozen("net/linear.weight", true).unwrap();
    model.set_frozen("net/norm", true).unwrap();
    model.set_frozen("net/norm.bias", false).unwrap();
    let expected = [
        "net/linear.weight",
        "net/norm.running_mean",
        "net/norm.running_var",
        "net/norm.weight",
    ];
    assert_eq!(model.frozen(), expected);
    assert_eq!(model.digest().unwrap(), digest);
    model.save(&path).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(
        bundle.provenance().notes()["frozen"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let loaded = Normed::load_with(&path, LoadOptions::new().trainable(true)).unwrap();
    assert_eq!(loaded.frozen(), expected);
    assert_eq!(
        names(loaded.trainable_vars()),
        ["net/linear.bias", "net/norm.bias"]
    );
    assert!(!loaded.provenance().notes().contains_key("frozen"));

    model.set_frozen("net", true).unwrap();
    assert_eq!(model.frozen(), ["net"]);
    assert!(model.networks()[0].is_frozen());
    model.set_frozen("net", false).unwrap();
    model.save(&path).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    assert!(bundle.provenance().notes().is_empty());
}

#[test]
fn a_part_that_is_not_there_cannot_be_frozen() {
    let mut model: Model<Normed> = create();
    let error = model.set_frozen("nett", true).unwrap_err().to_string();
    assert_eq!(error, "`normed` has no network `nett`; it has net");
    for part in ["net/norm.weigh", "net/nor", "net/"] {
        let error = model.set_frozen(part, true).unwrap_err().to_string();
        assert!(
            error.starts_with("network `net` has no tensor or module"),
            "{error}"
        );
    }
    let mut snapshot = model.snapshot().unwrap();
    snapshot.frozen.insert("net/gone".to_owned());
    let error = Model::<Normed>::from_snapshot(snapshot, &LoadOptions::new()).unwrap_err();
    assert!(
        error.to_string().contains("what is frozen: network `net`"),
        "{error}"
    );
}

#[test]
fn what_is_renamed_stays_frozen() {
    let mut snapshot = Snapshot::new("any", 1);
    let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    snapshot.set_tensor("net", "weight", tensor);
    snapshot.frozen.insert("net/weight".to_owned());
    snapshot.rename_tensor("net", "weight", "w").unwrap();
    snapshot.rename_network("net", "encoder").unwrap();
    assert_eq!(Vec::from_iter(snapshot.frozen), ["encoder/w"]);
}
