//! Bundles of older versions become the model of today, exactly; those of newer versions do not.

use std::path::{Path, PathBuf};

use atlas_core::prelude::*;
use atlas_core::{Bundle, Snapshot};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Version 1: one matrix `w`, a parameter `hidden`.
mod first {
    use super::*;

    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "gru-vae")]
    pub struct GruVae {
        #[param(default = 4)]
        pub hidden: usize,
        #[network(with = build)]
        pub net: Vec<Tensor>,
    }

    fn build(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
        Ok(vec![
            vb.get((params.hidden, 6), "w")?,
            vb.get((1, params.hidden), "row")?,
        ])
    }
}

/// Version 2: `hidden` is `hidden_size`, there is a `dropout`, which was 0.1 all along.
mod second {
    use super::*;

    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "gru-vae", version = 2, migrate(1 => from_first))]
    pub struct GruVae {
        #[param(default = 4)]
        pub hidden_size: usize,
        #[param(default = 0.5)]
        pub dropout: f64,
        #[network(with = build)]
        pub net: Vec<Tensor>,
    }

    pub fn from_first(model: &mut Snapshot) -> Result<()> {
        model.rename_param("hidden", "hidden_size")?;
        model.add_param("dropout", 0.1)
    }

    fn build(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
        Ok(vec![
            vb.get((params.hidden_size, 6), "w")?,
            vb.get((1, params.hidden_size), "row")?,
        ])
    }
}

/// Version 3: the matrix is two, in another network; the row is a vector.
mod third {
    use super::*;

    #[derive(AtlasModel)]
    #[atlas(unchecked, name = "gru-vae", version = 3, migrate(1 => second::from_first, 2 => from_second))]
    pub struct GruVae {
        #[param(default = 4)]
        pub hidden_size: usize,
        #[param(default = 0.9)]
        pub dropout: f64,
        #[network(with = build)]
        pub encoder: Vec<Tensor>,
    }

    fn from_second(model: &mut Snapshot) -> Result<()> {
        model.rename_network("net", "encoder")?;
        let w = model.remove_tensor("encoder", "w")?;
        model.set_tensor("encoder", "up.weight", w.narrow(1, 0, 3)?);
        model.set_tensor("encoder", "down.weight", w.narrow(1, 3, 3)?.t()?);
        let row = model.remove_tensor("encoder", "row")?;
        model.set_tensor("encoder", "row", row.squeeze(0)?);
        model.rename_tensor("encoder", "row", "bias")
    }

    fn build(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
        let size = params.hidden_size;
        Ok(vec![
            vb.get((size, 3), "up.weight")?,
            vb.get((3, size), "down.weight")?,
            vb.get(size, "bias")?,
        ])
    }
}

fn saved(save: impl FnOnce(&PathBuf)) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    save(&path);
    (folder, path)
}

