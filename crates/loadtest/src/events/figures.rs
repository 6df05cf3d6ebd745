//! What a run of messages gave, and how it is shown.

use std::fmt::Write as _;

use serde::Serialize;

use super::plan::{Plan, Reading, Transport};
use crate::figures::{Memory, Spread};
use crate::verdict::MOST_BUSY_PERCENT;

/// What one transport gave in one reading.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventFigures {
    /// What the messages came over.
    pub transport: Transport,
    /// To whom each went.
    pub reading: Reading,
    /// Who received, those that stalled among them.
    pub connections: u32,
    /// Rooms they were in.
    pub rooms: u32,
    /// Members who wrote, besides.
    pub writers: u32,
    /// Length of a window.
    pub seconds: f64,
    /// Messages that were written, those of the warm-up too.
    pub sent: u32,
    /// Deliveries of the windows.
    pub delivered: u64,
    /// Deliveries of the run that should have been and were not.
    pub lost: u64,
    /// Deliveries of what had come already.
    pub doubled: u64,
    /// Deliveries to who should not have had them.
    pub astray: u64,
    /// Deliveries over the WebSocket to who has a data channel for them.
    pub beside: u64,
    /// Messages that the server refused.
    pub refusals: u64,
    /// Connections that ended by themselves, but for those that stalled.
    pub ended: u32,
    /// From writing to reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Spread>,
    /// The others' after some stopped reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<StalledFigures>,
    /// CPU of the server in the first window.
    pub server_cpu_seconds: f64,
    /// The same of this process.
    pub generator_cpu_seconds: f64,
    /// Cores that both had.
    pub cores: usize,
    /// The server's memory: before the receivers came, and at the end of the first window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Why the run does not count; empty if it does.
    pub refused: Vec<String>,
}

/// What those that do not read did to the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StalledFigures {
    /// How many stopped reading.
    pub count: u32,
    /// The others' times since then.
    pub latency_ms: Spread,
    /// By how much their 99th percentile grew.
    pub p99_change_percent: f64,
}

impl StalledFigures {
    pub(crate) fn of(count: u32, before: Spread, after: Spread) -> Self {
        let p99_change_percent = if before.p99 > 0.0 { (after.p99 / before.p99 - 1.0) * 100.0 } else { 0.0 };
        Self { count, latency_ms: after, p99_change_percent }
    }
}

/// Why a run does not count.
pub(crate) fn refusals(figures: &EventFigures) -> Vec<String> {
    let EventFigures { lost, doubled, astray, beside, refusals, ended, .. } = *figures;
    let counted = [
        (lost, "deliveries were lost"),
        (doubled, "deliveries came twice"),
        (astray, "deliveries came to somebody else"),
        (beside, "deliveries came over the WebSocket instead of the data channel"),
        (refusals, "messages were refused by the server"),
        (u64::from(ended), "connections ended by themselves"),
    ];
    let mut refused: Vec<String> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if figures.delivered == 0 {
        refused.push("no message came".to_owned());
    }
    let busy = figures.generator_cpu_seconds * 100.0 / figures.seconds;
    if busy > MOST_BUSY_PERCENT {
        refused.push(format!(
            "the generator used {busy:.0} % of a core for its one thread; {MOST_BUSY_PERCENT} % are allowed"
        ));
    }
    refused
}

/// One row for each run.
pub(crate) fn table(runs: &[EventFigures]) -> String {
    let mut text = String::from(HEAD);
    for run in runs {
        let name = name(run.transport, run.reading);
        let latency = run.latency_ms.map_or_else(|| " – | – | –".to_owned(), |l| spread(&l));
        let per_member = run.memory.map_or_else(|| "–".to_owned(), |memory| format!("{:.1}", memory.kib_per_member));
        let (server, generator) = (run.server_cpu_seconds, run.generator_cpu_seconds);
        let counts = if run.refused.is_empty() { "" } else { "does not count" };
        // A string takes everything, here and below.
        let _ = writeln!(
            text,
            "| {name} | {} in {} | {} | {} | {} |{latency} | {server:.2} | {generator:.2} | {per_member} | {counts} |",
            run.connections, run.rooms, run.delivered, run.lost, run.doubled,
        );
        if let Some(stalled) = run.stalled {
            let _ = writeln!(
                text,
                "| – {} of them stalled | | | | |{} | | | | p99 {:+.0} % |",
                stalled.count,
                spread(&stalled.latency_ms),
                stalled.p99_change_percent,
            );
        }
    }
    let cores = runs.first().map_or(0, |run| run.cores);
    let seconds = runs.first().map_or(0.0, |run| run.seconds);
    let _ = writeln!(text, "Server and generator shared {cores} cores. CPU is of a window of {seconds:.0} s.");
    text + NOTE
}

