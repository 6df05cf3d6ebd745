//! The figures of a run: from what the workers and `/proc` say to what is reported.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::measure::histogram;
use crate::process::{Cpu, Held};
use crate::worker::Report;

/// What one run of a scenario gave. What a scenario does not measure is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Clients that were in a room at the end.
    pub members: u32,
    /// Length of the window.
    pub seconds: f64,
    /// Media packets that were sent in the window and came, each once.
    pub delivered: u64,
    /// Those of them that had been lost and came as retransmissions.
    pub repaired: u64,
    /// Delivered packets a second.
    pub packets_per_second: f64,
    /// Bits of their UDP payloads a second.
    pub bits_per_second: f64,
    /// Holes in the numbers that the server gave, of what should have come, after retransmission.
    pub loss_percent: f64,
    /// Packets that publishers sent and that did not come to a subscriber who should have had them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_percent: Option<f64>,
    /// Datagrams that were not authentic or no packets.
    pub bad: u64,
    /// Clients whose connection ended by itself.
    pub ended: u32,
    /// From a packet's sealing by its publisher to its opening by a subscriber.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Spread>,
    /// From the beginning of signalling to the first media packet, connection and all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_ms: Option<Spread>,
    /// From the beginning of signalling to the first packet of a picture, which is a keyframe's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_ms: Option<Spread>,
    /// From the beginning of signalling to the end of the DTLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<Spread>,
    /// Joins, while as many as asked for were in progress all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joins_per_second: Option<f64>,
    /// The server's CPU for a join, in ms, the media that flows by the way included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms_per_join: Option<f64>,
    /// What a flood at the entrance did to those who joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flood: Option<Flooded>,
    /// Changes of layer that were asked for, by all subscribers; those that came are counted in `switchMs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switches_asked: Option<u64>,
    /// From asking for a layer to its first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch_ms: Option<Spread>,
    /// The server's CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Load>,
    /// µs a delivered packet of the server's busiest thread: what bounds it, as a thread has one core at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busiest_thread_micros_per_packet: Option<f64>,
    /// System calls of the server for each delivered packet, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_packet: Option<f64>,
    /// The generator's CPU.
    pub generator: Load,
    /// The server's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Whether server and generator run before other work (their autogroups, sched(7)).
    pub priority_raised: bool,
    /// What churn left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
    /// Why the run does not count; empty if it does.
    pub refused: Vec<String>,
}

/// How times are spread, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub p50: f64,
    /// Nine of ten are shorter.
    pub p90: f64,
    /// Ninety-nine of a hundred are shorter.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// How many there were.
    pub count: u64,
}

/// CPU of one process in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// µs a delivered packet; 0 if none was delivered.
    pub micros_per_packet: f64,
    /// The part spent outside the kernel.
    pub user_micros_per_packet: f64,
    /// Of one core.
    pub core_percent: f64,
}

/// Resident memory of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Before the first member.
    pub before_kib: u64,
    /// At the end of the window.
    pub after_kib: u64,
    /// The growth by member.
    pub kib_per_member: f64,
    /// The growth by member since the first two had their media: what the process needs once, such as the pages of its code,
    /// was there by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kib_per_further_member: Option<f64>,
    /// The same without pages of files, most of which are the executable's and come with the first members.
    pub anonymous_kib_per_member: f64,
}

/// How the server stands at one moment of churn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Since it began.
    pub seconds: u32,
    /// Resident memory without pages of files.
    pub anonymous_kib: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// CPU of the server since the moment before, by delivered packet.
    pub micros_per_packet: f64,
}

/// What the server holds at the start of churn and after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// Members that went and came.
    pub replaced: u64,
    /// Joins that failed.
    pub failed: u64,
    /// Resident memory once all members had come first.
    pub start_rss_kib: u64,
    /// The same after churn, with as many members.
    pub end_rss_kib: u64,
    /// Open descriptors at the same two times.
    pub start_descriptors: usize,
    /// See there.
    pub end_descriptors: usize,
    /// After each tenth of churn but the last.
    pub moments: Vec<Moment>,
}

