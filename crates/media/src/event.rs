//! What comes out of the plane: events to poll, and packets handed to the caller's [`Egress`].

use roundtable_wire::{Codec, NtpTime};

use crate::key::{PeerKey, SlotKey, TrackKey};

/// Something the room wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaneEvent {
    /// The first packet of a slot's new owner has left.
    SlotLive {
        /// The slot.
        slot: SlotKey,
        /// The generation given to [`Plane::assign`](crate::Plane::assign).
        generation: u32,
        /// The timestamp of that packet as the subscriber sees it.
        rtp_timestamp: u32,
    },
    /// The first packet told which codec the publisher sends, or it changed.
    Codec {
        /// The track.
        track: TrackKey,
        /// What it is sent in.
        codec: Codec,
    },
    /// Somebody started or stopped speaking.
    Speaking {
        /// The audio track.
        track: TrackKey,
        /// Which of both.
        speaking: bool,
    },
    /// Another one leads the conversation.
    Dominant {
        /// The audio track; `None` when it is muted or gone and nobody has taken its place yet.
        track: Option<TrackKey>,
    },
    /// The plane has put a talker on a voice slot, and the first packet has left; or it has idled the slot.
    Voice {
        /// The slot.
        slot: SlotKey,
        /// The talker's track, if it is not idle.
        track: Option<TrackKey>,
        /// Rises with each change of the slot.
        generation: u32,
        /// The timestamp of that packet as the subscriber sees it; 0 when idle.
        rtp_timestamp: u32,
    },
    /// Which encodings of a video track anybody wants has changed: the publisher can stop the others.
    LayersWanted {
        /// The track.
        track: TrackKey,
        /// Bit i stands for the encoding i, in the order of the rids; without rids, bit 0 stands for the track.
        layers: u8,
    },
    /// An encoding of a relayed track is to begin with a keyframe: its origin is to be asked for one.
    KeyframeWanted {
        /// The track.
        track: TrackKey,
        /// The encoding.
        layer: u8,
    },
    /// A publisher has sent more than it may, for long.
    OverLimit {
        /// The track of it that costs most.
        track: TrackKey,
    },
    /// The subscriber of a slot cannot decode what the track's publisher sends; nothing is forwarded until that changes.
    CannotDecode {
        /// The slot.
        slot: SlotKey,
        /// The track.
        track: TrackKey,
    },
}

/// A slot's subscriber has no codec of the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the subscriber can decode no codec of the track")]
pub struct CannotDecode;

/// Takes the packets the plane sends. What is passed is borrowed for the call.
pub trait Egress {
    /// One RTP packet for one peer: `head` (the RTP header of `header_len` bytes, then whatever of the payload was
    /// rewritten) followed by `tail`. `roc` is the rollover counter of its SSRC for SRTP.
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], roc: u32);

    /// One RTCP compound for one peer.
    fn rtcp(&mut self, peer: PeerKey, compound: &[u8]);

    /// A packet that came goes out from here on, until [`end_fan_out`](Self::end_fan_out): meanwhile no byte changes of what is
    /// passed as `tail`, so that two of one place and length are the same.
    fn begin_fan_out(&mut self) {}

    /// It has gone out to everybody.
    fn end_fan_out(&mut self) {}

    /// Packets for a peer are to follow soon: what is needed for them can be brought near.
    fn expect(&self, peer: PeerKey) {
        let _ = peer;
    }

    /// Something of a layer of a track for another plane, by the way that [`Plane::set_relay`](crate::Plane::set_relay)
    /// named. Where tracks are not relayed it is never called.
    fn relay(&mut self, to: u32, layer: u8, item: Relayed<'_>) {
        let _ = (to, layer, item);
    }
}

/// What is handed from the plane that has a publisher to those that relay it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relayed<'a> {
    /// An RTP packet as the publisher sent it, decrypted; a retransmission as what it repeats.
    Packet(&'a [u8]),
    /// A sender report of the layer.
    Report {
        /// The publisher's wall clock, and …
        ntp: NtpTime,
        /// … the timestamp of the layer at that moment.
        rtp_timestamp: u32,
    },
}