/// What a run is, in a line.
pub(crate) fn title(plan: &Plan) -> String {
    let Plan { transport, reading, connections, rate, .. } = plan;
    let (rooms, writers) = (plan.rooms(), plan.writers());
    format!(
        "{}: {connections} connections in {rooms} rooms, {writers} writers, {rate} messages a second",
        name(*transport, *reading)
    )
}

fn name(transport: Transport, reading: Reading) -> &'static str {
    match (transport, reading) {
        (Transport::WebSocket, Reading::Broadcast) => "WebSocket, to all",
        (Transport::WebSocket, Reading::Single) => "WebSocket, to one",
        (Transport::Sse, Reading::Broadcast) => "event stream, to all",
        (Transport::Sse, Reading::Single) => "event stream, one room each",
        (Transport::Data, Reading::Broadcast) => "data channel, to all",
        (Transport::Data, Reading::Single) => "data channel, to one",
    }
}

fn spread(spread: &Spread) -> String {
    format!(" {:.2} | {:.2} | {:.2}", spread.p50, spread.p99, spread.max)
}

const HEAD: &str = "| transport, reading | connections in rooms | deliveries | lost | doubled | p50 ms | p99 ms | longest ms | \
                    server CPU s | generator CPU s | KiB a connection | |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n";
const NOTE: &str = "«To all» is chat in one room, «to one» data that names its receiver. A reader of an event stream sees its whole \
                    room, so for one delivery each every one of them has a room of its own, with a member who writes there.\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> EventFigures {
        EventFigures {
            transport: Transport::Sse,
            reading: Reading::Single,
            connections: 10,
            rooms: 10,
            writers: 10,
            seconds: 2.0,
            sent: 40,
            delivered: 20,
            lost: 0,
            doubled: 0,
            astray: 0,
            beside: 0,
            refusals: 0,
            ended: 0,
            latency_ms: None,
            stalled: None,
            server_cpu_seconds: 0.5,
            generator_cpu_seconds: 1.0,
            cores: 2,
            memory: None,
            refused: Vec::new(),
        }
    }

    #[test]
    fn a_run_with_loss_or_a_saturated_generator_does_not_count() {
        assert_eq!(refusals(&figures()), [""; 0]);
        let bad = EventFigures { lost: 3, doubled: 1, ended: 2, generator_cpu_seconds: 1.7, ..figures() };
        let refused = refusals(&bad);
        for (refusal, part) in
            refused.iter().zip(["3 deliveries were lost", "1 deliveries", "2 conn", "85 % of a core"])
        {
            assert!(refusal.contains(part), "{refusal}");
        }
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn growth_of_the_others_times_is_of_their_own_before() {
        let spread = |p99| Spread { p50: 1.0, p90: 1.0, p99, max: 9.0, count: 5 };
        let stalled = StalledFigures::of(1, spread(4.0), spread(5.0));
        assert!((stalled.p99_change_percent - 25.0).abs() < 1e-9);
        let text = table(&[EventFigures { latency_ms: Some(spread(4.0)), stalled: Some(stalled), ..figures() }]);
        assert!(
            text.contains("| event stream, one room each | 10 in 10 | 20 | 0 | 0 | 1.00 | 4.00 | 9.00 |"),
            "{text}"
        );
        assert!(text.contains("p99 +25 %"), "{text}");
    }
}
