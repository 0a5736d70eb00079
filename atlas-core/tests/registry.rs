//! A registry gives whatever model a bundle holds, behind one interface.

use atlas_core::Registry;
use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use serde_json::json;
use tempfile::TempDir;

/// Doubles nothing.
#[derive(AtlasModel)]
#[atlas(unchecked, version = 3, migrate(1 => nothing, 2 => nothing))]
struct Narrow {
    #[param(default = 2, min = 1)]
    width: usize,
    #[network(with = narrow)]
    net: Linear,
}

fn nothing(_: &mut atlas_core::Snapshot) -> Result<()> {
    Ok(())
}

fn narrow(params: &NarrowParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.width, 1, vb)
}

#[derive(AtlasModel)]
#[atlas(unchecked)]
struct Wide {
    #[param(min = 1)]
    size: usize,
    #[network(with = wide)]
    net: Linear,
}

fn wide(params: &WideParams, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(params.size, 7, vb)
}

/// An interface of the program's own.
trait Forward: AnyModel {
    fn run(&self, inputs: &Tensor) -> candle_core::Result<Tensor>;
}

impl Forward for Model<Narrow> {
    fn run(&self, inputs: &Tensor) -> candle_core::Result<Tensor> {
        self.net.forward(inputs)
    }
}

impl Forward for Model<Wide> {
    fn run(&self, inputs: &Tensor) -> candle_core::Result<Tensor> {
        self.net.forward(inputs)
    }
}

fn registry() -> Registry<dyn Forward> {
    let mut registry = Registry::<dyn Forward>::new();
    registry.register::<Wide>(|model| Box::new(model));
    registry.register::<Narrow>(|model| Box::new(model));
    registry
}

fn outputs(model: &dyn Forward, width: usize) -> Vec<f32> {
    let inputs = Tensor::ones((1, width), DType::F32, &Device::Cpu).unwrap();
    model
        .run(&inputs)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

#[test]
fn a_bundle_loads_as_whatever_it_holds() {
    let registry = registry();
    let folder = TempDir::new().unwrap();
    for (name, overrides, width) in [("wide", json!({ "size": 4 }), 4), ("narrow", json!({}), 2)] {
        let path = folder.path().join(name);
        let created = registry
            .create(name, &overrides, CreateOptions::new().seed(7))
            .unwrap();
        created.snapshot().unwrap().save(&path).unwrap();
        let loaded = registry.load(&path).unwrap();
        assert_eq!(loaded.name(), name);
        assert_eq!(outputs(&*loaded, width), outputs(&*created, width));
        let trainable = registry
            .load_with(&path, &LoadOptions::new().trainable(true))
            .unwrap();
        assert_eq!(trainable.vars().len(), 2);
    }
}

#[test]
fn entries_are_by_name_and_describe_their_models() {
    let registry = registry();
    let names: Vec<&str> = registry.models().map(|model| model.name()).collect();
    assert_eq!(names, ["narrow", "wide"]);
    let narrow = registry.model("narrow").unwrap();
    assert_eq!(
        (narrow.version(), narrow.doc().trim()),
        (3, "Doubles nothing.")
    );
    assert_eq!(narrow.schema().fields()[0].name(), "width");
}

#[test]
fn a_model_has_the_sizes_that_it_is_registered_with() {
    let mut registry = registry();
    assert!(registry.model("wide").unwrap().sizes().is_empty());
    let sizes = vec![json!({ "size": 3 }), json!({ "size": 5 })];
    registry.register_with_sizes::<Wide>(|model| Box::new(model), sizes.clone());
    assert_eq!(registry.model("wide").unwrap().sizes(), sizes);
}

#[test]
fn a_name_that_is_not_registered_is_refused_with_the_nearest() {
    let registry = registry();
    let error = registry
        .create("wied", &json!({}), CreateOptions::new())
        .err()
        .unwrap();
    assert!(error.is_unknown_model());
    assert_eq!(
        error.to_string(),
        "there is no model `wied`; did you mean `wide`?"
    );
    let error = registry.model("transformer").err().unwrap();
    assert_eq!(
        error.to_string(),
        "there is no model `transformer`; there is narrow, wide"
    );
}

#[test]
fn a_bundle_of_a_model_that_is_not_registered_is_refused_with_its_path() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("wide");
    Wide::create(WideParams { size: 1 })
        .unwrap()
        .save(&path)
        .unwrap();
    let mut narrow = Registry::<dyn Forward>::new();
    narrow.register::<Narrow>(|model| Box::new(model));
    let error = narrow.load(&path).err().unwrap();
    assert!(error.is_unknown_model());
    assert_eq!(
        error.to_string(),
        format!(
            "{}: there is no model `wide`; there is narrow",
            path.display()
        )
    );
}

#[test]
fn overrides_are_checked_and_the_model_is_named() {
    let error = registry()
        .create("wide", &json!({}), CreateOptions::new())
        .err()
        .unwrap();
    assert!(error.is_params());
    assert_eq!(
        error.to_string(),
        "`wide`: parameters: `size`: required, and has no default; expected an integer (usize)"
    );
}

/// Saves of one model and another to one place: a load gives one of the two.
#[test]
fn a_bundle_that_becomes_another_model_meanwhile_loads_as_one_of_the_two() {
    let registry = registry();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let wide = Wide::create(WideParams { size: 1 }).unwrap();
    let narrow = Narrow::create(NarrowParams::default()).unwrap();
    wide.save(&path).unwrap();
    std::thread::scope(|scope| {
        let saving = scope.spawn(|| {
            for _ in 0..100 {
                narrow.save(&path).unwrap();
                wide.save(&path).unwrap();
            }
        });
        while !saving.is_finished() {
            let loaded = registry
                .load(&path)
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(matches!(loaded.name(), "narrow" | "wide"));
        }
    });
}
