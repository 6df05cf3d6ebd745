//! A shard's figures.

use std::collections::BTreeMap;

use roundtable_media::DropReason as PlaneDrop;
use roundtable_transport::peer::DropReason;

use super::core::Core;
use super::stage::Stage;
use super::stats::ShardStats;
use super::steering::Steering;

impl Core {
    /// The figures of this moment.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        let mut plane = self.counters.closed.clone();
        self.rooms.iter().for_each(|(_, room)| plane.add(room.stage.plane.counters()));
        let reasons = PlaneDrop::ALL.iter().map(|reason| reason.as_str());
        let mut dropped: BTreeMap<&'static str, u64> = reasons.zip(plane.dropped).collect();
        let transport = DropReason::ALL.iter().zip(self.counters.transport).map(|(r, n)| (r.as_str(), n));
        let own = [
            ("unknown-ufrag", self.counters.unknown_ufrag),
            ("unknown-path", self.counters.unknown_path),
            ("full-lane", self.counters.full_lane + self.counters.fanout.not_relayed),
            // Copies of data messages for receivers that do not read so fast.
            ("data-slow", self.counters.data_dropped),
            ("fanout", self.counters.fanout.dropped),
            // Packets that waited in a pacer for longer than their track was there, mostly because its publisher left.
            ("paced", plane.paced_lost),
        ];
        for (reason, count) in transport.chain(own) {
            *dropped.entry(reason).or_default() += count;
        }
        dropped.retain(|_, count| *count > 0);
        let homes = || self.rooms.iter().filter_map(|(_, open)| open.home());
        let stages = || self.rooms.iter().map(|(_, open)| &open.stage);
        ShardStats {
            rooms: homes().count(),
            members: homes().map(|home| home.members.len()).sum(),
            branches: self.rooms.len() - homes().count(),
            peers: self.endpoints.len(),
            connected_peers: self.endpoints.iter().filter(|(_, e)| e.transport.is_connected()).count(),
            paths: self.demux.paths(),
            foreign_paths: self.demux.foreign_paths(),
            passed_ufrags: self.demux.passed_ufrags(),
            steered_paths: self.steering.as_ref().map_or(0, Steering::exceptions),
            tracks: stages().map(Stage::own_tracks).sum(),
            relayed_tracks: stages().map(Stage::relayed_tracks).sum(),
            slots: stages().map(Stage::slots).sum(),
            panics: self.counters.panics,
            offers: self.counters.offers,
            datagrams_in: self.counters.datagrams_in,
            datagrams_out: self.counters.datagrams_out,
            handed_in: self.counters.handed_in,
            stages_left: self.counters.stages_left,
            relayed_in: self.counters.relayed_in,
            relayed_out: self.counters.fanout.relayed,
            send_drops: self.counters.send_drops,
            send_calls: self.counters.send_calls,
            rtp_in: self.counters.rtp_in,
            rtp_out: self.counters.fanout.rtp,
            rtx_out: plane.rtx_out,
            keyframe_requests: plane.keyframe_requests,
            data_in: self.counters.data_in,
            data_out: self.counters.data_out,
            busy_permille: 0,
            dropped,
        }
    }
}
