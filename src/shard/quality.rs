//! How good the media of a member may and should be: told to the plane, and what the plane says of it told to members.

use std::time::Instant;

use roundtable_media::allocate::{Cause, Hints};
use roundtable_media::bwe::Bitrate;
use roundtable_media::{LayerChoice, Limits, PeerKey, PeerLimits, SlotKey, TrackKey};
use roundtable_protocol::grant::{MemberLimits, QualityLimits};
use roundtable_protocol::message::{EncodingWish, ViewChange};
use roundtable_protocol::stats::{
    ChoiceCause, EncodingFigures, LayerFigures, MemberStats, PathFigures, RoomStats, SlotFigures, TrackFigures,
};
use roundtable_protocol::{ErrorCode, MemberId, ServerMessage, TrackId};

use super::core::Core;
use super::rooms::OpenRoom;
use crate::room::Now;

/// What the plane is to keep to for a member with these limits.
pub(super) fn peer_limits(limits: &MemberLimits) -> PeerLimits {
    PeerLimits { receive: plane_limits(&limits.receive), publish: plane_limits(&limits.publish) }
}

fn plane_limits(limits: &QualityLimits) -> Limits {
    let open = Limits::default();
    Limits {
        max_bitrate: limits.max_bitrate_bps.map_or(open.max_bitrate, |bps| Bitrate::bps(u64::from(bps))),
        max_height: limits.max_height.unwrap_or(open.max_height),
        max_fps: limits.max_fps.unwrap_or(open.max_fps),
    }
}

/// What the plane makes of how a track is looked at; of one nothing was said of, its defaults.
fn hints(view: Option<&ViewChange>) -> Hints {
    let default = Hints::default();
    let Some(view) = view else { return default };
    Hints {
        visible: view.visible,
        height: rows(view).unwrap_or(default.height),
        max_fps: view.max_fps.unwrap_or(default.max_fps),
        pinned: view.pinned,
        priority: view.priority.unwrap_or(default.priority),
        max_height: default.max_height,
    }
}

/// Rows of a picture that is sharp in its place: it may be shown cut off, so both sides count.
fn rows(view: &ViewChange) -> Option<u16> {
    let of_width = view.width.map(|width| u16::try_from(u32::from(width) * 9 / 16).unwrap_or(u16::MAX));
    view.height.into_iter().chain(of_width).max().map(|rows| rows.max(1))
}

impl Core {
    /// Tells the plane what a member may receive and publish from now on.
    pub(super) fn limit(&mut self, now: Instant, key: usize, member: &MemberId) {
        let Some(peer) = self.plane_peer(key, member) else { return };
        if let Some(open) = self.rooms.get_mut(key) {
            open.plane.set_limits(now, peer, peer_limits(&open.room.limits(member)));
        }
    }

    /// The figures of one member; `None` if it is not there.
    pub(super) fn member_stats(&self, now: Now, key: usize, member: &MemberId) -> Option<MemberStats> {
        let peer = self.plane_peer(key, member);
        self.rooms.get(key)?.member_stats(now, member, peer)
    }

    /// The figures of everybody in a room.
    pub(super) fn room_stats(&self, now: Now, open: &OpenRoom) -> RoomStats {
        let mut members: Vec<MemberStats> = open
            .members
            .iter()
            .filter_map(|(member, presence)| {
                let peer = presence.endpoint.and_then(|key| self.endpoints.get(key)).map(|endpoint| endpoint.plane);
                open.member_stats(now, member, peer)
            })
            .collect();
        members.sort_by(|a, b| a.member.cmp(&b.member));
        RoomStats { room: open.id.clone(), members }
    }

    fn plane_peer(&self, key: usize, member: &MemberId) -> Option<PeerKey> {
        let endpoint = self.rooms.get(key)?.members.get(member)?.endpoint?;
        self.endpoints.get(endpoint).map(|endpoint| endpoint.plane)
    }
}

impl OpenRoom {
    /// Tells the plane how a member looks at the track that a slot of it carries.
    pub(super) fn look(&mut self, now: Instant, member: &MemberId, slot: SlotKey, track: &TrackId) {
        self.plane.set_hints(now, slot, hints(self.room.view_of(member, track)));
    }

    /// Tells a publisher which encodings of its track are wanted.
    pub(super) fn tell_layers(&mut self, track: TrackKey, layers: u8) {
        let Some(info) = self.names.get(&track).and_then(|id| self.room.track(id)) else { return };
        let (id, owner) = (info.id.clone(), info.member.clone());
        let encodings = self.rids(track).into_iter().enumerate();
        let encodings = encodings.map(|(at, rid)| EncodingWish { rid, active: layers >> at.min(7) & 1 == 1 });
        let encodings = encodings.collect();
        self.say(&owner, ServerMessage::Layers { track: id, encodings });
    }

    /// Mutes a track whose publisher would not keep to its limit.
    pub(super) fn mute_over_limit(&mut self, now: Now, track: TrackKey) {
        let Some(id) = self.names.get(&track).cloned() else { return };
        let code = ErrorCode::OverLimit;
        let Some(owner) = self.room.mute_for(now, &id, code) else { return };
        tracing::info!(room = %self.id, member = %owner, track = %id, "a track sent more than it may and is muted");
        let message = format!("track {id} sent more than you may and is muted");
        self.say(&owner, ServerMessage::Error { id: None, code, message, fatal: false });
    }

