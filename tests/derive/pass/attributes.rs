//! The keys of `#[atlas(…)]`.

use atlas_core::Snapshot;
use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};

/// Every key but `build` and `crate`.
#[derive(AtlasModel)]
#[atlas(name = "fully-said_2", version = 3, params = Sizes, golden)]
#[atlas(params_derive(Eq, std::hash::Hash))]
#[atlas(migrate(2 => second, 1 => first), validate = is_wide_enough)]
struct Said {
    #[param(default = 4)]
    width: usize,
    #[param(default = 2)]
    heads: usize,
    #[network(with = net)]
    net: Linear,
}

fn net(sizes: &Sizes, vb: VarBuilder) -> candle_core::Result<Linear> {
    linear(sizes.width, sizes.heads, vb)
}

fn is_wide_enough(sizes: &Sizes) -> Result<(), &'static str> {
    if sizes.width.is_multiple_of(sizes.heads) {
        Ok(())
    } else {
        Err("width must be a multiple of heads")
    }
}

fn first(snapshot: &mut Snapshot) -> Result<()> {
    snapshot.add_param("heads", 1)
}

fn second(snapshot: &mut Snapshot) -> Result<()> {
    snapshot.rename_param("size", "width")
}

impl Golden for Said {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        Ok(GoldenInputs::default().with_tensor(
            "rows",
            Tensor::ones((1, self.width), DType::F32, &Device::Cpu)?,
        ))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let rows = inputs.tensor("rows").expect("stored by golden_inputs");
        Ok(vec![("rows".to_owned(), self.net.forward(rows)?)])
    }
}

#[test]
fn every_key_of_the_struct_is_honoured() {
    assert_eq!(Said::NAME, "fully-said_2");
    assert_eq!(Said::VERSION, 3);
    assert_eq!(
        format!("{:?}", Said::migrations()),
        "[Migration(1 => 2), Migration(2 => 3)]"
    );
    assert!(Said::golden().is_some());
    assert!(Said::create(Sizes::default()).is_ok());
}

#[test]
fn validation_across_fields_runs_on_create() {
    let error = Said::create(Sizes {
        width: 5,
        ..Default::default()
    })
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("width must be a multiple of heads"),
        "{error}"
    );
}

#[test]
fn the_parameters_struct_derives_what_it_is_told() {
    let sizes = std::collections::HashSet::from([Sizes::default(), Sizes::default()]);
    assert_eq!(sizes.len(), 1);
}

/**
 * Said in a block.
 *
 *   - With a list.
 */
#[derive(Params, Clone, Debug, PartialEq)]
struct Documented {
    /** A size. */
    #[param(default = 1)]
    block: usize,
    #[doc = include_str!("attributes.md")]
    #[param(default = 1)]
    file: usize,
    /// Before the file.
    ///
    #[doc = include_str!("attributes.md")]
    #[param(default = 1)]
    both: usize,
    ///     Indented.
    ///       Deeper.
    #[param(default = 1)]
    indented: usize,
    #[doc = "A list:\n* of attributes"]
    #[param(default = 1)]
    list: usize,
    /// A comment.
    #[doc = "An attribute."]
    #[param(default = 1)]
    mixed: usize,
}

#[test]
fn documentation_is_read_as_rustdoc_reads_it() {
    let schema = Documented::schema();
    assert_eq!(schema.doc(), "Said in a block.\n\n  - With a list.");
    let docs: Vec<_> = schema.fields().iter().map(|field| field.doc()).collect();
    assert_eq!(
        docs,
        [
            "A size.",
            "From a file.",
            "Before the file.\n\nFrom a file.",
            "Indented.\n  Deeper.",
            "A list:\n* of attributes",
            "A comment.\nAn attribute.",
        ]
    );
}
