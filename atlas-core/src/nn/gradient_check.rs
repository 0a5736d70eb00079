//! Gradients against finite differences.

use candle_core::{DType, Result, Tensor, Var, bail};

/// How far a variable is moved to each side.
const STEP: f64 = 1e-5;
/// The difference that is allowed, absolute for gradients below 1 and relative above.
const TOLERANCE: f64 = 1e-7;

/// An error unless backpropagation through `loss` gives the gradients that central differences
/// give, for every element of every variable: for operations with a backward pass of your own.
///
/// `loss` is a scalar of the variables, all in f64, and smooth where they are. The variables are put
/// back afterwards.
///
/// ```
/// use atlas_core::candle_core::{Device, Var};
/// use atlas_core::nn::check_gradients;
///
/// let x = Var::new(&[0.5f64, -1.5], &Device::Cpu)?;
/// check_gradients(&[("x", &x)], || x.sqr()?.sum_all())?;
/// let wrong = check_gradients(&[("x", &x)], || x.detach().sqr()?.mul(&x)?.sum_all());
/// assert!(wrong.is_err());
/// # Ok::<(), atlas_core::candle_core::Error>(())
/// ```
///
/// # Errors
/// If a variable is not of f64, or has no gradient, or one that differs by more than 10⁻⁷, absolute
/// or relative; the first that does is named.
pub fn check_gradients(
    variables: &[(&str, &Var)],
    loss: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let gradients = loss()?.backward()?;
    for (name, variable) in variables {
        if variable.dtype() != DType::F64 {
            bail!(
                "`{name}` is of dtype {:?}: finite differences need f64",
                variable.dtype()
            )
        }
        let Some(gradient) = gradients.get(variable) else {
            bail!("`{name}` has no gradient")
        };
        let start = variable.as_tensor().copy()?;
        let checked = check(name, variable, gradient, &loss);
        variable.set(&start)?;
        checked?;
    }
    Ok(())
}

fn check(
    name: &str,
    variable: &Var,
    gradient: &Tensor,
    loss: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let (shape, device) = (variable.shape().clone(), variable.device().clone());
    let values = variable.flatten_all()?.to_vec1::<f64>()?;
    let gradient = gradient.flatten_all()?.to_vec1::<f64>()?;
    for (index, &analytic) in gradient.iter().enumerate() {
        let at = |offset: f64| -> Result<f64> {
            let mut moved = values.clone();
            moved[index] += offset;
            variable.set(&Tensor::from_vec(moved, &shape, &device)?)?;
            loss()?.to_scalar::<f64>()
        };
        let numeric = (at(STEP)? - at(-STEP)?) / (2.0 * STEP);
        let is_near = (analytic - numeric).abs() <= TOLERANCE * (1.0 + numeric.abs());
        if !is_near {
            bail!("`{name}`[{index}]: {analytic} by backpropagation, {numeric} by differences")
        }
    }
    Ok(())
}
