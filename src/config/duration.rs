//! Durations as people write them: `90s`, `15m`, `4h`, `1h30m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration that is written and read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(pub Duration);

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is written like 90s, 15m, 4h or 1h30m, with the units d, h, m and s")]
pub struct InvalidDuration;

/// The units, largest first, in seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for HumanDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let mut rest = text;
        let mut seconds = 0_u64;
        let mut units = UNITS.iter();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(InvalidDuration)?;
            let (digits, tail) = rest.split_at(end);
            let number: u64 = digits.parse().map_err(|_| InvalidDuration)?;
            let unit = tail.chars().next().ok_or(InvalidDuration)?;
            // Searching on from the last unit keeps them in order and each at most once.
            let (_, size) = units.find(|(name, _)| *name == unit).ok_or(InvalidDuration)?;
            seconds = number.checked_mul(*size).and_then(|n| seconds.checked_add(n)).ok_or(InvalidDuration)?;
            rest = tail.strip_prefix(unit).ok_or(InvalidDuration)?;
        }
        if text.is_empty() { Err(InvalidDuration) } else { Ok(Self(Duration::from_secs(seconds))) }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0.as_secs();
        if seconds == 0 {
            return f.write_str("0s");
        }
        for (name, size) in UNITS {
            if seconds >= size {
                write!(f, "{}{name}", seconds / size)?;
                seconds %= size;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = InvalidDuration;

    fn try_from(text: String) -> Result<Self, InvalidDuration> {
        text.parse()
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for (text, seconds) in [("0s", 0), ("45s", 45), ("1m", 60), ("4h", 14_400), ("1h30m", 5_400), ("1d1s", 86_401)]
        {
            let duration = HumanDuration(Duration::from_secs(seconds));
            assert_eq!(text.parse(), Ok(duration), "{text}");
            assert_eq!(duration.to_string(), text);
        }
        assert_eq!("90s".parse(), Ok(HumanDuration(Duration::from_secs(90))));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "4", "h", "4 h", "-4h", "1.5h", "4H", "30m1h", "1h1h", "4hx", "213503982334602d", "1µ"] {
            assert_eq!(text.parse::<HumanDuration>(), Err(InvalidDuration), "{text}");
        }
    }
}