/// Joins beside a flood, and before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flooded {
    /// Connections of the flood a second, as it came to.
    pub per_second: f64,
    /// Those that were turned away for their address.
    pub limited: u64,
    /// Those that were turned away for their token.
    pub refused: u64,
    /// Those that came to nothing otherwise.
    pub failed: u64,
    /// Those that were let in, of which there should be none.
    pub let_in: u64,
    /// Joins to the first packet in quiet: 95 of a hundred are shorter, in ms.
    pub quiet_p95_ms: f64,
    /// The same beside the flood.
    pub flooded_p95_ms: f64,
}

/// Which packets somebody was to receive.
#[derive(Debug, Default)]
pub(crate) struct Expectation {
    /// Clients that receive, by number.
    pub(crate) receivers: Vec<u32>,
    /// Sources of which every packet goes to everybody else in the room.
    pub(crate) sources: Vec<u32>,
}

impl Spread {
    /// Of a histogram of µs; `None` of an empty one.
    pub(crate) fn of(us: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| us.value_at_quantile(quantile) as f64 / 1_000.0;
        (!us.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: us.max() as f64 / 1_000.0,
            count: us.len(),
        })
    }
}

impl Load {
    pub(crate) fn of(cpu: Cpu, packets: u64, seconds: f64) -> Self {
        let micros_per_packet = if packets == 0 { 0.0 } else { cpu.total().as_secs_f64() * 1e6 / packets as f64 };
        Self {
            micros_per_packet,
            user_micros_per_packet: micros_per_packet * cpu.user_part(),
            core_percent: cpu.total().as_secs_f64() * 100.0 / seconds,
        }
    }
}

impl Memory {
    /// `settled` is with so many of the members.
    pub(crate) fn of(before: Held, settled: Option<(Held, u32)>, after: Held, members: u32) -> Self {
        let per_member = |before: u64, after: u64| (after as f64 - before as f64) / f64::from(members.max(1));
        Self {
            before_kib: before.resident_kib,
            after_kib: after.resident_kib,
            kib_per_member: per_member(before.resident_kib, after.resident_kib),
            kib_per_further_member: settled.filter(|(_, first)| *first < members).map(|(settled, first)| {
                (after.resident_kib as f64 - settled.resident_kib as f64) / f64::from(members - first)
            }),
            anonymous_kib_per_member: per_member(before.anonymous_kib, after.anonymous_kib),
        }
    }
}

impl Figures {
    /// The media of a window: `start` was said at its beginning, `end` after its last packets had come.
    pub(crate) fn of_media(start: &[Report], end: &[Report], expected: &Expectation, seconds: f64) -> Self {
        let mut latency_us = histogram();
        // All histograms have the same bounds, so adding does not fail.
        end.iter().for_each(|report| latency_us.add(&report.latency_us).unwrap_or_default());
        let delivered = end.iter().map(|report| report.delivered).sum();
        let repaired = end.iter().map(|report| report.repaired).sum();
        let bytes: u64 = end.iter().map(|report| report.bytes).sum();
        let clients = || end.iter().flat_map(|report| &report.clients);
        Self {
            members: clients().filter(|client| client.ended.is_none()).count() as u32,
            seconds,
            delivered,
            repaired,
            packets_per_second: delivered as f64 / seconds,
            bits_per_second: bytes as f64 * 8.0 / seconds,
            loss_percent: loss_percent(start, end),
            missing_percent: missing_percent(end, expected),
            bad: clients().map(|client| client.bad).sum(),
            ended: clients().filter(|client| client.ended.is_some()).count() as u32,
            latency_ms: Spread::of(&latency_us),
            ..Self::default()
        }
    }

