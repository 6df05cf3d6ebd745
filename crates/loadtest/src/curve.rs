//! What a packet and a member cost, from one to many.

use std::fmt::Write as _;

use serde::Serialize;

use crate::figures::Figures;
use crate::options::{Beside, Common, Curve, FanOut, Meetings, Scenario};

/// One point of the curve.
#[derive(Debug, Serialize)]
pub(crate) struct Point {
    /// Who does what.
    pub(crate) name: String,
    pub(crate) runs: Vec<Figures>,
    /// Of the runs that count; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) median: Option<Figures>,
}

/// Who watches one publisher of 1.5 Mbit/s. A room has a thousand members at most.
const SUBSCRIBERS: [u32; 6] = [1, 10, 50, 100, 500, 1_000];
/// Rooms of two with a picture of few bits, so that many fit beside the generator.
const ROOMS: [u32; 4] = [1, 10, 100, 500];
const ROOM_MEMBERS: u32 = 2;
const ROOM_KBIT: u32 = 100;

/// The points and what is run for each.
pub(crate) fn points(Curve { common }: &Curve) -> Vec<(String, Scenario)> {
    let fan_out = |subscribers| Scenario::FanOut(fan_out(subscribers, common.clone()));
    let meetings = |rooms| Scenario::Meetings(meetings(rooms, common.clone()));
    let subscribers = SUBSCRIBERS.into_iter().map(|number| (format!("1 to {number}"), fan_out(number)));
    let rooms = ROOMS.into_iter().map(|number| (format!("{number} rooms of {ROOM_MEMBERS}"), meetings(number)));
    subscribers.chain(rooms).collect()
}

fn fan_out(subscribers: u32, common: Common) -> FanOut {
    FanOut { subscribers, kbit: 1_500, equal: false, beside: Beside::default(), common }
}

fn meetings(rooms: u32, common: Common) -> Meetings {
    Meetings { rooms, members: ROOM_MEMBERS, kbit: ROOM_KBIT, beside: Beside::default(), common }
}

/// A line for each point.
pub(crate) fn table(points: &[Point]) -> String {
    let mut text = format!(
        "{:<16} {:>9} {:>12} {:>14} {:>13} {:>14} {:>10} {:>6}\n",
        "", "packets/s", "µs a packet", "generator's", "KiB a member", "p50 / p99 ms", "% of core", "runs"
    );
    for Point { name, runs, median } in points {
        let counted = runs.iter().filter(|run| run.refused.is_empty()).count();
        let Some(figures) = median else {
            let _ = writeln!(text, "{name:<16} no run counts"); // A string takes everything.
            continue;
        };
        let server = figures.server.unwrap_or_default();
        let latency = figures.latency_ms.map(|ms| format!("{:.2} / {:.2}", ms.p50, ms.p99)).unwrap_or_default();
        let memory = figures.memory.map(|memory| format!("{:.0}", memory.kib_per_member)).unwrap_or_default();
        let _ = writeln!(
            text,
            "{name:<16} {:>9.0} {:>12.2} {:>14.2} {memory:>13} {latency:>14} {:>10.0} {:>6}",
            figures.packets_per_second,
            server.micros_per_packet,
            figures.generator.micros_per_packet,
            server.core_percent,
            format!("{counted}/{}", runs.len()),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_does_not_count_says_so() {
        let good = Figures { packets_per_second: 8_740.0, ..Figures::default() };
        let points = [("1 to 50", vec![good.clone()], Some(good)), ("1 to 999", vec![], None)];
        let points = points.map(|(name, runs, median)| Point { name: name.to_owned(), runs, median });
        let text = table(&points);
        assert!(text.contains("8740") && text.contains("1/1") && text.contains("1 to 999         no run"), "{text}");
    }
}
