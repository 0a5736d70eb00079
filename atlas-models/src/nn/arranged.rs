//! Weights arranged once for many products on the calling thread, in `f32`.

use super::custom_op::read;
use super::linear::Linear;
use super::matrix::Matrix;
use super::panels::{Columns, Panels};
use super::product::{Destination, Product};
use super::simd::InstructionSet;
use candle_core::{DType, Device, Result, Tensor};

/// On the CPU, in `f32`, apart from any graph.
pub(super) fn local(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.detach().to_device(&Device::Cpu)?;
    tensor.to_dtype(DType::F32)?.contiguous()
}

/// Arranges the transpose of a local weight.
pub(super) fn arrange(
    set: InstructionSet,
    weight: &Tensor,
    columns: Columns,
) -> Result<Panels<f32>> {
    let (rows, width) = weight.dims2()?;
    read([weight], |[weight]| {
        Panels::transposed(set, Matrix::new(weight, rows, width), columns)
    })
}

/// The elements of a local tensor.
pub(super) fn elements(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// A [`Linear`] whose weights are arranged. Its results have the bits of that in `f32`.
#[derive(Debug)]
pub(super) struct ArrangedLinear {
    weight: Panels<f32>,
    bias: Vec<f32>,
}

impl ArrangedLinear {
    pub(super) fn new(set: InstructionSet, linear: &Linear) -> Result<Self> {
        Ok(Self {
            weight: arrange(set, &local(linear.weight())?, Columns::Plain)?,
            bias: elements(&local(linear.bias())?)?,
        })
    }

    /// The number of features that come out.
    pub(super) fn output(&self) -> usize {
        self.bias.len()
    }

    /// `[rows, input]` to `[rows, output]`, row by row.
    pub(super) fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.weight.depth();
        let mut output = self.bias.repeat(count);
        self.weight.set().run(Product {
            left: Matrix::new(rows, count, self.weight.depth()),
            right: &self.weight,
            destination: &mut output,
            stride: self.bias.len(),
            mode: Destination::Add,
        });
        output
    }
}