    /// The medians of several runs, figure by figure; `None` of none.
    pub(crate) fn median(runs: &[&Self]) -> Option<Self> {
        let first = *runs.first()?;
        let of = |figure: &dyn Fn(&Self) -> f64| median(runs.iter().map(|run| figure(run)).collect());
        let spread = |figure: &dyn Fn(&Self) -> Option<Spread>| {
            let all: Vec<Spread> = runs.iter().filter_map(|run| figure(run)).collect();
            let of = |value: &dyn Fn(&Spread) -> f64| median(all.iter().map(value).collect());
            figure(first).map(|_| Spread {
                p50: of(&|s| s.p50),
                p90: of(&|s| s.p90),
                p99: of(&|s| s.p99),
                max: of(&|s| s.max),
                count: of(&|s| s.count as f64) as u64,
            })
        };
        let load = |figure: &dyn Fn(&Self) -> Load| Load {
            micros_per_packet: of(&|run| figure(run).micros_per_packet),
            user_micros_per_packet: of(&|run| figure(run).user_micros_per_packet),
            core_percent: of(&|run| figure(run).core_percent),
        };
        let memory = |value: &dyn Fn(Memory) -> f64| of(&|run| run.memory.map_or(0.0, value));
        Some(Self {
            delivered: of(&|run| run.delivered as f64) as u64,
            packets_per_second: of(&|run| run.packets_per_second),
            bits_per_second: of(&|run| run.bits_per_second),
            loss_percent: of(&|run| run.loss_percent),
            missing_percent: first.missing_percent.map(|_| of(&|run| run.missing_percent.unwrap_or_default())),
            latency_ms: spread(&|run| run.latency_ms),
            join_ms: spread(&|run| run.join_ms),
            picture_ms: spread(&|run| run.picture_ms),
            connect_ms: spread(&|run| run.connect_ms),
            switch_ms: spread(&|run| run.switch_ms),
            flood: first.flood.map(|flood| Flooded {
                quiet_p95_ms: of(&|run| run.flood.unwrap_or_default().quiet_p95_ms),
                flooded_p95_ms: of(&|run| run.flood.unwrap_or_default().flooded_p95_ms),
                ..flood
            }),
            cpu_ms_per_join: first.cpu_ms_per_join.map(|_| of(&|run| run.cpu_ms_per_join.unwrap_or_default())),
            joins_per_second: first.joins_per_second.map(|_| of(&|run| run.joins_per_second.unwrap_or_default())),
            busiest_thread_micros_per_packet: first
                .busiest_thread_micros_per_packet
                .map(|_| of(&|run| run.busiest_thread_micros_per_packet.unwrap_or_default())),
            calls_per_packet: first.calls_per_packet.map(|_| of(&|run| run.calls_per_packet.unwrap_or_default())),
            server: first.server.map(|_| load(&|run| run.server.unwrap_or_default())),
            generator: load(&|run| run.generator),
            memory: first.memory.map(|_| Memory {
                before_kib: memory(&|m| m.before_kib as f64) as u64,
                after_kib: memory(&|m| m.after_kib as f64) as u64,
                kib_per_member: memory(&|m| m.kib_per_member),
                kib_per_further_member: first
                    .memory
                    .and_then(|memory| memory.kib_per_further_member)
                    .map(|_| memory(&|m| m.kib_per_further_member.unwrap_or_default())),
                anonymous_kib_per_member: memory(&|m| m.anonymous_kib_per_member),
            }),
            ..first.clone()
        })
    }
}

/// The middle one; of an even number the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn loss_percent(start: &[Report], end: &[Report]) -> f64 {
    let sum = |reports: &[Report]| {
        let clients = reports.iter().flat_map(|report| &report.clients).map(|client| client.rtp);
        let all = clients.chain(reports.iter().map(|report| report.departed_rtp));
        all.fold((0, 0), |(expected, received), rtp| (expected + rtp.0, received + rtp.1))
    };
    let ((expected_before, received_before), (expected, received)) = (sum(start), sum(end));
    let expected = expected.saturating_sub(expected_before);
    let received = received.saturating_sub(received_before).min(expected);
    if expected == 0 { 0.0 } else { (expected - received) as f64 * 100.0 / expected as f64 }
}

