//! What a link is like, and the words that say so.

use std::time::Duration;

/// Bytes of the IPv4 and UDP headers: a link carries them too.
const HEADER_BYTES: usize = 28;
/// The longest queue, delay, or lateness that can be set.
const MAX_TIME: Duration = Duration::from_secs(60);

/// What one direction of a link is like. The default does nothing but carry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// Bits a second, headers included; `None` is as fast as the machine.
    pub rate_bps: Option<u64>,
    /// How long a packet travels once it has left the queue.
    pub delay: Duration,
    /// How long a packet may have to wait for those before it; one that would wait longer is dropped.
    pub queue: Duration,
    /// Standard deviation of the delay. Order is kept: who is slow holds up who comes behind.
    pub jitter: Duration,
    /// Packets in a thousand lost, each by its own luck.
    pub loss_permille: f64,
    /// Packets in a thousand lost in bursts.
    pub burst_loss_permille: f64,
    /// Mean length of such a burst in packets.
    pub burst: f64,
    /// Packets in a thousand that are [`late`](Self::late), so that those behind them overtake.
    pub reorder_permille: f64,
    /// By how much those are late.
    pub late: Duration,
    /// Packets in a thousand that arrive twice.
    pub duplicate_permille: f64,
    /// The largest packet carried, headers included; larger ones vanish without a word.
    pub mtu: Option<usize>,
    /// Header bytes that count beside a datagram's own.
    pub overhead: usize,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            rate_bps: None,
            delay: Duration::ZERO,
            queue: Duration::from_millis(300),
            jitter: Duration::ZERO,
            loss_permille: 0.0,
            burst_loss_permille: 0.0,
            burst: 5.0,
            reorder_permille: 0.0,
            late: Duration::from_millis(20),
            duplicate_permille: 0.0,
            mtu: None,
            overhead: HEADER_BYTES,
        }
    }
}

/// Why a setting was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It is not of the form `key=value`.
    #[error("{0} is not key=value")]
    Form(String),
    /// There is no such key.
    #[error("{0} is no setting of a link")]
    Key(String),
    /// The value makes no sense for the key.
    #[error("{value} is no value for {key}")]
    Value {
        /// The key.
        key: String,
        /// What was given for it.
        value: String,
    },
}

impl Profile {
    /// Changes one property, such as `rate=300k`, `delay=20ms`, `loss=5` (in a thousand), `mtu=none`.
    ///
    /// # Errors
    /// [`SettingError`] when the words are not understood; then nothing is changed.
    pub fn set(&mut self, setting: &str) -> Result<(), SettingError> {
        let (key, value) = setting.split_once('=').ok_or_else(|| SettingError::Form(setting.to_owned()))?;
        let known = match key {
            "rate" => assign(&mut self.rate_bps, optional(value, rate)),
            "delay" => assign(&mut self.delay, time(value)),
            "queue" => assign(&mut self.queue, time(value)),
            "jitter" => assign(&mut self.jitter, time(value)),
            "loss" => assign(&mut self.loss_permille, permille(value)),
            "burst_loss" => assign(&mut self.burst_loss_permille, permille(value)),
            "burst" => assign(&mut self.burst, number(value).filter(|burst| *burst >= 1.0)),
            "reorder" => assign(&mut self.reorder_permille, permille(value)),
            "late" => assign(&mut self.late, time(value)),
            "duplicate" => assign(&mut self.duplicate_permille, permille(value)),
            "mtu" => assign(&mut self.mtu, optional(value, |v| v.parse().ok())),
            "overhead" => assign(&mut self.overhead, value.parse().ok().filter(|bytes| *bytes <= 1000)),
            _ => return Err(SettingError::Key(key.to_owned())),
        };
        known.ok_or_else(|| SettingError::Value { key: key.to_owned(), value: value.to_owned() })
    }
}

fn assign<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// `none`, or what `read` makes of it.
fn optional<T>(value: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if value == "none" { Some(None) } else { read(value).map(Some) }
}

/// A finite number, not below zero.
fn number(value: &str) -> Option<f64> {
    value.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn permille(value: &str) -> Option<f64> {
    number(value).filter(|share| *share <= 1000.0)
}

/// Bits a second: a number, perhaps with `k` or `M`. Not 0, which would be no link at all.
fn rate(value: &str) -> Option<u64> {
    let (digits, unit) = match value.strip_suffix(['k', 'M']) {
        Some(digits) if value.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (value, 1.0),
    };
    // The range is checked, so that the cast loses a fraction of a bit at most.
    number(digits).map(|digits| digits * unit).filter(|bits| (1.0..=1e12).contains(bits)).map(|bits| bits as u64)
}

/// A time with its unit: `20ms`, `1.5s`.
fn time(value: &str) -> Option<Duration> {
    let seconds = match value.strip_suffix("ms") {
        Some(digits) => number(digits)? / 1000.0,
        None => number(value.strip_suffix('s')?)?,
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= MAX_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &[&str]) -> Result<Profile, SettingError> {
        let mut profile = Profile::default();
        settings.iter().try_for_each(|setting| profile.set(setting)).map(|()| profile)
    }

    #[test]
    fn settings_are_read_with_their_units() {
        let profile = set(&["rate=1.5M", "delay=20ms", "queue=0.3s", "loss=2.5", "mtu=1200", "burst=8"]).unwrap();
        let expected = Profile {
            rate_bps: Some(1_500_000),
            delay: Duration::from_millis(20),
            queue: Duration::from_millis(300),
            loss_permille: 2.5,
            mtu: Some(1200),
            burst: 8.0,
            ..Profile::default()
        };
        assert_eq!(profile, expected);
        assert_eq!(set(&["rate=300k"]).unwrap().rate_bps, Some(300_000));
        assert_eq!(set(&["rate=300k", "rate=none"]).unwrap().rate_bps, None);
    }

    #[test]
    fn nonsense_is_refused_with_the_word_that_is_wrong() {
        for value in ["rate=0", "rate=-1", "rate=fast", "rate=k", "delay=20", "delay=61s", "loss=1001", "loss=NaN"] {
            assert!(matches!(set(&[value]), Err(SettingError::Value { .. })), "{value}");
        }
        assert_eq!(set(&["burst=0.5"]), Err(SettingError::Value { key: "burst".into(), value: "0.5".into() }));
        assert_eq!(set(&["colour=red"]), Err(SettingError::Key("colour".into())));
        assert_eq!(set(&["rate"]), Err(SettingError::Form("rate".into())));
    }
}
