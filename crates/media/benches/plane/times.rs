//! The mean of many short spans on a machine that others use too.

use std::time::Duration;

/// A span so many times the median was interrupted by somebody else, and does not count.
const INTERRUPTED: u64 = 10;

/// Spans of work of the same kind, in nanoseconds.
#[derive(Default)]
pub(crate) struct Times {
    spans: Vec<u64>,
}

impl Times {
    pub(crate) fn push(&mut self, span: Duration) {
        self.spans.push(span.as_nanos() as u64);
    }

    /// The mean of those that were not interrupted. Unlike the median it has its share of what is done now and then.
    pub(crate) fn mean(&self) -> f64 {
        let mut sorted = self.spans.clone();
        sorted.sort_unstable();
        let limit = INTERRUPTED * sorted[sorted.len() / 2];
        let counted = sorted.partition_point(|&span| span <= limit);
        sorted[..counted].iter().sum::<u64>() as f64 / counted as f64
    }
}
