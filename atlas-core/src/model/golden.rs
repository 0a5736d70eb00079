//! The behaviour check of a model (its golden test): runs the model on fixed inputs when it is
//! saved, and compares the outputs when it is loaded.

use candle_core::{DType, Device, Tensor};

use super::{AnyModel, AtlasModel, LoadOptions, Model};
use crate::error::{Error, Problem, Report, Result};
use crate::snapshot::{GoldenInputs, GoldenRecord, Snapshot, named_outputs, values};
use crate::tensors::Tensors;

/// A model whose behaviour is stored with it.
///
/// Shapes cannot tell that an activation, an epsilon, a padding rule or a tokenizer has changed
/// since a bundle was written; outputs can. With `#[atlas(golden)]` a save stores the model's
/// inputs and outputs, and a load recomputes the outputs from the stored inputs and refuses the
/// bundle if they differ by more than the tolerance of its dtype.
///
/// Two shorter forms need no impl: `#[network(golden = [4, input_size])]` for a network that is a
/// candle `Module`, and `#[atlas(golden = path)]` for a function of the model. A model that is not
/// checked says `#[atlas(unchecked)]`.
///
/// The inputs should be raw, such as SMILES rather than token ids, so that everything between
/// them and the outputs is covered. They are few and small: the number of texts times the bytes of
/// the longest is at most 65,536, and all inputs take at most 16 MiB, so that a bundle from anybody
/// cannot have a load run a batch that no memory holds. No two inputs or outputs have one name.
///
/// # Tolerance
///
/// On one machine outputs are equal to the bit. Another processor, or another number of threads,
/// sums in another order, and each sum is rounded. An element may be off by this share of the
/// largest stored magnitude of its output:
///
/// | dtype of the model | device | share | why |
/// |---|---|---|---|
/// | `F64` | any | 10⁻¹² | thousands of roundings of 2⁻⁵³ |
/// | `F32` | CPU | 10⁻⁵ | some 170 roundings of 2⁻²⁴ |
/// | `F32` | another | 4·10⁻³ | about 2⁻⁸: accelerators may multiply with 10 bits of mantissa |
/// | `F16` | any | 2·10⁻² | some 40 roundings of 2⁻¹¹ |
/// | `BF16` | any | 10⁻¹ | some 25 roundings of 2⁻⁸ |
///
/// A changed activation or tokenizer moves outputs by far more, most changes of an epsilon too; what
/// is moved by less is not told from another processor. Outputs are finite: a model whose are not is not saved.
///
/// A [cast](crate::LoadOptions::cast) is checked, too: the model as it was saved, where its
/// operations run in that dtype, and then the cast one, with the share of the coarser of the two
/// dtypes. Inputs of the dtype that the model was saved in are cast with it. A model of which an
/// operation does not run in the new dtype is refused.
///
/// # Other versions
///
/// A bundle of this version of the model has the outputs of the model, and no others. A newer
/// version may have added outputs or taken some away: of an older bundle those are compared that
/// both have, of which there must be one.
#[diagnostic::on_unimplemented(
    message = "`#[atlas(golden)]` says that `{Self}` implements `Golden`",
    label = "implements no `Golden`",
    note = "or check a function of it, `#[atlas(golden = path)]`, or its one network, `#[network(golden = [4, input_size])]`"
)]
pub trait Golden: AtlasModel {
    /// The inputs that are stored with the model. They may depend on the parameters.
    ///
    /// # Errors
    /// What making them returns.
    fn golden_inputs(&self) -> Result<GoldenInputs>;

    /// The outputs on stored inputs, each with a name of its own. Deterministic.
    ///
    /// # Errors
    /// What computing them returns.
    fn golden_outputs(&self, inputs: &GoldenInputs) -> Result<Vec<(String, Tensor)>>;
}

/// How a model's golden inputs and outputs are computed.
#[doc(hidden)]
pub struct GoldenFns<T: AtlasModel> {
    inputs: fn(&Model<T>) -> Result<GoldenInputs>,
    outputs: OutputsFn<T>,
}

type OutputsFn<T> = fn(&Model<T>, &GoldenInputs) -> Result<Vec<(String, Tensor)>>;

