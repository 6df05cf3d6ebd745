//! How a server stands against what ran in turn with it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::figures::{Figures, median};

/// What ran in turn with the server, and how they compare.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rival {
    pub(crate) name: String,
    pub(crate) runs: Vec<Figures>,
    /// Of the runs that count; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) median: Option<Figures>,
    /// The server's CPU a packet ÷ this one's, round by round.
    pub(crate) ratio: Ratio,
}

/// A ratio of figures of the same round.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Ratio {
    /// Absent if in no round both counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) median: Option<f64>,
    /// Of the rounds in which both counted.
    pub(crate) rounds: Vec<f64>,
}

impl Rival {
    /// Compares the rounds of the server with those of another.
    pub(crate) fn new(name: String, ours: &[Figures], runs: Vec<Figures>) -> Self {
        let rounds: Vec<f64> = ours.iter().zip(&runs).filter_map(|(ours, theirs)| ratio(ours, theirs)).collect();
        let ratio = Ratio { median: (!rounds.is_empty()).then(|| median(rounds.clone())), rounds };
        Self { name, median: counted(&runs), runs, ratio }
    }
}

/// The medians of the runs that count.
pub(crate) fn counted(runs: &[Figures]) -> Option<Figures> {
    Figures::median(&runs.iter().filter(|run| run.refused.is_empty()).collect::<Vec<_>>())
}

fn ratio(ours: &Figures, theirs: &Figures) -> Option<f64> {
    let cost = |figures: &Figures| {
        let load = figures.server.filter(|load| figures.refused.is_empty() && load.micros_per_packet > 0.0);
        Some(load?.micros_per_packet)
    };
    Some(cost(ours)? / cost(theirs)?)
}

/// A line for each, with the medians of what counts.
pub(crate) fn table(ours: &[Figures], rivals: &[Rival]) -> String {
    let mut text = format!(
        "{:<18} {:>20} {:>8} {:>14} {:>8} {:>8} {:>8}\n",
        "", "µs a packet", "server ÷", "p50 / p99 ms", "loss %", "calls", "runs"
    );
    let mut line = |name: &str, runs: &[Figures], ratio: Option<f64>| {
        let counted_runs = runs.iter().filter(|run| run.refused.is_empty());
        let costs: Vec<f64> =
            counted_runs.clone().filter_map(|run| run.server).map(|load| load.micros_per_packet).collect();
        let Some(middle) = counted(runs) else {
            let _ = writeln!(text, "{name:<18} no run counts"); // A string takes everything.
            return;
        };
        let (low, high) = costs.iter().fold((f64::MAX, 0f64), |(low, high), cost| (low.min(*cost), high.max(*cost)));
        let cost = middle.server.map(|load| format!("{:.2} ({low:.2}–{high:.2})", load.micros_per_packet));
        let latency = middle.latency_ms.map(|ms| format!("{:.2} / {:.2}", ms.p50, ms.p99));
        let calls = middle.calls_per_packet.map(|calls| format!("{calls:.3}"));
        let ratio = ratio.map(|ratio| format!("{ratio:.2}"));
        let [cost, latency, calls, ratio] = [cost, latency, calls, ratio].map(Option::unwrap_or_default);
        let (loss, runs) = (middle.loss_percent, format!("{}/{}", counted_runs.count(), runs.len()));
        let _ = writeln!(text, "{name:<18} {cost:>20} {ratio:>8} {latency:>14} {loss:>8.3} {calls:>8} {runs:>8}");
    };
    line("server", ours, None);
    rivals.iter().for_each(|rival| line(&rival.name, &rival.runs, rival.ratio.median));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Load;

    fn run(micros_per_packet: f64, refused: &[&str]) -> Figures {
        let refused = refused.iter().map(|why| (*why).to_owned()).collect();
        Figures { server: Some(Load { micros_per_packet, ..Load::default() }), refused, ..Figures::default() }
    }

    #[test]
    fn only_rounds_in_which_both_count_are_compared() {
        let ours = [run(4.0, &[]), run(9.0, &["lost"]), run(6.0, &[]), run(5.0, &[])];
        let theirs = vec![run(2.0, &[]), run(1.0, &[]), run(1.0, &["lost"]), run(2.0, &[])];
        let rival = Rival::new("floor".to_owned(), &ours, theirs);
        assert_eq!(rival.ratio, Ratio { median: Some(2.5), rounds: vec![2.0, 2.5] });
        let text = table(&ours, &[rival]);
        assert!(text.contains("5.00 (4.00–6.00)") && text.contains("3/4") && text.contains("2.50"), "{text}");
    }

    #[test]
    fn without_such_a_round_there_is_no_ratio() {
        let rival = Rival::new("floor".to_owned(), &[run(4.0, &["lost"])], vec![run(2.0, &[])]);
        assert_eq!(rival.ratio, Ratio::default());
        assert!(table(&[run(4.0, &["lost"])], &[rival]).contains("no run counts"));
        assert_eq!(Rival::new("x".to_owned(), &[run(4.0, &[])], vec![run(0.0, &[])]).ratio, Ratio::default());
    }
}
