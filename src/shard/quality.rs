//! How good the media of a member may and should be: told to the plane, and what the plane says of it told to members.

use std::time::Instant;

use roundtable_media::allocate::{Cause, Hints};
use roundtable_media::bwe::Bitrate;
use roundtable_media::{LayerChoice, Limits, PeerKey, PeerLimits, TrackKey};
use roundtable_protocol::grant::{MemberLimits, QualityLimits};
use roundtable_protocol::message::ViewChange;
use roundtable_protocol::stats::{
    ChoiceCause, EncodingFigures, LayerFigures, MemberStats, PathFigures, RoomStats, SlotFigures, TrackFigures,
};
use roundtable_protocol::{MemberId, TrackId};

use super::core::Core;
use super::rooms::OpenRoom;
use super::stage::Stage;
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
pub(super) fn hints(view: Option<&ViewChange>) -> Hints {
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
    /// The figures of those members of a room who are connected here, and where it lives of those who are not connected
    /// at all.
    pub(super) fn room_stats(&self, now: Now, open: &OpenRoom) -> RoomStats {
        let stage = &open.stage;
        let mut members: Vec<MemberStats> =
            stage.members.keys().filter_map(|member| stage.member_stats(now, member)).collect();
        if let Some(home) = open.home() {
            let unconnected = home.members.iter().filter(|(_, presence)| presence.shard.is_none());
            let limits = |member| home.room.limits(member);
            members.extend(unconnected.map(|(id, _)| MemberStats::new(id.clone(), now.unix_ms, limits(id))));
        }
        members.sort_by(|a, b| a.member.cmp(&b.member));
        RoomStats { room: open.id.clone(), members }
    }
}

impl Stage {
    /// The figures of one member; `None` if it is not connected here.
    pub(super) fn member_stats(&self, now: Now, member: &MemberId) -> Option<MemberStats> {
        let on_stage = self.members.get(member)?;
        let mut slots: Vec<SlotFigures> = on_stage
            .slots
            .iter()
            .filter_map(|(mid, slot)| {
                let stats = self.plane.slot_stats(*slot)?;
                let name = |track: Option<TrackKey>| track.and_then(|track| self.name_of(track)).cloned();
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
            path: self.path_figures(on_stage.peer),
            slots,
            tracks: on_stage.tracks.iter().filter_map(|(_, track)| self.track_figures(now.instant, track)).collect(),
            ..MemberStats::new(member.clone(), now.unix_ms, on_stage.limits)
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
        let key = self.key(track)?;
        let layers = self.plane.layer_stats(now.into(), key).zip(self.encodings(key));
        let encodings = layers.map(|(layer, rid)| EncodingFigures {
            rid,
            live: layer.is_live,
            bitrate_bps: layer.bitrate_bps,
            packets: layer.packets,
            lost: layer.lost,
        });
        Some(TrackFigures { track: track.clone(), encodings: encodings.collect() })
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
