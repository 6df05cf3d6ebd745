//! The figures as text for people.

use std::fmt::Write as _;

use crate::figures::{Figures, Flooded, Load, Moment, Spread};

/// The lines of a run, or of the medians: a name and its value.
pub(crate) fn table(figures: &Figures) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let megabits = figures.bits_per_second / 1e6;
    rows.push(("members", figures.members.to_string()));
    rows.push((
        "delivered",
        format!("{} packets, {:.0} a second, {megabits:.1} Mbit/s", figures.delivered, figures.packets_per_second),
    ));
    let missing = figures.missing_percent.map(|missing| format!("; {missing:.3} % of what was published missing"));
    let repaired = format!("; {} came as retransmissions", figures.repaired);
    rows.push(("loss", format!("{:.3} %{repaired}{}", figures.loss_percent, missing.unwrap_or_default())));
    rows.extend((figures.bad > 0).then(|| ("bad datagrams", figures.bad.to_string())));
    let spreads = [
        ("latency", figures.latency_ms),
        ("join to first packet", figures.join_ms),
        ("join to first picture", figures.picture_ms),
        ("join to connection", figures.connect_ms),
        ("layer switch", figures.switch_ms),
    ];
    rows.extend(spreads.into_iter().filter_map(|(name, spread)| Some((name, spread_text(spread?)))));
    let per_join = figures.cpu_ms_per_join.map(|ms| format!(", {ms:.2} ms of server CPU each")).unwrap_or_default();
    rows.extend(figures.joins_per_second.map(|rate| ("sustained joins", format!("{rate:.1} a second{per_join}"))));
    rows.extend(figures.flood.into_iter().flat_map(flood_rows));
    rows.extend(figures.switches_asked.map(|asked| ("layers asked for", asked.to_string())));
    rows.extend(figures.server.map(|load| ("server CPU", load_text(load))));
    let busiest = figures.busiest_thread_micros_per_packet;
    rows.extend(busiest.map(|micros| ("busiest thread", format!("{micros:.2} µs a packet"))));
    rows.extend(figures.calls_per_packet.map(|calls| ("system calls", format!("{calls:.3} a packet"))));
    rows.push(("generator CPU", load_text(figures.generator)));
    rows.extend(figures.memory.map(|memory| {
        let megabytes = |kib: u64| kib as f64 / 1_024.0;
        let (before, after) = (megabytes(memory.before_kib), megabytes(memory.after_kib));
        let (all, anonymous) = (memory.kib_per_member, memory.anonymous_kib_per_member);
        let further = memory.kib_per_further_member;
        let further = further.map(|kib| format!("; {kib:.1} each beyond the first two")).unwrap_or_default();
        (
            "server memory",
            format!(
                "{before:.1} → {after:.1} MiB, {all:.1} KiB a member, {anonymous:.1} without pages of files{further}"
            ),
        )
    }));
    if !figures.priority_raised {
        rows.push(("priority", "not raised: other work may have disturbed".to_owned()));
    }
    if let Some(growth) = &figures.growth {
        rows.push(("replaced", format!("{} members, {} joins failed", growth.replaced, growth.failed)));
        rows.push(("memory over churn", format!("{} → {} KiB", growth.start_rss_kib, growth.end_rss_kib)));
        rows.push(("descriptors", format!("{} → {}", growth.start_descriptors, growth.end_descriptors)));
        for Moment { seconds, anonymous_kib, descriptors, micros_per_packet } in &growth.moments {
            let text = format!(
                "after {seconds} s {anonymous_kib} KiB without pages of files, {descriptors} descriptors, {micros_per_packet:.2} µs a packet"
            );
            rows.push(("", text));
        }
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:width$}  {value}"); // A string takes everything.
    }
    text
}

fn flood_rows(flood: Flooded) -> [(&'static str, String); 2] {
    let Flooded { per_second, limited, refused, failed, let_in, quiet_p95_ms, flooded_p95_ms } = flood;
    let ends =
        format!("{limited} turned away for their address, {refused} for their token, {failed} failed, {let_in} let in");
    let ratio = flooded_p95_ms / quiet_p95_ms;
    [
        ("flood", format!("{per_second:.0} a second: {ends}")),
        (
            "p95 to first packet",
            format!("{quiet_p95_ms:.2} ms in quiet, {flooded_p95_ms:.2} beside it: {ratio:.2} times"),
        ),
    ]
}

fn spread_text(spread: Spread) -> String {
    let Spread { p50, p90, p99, max, count } = spread;
    format!("p50 {p50:.2} ms, p90 {p90:.2}, p99 {p99:.2}, longest {max:.2} (of {count})")
}

fn load_text(load: Load) -> String {
    let Load { micros_per_packet, user_micros_per_packet, core_percent } = load;
    let system = micros_per_packet - user_micros_per_packet;
    format!(
        "{micros_per_packet:.2} µs a packet ({user_micros_per_packet:.2} user + {system:.2} system), {core_percent:.0} % of a core"
    )
}
