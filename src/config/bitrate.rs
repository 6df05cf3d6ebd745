//! Bit rates as people write them: `800k`, `4M`, `2.5M`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bits a second, written and read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanBitrate(pub u32);

/// Why a text is no bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bit rate is written like 800k, 4M or 2.5M, in bits a second")]
pub struct InvalidBitrate;

/// Digits behind the point that a unit gives a meaning to.
const UNITS: [(char, usize); 2] = [('M', 6), ('k', 3)];

impl FromStr for HumanBitrate {
    type Err = InvalidBitrate;

    fn from_str(text: &str) -> Result<Self, InvalidBitrate> {
        let unit = UNITS.iter().find_map(|(name, places)| Some((text.strip_suffix(*name)?, *places)));
        let (number, places) = unit.unwrap_or((text, 0));
        let (whole, part) = number.split_once('.').map_or((number, ""), |(whole, part)| (whole, part));
        let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let has_empty_part = number.contains('.') && part.is_empty();
        if whole.is_empty() || has_empty_part || !is_digits(whole) || !is_digits(part) || part.len() > places {
            return Err(InvalidBitrate);
        }
        // As digits, so that no rate is rounded: 2.5M is 25 and five noughts.
        let digits = format!("{whole}{part:0<places$}");
        digits.parse().map(Self).map_err(|_| InvalidBitrate)
    }
}

impl fmt::Display for HumanBitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bps if bps > 0 && bps % 1_000_000 == 0 => write!(f, "{}M", bps / 1_000_000),
            bps if bps > 0 && bps % 1_000 == 0 => write!(f, "{}k", bps / 1_000),
            bps => write!(f, "{bps}"),
        }
    }
}

impl TryFrom<String> for HumanBitrate {
    type Error = InvalidBitrate;

    fn try_from(text: String) -> Result<Self, InvalidBitrate> {
        text.parse()
    }
}

impl From<HumanBitrate> for String {
    fn from(bitrate: HumanBitrate) -> Self {
        bitrate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates_are_read_and_written_alike() {
        for (text, bps) in [("0", 0), ("64k", 64_000), ("2501k", 2_501_000), ("4M", 4_000_000), ("999", 999)] {
            assert_eq!(text.parse(), Ok(HumanBitrate(bps)), "{text}");
            assert_eq!(HumanBitrate(bps).to_string(), text);
        }
        for (text, bps) in [("2.5M", 2_500_000), ("0.8M", 800_000), ("1.25k", 1_250), ("4000000", 4_000_000)] {
            assert_eq!(text.parse(), Ok(HumanBitrate(bps)), "{text}");
        }
    }

    #[test]
    fn what_is_no_bit_rate_is_refused() {
        for text in ["", "k", "M", "4 M", "-4M", "4m", "4G", "1.5", "1.M", ".5M", "1.2345k", "5000M", "1e6", "4Mk"] {
            assert_eq!(text.parse::<HumanBitrate>(), Err(InvalidBitrate), "{text}");
        }
    }
}
