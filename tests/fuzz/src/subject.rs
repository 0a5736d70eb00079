//! The model whose bundles are damaged.

use atlas_core::prelude::*;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, Linear, Module, VarBuilder, linear};

/// A small model with parameters that its tensors follow from, and some that nothing does.
#[derive(AtlasModel)]
#[atlas(name = "subject", golden)]
pub struct Subject {
    #[param(default = 2, min = 1)]
    pub width: usize,
    #[param(default = 1)]
    pub layers: usize,
    #[param(default = 0.5)]
    pub scale: f64,
    #[param(default = "é", len = ..=1000)]
    pub remark: String,
    #[param(default = vec![0.1, 1e-7])]
    pub rates: Vec<f32>,
    #[param(default = None)]
    pub wide: Option<i64>,
    #[network]
    pub net: Net,
}

/// Layers, and a table that no output depends on.
pub struct Net {
    layers: Vec<Linear>,
    _table: Tensor,
}

impl Net {
    fn new(params: &SubjectParams, vb: VarBuilder) -> candle_core::Result<Self> {
        let layer = |index| linear(params.width, params.width, vb.pp(index));
        let table = vb.get_with_hints_dtype(3, "table", Init::Const(7.0), DType::I64)?;
        Ok(Self {
            layers: (0..params.layers)
                .map(layer)
                .collect::<candle_core::Result<_>>()?,
            _table: table,
        })
    }
}

impl Golden for Subject {
    fn golden_inputs(&self) -> Result<GoldenInputs> {
        let ones = Tensor::ones((1, self.width), DType::F32, &Device::Cpu)?;
        Ok(GoldenInputs::texts(["C"]).with_tensor("ones", ones))
    }

    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>> {
        let ones = inputs.tensor("ones").ok_or_else(|| Error::new("no ones"))?;
        let output = self
            .net
            .layers
            .iter()
            .try_fold(ones.clone(), |hidden, layer| layer.forward(&hidden))?;
        Ok(vec![("output".to_owned(), (output * self.scale)?)])
    }
}

/// The model before anything is damaged.
pub fn model() -> Model<Subject> {
    Subject::create_with(SubjectParams::default(), CreateOptions::new().seed(7)).expect("a model")
}
