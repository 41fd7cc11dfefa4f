//! Medians and ranges of a few repetitions.

/// What repetitions came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Summary {
    /// Of the numbers among `values`; none if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { median, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one_wherever_it_stands() {
        let summary = |values: &[f64]| Summary::of(values).map(|summary| (summary.median, summary.least, summary.most));
        assert_eq!(summary(&[3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(summary(&[4.0, 1.0, 3.0, 2.0]), Some((2.5, 1.0, 4.0)));
        assert_eq!(summary(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn what_is_no_number_does_not_count() {
        assert_eq!(Summary::of(&[f64::NAN, 2.0, f64::INFINITY]).map(|summary| summary.median), Some(2.0));
        assert_eq!(Summary::of(&[f64::NAN]), None);
    }

    #[test]
    fn percentiles_of_a_histogram_are_within_its_three_digits() {
        let mut latencies = crate::load::latencies().expect("bounds that are fine");
        (1..=1000_u64).for_each(|micros| latencies.saturating_record(micros * 1000));
        for (percentile, micros) in [(50.0, 500.0), (99.0, 990.0), (99.9, 999.0)] {
            let found = latencies.value_at_percentile(percentile) as f64 / 1000.0;
            assert!((found / micros - 1.0).abs() < 0.002, "{percentile}: {found}");
        }
    }
}
