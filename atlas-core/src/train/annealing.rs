//! How the weights of a loss rise while a model is trained.

use crate::Params;

/// The rise of some weights of the loss from a share of their height to all of it, in one or
/// several cycles.
///
/// One cycle is the annealing of Bowman et al. ("Generating Sentences from a Continuous Space",
/// 2016), several are that of Fu et al. ("Cyclical Annealing Schedule", 2019): within a cycle the
/// weight rises in a straight line and then stays.
#[derive(Params, Clone, Debug, PartialEq)]
pub struct Annealing {
    /// The weights that are annealed; the others keep their height.
    #[param(default = Vec::new())]
    pub weights: Vec<String>,
    /// What a weight starts a cycle from, as a share of its height.
    #[param(default = 0.0, min = 0.0, max = 1.0)]
    pub start: f64,
    /// The share of a cycle in which the weight rises.
    #[param(default = 0.5, min = 0.0, max = 1.0)]
    pub rise: f64,
    /// Cycles in the whole training.
    #[param(default = 1, min = 1, max = 10_000)]
    pub cycles: usize,
}

impl Annealing {
    /// The share of its height that the weight has, `progress` (0 to 1) of the way through
    /// training.
    pub fn share(&self, weight: &str, progress: f64) -> f64 {
        if !self.weights.iter().any(|annealed| annealed == weight) || progress >= 1.0 {
            return 1.0;
        }
        let in_cycle = (progress.max(0.0) * self.cycles as f64).fract();
        let risen = match self.rise {
            0.0 => 1.0,
            rise => (in_cycle / rise).min(1.0),
        };
        self.start + (1.0 - self.start) * risen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annealing(cycles: usize) -> Annealing {
        Annealing {
            weights: vec!["kl".to_owned()],
            start: 0.2,
            rise: 0.5,
            cycles,
        }
    }

    #[test]
    fn a_weight_rises_in_a_line_and_stays() {
        let share = |progress| annealing(1).share("kl", progress);
        assert_eq!([0.0, 0.5, 0.7, 1.0].map(share), [0.2, 1.0, 1.0, 1.0]);
        assert!((share(0.25) - 0.6).abs() < 1e-12);
    }

    #[test]
    fn each_cycle_begins_again() {
        let share = |progress| annealing(4).share("kl", progress);
        assert_eq!([0.0, 0.25, 0.5, 0.125].map(share), [0.2, 0.2, 0.2, 1.0]);
    }

    #[test]
    fn other_weights_keep_their_height() {
        assert_eq!(annealing(1).share("spread", 0.0), 1.0);
        assert_eq!(Annealing::default().share("kl", 0.0), 1.0);
    }
}
