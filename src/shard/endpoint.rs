//! One end of the media plane: today always a member's peer connection.

use std::time::{Duration, Instant};

use roundtable_media::PeerKey;
use roundtable_prefetch::prefetch;
use roundtable_protocol::MemberId;
use roundtable_transport::path::Path;
use roundtable_transport::peer::Peer;

use super::arena::Queue;
use super::data_line::DataLine;
use super::negotiate::Negotiation;

/// A member's peer connection with what waits to leave for it.
#[derive(Debug)]
pub struct Endpoint {
    /// ICE, DTLS, SRTP and data channels.
    pub transport: Peer,
    /// Media that waits for the flush.
    pub queue: Queue,
    /// Where media goes: a copy of the transport's nominated path, beside the queue for the flush.
    pub path: Option<Path>,
    /// Whether it stands in the list of those with something to send.
    pub dirty: bool,
    /// Whether it is known to have its keys, so that media may leave for it.
    pub ready: bool,
    /// Its key in the room's plane.
    pub plane: PeerKey,
    /// Its room, by the shard's key, or [`Endpoint::PARKED`].
    pub room: usize,
    /// Whose it is.
    pub member: MemberId,
    /// The open chat channel.
    pub chat: Option<u16>,
    /// The open channels for data.
    pub data: Option<Box<DataLine>>,
    /// Its m-lines.
    pub negotiation: Negotiation,
    /// Paths that route to it.
    pub paths: Vec<Path>,
    /// Ufrags that route to it: the current one, and the one before while an ICE restart is under way.
    pub ufrags: Vec<String>,
    /// The earliest deadline that an alarm is set for.
    pub scheduled: Option<Instant>,
}

impl Endpoint {
    /// The room of one that is in none: its member is on the way from one to another.
    pub const PARKED: usize = usize::MAX;

    /// Has what a packet to it needs brought near.
    pub fn prefetch(&self) {
        prefetch(&self.queue);
        prefetch(&self.path);
        prefetch(&self.dirty);
        self.transport.prefetch();
    }

    /// Whether it is in no room.
    #[must_use]
    pub const fn is_parked(&self) -> bool {
        self.room == Self::PARKED
    }
}

/// Deadlines nearer to each other than this count as one.
const SLACK: Duration = Duration::from_millis(1);

/// Whether a deadline needs an alarm when there is one at `scheduled` already.
#[must_use]
pub fn is_earlier(deadline: Instant, scheduled: Option<Instant>) -> bool {
    scheduled.is_none_or(|at| deadline + SLACK < at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/PERFORMANCE.md lists what is in it.
    #[test]
    fn an_endpoint_takes_little() {
        assert!(size_of::<Endpoint>() <= 1_184, "{} bytes", size_of::<Endpoint>());
        assert!(size_of::<Queue>() <= 24, "{} bytes", size_of::<Queue>());
    }
}
