//! What the plane tells of itself: figures per layer, per slot and per subscriber.

use std::time::Duration;

use crate::allocate::Cause;
use crate::bwe::{Bitrate, EstimatorState, SendSideEstimator};
use crate::decision::LayerChoice;
use crate::key::{PeerKey, SlotKey, TrackKey};
use crate::moment::Moment;
use crate::outbound::select::{Goal, layers};
use crate::plane::Plane;

/// How one layer of a track is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerStats {
    /// Whether packets have come within the last second.
    pub is_live: bool,
    /// Whether subscribers get this layer.
    pub is_selected: bool,
    /// The payload bit rate over the last second or two.
    pub bitrate_bps: u64,
    /// Packets received, retransmissions aside.
    pub packets: u64,
    /// Packets lost on the way to us, repaired ones too; negative if duplicates outnumber them.
    pub lost: i64,
    /// Bytes kept for retransmissions.
    pub ring_bytes: usize,
}

/// How one slot is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotStats {
    /// Packets sent, retransmissions aside.
    pub packets: u32,
    /// Payload bytes of those.
    pub octets: u32,
    /// What the subscriber last said of its loss, in 1/256.
    pub fraction_lost: u8,
    /// The round-trip time of the subscriber.
    pub rtt: Duration,
    /// The track the subscriber gets now.
    pub live: Option<TrackKey>,
    /// The track that takes over at its next keyframe or packet.
    pub wanted: Option<TrackKey>,
    /// What the allocator chose: `None` if the slot is audio, idle or paused.
    pub chosen: Option<LayerChoice>,
    /// What is being forwarded.
    pub current: Option<LayerChoice>,
    /// Why the allocator chose so.
    pub cause: Cause,
}

/// What one subscriber's path carries, and what of it is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SendStats {
    /// What may be sent.
    pub target: Bitrate,
    /// What the chosen rungs cost, audio included.
    pub used: Bitrate,
    /// What every useful rung would cost.
    pub desired: Bitrate,
    /// How long what waits in the pacer takes to leave.
    pub queue: Duration,
    /// The round-trip time.
    pub rtt: Duration,
    /// What the estimate rests on; `None` if the subscriber gives no transport-wide feedback.
    pub estimator: Option<EstimatorState>,
}

impl Plane {
    /// How the layers of a track are received, in the order of its rids.
    pub fn layer_stats(&self, now: Moment, track: TrackKey) -> impl Iterator<Item = LayerStats> {
        let wanted = self.wanted_layers(track);
        let track = self.tracks.get(track);
        let sources = track.and_then(|track| self.peers.get(track.peer)).map(|peer| &peer.sources);
        let layers = track.into_iter().flat_map(|track| track.layers.iter().enumerate().map(move |at| (track, at)));
        layers.map(move |(track, (at, layer))| {
            let source = sources.and_then(|sources| sources.iter().find(|source| Some(source.ssrc) == layer.ssrc));
            LayerStats {
                is_live: layer.is_live(now),
                is_selected: wanted >> at & 1 == 1,
                bitrate_bps: track.bitrate(at as u8).as_bps(),
                packets: source.map_or(0, |source| source.stats.received()),
                lost: source.map_or(0, |source| source.stats.lost()),
                ring_bytes: layer.ring.capacity(),
            }
        })
    }

    /// How a slot is sent.
    #[must_use]
    pub fn slot_stats(&self, slot: SlotKey) -> Option<SlotStats> {
        let slot = self.slots.get(slot)?;
        Some(SlotStats {
            packets: slot.packets,
            octets: slot.octets,
            fraction_lost: slot.fraction_lost,
            rtt: self.peers.get(slot.peer)?.rtt,
            live: slot.live.map(|epoch| epoch.track),
            wanted: slot.wanted,
            chosen: slot.selector.goal().map(|Goal { layer, spatial, temporal }| LayerChoice {
                layer,
                spatial,
                temporal,
            }),
            current: slot.live.and_then(|epoch| {
                let reader = &self.tracks.get(epoch.track)?.layers.get(usize::from(epoch.layer))?.reader;
                let (spatial, temporal) = layers(reader, slot.selector.target_in(reader)?);
                Some(LayerChoice { layer: epoch.layer, spatial, temporal })
            }),
            cause: slot.cause,
        })
    }

    /// What the path to a peer carries; `None` if it receives nothing.
    #[must_use]
    pub fn send_stats(&self, peer: PeerKey) -> Option<SendStats> {
        let peer = self.peers.get(peer).filter(|peer| !peer.slots.is_empty())?;
        let sending = &peer.sending;
        Some(SendStats {
            target: sending.target(),
            used: sending.demand.used,
            desired: sending.demand.desired,
            queue: sending.pacer.queue(),
            rtt: peer.rtt,
            estimator: sending.estimator().map(SendSideEstimator::state),
        })
    }
}