fn missing_percent(end: &[Report], expected: &Expectation) -> Option<f64> {
    let clients = || end.iter().flat_map(|report| &report.clients);
    // What was sent, by room.
    let mut rooms: HashMap<u32, Vec<(u32, u32, u32)>> = HashMap::new();
    for client in clients() {
        let sent = client.sent.iter().filter(|(source, _)| expected.sources.contains(source));
        rooms.entry(client.room).or_default().extend(sent.map(|(source, sent)| (client.number, *source, *sent)));
    }
    let (mut due, mut missing) = (0u64, 0u64);
    for client in clients().filter(|client| expected.receivers.contains(&client.number)) {
        let received: HashMap<u32, u32> = client.received.iter().copied().collect();
        let others = rooms.get(&client.room).into_iter().flatten().filter(|(sender, ..)| *sender != client.number);
        for (_, source, sent) in others {
            due += u64::from(*sent);
            missing += u64::from(sent.saturating_sub(received.get(source).copied().unwrap_or(0)));
        }
    }
    (due > 0).then(|| missing as f64 * 100.0 / due as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Joined;
    use crate::worker::ClientReport;

    fn client(number: u32, room: u32, sent: &[(u32, u32)], received: &[(u32, u32)], rtp: (u64, u64)) -> ClientReport {
        ClientReport {
            number,
            room,
            joined: Joined::default(),
            ended: None,
            sent: sent.to_vec(),
            received: received.to_vec(),
            rtp,
            bad: 0,
        }
    }

    fn report(clients: Vec<ClientReport>) -> Report {
        Report {
            latency_us: histogram(),
            switch_us: histogram(),
            delivered: 250,
            repaired: 2,
            bytes: 25_000,
            departed_rtp: (0, 0),
            clients,
        }
    }

    #[test]
    fn loss_is_of_the_window_and_missing_is_by_what_was_sent() {
        let start = [report(vec![client(1, 0, &[], &[], (0, 0)), client(2, 0, &[], &[], (100, 90))])];
        let end = [
            report(vec![client(1, 0, &[(7, 200), (8, 50)], &[], (0, 0))]),
            report(vec![
                client(2, 0, &[], &[(7, 199), (8, 1)], (300, 288)),
                client(3, 1, &[(9, 999)], &[], (0, 0)), // Another room.
            ]),
        ];
        let expected = Expectation { receivers: vec![2, 3], sources: vec![7, 9] };
        let figures = Figures::of_media(&start, &end, &expected, 2.0);
        assert_eq!((figures.loss_percent, figures.missing_percent), (1.0, Some(0.5)));
        assert_eq!((figures.delivered, figures.packets_per_second, figures.bits_per_second), (500, 250.0, 200_000.0));
        assert_eq!((figures.members, figures.latency_ms), (3, None));
    }

    #[test]
    fn nothing_expected_is_nothing_missing() {
        let figures = Figures::of_media(&[], &[], &Expectation::default(), 1.0);
        assert_eq!((figures.loss_percent, figures.missing_percent), (0.0, None));
    }

    #[test]
    fn cpu_is_per_packet_and_of_a_core() {
        use std::time::Duration;
        let ms = Duration::from_millis;
        let cpu = Cpu { user: ms(100), system: ms(300), living: ms(400) };
        let load = Load::of(cpu, 100_000, 4.0);
        assert!((load.micros_per_packet - 4.0).abs() < 1e-9 && (load.user_micros_per_packet - 1.0).abs() < 1e-9);
        assert!((load.core_percent - 10.0).abs() < 1e-9);
        assert_eq!(Load::of(cpu, 0, 4.0).micros_per_packet, 0.0);
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let run = |packets_per_second, p50, micros_per_packet| Figures {
            packets_per_second,
            latency_ms: Some(Spread { p50, p90: 0.0, p99: 0.0, max: 0.0, count: 1 }),
            server: Some(Load { micros_per_packet, ..Load::default() }),
            ..Figures::default()
        };
        let runs = [run(1.0, 9.0, 5.0), run(3.0, 7.0, 4.0), run(2.0, 8.0, 6.0)];
        let median = Figures::median(&runs.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(median.packets_per_second, 2.0);
        assert_eq!(median.latency_ms.unwrap().p50, 8.0);
        assert_eq!(median.server.unwrap().micros_per_packet, 5.0);
        assert!(median.memory.is_none() && Figures::median(&[]).is_none());
    }
}
