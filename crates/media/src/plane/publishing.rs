//! Whether publishers keep to what they may send: they are told first, and reported when they go on.

use std::time::Duration;

use crate::bwe::Bitrate;
use crate::event::PlaneEvent;
use crate::moment::Moment;
use crate::plane::{Plane, queue};

/// More than its limit by this factor is too much: encoders swing around what they are told.
const TOLERANCE: f64 = 1.25;
/// Who sends too much for this long has been told several times.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one peer sends, second by second.
#[derive(Debug, Default)]
pub(crate) struct Inflow {
    bytes: u64,
    since: Option<Moment>,
    over_since: Option<Moment>,
}

impl Inflow {
    /// Counts a packet, retransmissions and padding included.
    pub(crate) const fn handle_packet(&mut self, len: usize) {
        self.bytes += len as u64;
    }

    /// Closes a second of counting; returns whether more than `max` has been sent for long. Then it begins anew.
    fn handle_tick(&mut self, now: Moment, max: Bitrate) -> bool {
        let bytes = std::mem::take(&mut self.bytes);
        let Some(since) = self.since.replace(now) else { return false };
        let seconds = now.saturating_duration_since(since).as_secs_f64().max(0.1);
        if Bitrate::from_f64(bytes as f64 * 8.0 / seconds) <= max.scale(TOLERANCE) {
            self.over_since = None;
            return false;
        }
        let is_long = now.saturating_duration_since(*self.over_since.get_or_insert(now)) >= PATIENCE;
        if is_long {
            self.over_since = None;
        }
        is_long
    }
}

impl Plane {
    /// Looks for publishers that send more than they may for long, and reports the track that costs most of each.
    pub(super) fn judge_publishers(&mut self, now: Moment) {
        for (_, peer) in self.peers.iter_mut() {
            if !peer.inflow.handle_tick(now, peer.limits.publish.max_bitrate) {
                continue;
            }
            let tracks = peer.tracks.iter().filter_map(|&key| Some((key, self.tracks.get(key)?)));
            let open = tracks.filter(|(_, track)| !track.is_paused);
            if let Some((track, _)) = open.max_by_key(|(_, track)| track.total_bitrate()) {
                queue(&mut self.events, &mut self.counters, PlaneEvent::OverLimit { track });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it was reported, in seconds, if so many kbit/s are sent in each.
    fn reports(kbps: &[usize]) -> Vec<usize> {
        let start = Moment::ORIGIN;
        let mut inflow = Inflow::default();
        inflow.handle_tick(start, Bitrate::kbps(1000));
        let seconds = kbps.iter().enumerate().filter(|&(second, kbps)| {
            inflow.handle_packet(kbps * 125);
            inflow.handle_tick(start + Duration::from_secs(second as u64 + 1), Bitrate::kbps(1000))
        });
        seconds.map(|(second, _)| second).collect()
    }

    #[test]
    fn who_sends_too_much_for_long_is_reported_and_a_peak_is_not() {
        assert_eq!(reports(&[1200; 20]), [0; 0], "what an encoder may swing by");
        assert_eq!(reports(&[3000, 3000, 3000, 500, 3000, 3000, 3000, 3000]), [0; 0]);
        assert_eq!(reports(&[3000; 14]), [5, 11], "again after another while");
    }
}
