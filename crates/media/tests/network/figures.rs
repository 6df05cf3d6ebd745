//! What was seen, as figures, and whether they are good enough over all seeds.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::receiver::{Shown, SlotReceiver};

pub(crate) const SECOND: u64 = 1_000_000;

/// Of pictures that can be shown within so long of each other, a screen shows the last one.
const AT_ONCE_US: u64 = 8_000;

/// Freezes as Chromium counts them: a gap of more than three mean gaps, and of 150 ms more than one. Returns how many
/// end within the span, and how long they take together.
pub(crate) fn freezes(shown: &[Shown], from_us: u64, to_us: u64) -> (usize, f64) {
    let mut recent: VecDeque<u64> = VecDeque::new();
    let (mut count, mut total) = (0, 0);
    for pair in shown.windows(2) {
        let gap = pair[1].at_us - pair[0].at_us;
        if gap < AT_ONCE_US {
            continue;
        }
        let mean = recent.iter().sum::<u64>() / recent.len().max(1) as u64;
        if recent.len() >= 5 && gap > (3 * mean).max(mean + 150_000) && (from_us..to_us).contains(&pair[1].at_us) {
            (count, total) = (count + 1, total + gap);
        }
        recent.push_back(gap);
        if recent.len() > 30 {
            recent.pop_front();
        }
    }
    // A picture that has stopped for good is a freeze too.
    let last = shown.last().map_or(from_us, |last| last.at_us).max(from_us);
    if to_us > last + SECOND {
        (count, total) = (count + 1, total + to_us - last);
    }
    (count, total as f64 / 1e6)
}

/// The longest gap between pictures within the span, in seconds.
pub(crate) fn longest_gap(shown: &[Shown], from_us: u64, to_us: u64) -> f64 {
    let within = shown.iter().map(|shown| shown.at_us).filter(|at| (from_us..to_us).contains(at));
    let mut times: Vec<u64> = vec![from_us];
    times.extend(within);
    times.push(to_us);
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0) as f64 / 1e6
}

fn within(shown: &[Shown], from_us: u64, to_us: u64) -> impl Iterator<Item = &Shown> {
    shown.iter().filter(move |shown| (from_us..to_us).contains(&shown.at_us))
}

pub(crate) fn fps(shown: &[Shown], from_us: u64, to_us: u64) -> f64 {
    within(shown, from_us, to_us).count() as f64 * 1e6 / (to_us - from_us) as f64
}

/// The mean layer of the pictures of a span; −1 without any.
pub(crate) fn mean_layer(shown: &[Shown], from_us: u64, to_us: u64) -> f64 {
    let (count, sum) =
        within(shown, from_us, to_us).fold((0, 0), |(n, sum), shown| (n + 1, sum + u64::from(shown.layer)));
    if count == 0 { -1.0 } else { sum as f64 / f64::from(count) }
}

/// The layer on the screen at a time.
pub(crate) fn layer_at(shown: &[Shown], at_us: u64) -> Option<u8> {
    shown.iter().take_while(|shown| shown.at_us <= at_us).last().map(|shown| shown.layer)
}

/// Seconds from `from_us` until a picture of the layer is shown; a minute if none is.
pub(crate) fn seconds_to_layer(shown: &[Shown], from_us: u64, holds: impl Fn(u8) -> bool) -> f64 {
    let first = shown.iter().find(|shown| shown.at_us >= from_us && holds(shown.layer));
    first.map_or(60.0, |shown| (shown.at_us - from_us) as f64 / 1e6)
}