impl<T: AtlasModel> GoldenFns<T> {
    /// These functions.
    pub fn new(inputs: fn(&Model<T>) -> Result<GoldenInputs>, outputs: OutputsFn<T>) -> Self {
        Self { inputs, outputs }
    }
}

/// What messages call the check.
const CHECK: &str = "the behaviour check";

/// Fails unless the snapshot, which is of this model, gives a model that behaves as this one does.
/// What a model keeps outside of its tensors is found here, and not by a load.
pub(super) fn prove<T: AtlasModel>(model: &Model<T>, snapshot: &Snapshot) -> Result<()> {
    let options = LoadOptions::new()
        .device(model.device().clone())
        .golden(false);
    let rebuilt = Model::<T>::from_snapshot(snapshot.clone(), &options)
        .map_err(|error| error.within("from what is saved, the model cannot be rebuilt"))?;
    let Some((functions, record)) = T::golden().zip(snapshot.golden.as_ref()) else {
        return Ok(());
    };
    let inputs = record.inputs.on(model.device())?;
    let found = outputs(&rebuilt, &functions, &inputs)?;
    // On one machine outputs are equal, but for kernels that train and kernels that do not.
    let tolerance = tolerance(model.dtype(), model.device()) / 10.0;
    let report = compare(&record.outputs, &found, tolerance)?;
    report.into_result(Error::behaviour).map_err(|error| {
        error.within(
            "rebuilt from the tensors that are saved, the model behaves otherwise: it keeps something \
             that it has not got from its `VarBuilder` or from a parameter, or draws at random, as \
             dropout does (a tensor that the loss changes is declared by `#[network(buffers = …)]`)",
        )
    })
}

/// The model's inputs and outputs; `None` for a model without a behaviour check.
pub(super) fn record<T: AtlasModel>(model: &Model<T>) -> Result<Option<GoldenRecord>> {
    let Some(functions) = T::golden() else {
        return Ok(None);
    };
    let compute = || {
        let inputs = (functions.inputs)(model)?;
        if let Some(defect) = inputs.defect() {
            return Err(Error::new(defect));
        }
        let record = GoldenRecord {
            outputs: outputs(model, &functions, &inputs)?,
            inputs: inputs.on(&Device::Cpu)?,
        };
        match record.defect()? {
            None => Ok(record),
            Some(defect) => Err(Error::new(defect)),
        }
    };
    compute().map(Some).map_err(|error| error.within(CHECK))
}

/// The outputs, computed without moving anything: a check that changes the model would have it saved
/// and loaded as another.
fn outputs<T: AtlasModel>(
    model: &Model<T>,
    functions: &GoldenFns<T>,
    inputs: &GoldenInputs,
) -> Result<Tensors> {
    let buffers = model.buffers();
    let copies = buffers
        .iter()
        .map(|(_, var)| var.as_detached_tensor().copy());
    let copies = copies.collect::<candle_core::Result<Vec<_>>>()?;
    let outputs = (functions.outputs)(model, inputs);
    let mut moved = Vec::new();
    for ((name, var), copy) in buffers.iter().zip(&copies) {
        if !is_equal(var, copy)? {
            var.set(copy)?;
            moved.push(format!("`{name}`"));
        }
    }
    if !moved.is_empty() {
        return Err(Error::new(format_args!(
            "computing the outputs moves {}: a batch norm is run with `train` false there",
            moved.join(", ")
        )));
    }
    named_outputs(outputs?)
}

/// Whether all elements are equal, or both not a number.
fn is_equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    // Some devices have no f64.
    let [a, b] = [a, b].map(|tensor| values(&tensor.to_device(&Device::Cpu)?));
    let (a, b) = (a?, b?);
    let mut pairs = a.iter().zip(&b);
    Ok(pairs.all(|(a, b)| a == b || a.is_nan() && b.is_nan()))
}

