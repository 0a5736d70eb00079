//! Starting from the weights of another model.

use super::*;

/// An encoder and a head, each of a size of its own.
macro_rules! headed {
    ($model:ident, $params:ident, $name:literal, $width:literal) => {
        #[derive(AtlasModel)]
        #[atlas(name = $name, golden = $model::of_ones)]
        struct $model {
            #[param(default = $width)]
            width: usize,
            #[network(with = $model::encoder)]
            encoder: Linear,
            #[network(with = $model::head)]
            head: Linear,
        }

        impl $model {
            fn of_ones(&self) -> CandleResult<Tensor> {
                let rows = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
                self.head.forward(&self.encoder.forward(&rows)?.relu()?)
            }

            fn encoder(_: &$params, vb: VarBuilder) -> CandleResult<Linear> {
                linear(3, 4, vb)
            }

            fn head(params: &$params, vb: VarBuilder) -> CandleResult<Linear> {
                linear(4, params.width, vb)
            }
        }
    };
}

headed!(Source, SourceParams, "source", 2);
headed!(Target, TargetParams, "target", 5);

fn weight(model: &dyn AnyModel, network: &str) -> Vec<f32> {
    let tensor = model.network(network).unwrap().tensor("weight").unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_model_starts_from_a_network_of_another_and_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("target");
    let options = CreateOptions::new().seed(8);
    let source = Source::create_with(SourceParams::default(), options).unwrap();
    let mut target: Model<Target> = create();
    let head = weight(&target, "head");
    target
        .take_from(&source.snapshot().unwrap(), &["encoder"])
        .unwrap();
    assert_eq!(weight(&target, "encoder"), weight(&source, "encoder"));
    assert_eq!(weight(&target, "head"), head);
    // Copies: training one moves nothing of the other.
    let zeros = Tensor::zeros((4, 3), DType::F32, &Device::Cpu).unwrap();
    target.vars()[1].1.set(&zeros).unwrap();
    assert_ne!(weight(&target, "encoder"), weight(&source, "encoder"));
    target.save(&path).unwrap();
    let note = Bundle::open(&path).unwrap().provenance().notes()["started_from"].clone();
    assert_eq!(note["model"], "source");
    assert_eq!(note["digest"], source.digest().unwrap());
    assert_eq!(note["taken"], serde_json::json!(["encoder"]));
    assert_eq!(note["fresh"], serde_json::json!(["head"]));
}

#[test]
fn a_model_that_starts_from_all_of_another_is_that_one() {
    let options = CreateOptions::new().seed(8);
    let source = Source::create_with(SourceParams::default(), options).unwrap();
    let mut copy: Model<Source> = create();
    assert_ne!(copy.digest().unwrap(), source.digest().unwrap());
    copy.take_from(&source.snapshot().unwrap(), &[]).unwrap();
    assert_eq!(copy.digest().unwrap(), source.digest().unwrap());
}

#[test]
fn what_cannot_be_taken_is_listed_and_nothing_is_changed() {
    let source: Model<Source> = create();
    let mut target: Model<Target> = create();
    let digest = target.digest().unwrap();
    let snapshot = source.snapshot().unwrap();
    let error = target.take_from(&snapshot, &[]).unwrap_err().to_string();
    for line in [
        "`head/bias`: the model has F32 [5]; F32 [2] there",
        "`head/weight`: the model has F32 [5, 4]; F32 [2, 4] there",
    ] {
        assert!(error.contains(line), "{error}");
    }
    let error = target
        .take_from(&snapshot, &["haed"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`haed`: the model has no such network; it has encoder, head"),
        "{error}"
    );
    let mut other = snapshot.clone();
    other.rename_network("encoder", "reader").unwrap();
    other.rename_tensor("head", "bias", "b").unwrap();
    let error = target.take_from(&other, &[]).unwrap_err().to_string();
    for line in [
        "`encoder`: there is no such network to take from",
        "`head/bias`: the model has F32 [5]; missing",
        "`head/b`: the model has no such tensor",
    ] {
        assert!(error.contains(line), "{error}");
    }
    assert_eq!(target.digest().unwrap(), digest);
    assert!(!target.provenance().notes().contains_key("started_from"));
    let folder = TempDir::new().unwrap();
    target.save(folder.path().join("t")).unwrap();
    let mut loaded = Target::load(folder.path().join("t")).unwrap();
    let error = loaded
        .take_from(&snapshot, &["encoder"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("loaded for inference"), "{error}");
}

#[test]
fn a_model_that_has_grown_begins_with_what_the_other_knew() {
    let source: Model<Source> = create();
    let mut target: Model<Target> = create();
    let fresh = weight(&target, "head");
    let growth = Growth { from: 2, to: 5 };
    target
        .grow_from(&source.snapshot().unwrap(), &[], growth)
        .unwrap();
    let (known, head) = (weight(&source, "head"), weight(&target, "head"));
    assert_eq!(head[..known.len()], known);
    assert_eq!(head[known.len()..], fresh[known.len()..]);
    assert_eq!(weight(&target, "encoder"), weight(&source, "encoder"));
    assert_eq!(
        target.provenance().notes()["started_from"]["grown"],
        serde_json::json!(["head/bias", "head/weight"])
    );
}

#[test]
fn what_differs_by_more_than_the_growth_is_refused() {
    let source: Model<Source> = create();
    let mut target: Model<Target> = create();
    let digest = target.digest().unwrap();
    let snapshot = source.snapshot().unwrap();
    for (from, to) in [(2, 4), (3, 5), (5, 2)] {
        let error = target.grow_from(&snapshot, &[], Growth { from, to });
        let error = error.unwrap_err().to_string();
        let line = "`head/bias`: the model has F32 [5]; F32 [2] there";
        assert!(error.contains(line), "{error}");
    }
    // A model does not lose what the other knew.
    let mut smaller: Model<Source> = create();
    let growth = Growth { from: 5, to: 2 };
    let larger = target.snapshot().unwrap();
    smaller.grow_from(&larger, &[], growth).unwrap_err();
    assert_eq!(target.digest().unwrap(), digest);
}