    fn member_stats(&self, now: Now, member: &MemberId, peer: Option<PeerKey>) -> Option<MemberStats> {
        let presence = self.members.get(member)?;
        let mut slots: Vec<SlotFigures> = presence
            .slots
            .iter()
            .filter_map(|(mid, slot)| {
                let stats = self.plane.slot_stats(*slot)?;
                let name = |track: Option<TrackKey>| track.and_then(|track| self.names.get(&track)).cloned();
                Some(SlotFigures {
                    mid: mid.clone(),
                    track: name(stats.live),
                    next: name(stats.wanted),
                    packets: stats.packets,
                    bytes: stats.octets,
                    fraction_lost: f32::from(stats.fraction_lost) / 256.0,
                    chosen: stats.chosen.map(layer_figures),
                    current: stats.current.map(layer_figures),
                    cause: choice_cause(stats.cause),
                })
            })
            .collect();
        // Mids are numbers in every browser.
        slots.sort_by_key(|slot| (slot.mid.len(), slot.mid.clone()));
        Some(MemberStats {
            member: member.clone(),
            at: now.unix_ms,
            limits: self.room.limits(member),
            path: peer.and_then(|peer| self.path_figures(peer)),
            slots,
            tracks: presence.tracks.iter().filter_map(|(_, track)| self.track_figures(now.instant, track)).collect(),
        })
    }

    fn path_figures(&self, peer: PeerKey) -> Option<PathFigures> {
        let stats = self.plane.send_stats(peer)?;
        let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Some(PathFigures {
            target_bps: stats.target.as_bps(),
            used_bps: stats.used.as_bps(),
            desired_bps: stats.desired.as_bps(),
            queue_ms: millis(stats.queue),
            rtt_ms: millis(stats.rtt),
        })
    }

    fn track_figures(&self, now: Instant, track: &TrackId) -> Option<TrackFigures> {
        let key = *self.tracks.get(track)?;
        let layers = self.plane.layer_stats(now, key).zip(self.rids(key));
        let encodings = layers.map(|(layer, rid)| EncodingFigures {
            rid,
            live: layer.is_live,
            bitrate_bps: layer.bitrate_bps,
            packets: layer.packets,
            lost: layer.lost,
        });
        Some(TrackFigures { track: track.clone(), encodings: encodings.collect() })
    }

    /// The names of a track's encodings: one without a name if there are no rids.
    fn rids(&self, track: TrackKey) -> Vec<String> {
        match self.rids.get(&track) {
            Some(rids) if !rids.is_empty() => rids.clone(),
            Some(_) | None => vec![String::new()],
        }
    }
}

fn layer_figures(choice: LayerChoice) -> LayerFigures {
    LayerFigures { encoding: choice.layer, spatial: choice.spatial, temporal: choice.temporal }
}

fn choice_cause(cause: Cause) -> ChoiceCause {
    match cause {
        Cause::Kept => ChoiceCause::Kept,
        Cause::Room => ChoiceCause::Room,
        Cause::Squeezed => ChoiceCause::Squeezed,
        Cause::Wish => ChoiceCause::Wish,
        Cause::Gone => ChoiceCause::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(width: Option<u16>, height: Option<u16>) -> ViewChange {
        let track = TrackId::new("t").unwrap();
        ViewChange { track, visible: true, width, height, max_fps: None, pinned: false, priority: None }
    }

    #[test]
    fn the_larger_side_says_how_many_rows_are_needed() {
        for (width, height, expected) in [
            (None, None, 720),
            (Some(320), None, 180),
            (None, Some(240), 240),
            (Some(640), Some(200), 360),
            (Some(100), Some(400), 400),
            (Some(0), Some(0), 1),
            (Some(u16::MAX), None, 36_863),
        ] {
            assert_eq!(hints(Some(&view(width, height))).height, expected, "{width:?} × {height:?}");
        }
    }

    #[test]
    fn what_was_not_said_is_as_if_never_said() {
        assert_eq!(hints(None), Hints::default());
        assert_eq!(hints(Some(&view(None, None))), Hints::default());
        let said = ViewChange { visible: false, max_fps: Some(5), pinned: true, priority: Some(9), ..view(None, None) };
        let expected = Hints { visible: false, max_fps: 5, pinned: true, priority: 9, ..Hints::default() };
        assert_eq!(hints(Some(&said)), expected);
    }

    #[test]
    fn limits_that_are_not_set_bound_nothing() {
        assert_eq!(peer_limits(&MemberLimits::NONE), PeerLimits::default());
        let receive = QualityLimits { max_bitrate_bps: Some(500_000), max_height: Some(360), max_fps: Some(15) };
        let limits = peer_limits(&MemberLimits { receive, ..MemberLimits::NONE });
        let expected = Limits { max_bitrate: Bitrate::kbps(500), max_height: 360, max_fps: 15 };
        assert_eq!((limits.receive, limits.publish), (expected, Limits::default()));
    }
}
