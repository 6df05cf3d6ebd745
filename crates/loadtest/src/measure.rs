//! What one worker measures of all its clients.

use hdrhistogram::Histogram;

/// Which packets count: those sent in `from_ns..until_ns` of the run's clock, whenever they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

impl Window {
    pub(crate) fn contains(&self, sent_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&sent_ns)
    }
}

/// The packets of a window.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) window: Window,
    /// From a packet's leaving to its being opened, in µs.
    pub(crate) latency_us: Histogram<u64>,
    /// Packets that came, each once.
    pub(crate) delivered: u64,
    /// Those of them that came as retransmissions.
    pub(crate) repaired: u64,
    /// Their bytes as they came over UDP.
    pub(crate) bytes: u64,
}

impl Measure {
    /// A measurement of a window, with no packet yet.
    pub(crate) fn new(window: Window) -> Self {
        Self { window, latency_us: histogram(), delivered: 0, repaired: 0, bytes: 0 }
    }

    /// Notes the first arrival of a packet.
    pub(crate) fn record(&mut self, sent_ns: u64, now_ns: u64, bytes: usize) {
        self.delivered += 1;
        self.bytes += bytes as u64;
        self.latency_us.saturating_record(now_ns.saturating_sub(sent_ns) / 1_000);
    }
}

/// A histogram of µs up to a minute with three digits; what is longer counts as a minute.
pub(crate) fn histogram() -> Histogram<u64> {
    // The bounds are within what the library takes, so the other arm is never met.
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).unwrap_or_else(|_| unreachable!("constant bounds"))
}

/// A minute, in µs.
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut measure = Measure::new(Window { from_ns: 0, until_ns: 1 });
        for ms in 1..=100 {
            measure.record(5_000_000, (5 + ms) * 1_000_000, 10);
        }
        let at = |quantile| measure.latency_us.value_at_quantile(quantile) as f64 / 1_000.0;
        assert!((at(0.5) - 50.0).abs() < 0.1, "{}", at(0.5));
        assert!((at(0.99) - 99.0).abs() < 0.1, "{}", at(0.99));
        assert_eq!((measure.delivered, measure.bytes), (100, 1_000));
    }

    #[test]
    fn what_is_out_of_bounds_is_kept_within() {
        let mut measure = Measure::new(Window::default());
        measure.record(9, 0, 0);
        measure.record(0, u64::MAX, 0);
        assert!(measure.latency_us.max() >= LONGEST_US && measure.latency_us.len() == 2);
    }

    #[test]
    fn a_window_is_open_at_its_end() {
        let window = Window { from_ns: 10, until_ns: 20 };
        assert_eq!([9, 10, 19, 20].map(|at| window.contains(at)), [false, true, true, false]);
    }
}
