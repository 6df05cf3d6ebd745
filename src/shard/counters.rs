//! What a shard counts.

use roundtable_media::{Counters as PlaneCounters, DropReason as PlaneDrop};
use roundtable_transport::peer::DropReason;

use super::fanout::FanoutCounters;

/// Plain integers that the loop owns.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) panics: u64,
    pub(super) offers: u64,
    pub(super) datagrams_in: u64,
    pub(super) datagrams_out: u64,
    pub(super) handed_in: u64,
    pub(super) relayed_in: u64,
    pub(super) stages_left: u64,
    pub(super) send_drops: u64,
    pub(super) send_calls: u64,
    pub(super) rtp_in: u64,
    pub(super) fanout: FanoutCounters,
    pub(super) transport: [u64; DropReason::ALL.len()],
    pub(super) unknown_ufrag: u64,
    pub(super) unknown_path: u64,
    pub(super) full_lane: u64,
    pub(super) data_in: u64,
    pub(super) data_out: u64,
    pub(super) data_dropped: u64,
    /// What planes of closed rooms counted.
    pub(super) closed: PlaneTotals,
}

/// What several planes counted together.
#[derive(Debug, Default, Clone)]
pub(super) struct PlaneTotals {
    pub(super) rtx_out: u64,
    pub(super) keyframe_requests: u64,
    pub(super) paced_lost: u64,
    pub(super) dropped: [u64; PlaneDrop::ALL.len()],
}

impl PlaneTotals {
    pub(super) fn add(&mut self, counters: &PlaneCounters) {
        self.rtx_out += counters.rtx_out;
        self.keyframe_requests += counters.keyframe_requests_out;
        self.paced_lost += counters.paced_lost;
        for (total, reason) in self.dropped.iter_mut().zip(PlaneDrop::ALL) {
            *total += counters.dropped(reason);
        }
    }
}
