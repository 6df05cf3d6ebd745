//! Which encoding of a simulcast track is the best that lives.

use std::time::{Duration, Instant};

/// An encoding without packets for this long has stopped.
pub(crate) const STOPPED_AFTER: Duration = Duration::from_secs(1);
/// Without known sizes, an encoding is better if its bit rate is larger by a quarter.
const BETTER_NUMERATOR: u64 = 5;
const BETTER_DENOMINATOR: u64 = 4;

/// What is known of one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Candidate {
    pub(crate) is_live: bool,
    /// Width times height, where keyframes tell it.
    pub(crate) pixels: Option<u32>,
    pub(crate) bitrate_bps: u64,
}

/// Chooses by picture size, where known for both, else by measured bit rate. The current one stays until it stops or
/// another is clearly better; without a live one it stays as well.
pub(crate) fn best_layer(candidates: &[Candidate], current: usize) -> usize {
    let live = candidates.iter().enumerate().filter(|(_, candidate)| candidate.is_live);
    live.fold(current, |best, (at, candidate)| match candidates.get(best) {
        Some(held) if held.is_live && !is_better(candidate, held) => best,
        Some(_) | None => at,
    })
}

fn is_better(candidate: &Candidate, held: &Candidate) -> bool {
    match (candidate.pixels, held.pixels) {
        (Some(pixels), Some(held)) if pixels != held => pixels > held,
        _ => candidate.bitrate_bps * BETTER_DENOMINATOR > held.bitrate_bps * BETTER_NUMERATOR,
    }
}

/// Measures a bit rate over the last second or two.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: u64,
    since: Option<Instant>,
    bitrate_bps: u64,
}

impl Meter {
    pub(crate) const fn handle_bytes(&mut self, len: usize) {
        self.bytes += len as u64;
    }

    /// Closes a period of measuring. One quarter of the result is the last period, so that a short silence of one
    /// layer does not make another one look better.
    pub(crate) fn handle_tick(&mut self, now: Instant) {
        if let Some(since) = self.since.replace(now) {
            let micros = now.saturating_duration_since(since).as_micros().max(1) as u64;
            let measured = self.bytes * 8_000_000 / micros;
            self.bitrate_bps = if self.bitrate_bps == 0 { measured } else { (3 * self.bitrate_bps + measured) / 4 };
        }
        self.bytes = 0;
    }

    pub(crate) const fn bitrate_bps(&self) -> u64 {
        self.bitrate_bps
    }
}

/// Width times height in a VP8 keyframe, whose first byte follows the descriptor (RFC 6386 9.1).
pub(crate) fn vp8_pixels(frame: &[u8]) -> Option<u32> {
    match *frame {
        [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] => {
            let size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            Some(size(w0, w1) * size(h0, h1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn live(pixels: Option<u32>, bitrate_bps: u64) -> Candidate {
        Candidate { is_live: true, pixels, bitrate_bps }
    }

    const DEAD: Candidate = Candidate { is_live: false, pixels: Some(1_000_000), bitrate_bps: 9_000_000 };

    #[test]
    fn the_largest_that_lives_is_best() {
        let check = |candidates: &[Candidate], current, expected| {
            assert_eq!(best_layer(candidates, current), expected, "of {candidates:?} from {current}");
        };
        check(&[live(None, 100), live(None, 300), live(None, 900)], 0, 2);
        check(&[live(None, 900), live(None, 300), live(None, 100)], 2, 0);
        check(&[live(None, 100), live(None, 300), DEAD], 2, 1);
        check(&[DEAD, DEAD, live(None, 0)], 0, 2);
        check(&[DEAD, DEAD], 1, 1);
        check(&[live(None, 100), live(None, 120)], 0, 0);
        check(&[live(None, 100), live(None, 120)], 1, 1);
        check(&[live(Some(57_600), 900), live(Some(921_600), 300)], 0, 1);
        check(&[live(Some(57_600), 900), live(None, 300)], 1, 0);
    }

    #[test]
    fn bit_rates_follow_within_two_seconds() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let mut tick = 0;
        let mut run = |meter: &mut Meter, bytes, ticks| {
            for _ in 0..ticks {
                meter.handle_bytes(bytes);
                meter.handle_tick(start + Duration::from_millis(250) * tick);
                tick += 1;
            }
            meter.bitrate_bps()
        };
        assert_eq!(run(&mut meter, 31_250, 2), 1_000_000);
        let doubled = run(&mut meter, 62_500, 8);
        assert!((1_800_000..2_000_000).contains(&doubled), "{doubled}");
        let silent = run(&mut meter, 0, 3);
        assert!(silent > 750_000, "{silent} after 750 ms of silence");
    }

    #[test]
    fn the_size_of_a_vp8_keyframe_is_read() {
        assert_eq!(vp8_pixels(&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 0]), Some(640 * 480));
        assert_eq!(vp8_pixels(&[0x10, 0, 0, 0x9d, 0x01]), None);
    }
}
