//! A shard's figures, copied out on request.

use serde::Serialize;

/// Plain counters and sizes of one shard; counters only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardStats {
    /// Open rooms.
    pub rooms: usize,
    /// Members in all rooms.
    pub members: usize,
    /// Peer connections in any state.
    pub peers: usize,
    /// Peer connections with keys.
    pub connected_peers: usize,
    /// Known 5-tuples.
    pub paths: usize,
    /// Published tracks.
    pub tracks: usize,
    /// Receiving slots.
    pub slots: usize,
    /// Offers answered, the first of each peer included.
    pub offers: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams the kernel did not take.
    pub send_drops: u64,
    /// System calls that sent.
    pub send_calls: u64,
    /// RTP packets received and authenticated.
    pub rtp_in: u64,
    /// RTP packets forwarded.
    pub rtp_out: u64,
    /// Retransmissions sent.
    pub rtx_out: u64,
    /// Key-frame requests sent to publishers.
    pub keyframe_requests: u64,
    /// What was dropped, by reason.
    pub dropped: std::collections::BTreeMap<&'static str, u64>,
}
