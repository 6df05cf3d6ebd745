//! What forwarding costs in memory, seen from inside.

use std::time::Duration;

use roundtable_wire::{Codec, ExtensionMap, RtpHeader};

use super::*;
use crate::config::TrackCodec;
use crate::event::Egress;

#[derive(Default)]
struct Count {
    packets: u64,
}

impl Egress for Count {
    fn rtp(&mut self, _: PeerKey, _: &[u8], _: usize, _: &[u8], _: u32) {
        self.packets += 1;
    }

    fn rtcp(&mut self, _: PeerKey, _: &[u8]) {}
}

const CODEC: TrackCodec = TrackCodec {
    payload_type: 96,
    codec: Codec::Vp8,
    rtx_payload_type: Some(97),
    nack: true,
    pli: true,
    transport_cc: false,
};

fn packet(out: &mut Vec<u8>, sequence: u16, timestamp: u32, key: bool) {
    let header = RtpHeader { payload_type: 96, sequence, timestamp, ssrc: 10, marker: true, csrc: None };
    out.resize(1200, 0);
    let len = header.write(out, |_| {});
    // A VP8 descriptor with nothing but the start of a partition, then the frame's first byte.
    out[len..len + 2].copy_from_slice(&[0x10, u8::from(!key)]);
}

/// Every capacity that a packet could make grow.
fn capacities(plane: &Plane) -> Vec<usize> {
    let Scratch {
        restored,
        rtcp,
        sequences,
        ssrcs,
        arrivals,
        reports,
        answers,
        told: _,
        left,
        due,
        shown,
        candidates,
        changed,
        audience,
    } = &plane.scratch;
    let scratch = [restored.capacity(), rtcp.capacity(), sequences.capacity(), arrivals.capacity(), left.capacity()];
    let scratch = scratch.into_iter().chain([
        ssrcs.capacity(),
        reports.capacity(),
        answers.capacity(),
        due.capacity(),
        shown.capacity(),
        candidates.capacity(),
        changed.capacity(),
        audience.capacity(),
    ]);
    let tracks = plane.tracks.iter().flat_map(|(_, track)| {
        let rings = track.layers.iter().map(|layer| layer.ring.capacity());
        rings.chain([track.subscribers.capacity()])
    });
    scratch.chain(tracks).chain([plane.events.capacity()]).collect()
}

#[test]
fn nothing_grows_while_packets_are_forwarded() {
    let start = Moment::ORIGIN;
    let mut plane = Plane::new(start, 0, 1);
    let mut count = Count::default();
    let publisher = plane.add_peer(start);
    let config = TrackConfig {
        kind: Kind::Video,
        mid: "v".into(),
        codecs: vec![CODEC],
        extensions: ExtensionMap::default(),
        rids: vec![],
        ssrcs: vec![10],
        fid: vec![],
    };
    let track = plane.add_track(start, publisher, config);
    for n in 0..50 {
        let viewer = plane.add_peer(start);
        plane.set_peer_ready(start, viewer, true);
        let config = SlotConfig {
            kind: Kind::Video,
            mid: "s".into(),
            ssrc: 100 + n,
            rtx_ssrc: Some(200 + n),
            cname: "seat".into(),
            codecs: vec![CODEC],
            extensions: ExtensionMap::default(),
        };
        let slot = plane.add_slot(start, viewer, config);
        plane.assign(start, slot, Some(track), 1).unwrap();
    }
    let mut bytes = Vec::new();
    let mut at_warm = Vec::new();
    for n in 0..4000u32 {
        let now = start + Duration::from_millis(5) * n;
        packet(&mut bytes, n as u16, n * 450, n % 500 == 0);
        plane.handle_rtp(now, publisher, &bytes, &mut count);
        plane.handle_timeout(now, &mut count);
        while plane.poll_event().is_some() {}
        if n == 1500 {
            at_warm = capacities(&plane);
        }
    }
    assert_eq!(count.packets, 4000 * 50);
    assert_eq!(capacities(&plane), at_warm);
    let ring = plane.layer_stats(start, track).next().unwrap().ring_bytes;
    assert_eq!(ring, 512 << 10, "as much as 1.2 s of 1.9 Mbit/s take, in steps of two");
}

/// What one subscriber of one track costs, the buffers behind it aside: docs/PERFORMANCE.md lists it.
#[test]
fn what_a_subscriber_takes_is_bounded() {
    use std::mem::size_of;
    let sizes = [
        ("slot", size_of::<Slot>(), 600),
        ("peer", size_of::<Peer>(), 1032),
        ("path", size_of::<crate::plane::sending::Sending>(), 568),
        ("pacer", size_of::<crate::pacer::Pacer<crate::plane::sending::Paced>>(), 184),
        ("estimator", size_of::<crate::bwe::SendSideEstimator>(), 1328),
        ("epoch", size_of::<crate::outbound::rewrite::Epoch>(), 40),
        ("numbering", size_of::<crate::outbound::rewrite::Numbering>(), 104),
        ("selector", size_of::<crate::outbound::select::Selector>(), 48),
    ];
    for (what, bytes, most) in sizes {
        assert!(bytes <= most, "{what}: {bytes} bytes, not {most}");
    }
}

/// What a packet to a subscriber needs of its slot and its peer lies together, in no more than this: docs/PERFORMANCE.md
/// lists it.
#[test]
fn what_a_packet_needs_of_a_subscriber_lies_together() {
    use crate::key::HotStart;
    let (slot, peer) = (Slot::HOT_BYTES, crate::plane::peer::Peer::HOT_BYTES);
    assert!(slot <= 392, "{slot} bytes of a slot");
    assert!(peer <= 272, "{peer} bytes of a peer");
}