/// Changes of the layer that is shown.
pub(crate) fn switches(shown: &[Shown], from_us: u64, to_us: u64) -> usize {
    let layers: Vec<u8> = within(shown, from_us, to_us).map(|shown| shown.layer).collect();
    layers.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// Seconds from joining to the first picture; a minute if there is none.
pub(crate) fn first_frame(slot: &SlotReceiver, joined_us: u64) -> f64 {
    slot.shown.first().map_or(60.0, |shown| (shown.at_us - joined_us) as f64 / 1e6)
}

/// Seconds from capture to screen of each picture of a span.
pub(crate) fn latencies(shown: &[Shown], from_us: u64, to_us: u64) -> Vec<f64> {
    within(shown, from_us, to_us).map(|shown| (shown.at_us - shown.captured_us) as f64 / 1e6).collect()
}

pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Jain's index of fairness.
pub(crate) fn jain(rates: &[f64]) -> f64 {
    let sum: f64 = rates.iter().sum();
    let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
    sum * sum / (rates.len() as f64 * squares.max(1e-9))
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// It is told only.
    Any,
}

/// The figures of one scenario over all its seeds.
///
/// A bound holds if the figure that nine of ten seeds reach is within it; a bound of zero must hold for every seed.
#[derive(Debug)]
pub(crate) struct Report {
    id: &'static str,
    figures: Vec<(String, Bound, Vec<f64>)>,
    remarks: Vec<String>,
}

impl Report {
    pub(crate) fn new(id: &'static str) -> Self {
        Self { id, figures: Vec::new(), remarks: Vec::new() }
    }

    pub(crate) fn most(&mut self, name: &str, bound: f64, value: f64) {
        self.add(name, Bound::AtMost(bound), value);
    }

    pub(crate) fn least(&mut self, name: &str, bound: f64, value: f64) {
        self.add(name, Bound::AtLeast(bound), value);
    }

    pub(crate) fn tell(&mut self, name: &str, value: f64) {
        self.add(name, Bound::Any, value);
    }

    pub(crate) fn remark(&mut self, text: String) {
        if self.remarks.len() < 5 {
            self.remarks.push(text);
        }
    }

    fn add(&mut self, name: &str, bound: Bound, value: f64) {
        match self.figures.iter_mut().find(|(known, ..)| known == name) {
            Some((_, _, values)) => values.push(value),
            None => self.figures.push((name.to_owned(), bound, vec![value])),
        }
    }

    /// The row of a Markdown table: median and what nine of ten seeds reach.
    pub(crate) fn row(&self) -> String {
        let mut row = format!("| {} ", self.id);
        for (name, bound, values) in &self.figures {
            let bound_text = match bound {
                Bound::AtMost(most) => format!(" (≤ {most})"),
                Bound::AtLeast(least) => format!(" (≥ {least})"),
                Bound::Any => String::new(),
            };
            let flag = if holds(*bound, values) { "" } else { " **✗**" };
            let (median, nine) = (percentile(values, 0.5), nine_of_ten(*bound, values));
            let _ = write!(row, "| {name} {median:.2} / {nine:.2}{bound_text}{flag} ");
        }
        row + "|"
    }

    /// What is not good enough.
    pub(crate) fn failures(&self) -> Vec<&str> {
        let bad = self.figures.iter().filter(|(_, bound, values)| !holds(*bound, values));
        bad.map(|(name, ..)| name.as_str()).collect()
    }

    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

fn nine_of_ten(bound: Bound, values: &[f64]) -> f64 {
    match bound {
        Bound::AtMost(0.0) => percentile(values, 1.0),
        Bound::AtMost(_) | Bound::Any => percentile(values, 0.9),
        Bound::AtLeast(_) => percentile(values, 0.1),
    }
}

fn holds(bound: Bound, values: &[f64]) -> bool {
    let value = nine_of_ten(bound, values);
    match bound {
        Bound::AtMost(most) => value <= most,
        Bound::AtLeast(least) => value >= least,
        Bound::Any => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(times_ms: &[u64]) -> Vec<Shown> {
        let shown = Shown { at_us: 0, track: 1, stream: 0, layer: 0, temporal: 0, picture: 0, captured_us: 0 };
        times_ms.iter().map(|ms| Shown { at_us: ms * 1000, ..shown }).collect()
    }

    #[test]
    fn a_freeze_is_what_chromium_calls_one() {
        let mut times: Vec<u64> = (0..30).map(|n| n * 33).collect();
        times.extend((0..30).map(|n| 957 + 180 + n * 33));
        assert_eq!(freezes(&at(&times), 0, 2_000_000), (0, 0.0), "180 ms are less than 33 and 150");
        let mut times: Vec<u64> = (0..30).map(|n| n * 33).collect();
        times.extend((0..30).map(|n| 957 + 190 + n * 33));
        assert_eq!(freezes(&at(&times), 0, 2_000_000), (1, 0.19));
        assert_eq!(freezes(&at(&times), 0, 10_000_000).0, 2, "the end of all pictures is one too");
    }

    #[test]
    fn bounds_are_those_of_nine_seeds_in_ten_and_zero_is_zero() {
        let mut report = Report::new("S0");
        for seed in 0..20 {
            let value = if seed == 7 { 9.0 } else { 1.0 };
            report.most("one bad", 2.0, value);
            report.most("none", 0.0, value - 1.0);
            report.least("two bad", 1.0, if seed < 3 { 0.0 } else { 1.0 });
        }
        assert_eq!(report.failures(), ["none", "two bad"]);
        assert!(report.row().starts_with("| S0 | one bad 1.00 / 1.00 (≤ 2) |"), "{}", report.row());
    }
}
