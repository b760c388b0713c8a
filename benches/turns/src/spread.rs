//! The middle of several rounds, and how far they lie apart.

use serde_json::{Value, json};
use std::fmt;

/// Median, least and greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        Spread {
            median,
            least: values[0],
            greatest: values[values.len() - 1],
        }
    }

    pub fn to_json(self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.greatest })
    }
}

/// `0.93 (0.88..1.02)`
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread {
            median,
            least,
            greatest,
        } = self;
        f.pad(&format!("{median:.2} ({least:.2}..{greatest:.2})"))
    }
}

/// The rounds' ratios: each value to the other side's of the same round.
pub fn ratios(values: &[f64], to: &[f64]) -> Spread {
    Spread::of(values.iter().zip(to).map(|(value, to)| value / to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 2.0, 10.0]);
        assert_eq!(
            (spread.median, spread.least, spread.greatest),
            (3.0, 1.0, 10.0)
        );
    }

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        let spread = ratios(&[1.0, 20.0, 3.0], &[2.0, 10.0, 3.0]);
        assert_eq!(spread.to_string(), "1.00 (0.50..2.00)");
    }
}
