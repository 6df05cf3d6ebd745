//! Sees from single packets that a path suddenly carries far less (our own).
//!
//! Groups of packets tell of their delay only when the next one has come. Where the capacity falls to a quarter, the
//! burst of one large frame takes hundreds of milliseconds to arrive, and the queue is full before the first group is
//! over. The packets of that burst tell it at once: each is later than the one before by nearly the time between them.

use super::standing::{Lateness, Least};

/// A run has at least so many packets, …
const MIN_PACKETS: u32 = 5;
/// … and packets fall behind by at least this share of the time it takes: more than twice as much is sent as arrives.
const FALLING_BEHIND: f64 = 0.5;

/// Looks for a run of packets of which each is late, and later the longer it lasts.
#[derive(Debug, Default)]
pub(super) struct Collapse {
    least: Least,
    run: Option<Run>,
    /// The run has been judged. The next one begins when packets are in time again: a queue that stays is somebody else's
    /// doing, too.
    judged: bool,
}

/// All in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Run {
    began: f64,
    excess: f64,
    packets: u32,
    bits: f64,
}

impl Collapse {
    /// Takes the next packet in the order of arrival: when it arrived, how long it took, and how long it was expected to
    /// queue, in milliseconds. Returns the rate at which packets arrive, in bits per second, once they collapse.
    pub(super) fn handle_packet(
        &mut self,
        (at, delay, expected): (f64, f64, f64),
        size: u16,
        late: Lateness,
    ) -> Option<f64> {
        self.least.handle(at, delay, false);
        let excess = delay - expected - self.least.get()?;
        if excess <= late.ms {
            (self.run, self.judged) = (None, false);
            return None;
        }
        if self.judged {
            return None;
        }
        let run = self.run.get_or_insert(Run { began: at, excess, packets: 0, bits: 0.0 });
        run.packets += 1;
        if run.packets > 1 {
            run.bits += f64::from(size) * 8.0;
        }
        let span = at - run.began;
        if run.packets < MIN_PACKETS || span < late.span_ms {
            return None;
        }
        self.judged = true;
        let run = self.run.take()?;
        (excess - run.excess >= FALLING_BEHIND * span).then_some(run.bits * 1e3 / span)
    }

    /// Forgets what was least, too.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Lateness = Lateness { ms: 10.0, span_ms: 60.0 };

    /// Sends frames of `packets` packets each 33 ms over a path of so many ms a packet; returns when it collapsed and
    /// the rate that was told.
    fn collapses(per_packet: impl Fn(f64) -> f64, packets: u32, jitter: impl Fn(u32) -> f64) -> Option<(f64, f64)> {
        let mut collapse = Collapse::default();
        let (mut free, mut number) = (0.0_f64, 0);
        for frame in 0..60 {
            let sent = f64::from(frame) * 33.0;
            for ahead in 0..packets {
                free = free.max(sent) + per_packet(sent);
                number += 1;
                let arrival = free + 20.0 + jitter(number);
                let found = collapse.handle_packet((arrival, arrival - sent, f64::from(ahead) * 3.0), 1200, LATE);
                if found.is_some() {
                    return found.map(|rate| (arrival, rate));
                }
            }
        }
        None
    }

    #[test]
    fn a_fall_to_a_quarter_is_seen_in_the_first_large_frame_with_the_rate_that_is_left() {
        let (at, rate) = collapses(|sent| if sent < 990.0 { 3.0 } else { 32.0 }, 7, |_| 0.0).unwrap();
        assert!(at < 990.0 + 20.0 + 7.0 * 32.0, "{at}: before the frame is through");
        assert!((280e3..310e3).contains(&rate), "{rate}: 1200 bytes each 32 ms");
    }

    #[test]
    fn neither_a_path_that_is_just_full_nor_jitter_collapses() {
        assert_eq!(collapses(|_| 3.0, 7, |_| 0.0), None);
        assert_eq!(
            collapses(|sent| if sent < 990.0 { 3.0 } else { 5.0 }, 7, |_| 0.0),
            None,
            "6 % more than it carries"
        );
        assert_eq!(collapses(|_| 3.0, 7, |number| f64::from(number * 7919 % 30)), None);
        let step = |number: u32| if number > 200 { 80.0 } else { 0.0 };
        assert_eq!(collapses(|_| 3.0, 7, step), None, "another way that takes 80 ms longer");
    }
}
