//! [`TrainParams`]: batch size, learning rate, epochs and the other hyperparameters of training.

use super::adamw::AdamWParams;
use super::annealing::Annealing;
use crate::{Choice, Params};

/// How the learning rate moves after the warm-up.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine to `final_rate` of its height (Loshchilov and Hutter, "SGDR",
    /// 2017).
    Cosine,
    /// It falls to `step_factor` of itself at `steps` places, at equal distances on the way.
    Step,
}

/// How a model is trained.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct TrainParams {
    /// Times that every example is seen.
    #[param(default = 20, min = 1)]
    pub epochs: usize,
    /// Examples in a batch.
    #[param(default = 128, min = 1, max = 1_000_000)]
    pub batch: usize,
    /// Shards that a batch is cut into, a power of two. Their gradients are computed one by one and
    /// added in a fixed tree: up to so many processes can share the work, and the number of
    /// processes changes no bit of the model. What a model computes over a batch, such as the
    /// statistics of a batch norm, it computes over a shard.
    #[param(default = 1, min = 1, max = 65_536, check = check_shards)]
    pub shards: usize,
    /// Height of the learning rate.
    #[param(default = 1e-3, min = 0.0)]
    pub learning_rate: f64,
    /// Steps in which the learning rate rises from zero to its height.
    #[param(default = 100)]
    pub warm_up: u64,
    /// How the learning rate moves after that.
    #[param(default = Schedule::Cosine)]
    pub schedule: Schedule,
    /// What the cosine falls to, as a share of the height.
    #[param(default = 0.02, min = 0.0, max = 1.0)]
    pub final_rate: f64,
    /// How often the step schedule lowers the rate.
    #[param(default = 2, min = 1, max = 1000)]
    pub steps: usize,
    /// What the step schedule leaves of the rate each time.
    #[param(default = 0.5, min = 0.0, max = 1.0)]
    pub step_factor: f64,
    /// Largest length of the gradient over all variables; a longer one is scaled down to it.
    #[param(default = 1.0, min = 1e-12)]
    pub clip_norm: f64,
    /// How weights of the loss rise.
    #[param(nested)]
    pub annealing: Annealing,
    /// The optimiser's own parameters.
    #[param(nested)]
    pub adamw: AdamWParams,
}

fn check_shards(shards: &usize) -> Result<(), String> {
    if shards.is_power_of_two() {
        Ok(())
    } else {
        Err("expected a power of two".to_owned())
    }
}

impl TrainParams {
    /// The learning rate of step `step` (from 0), `progress` of the way through training (0 to 1).
    pub fn rate(&self, step: u64, progress: f64) -> f64 {
        let warmth = match self.warm_up {
            0 => 1.0,
            steps => ((step + 1) as f64 / steps as f64).min(1.0),
        };
        let progress = progress.clamp(0.0, 1.0);
        let height = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
                self.final_rate + (1.0 - self.final_rate) * cosine
            }
            Schedule::Step => {
                let parts = (self.steps + 1) as f64;
                let lowered = (progress * parts).floor().min(self.steps as f64);
                self.step_factor.powf(lowered)
            }
        };
        self.learning_rate * warmth * height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(schedule: Schedule) -> TrainParams {
        TrainParams {
            learning_rate: 2.0,
            warm_up: 4,
            schedule,
            final_rate: 0.1,
            ..Default::default()
        }
    }

    #[test]
    fn the_rate_rises_to_its_height_and_falls_to_its_share() {
        let params = params(Schedule::Cosine);
        assert_eq!(
            [0, 1, 3].map(|step| params.rate(step, 0.0)),
            [0.5, 1.0, 2.0]
        );
        assert!((params.rate(9, 0.5) - 1.1).abs() < 1e-12);
        assert!((params.rate(9, 1.0) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn steps_lower_the_rate_at_equal_distances() {
        let params = params(Schedule::Step);
        let thrice = TrainParams {
            steps: 3,
            step_factor: 0.1,
            ..params.clone()
        };
        let rates = [0.24, 0.26, 0.9].map(|progress| thrice.rate(9, progress));
        for (rate, expected) in rates.into_iter().zip([2.0, 0.2, 0.002]) {
            assert!((rate - expected).abs() < 1e-12, "{rate}");
        }
        assert_eq!(
            [0.0, 0.4, 0.7, 1.0].map(|progress| params.rate(9, progress)),
            [2.0, 1.0, 0.5, 0.5]
        );
    }

    #[test]
    fn the_defaults_keep_their_own_constraints() {
        TrainParams::default().validate().unwrap();
    }
}
