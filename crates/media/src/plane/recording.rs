//! Writing down what the plane is told, see [`trace`](crate::trace).

use crate::key::PeerKey;
use crate::moment::Moment;
use crate::plane::Plane;
use crate::trace::{Call, Recording, blank};

impl Plane {
    /// Records from now on all that the plane is told, at most `max_bytes`. Possible only before anything was told:
    /// returns whether it is so.
    ///
    /// What is recorded is to be taken with [`Plane::take_recorded`] before 4 MiB wait; else a gap is marked and
    /// recording ends, as it does when the bound is reached.
    pub fn record(&mut self, max_bytes: u64) -> bool {
        let is_new = self.peers.nth(0).is_none() && self.tracks.nth(0).is_none() && self.slots.nth(0).is_none();
        if is_new {
            let (unix_micros, seed) = self.origin;
            self.recorder.start(self.start, unix_micros, seed, max_bytes);
        }
        is_new
    }

    /// Hands out what was recorded since the last time, behind what is in `out`.
    pub fn take_recorded(&mut self, out: &mut Vec<u8>) {
        self.recorder.take(out);
    }

    /// Ends recording, and forgets what was not taken.
    pub fn stop_recording(&mut self) {
        self.recorder.stop();
    }

    /// How far recording has come; `None` if there is none.
    #[must_use]
    pub fn recording(&self) -> Option<Recording> {
        self.recorder.figures()
    }

    /// Records a packet without its media.
    #[cold]
    pub(super) fn record_rtp(&mut self, now: Moment, from: PeerKey, packet: &[u8]) {
        let tracks = self.peers.get(from).into_iter().flat_map(|peer| &peer.tracks);
        let tracks = tracks.filter_map(|&track| self.tracks.get(track));
        let packet = blank(packet, tracks.flat_map(|track| &track.config.codecs));
        self.recorder.note(now, || Call::HandleRtp { from, packet: packet.into() });
    }
}
