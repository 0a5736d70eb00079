//! A figure and how far it can be trusted.

use serde::{Deserialize, Serialize};

/// The quantile of the standard normal distribution beyond which 2.5 % lie.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// A figure with its 95 % interval: were everything drawn again, such intervals would hold the true
/// value 19 times in 20.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Where its interval begins.
    pub low: f64,
    /// Where its interval ends.
    pub high: f64,
}

impl Estimate {
    /// The share of `part` in `whole` independent trials, with Wilson's interval ("Probable
    /// Inference", 1927), which is right for shares near 0 and 1 too. `None` of no trials.
    pub fn share(part: usize, whole: usize) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let (value, whole) = (part as f64 / whole as f64, whole as f64);
        let square = QUANTILE * QUANTILE / whole;
        let middle = value + square / 2.0;
        let half = (square * value * (1.0 - value) + square * square / 4.0).sqrt();
        Some(Self {
            value,
            low: ((middle - half) / (1.0 + square)).clamp(0.0, value),
            high: ((middle + half) / (1.0 + square)).clamp(value, 1.0),
        })
    }

    /// The mean of independent values, with the interval of the normal distribution. `None` of no
    /// values; of a single one the interval is the value itself.
    pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut ratio = Ratio::default();
        values.into_iter().for_each(|value| ratio.add(value, 1.0));
        ratio.estimate()
    }

    /// `value` with the interval of the normal distribution whose standard deviation is `deviation`.
    pub(super) fn normal(value: f64, deviation: f64) -> Self {
        Self {
            value,
            low: value - QUANTILE * deviation,
            high: value + QUANTILE * deviation,
        }
    }

    /// Ends the interval where no value can be.
    #[must_use]
    pub(super) fn within(self, least: f64, greatest: f64) -> Self {
        Self {
            low: self.low.max(least).min(self.value),
            high: self.high.min(greatest).max(self.value),
            ..self
        }
    }
}

/// The ratio of two sums over independent groups: the tokens that came back, of all tokens of each
/// molecule. Members of a group need not be independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    groups: usize,
    of: f64,
    part: f64,
    /// Sums of the squares and of the product.
    squares: [f64; 3],
}

impl Ratio {
    /// Adds a group.
    pub fn add(&mut self, part: f64, of: f64) {
        self.groups += 1;
        self.of += of;
        self.part += part;
        let squares = [part * part, part * of, of * of];
        for (sum, square) in self.squares.iter_mut().zip(squares) {
            *sum += square;
        }
    }

    /// The ratio, with the interval of the normal distribution (Cochran, "Sampling Techniques",
    /// 1977, section 6.3): the ratio itself where all groups are alike, or there is one. `None` if the
    /// lower sum is zero.
    pub fn estimate(&self) -> Option<Estimate> {
        if self.of == 0.0 {
            return None;
        }
        let value = self.part / self.of;
        let [parts, products, ofs] = self.squares;
        let residuals = (parts - 2.0 * value * products + value * value * ofs).max(0.0);
        let groups = self.groups as f64;
        // One group says nothing of how groups differ.
        let variance = residuals * groups / (groups - 1.0).max(1.0);
        Some(Estimate::normal(value, variance.sqrt() / self.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(estimate: Estimate, expected: [f64; 3]) -> bool {
        let found = [estimate.value, estimate.low, estimate.high];
        let pairs = found.into_iter().zip(expected);
        pairs
            .into_iter()
            .all(|(found, expected)| (found - expected).abs() < 1e-6)
    }

    #[test]
    fn a_share_has_wilsons_interval() {
        // Newcombe, "Two-Sided Confidence Intervals for the Single Proportion" (1998), has 0.2553 to
        // 0.3662 for the first.
        let share = Estimate::share(81, 263).unwrap();
        assert!(
            is_near(share, [0.307_984_8, 0.255_288_5, 0.366_209_6]),
            "{share:?}"
        );
        let none = Estimate::share(0, 20).unwrap();
        assert!(is_near(none, [0.0, 0.0, 0.161_125_2]), "{none:?}");
        let all = Estimate::share(20, 20).unwrap();
        assert_eq!((all.value, all.high), (1.0, 1.0));
        assert_eq!(Estimate::share(0, 0), None);
    }

    #[test]
    fn a_mean_has_the_interval_of_its_standard_error() {
        // Values 1, 2, 3, 4: the standard deviation is 1.2909944, a root of 4 less for the mean.
        let mean = Estimate::mean([1.0, 2.0, 3.0, 4.0]).unwrap();
        let half = 1.959_964 * 1.290_994_4 / 2.0;
        assert!(is_near(mean, [2.5, 2.5 - half, 2.5 + half]), "{mean:?}");
        let one = Estimate::mean([7.0]).unwrap();
        assert_eq!([one.value, one.low, one.high], [7.0; 3]);
        assert_eq!(Estimate::mean([]), None);
    }

    #[test]
    fn members_of_a_group_count_as_one_where_they_are_all_alike() {
        let (mut alone, mut repeated) = (Ratio::default(), Ratio::default());
        for value in [0.0, 1.0, 1.0, 0.0, 1.0] {
            alone.add(value, 1.0);
            repeated.add(10.0 * value, 10.0);
        }
        let (alone, repeated) = (alone.estimate().unwrap(), repeated.estimate().unwrap());
        assert!(is_near(repeated, [alone.value, alone.low, alone.high]));
        assert_eq!(Ratio::default().estimate(), None);
    }
}