/// Computes the stored outputs again; an error names each that differs by more than the tolerance.
///
/// A version of the model between a migrated snapshot and this one may have added outputs and
/// taken others away: of it those are compared that both have, at least one.
///
/// `dtype` is the dtype of the model that gave them. In another one the inputs are cast as the
/// model is, and the tolerance is that of the coarser.
pub(super) fn check<T: AtlasModel>(
    model: &Model<T>,
    record: Option<&GoldenRecord>,
    dtype: DType,
    is_migrated: bool,
) -> Result<()> {
    let (functions, record) = match (T::golden(), record) {
        (Some(functions), Some(record)) => (functions, record),
        // A newer version of the model may have none.
        (None, Some(_)) if !is_migrated => {
            return Err(Error::behaviour(
                "the bundle holds a behaviour check, and the model has none",
            ));
        }
        // An older version of the model may have had none.
        (Some(_), None) if !is_migrated => {
            return Err(Error::behaviour(
                "it holds no behaviour check, and the model has one",
            ));
        }
        (_, None) | (None, _) => return Ok(()),
    };
    let inputs = record
        .inputs
        .on(model.device())?
        .cast(dtype, model.dtype())?;
    let mut found = outputs(model, &functions, &inputs).map_err(|error| error.within(CHECK))?;
    let mut expected = record.outputs.clone();
    if is_migrated {
        found.retain(|name, _| expected.contains_key(name));
        expected.retain(|name, _| found.contains_key(name));
        if found.is_empty() {
            return Err(Error::behaviour(
                "the older bundle and the model have no output of one name",
            ));
        }
    }
    let tolerances = [dtype, model.dtype()].map(|dtype| tolerance(dtype, model.device()));
    let tolerance = tolerances[0].max(tolerances[1]);
    compare(&expected, &found, tolerance)?.into_result(Error::behaviour)
}

/// How far outputs may be from the stored ones, as a share of the largest stored magnitude; why
/// so far, [`Golden`] says.
fn tolerance(dtype: DType, device: &Device) -> f64 {
    match (dtype, device) {
        (DType::F64, _) => 1e-12,
        (DType::F32, Device::Cpu) => 1e-5,
        (DType::F32, _) => 4e-3,
        (DType::F16, _) => 2e-2,
        _ => 1e-1,
    }
}

fn compare(expected: &Tensors, found: &Tensors, tolerance: f64) -> Result<Report> {
    let mut report = Report::default();
    for name in found.keys().filter(|name| !expected.contains_key(*name)) {
        report.push(Problem::new(name, "the bundle has no such output"));
    }
    for (name, expected) in expected {
        match found.get(name) {
            None => report.push(Problem::new(name, "the model gives no such output")),
            Some(found) if found.dims() != expected.dims() => {
                let shape = format!("{:?}", found.dims());
                report.push(
                    Problem::new(name, format!("expected shape {:?}", expected.dims()))
                        .with_found(shape),
                );
            }
            Some(found) => {
                if let Some(problem) = difference(name, expected, found, tolerance)? {
                    report.push(problem);
                }
            }
        }
    }
    Ok(report)
}

/// A problem if the values differ by more than the tolerance.
fn difference(
    name: &str,
    expected: &Tensor,
    found: &Tensor,
    tolerance: f64,
) -> Result<Option<Problem>> {
    let shape = expected.dims();
    let (expected, found) = (values(expected)?, values(found)?);
    let scale = expected
        .iter()
        .fold(0.0, |scale: f64, value| scale.max(value.abs()));
    let distance = |(expected, found): (&f64, &f64)| {
        let distance = (expected - found).abs();
        if distance.is_nan() {
            f64::INFINITY
        } else {
            distance
        }
    };
    let distances = expected.iter().zip(&found).map(distance);
    let worst = distances
        .enumerate()
        .max_by(|(_, left), (_, right)| left.total_cmp(right));
    let allowed = tolerance * scale;
    Ok(worst.filter(|(_, distance)| *distance > allowed).map(|(index, distance)| {
        let why = format!(
            "expected {}, off by {distance:e} where {allowed:e} is allowed; the largest difference",
            expected[index]
        );
        Problem::new(format!("{name}{:?}", position(index, shape)), why).with_found(found[index].to_string())
    }))
}

/// The index in each dimension of the element that is the `index`th in all.
fn position(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (place, dim) in position.iter_mut().zip(shape).rev() {
        *place = index % dim;
        index /= dim;
    }
    position
}