fn first() -> Model<first::GruVae> {
    first::GruVae::create_with(
        first::GruVaeParams { hidden: 2 },
        CreateOptions::new().seed(7),
    )
    .unwrap()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

#[test]
fn a_renamed_parameter_and_an_old_default_come_over() {
    let (_folder, path) = saved(|path| first().save(path).unwrap());
    let model = second::GruVae::load(&path).unwrap();
    assert_eq!(
        model.params(),
        &second::GruVaeParams {
            hidden_size: 2,
            dropout: 0.1
        }
    );
    assert_eq!(rows(&model.net[0]), rows(&first().net[0]));
}

#[test]
fn a_chain_of_steps_renames_splits_and_reshapes_tensors() {
    let (_folder, path) = saved(|path| first().save(path).unwrap());
    let model = third::GruVae::load(&path).unwrap();
    assert_eq!(
        model.params(),
        &third::GruVaeParams {
            hidden_size: 2,
            dropout: 0.1
        }
    );
    let w = rows(&first().net[0]);
    assert_eq!(
        rows(&model.encoder[0]),
        w.iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>()
    );
    for (column, row) in rows(&model.encoder[1]).into_iter().enumerate() {
        assert_eq!(row, [w[0][3 + column], w[1][3 + column]]);
    }
    assert_eq!(
        model.encoder[2].to_vec1::<f32>().unwrap(),
        rows(&first().net[1])[0]
    );
}

#[test]
fn a_migrated_model_is_saved_as_the_version_it_is() {
    let (folder, path) = saved(|path| first().save(path).unwrap());
    let again = folder.path().join("again");
    let migrated = third::GruVae::load(&path).unwrap();
    migrated.save(&again).unwrap();
    let bundle = Bundle::open(&again).unwrap();
    assert_eq!(
        (bundle.version(), bundle.params()),
        (3, json!({ "dropout": 0.1, "hidden_size": 2 }))
    );
    assert_eq!(
        third::GruVae::load(&again).unwrap().digest().unwrap(),
        migrated.digest().unwrap()
    );
}

#[test]
fn migrated_tensors_are_for_inference_and_lie_together() {
    let (_folder, path) = saved(|path| first().save(path).unwrap());
    let model = third::GruVae::load(&path).unwrap();
    assert_eq!(model.vars().len(), 0);
    for tensor in &model.encoder {
        assert!(tensor.is_contiguous() && !tensor.track_op());
    }
    let trainable = third::GruVae::load_with(&path, LoadOptions::new().trainable(true)).unwrap();
    assert_eq!(trainable.vars().len(), 3);
}

#[test]
fn a_newer_version_is_refused() {
    let third = third::GruVae::create(third::GruVaeParams {
        hidden_size: 2,
        dropout: 0.0,
    })
    .unwrap();
    let (_folder, path) = saved(|path| third.save(path).unwrap());
    let error = second::GruVae::load(&path).unwrap_err();
    assert!(error.is_version());
    assert_eq!(
        error.to_string(),
        format!(
            "{}: it was saved by version 3 of `gru-vae`; this program knows up to 2",
            path.display()
        )
    );
}

/// A version 2 with the step that the test gives.
macro_rules! migrated_by {
    ($step:expr) => {{
        #[derive(AtlasModel)]
        #[atlas(unchecked, name = "gru-vae", version = 2, migrate(1 => step))]
        struct GruVae {
            #[param(default = 4)]
            hidden: usize,
            #[network(with = build)]
            net: Vec<Tensor>,
        }

        fn step(model: &mut Snapshot) -> Result<()> {
            let step: fn(&mut Snapshot) -> Result<()> = $step;
            step(model)
        }

        fn build(params: &GruVaeParams, vb: VarBuilder) -> candle_core::Result<Vec<Tensor>> {
            Ok(vec![
                vb.get((params.hidden, 6), "w")?,
                vb.get((1, params.hidden), "row")?,
            ])
        }

        let (_folder, path) = saved(|path| first().save(path).unwrap());
        let result = GruVae::load(&path).map(|model| (model.hidden, model.net.len()));
        result.map_err(|error: Error| {
            error
                .to_string()
                .replace(&path.display().to_string(), "BUNDLE")
        })
    }};
}

#[test]
fn a_step_that_changes_nothing_loads() {
    assert_eq!(migrated_by!(|_| Ok(())), Ok((2, 2)));
}

#[test]
fn what_a_step_forgets_is_noticed() {
    let message = migrated_by!(|model| {
        model.remove_tensor("net", "row")?;
        Ok(())
    });
    assert_eq!(
        message.unwrap_err(),
        "BUNDLE: it does not hold the tensors that the model asks for: `net/row`: missing; the model asks for F32 [1, 2]"
    );
    let message = migrated_by!(|model| model.add_param("extra", Value::Null));
    assert_eq!(
        message.unwrap_err(),
        "BUNDLE/atlas.json: parameters: `extra`: unknown parameter; `GruVaeParams` has `hidden`"
    );
    let message = migrated_by!(|model| model.rename_network("net", "encoder"));
    assert_eq!(
        message.unwrap_err(),
        "BUNDLE: it does not hold the tensors that the model asks for: it holds a network `encoder`; `gru-vae` has net"
    );
}

#[test]
fn a_step_that_goes_wrong_is_named() {
    for (message, why) in [
        (
            migrated_by!(|model| model.rename_param("hiden", "hidden_size")),
            "there is no parameter `hiden`",
        ),
        (
            migrated_by!(|model| model.add_param("hidden", 3)),
            "there already is a parameter `hidden`",
        ),
        (
            migrated_by!(|model| model.set_param("size", 3)),
            "there is no parameter `size`",
        ),
        (
            migrated_by!(|model| model.rename_tensor("net", "x", "y")),
            "there is no tensor `net/x`",
        ),
        (
            migrated_by!(|model| model.rename_tensor("net", "w", "row")),
            "there already is a tensor `net/row`",
        ),
        (
            migrated_by!(|model| model.rename_network("nett", "x")),
            "there is no network `nett`",
        ),
        (migrated_by!(|_| Err(Error::new("not today"))), "not today"),
    ] {
        assert_eq!(
            message.unwrap_err(),
            format!("BUNDLE: migration from version 1 to 2: {why}")
        );
    }
}

#[test]
fn a_step_sees_parameters_and_tensors() {
    let result = migrated_by!(|model| {
        assert_eq!(model.param("hidden"), Some(&json!(2)));
        assert!(model.networks["net"].keys().eq(["row", "w"]));
        assert_eq!(
            model.tensor("net", "w").map(|w| w.dims().to_vec()),
            Some(vec![2, 6])
        );
        model.set_param("hidden", 2)
    });
    assert_eq!(result, Ok((2, 2)));
}

fn fixture(version: u32) -> PathBuf {
    let name = format!("tests/fixtures/gru-vae-of-version-{version}");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn second() -> Model<second::GruVae> {
    let params = second::GruVaeParams {
        hidden_size: 2,
        dropout: 0.25,
    };
    second::GruVae::create_with(params, CreateOptions::new().seed(8)).unwrap()
}

/// Not a test: it wrote what the next one reads.
#[test]
#[ignore = "writes the fixtures of two versions, which never change"]
fn write_the_fixtures_of_older_versions() {
    first().save(fixture(1)).unwrap();
    second().save(fixture(2)).unwrap();
}

#[test]
fn bundles_of_every_older_version_load_for_ever() {
    let weights = [first().net.clone(), second().net.clone()];
    for ((version, dropout), net) in [(1, 0.1), (2, 0.25)].into_iter().zip(weights) {
        let path = fixture(version);
        assert_eq!(Bundle::open(&path).unwrap().version(), version);
        let model = third::GruVae::load(&path).unwrap();
        assert_eq!(
            model.params(),
            &third::GruVaeParams {
                hidden_size: 2,
                dropout
            }
        );
        let up = net[0].narrow(1, 0, 3).unwrap();
        assert_eq!(rows(&model.encoder[0]), rows(&up));
        let down = net[0].narrow(1, 3, 3).unwrap().t().unwrap();
        assert_eq!(rows(&model.encoder[1]), rows(&down));
        assert_eq!(model.encoder[2].to_vec1::<f32>().unwrap(), rows(&net[1])[0]);
    }
}
