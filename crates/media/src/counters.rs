//! What a plane counts: plain integers, read by copying.

/// Totals of one plane since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// RTP packets taken in, dropped ones too.
    pub packets_in: u64,
    /// Bytes of those.
    pub bytes_in: u64,
    /// RTP packets forwarded, without retransmissions.
    pub packets_out: u64,
    /// Bytes of those before SRTP.
    pub bytes_out: u64,
    /// Padding-only packets consumed.
    pub padding_in: u64,
    /// Lost packets that came as retransmissions.
    pub recovered_in: u64,
    /// Retransmissions sent.
    pub rtx_out: u64,
    /// Bytes of those before SRTP.
    pub rtx_bytes_out: u64,
    /// Packets subscribers asked for again.
    pub nacks_in: u64,
    /// Packets publishers were asked for again.
    pub nacks_out: u64,
    /// Keyframe requests (PLI and FIR) from subscribers.
    pub keyframe_requests_in: u64,
    /// Keyframe requests to publishers.
    pub keyframe_requests_out: u64,
    /// Keyframes that have come.
    pub keyframes_in: u64,
    /// RTCP packets taken in.
    pub rtcp_in: u64,
    /// RTCP compounds sent.
    pub rtcp_out: u64,
    /// Transport-wide feedback messages from subscribers.
    pub feedback_in: u64,
    /// Transport-wide feedback messages to publishers.
    pub feedback_out: u64,
    /// Slots that got another owner or layer.
    pub switches: u64,
    /// Retransmissions that were asked for in vain, because the packet is not or no longer known.
    pub rtx_unknown: u64,
    /// Retransmissions that were refused: repeated too soon or too often, or beyond the peer's share.
    pub rtx_refused: u64,
    /// Packets that had waited so long that the ring no longer had them.
    pub paced_lost: u64,
    /// Bytes sent for probes alone: something again, or padding.
    pub probe_bytes_out: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Counters {
    /// What was dropped for `reason`.
    #[must_use]
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        // As many places as reasons.
        self.dropped[reason as usize]
    }

    pub(crate) const fn count_drop(&mut self, reason: DropReason) {
        // As many places as reasons.
        self.dropped[reason as usize] += 1;
    }
}

/// Why the plane did not use something that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The peer is not, or no longer, part of the plane.
    UnknownPeer,
    /// It is not an RTP or RTCP packet.
    Malformed,
    /// Its SSRC belongs to no track and it does not say to which.
    UnknownSource,
    /// The peer has as many SSRCs bound as it may have.
    TooManySources,
    /// The track has no such payload type.
    UnknownPayloadType,
    /// It came before, or is too old to tell.
    Duplicate,
    /// A retransmission without the number of what it repeats.
    BadRetransmission,
    /// The peer sends more RTCP than anybody needs to.
    RtcpFlood,
    /// The event queue is full because nobody polls it.
    EventOverflow,
}

impl DropReason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::UnknownPeer,
        Self::Malformed,
        Self::UnknownSource,
        Self::TooManySources,
        Self::UnknownPayloadType,
        Self::Duplicate,
        Self::BadRetransmission,
        Self::RtcpFlood,
        Self::EventOverflow,
    ];

    /// A word for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPeer => "unknown-peer",
            Self::Malformed => "malformed",
            Self::UnknownSource => "unknown-source",
            Self::TooManySources => "too-many-sources",
            Self::UnknownPayloadType => "unknown-payload-type",
            Self::Duplicate => "duplicate",
            Self::BadRetransmission => "bad-retransmission",
            Self::RtcpFlood => "rtcp-flood",
            Self::EventOverflow => "event-overflow",
        }
    }
}
