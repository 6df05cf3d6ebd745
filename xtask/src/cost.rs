//! The step that keeps forwarding cheap: the server's CPU a packet ÷ that of the bare loop in the same minute.
//!
//! A ratio does not depend on how fast the machine is. What the machine was too busy for is void, and says so.

use serde_json::Value;

use crate::Failure;
use crate::bench::{bench, ratio};

/// The server may cost so many times the bare loop (goal P10).
const MOST: f64 = 2.0;
/// Of the three rounds that many have to count.
const FEWEST_ROUNDS: usize = 2;
/// Short runs, so that the step takes less than a minute; but the server is given time to find out what the paths carry,
/// for its probes would count as its cost.
const ARGUMENTS: &[&str] =
    &["fan-out", "--subscribers", "50", "--compare=segmented", "--runs", "3", "--seconds", "2", "--warmup", "5"];

/// What one measurement says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Fine(f64),
    TooMuch(f64),
    /// Too few rounds count.
    Void,
}

/// Measures, and once more unless all is fine. Too much fails; what is void does not.
pub(crate) fn guard() -> Result<(), Failure> {
    decide(|| Ok(judge(&bench("cost", ARGUMENTS)?)))
}

fn decide(mut measure: impl FnMut() -> Result<Verdict, Failure>) -> Result<(), Failure> {
    let mut verdict = measure()?;
    if !matches!(verdict, Verdict::Fine(_)) {
        println!("{}: once more", describe(verdict));
        verdict = measure()?;
    }
    println!("{}", describe(verdict));
    match verdict {
        Verdict::Fine(_) | Verdict::Void => Ok(()),
        Verdict::TooMuch(_) => Err(describe(verdict)),
    }
}

fn judge(figures: &Value) -> Verdict {
    match ratio(figures, "floor, segmented") {
        Some((ratio, rounds)) if rounds >= FEWEST_ROUNDS && ratio <= MOST => Verdict::Fine(ratio),
        Some((ratio, rounds)) if rounds >= FEWEST_ROUNDS => Verdict::TooMuch(ratio),
        _ => Verdict::Void,
    }
}

fn describe(verdict: Verdict) -> String {
    match verdict {
        Verdict::Fine(ratio) => {
            format!("a forwarded packet costs {ratio:.2} times the bare loop; {MOST:.1} are allowed")
        }
        Verdict::TooMuch(ratio) => {
            format!("a forwarded packet costs {ratio:.2} times the bare loop; only {MOST:.1} are allowed")
        }
        Verdict::Void => "void: this machine was too busy to say what a packet costs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ratio: f64, rounds: usize) -> Value {
        let ratio = serde_json::json!({ "median": ratio, "rounds": vec![ratio; rounds] });
        serde_json::json!({ "beside": [{ "name": "floor, segmented", "ratio": ratio }] })
    }

    #[test]
    fn a_ratio_counts_by_two_rounds_at_least() {
        assert_eq!(judge(&figures(2.0, 2)), Verdict::Fine(2.0));
        assert_eq!(judge(&figures(2.01, 3)), Verdict::TooMuch(2.01));
        assert_eq!(judge(&figures(1.0, 1)), Verdict::Void);
        assert_eq!(judge(&Value::Null), Verdict::Void);
    }

    #[test]
    fn too_much_fails_when_it_is_measured_twice() {
        let decide = |verdicts: [Verdict; 2]| {
            let mut verdicts = verdicts.into_iter();
            decide(|| verdicts.next().ok_or_else(|| "measured too often".to_owned())).is_ok()
        };
        assert!(decide([Verdict::Fine(1.0), Verdict::TooMuch(3.0)]));
        assert!(decide([Verdict::TooMuch(3.0), Verdict::Fine(1.0)]));
        assert!(decide([Verdict::TooMuch(3.0), Verdict::Void]));
        assert!(decide([Verdict::Void, Verdict::Void]));
        assert!(!decide([Verdict::TooMuch(3.0), Verdict::TooMuch(3.0)]));
        assert!(!decide([Verdict::Void, Verdict::TooMuch(3.0)]));
    }
}
