//! Gradients against finite differences, for tests.

use candle_core::{Result, Tensor, Var};

/// Asserts that backpropagation through `loss` gives the gradients that central
/// differences give, for every element of every variable, in `f64`.
pub(crate) fn assert_gradients(
    variables: &[(&str, &Var)],
    loss: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let gradients = loss()?.backward()?;
    for (name, variable) in variables {
        let Some(gradient) = gradients.get(variable) else {
            panic!("{name} has no gradient")
        };
        assert_eq!(gradient.shape(), variable.shape(), "{name}");
        let gradient = gradient.flatten_all()?.to_vec1::<f64>()?;
        let start = variable.as_tensor().copy()?;
        let values = start.flatten_all()?.to_vec1::<f64>()?;
        let step = 1e-5;
        for (index, &analytic) in gradient.iter().enumerate() {
            let at = |offset: f64| -> Result<f64> {
                let mut moved = values.clone();
                moved[index] += offset;
                variable.set(&Tensor::from_vec(moved, start.shape(), start.device())?)?;
                loss()?.to_scalar::<f64>()
            };
            let numeric = (at(step)? - at(-step)?) / (2.0 * step);
            let error = (analytic - numeric).abs();
            assert!(
                error <= 1e-7 * (1.0 + numeric.abs()),
                "{name}[{index}]: {analytic} by backpropagation, {numeric} by differences"
            );
        }
        variable.set(&start)?;
    }
    Ok(())
}
