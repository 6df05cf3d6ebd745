//! What the plane is told about tracks and slots, as it was negotiated, and about peers, as policy bounds them.

use roundtable_wire::{Codec, ExtensionMap, Kind};

use crate::bwe::Bitrate;

/// One payload type of an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackCodec {
    /// The payload type.
    pub payload_type: u8,
    /// What it stands for.
    pub codec: Codec,
    /// The payload type of its retransmissions (RFC 4588), if negotiated.
    pub rtx_payload_type: Option<u8>,
    /// Whether generic NACK was negotiated.
    pub nack: bool,
    /// Whether PLI was negotiated.
    pub pli: bool,
    /// Whether transport-wide congestion control feedback was negotiated.
    pub transport_cc: bool,
}

/// A sending m-line of a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackConfig {
    /// Audio or video.
    pub kind: Kind,
    /// The mid of the m-line, by which its packets may name themselves.
    pub mid: String,
    /// What may come, by payload type.
    pub codecs: Vec<TrackCodec>,
    /// The publisher's header extension ids.
    pub extensions: ExtensionMap,
    /// The simulcast encodings in the offer's order, empty without simulcast; the first [`MAX_LAYERS`] are used.
    pub rids: Vec<String>,
    /// The SSRCs the offer declares; of use only without simulcast.
    pub ssrcs: Vec<u32>,
    /// Pairs of media and retransmission SSRC (`a=ssrc-group:FID`).
    pub fid: Vec<(u32, u32)>,
}

/// A receiving m-line of a subscriber, onto which tracks are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotConfig {
    /// Audio or video.
    pub kind: Kind,
    /// The mid of the m-line.
    pub mid: String,
    /// The SSRC for life.
    pub ssrc: u32,
    /// The SSRC of retransmissions for life. Without it nothing is sent again: a packet sealed twice under one
    /// sequence number with different extensions would break AES-GCM.
    pub rtx_ssrc: Option<u32>,
    /// The canonical name in source descriptions.
    pub cname: String,
    /// What the subscriber can decode.
    pub codecs: Vec<TrackCodec>,
    /// The subscriber's header extension ids.
    pub extensions: ExtensionMap,
}

/// Bounds of what flows in one direction. The default bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All media together.
    pub max_bitrate: Bitrate,
    /// Lines of a picture: of the smaller side, as encoders count them.
    pub max_height: u16,
    /// Pictures a second.
    pub max_fps: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bitrate: Bitrate::kbps(1_000_000), max_height: u16::MAX, max_fps: u8::MAX }
    }
}

/// What a peer may receive and publish, whatever it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerLimits {
    /// Towards the peer.
    pub receive: Limits,
    /// From the peer.
    pub publish: Limits,
}

/// Simulcast encodings of one track.
pub const MAX_LAYERS: usize = 3;
