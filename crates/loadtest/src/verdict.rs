//! Which runs do not count.

use crate::figures::Figures;

/// A run that loses more measures something else, in percent.
pub(crate) const MOST_LOSS_PERCENT: f64 = 0.1;
/// A generator that is busier than this, of a core for each of its threads, measures itself, in percent.
pub(crate) const MOST_BUSY_PERCENT: f64 = 80.0;

/// What a run is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether loss speaks against the run; not where it was made on purpose.
    pub(crate) lossless: bool,
    /// Threads of the generator.
    pub(crate) threads: u32,
}

/// Why a run does not count; empty if it does.
pub(crate) fn refusals(figures: &Figures, rules: Rules) -> Vec<String> {
    let mut refusals = Vec::new();
    let Figures { loss_percent, missing_percent, .. } = *figures;
    if rules.lossless && loss_percent > MOST_LOSS_PERCENT {
        refusals.push(format!("{loss_percent:.2} % of the packets were lost; {MOST_LOSS_PERCENT} % are allowed"));
    }
    if let Some(missing) = missing_percent.filter(|missing| rules.lossless && *missing > MOST_LOSS_PERCENT) {
        refusals.push(format!("{missing:.2} % of what was published did not come; {MOST_LOSS_PERCENT} % are allowed"));
    }
    let busy = figures.generator.core_percent / f64::from(rules.threads.max(1));
    if busy > MOST_BUSY_PERCENT {
        refusals.push(format!(
            "the generator used {busy:.0} % of a core for each of its threads; {MOST_BUSY_PERCENT} % are allowed (see --threads)"
        ));
    }
    if figures.ended > 0 {
        refusals.push(format!("{} connections ended by themselves", figures.ended));
    }
    if figures.delivered == 0 {
        refusals.push("no packet came".to_owned());
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Load;

    fn check(change: impl FnOnce(&mut Figures), rules: Rules, expected: &[&str]) {
        let mut figures = Figures { delivered: 1, missing_percent: Some(0.0), ..Figures::default() };
        change(&mut figures);
        let refusals = refusals(&figures, rules);
        assert_eq!(refusals.len(), expected.len(), "{refusals:?}");
        for (refusal, part) in refusals.iter().zip(expected) {
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn what_speaks_against_a_run_is_said() {
        let rules = Rules { lossless: true, threads: 1 };
        let load = |core_percent| Load { core_percent, ..Load::default() };
        check(|_| {}, rules, &[]);
        check(|f| f.loss_percent = 0.1, rules, &[]);
        check(|f| f.loss_percent = 0.11, rules, &["lost"]);
        check(|f| f.missing_percent = Some(3.0), rules, &["3.00 % of what was published"]);
        check(|f| (f.loss_percent, f.missing_percent) = (5.0, Some(5.0)), Rules { lossless: false, ..rules }, &[]);
        check(|f| f.generator = load(80.0), rules, &[]);
        check(|f| f.generator = load(81.0), rules, &["81 % of a core"]);
        check(|f| f.generator = load(150.0), Rules { threads: 2, ..rules }, &[]);
        check(|f| (f.ended, f.delivered) = (2, 0), rules, &["2 connections", "no packet"]);
    }
}
