//! What must hold of gradients before a step is taken.

use atlas_core::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

/// The gradients of the variables, in their order.
///
/// # Errors
/// If a variable received none: the loss does not depend on it, or an operation on the way has no
/// backward. Training on would leave it at its initial value without a word.
pub(super) fn take(vars: &[(String, Var)], store: &mut GradStore) -> Result<Vec<Tensor>> {
    let gradients: Vec<Option<Tensor>> = vars.iter().map(|(_, var)| store.remove(var)).collect();
    let without: Vec<&str> = vars
        .iter()
        .zip(&gradients)
        .filter(|(_, gradient)| gradient.is_none())
        .map(|((name, _), _)| name.as_str())
        .collect();
    if !without.is_empty() {
        return Err(Error::new(format_args!(
            "{} of {} variables received no gradient and would never be trained:\n  {}\n\
             either the loss does not depend on them, or an operation on the way to it has no backward: of candle's, \
             `ops::softmax_last_dim`, `ops::rms_norm`, `ops::layer_norm`, `rotary_emb::rope`, `argmax`, `detach` and \
             `to_vec` cut gradients; freeze the network if that is meant",
            without.len(),
            vars.len(),
            without.join("\n  "),
        )));
    }
    Ok(gradients.into_iter().flatten().collect())
}

/// The Euclidean length of all gradients together.
pub(super) fn norm(gradients: &[Tensor]) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients {
        sum += square(gradient)?;
    }
    Ok(sum.sqrt())
}

/// The names of the variables whose gradients are not finite.
pub(super) fn not_finite<'a>(
    vars: &'a [(String, Var)],
    gradients: &[Tensor],
) -> Result<Vec<&'a str>> {
    let mut names = Vec::new();
    for ((name, _), gradient) in vars.iter().zip(gradients) {
        if !square(gradient)?.is_finite() {
            names.push(name.as_str());
        }
    }
    Ok(names)
}

fn square(gradient: &Tensor) -> Result<f64> {
    Ok(f64::from(
        gradient
            .to_dtype(DType::F32)?
            .sqr()?
            .sum_all()?
            .to_scalar::<f32>()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn vars(values: &[&[f32]]) -> Vec<(String, Var)> {
        let var = |(index, values): (usize, &&[f32])| {
            (
                format!("net/{index}"),
                Var::new(*values, &Device::Cpu).unwrap(),
            )
        };
        values.iter().enumerate().map(var).collect()
    }

    #[test]
    fn a_variable_that_the_loss_does_not_reach_is_named() {
        let vars = vars(&[&[1.0, 2.0], &[3.0]]);
        let mut store = vars[0]
            .1
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let error = take(&vars, &mut store).unwrap_err().to_string();
        assert!(
            error.starts_with("1 of 2 variables received no gradient"),
            "{error}"
        );
        assert!(error.contains("\n  net/1\n"), "{error}");
    }

    #[test]
    fn an_operation_without_backward_is_noticed() {
        let vars = vars(&[&[1.0, 2.0]]);
        let softmax = candle_nn::ops::softmax_last_dim(&vars[0].1).unwrap();
        // candle gives an empty store for a loss that depends on no variable.
        let mut store = softmax
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        assert!(
            take(&vars, &mut store)
                .unwrap_err()
                .to_string()
                .contains("softmax_last_dim")
        );
    }

    #[test]
    fn the_norm_is_over_all_variables() {
        let gradients = [
            Tensor::new(&[3f32, 0.0], &Device::Cpu).unwrap(),
            Tensor::new(&[4f32], &Device::Cpu).unwrap(),
        ];
        assert_eq!(norm(&gradients).unwrap(), 5.0);
    }
}
