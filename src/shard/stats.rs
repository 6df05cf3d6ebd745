//! A shard's figures, copied out on request.

use std::ops::AddAssign;

use serde::Serialize;

/// Plain counters and sizes of one shard; counters only rise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardStats {
    /// Open rooms.
    pub rooms: usize,
    /// Stages of rooms that live on another shard.
    pub branches: usize,
    /// Members in all rooms.
    pub members: usize,
    /// Peer connections in any state.
    pub peers: usize,
    /// Peer connections with keys.
    pub connected_peers: usize,
    /// Known 5-tuples.
    pub paths: usize,
    /// 5-tuples known to be another shard's.
    pub foreign_paths: usize,
    /// Ufrags that name a shard with which their peers are not any more.
    pub passed_ufrags: usize,
    /// 5-tuples, of any shard, of which this one has told the kernel whose they are, as it would choose another one's socket.
    pub steered_paths: usize,
    /// Published tracks.
    pub tracks: usize,
    /// Tracks of other shards that members here may receive.
    pub relayed_tracks: usize,
    /// Receiving slots.
    pub slots: usize,
    /// Rooms that failed: faults of ours, each of which is in the log.
    pub panics: u64,
    /// Offers answered, the first of each peer included.
    pub offers: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Of those received, what came to another shard's socket.
    pub handed_in: u64,
    /// Stages of rooms that went to another shard, as this one had more to do.
    pub stages_left: u64,
    /// Packets and reports of such tracks that have come, …
    pub relayed_in: u64,
    /// … and that were handed on to other shards.
    pub relayed_out: u64,
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
    /// Data messages taken.
    pub data_in: u64,
    /// Copies of them given to receivers.
    pub data_out: u64,
    /// The share of the last half second in which it was busy, in thousandths; of several the sum.
    pub busy_permille: u32,
    /// What was dropped, by reason.
    pub dropped: std::collections::BTreeMap<&'static str, u64>,
}

impl AddAssign<&Self> for ShardStats {
    fn add_assign(&mut self, other: &Self) {
        self.rooms += other.rooms;
        self.branches += other.branches;
        self.members += other.members;
        self.peers += other.peers;
        self.connected_peers += other.connected_peers;
        self.paths += other.paths;
        self.foreign_paths += other.foreign_paths;
        self.passed_ufrags += other.passed_ufrags;
        self.steered_paths += other.steered_paths;
        self.tracks += other.tracks;
        self.relayed_tracks += other.relayed_tracks;
        self.slots += other.slots;
        self.panics += other.panics;
        self.offers += other.offers;
        self.datagrams_in += other.datagrams_in;
        self.datagrams_out += other.datagrams_out;
        self.handed_in += other.handed_in;
        self.stages_left += other.stages_left;
        self.relayed_in += other.relayed_in;
        self.relayed_out += other.relayed_out;
        self.send_drops += other.send_drops;
        self.send_calls += other.send_calls;
        self.rtp_in += other.rtp_in;
        self.rtp_out += other.rtp_out;
        self.rtx_out += other.rtx_out;
        self.keyframe_requests += other.keyframe_requests;
        self.data_in += other.data_in;
        self.data_out += other.data_out;
        self.busy_permille += other.busy_permille;
        for (reason, count) in &other.dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
    }
}
