//! Percentiles of latencies, and the spread of a few runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// In milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl Percentiles {
    pub fn of(latencies: &[Duration]) -> Self {
        let mut sorted = latencies.to_vec();
        sorted.sort_unstable();
        let at = |thousandths: usize| {
            let latency = rank(sorted.len(), thousandths).and_then(|rank| sorted.get(rank));
            latency.map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self { p50: at(500), p99: at(990), p99_9: at(999), max: at(1000) }
    }
}

/// The nearest rank, as an index: the smallest value that is not exceeded by at least this many thousandths of the
/// values.
fn rank(count: usize, thousandths: usize) -> Option<usize> {
    (count * thousandths).div_ceil(1000).max(1).checked_sub(1).filter(|rank| *rank < count)
}

/// The median and the range of a few values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub minimum: f64,
    pub maximum: f64,
}

impl Spread {
    /// `None` for no values. The median of an even number is the mean of the two middle ones.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            minimum: *sorted.first()?,
            maximum: *sorted.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Percentiles, Spread};

    #[test]
    fn percentiles_are_nearest_ranks() {
        let latencies: Vec<Duration> = (1..=1000).rev().map(Duration::from_millis).collect();
        let expected = Percentiles { p50: 500.0, p99: 990.0, p99_9: 999.0, max: 1000.0 };
        assert_eq!(Percentiles::of(&latencies), expected);
        let one = [Duration::from_millis(7)];
        assert_eq!(Percentiles::of(&one), Percentiles { p50: 7.0, p99: 7.0, p99_9: 7.0, max: 7.0 });
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = Spread::of(&[3.0, 1.0, 10.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, minimum: 1.0, maximum: 10.0 });
        assert!((Spread::of(&[1.0, 2.0]).unwrap().median - 1.5).abs() < f64::EPSILON);
        assert_eq!(Spread::of(&[]), None);
    }
}
