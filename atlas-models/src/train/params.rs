//! What training can be told.

use atlas_core::{Choice, Params};

use super::adamw::AdamWParams;

/// How the learning rate moves after the warm-up.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine to `final_rate` of its height (Loshchilov and Hutter, "SGDR",
    /// 2017).
    Cosine,
    /// It is halved at each third of the way.
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
    /// Largest length of the gradient over all variables; a longer one is scaled down to it.
    #[param(default = 1.0, min = 1e-12)]
    pub clip_norm: f64,
    /// The optimiser's own parameters.
    #[param(nested)]
    pub adamw: AdamWParams,
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
            Schedule::Step => 0.5f64.powi((progress * 3.0).floor().min(2.0) as i32),
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
    fn steps_halve_the_rate_at_each_third() {
        let params = params(Schedule::Step);
        assert_eq!(
            [0.0, 0.4, 0.7, 1.0].map(|progress| params.rate(9, progress)),
            [2.0, 1.0, 0.5, 0.5]
        );
    }

    #[test]
    fn the_defaults_keep_their_own_constraints() {
        use atlas_core::Params as _;
        TrainParams::default().validate().unwrap();
    }
}
