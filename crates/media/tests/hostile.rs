//! Bytes of authenticated but ill-willed peers: whatever they are, nothing panics and nobody is sent something broken.

mod sim;

use proptest::prelude::*;
use roundtable_wire::Kind;

use sim::{RID, Room, source, track_config};

/// Bytes that look enough like RTP or RTCP to get past the first checks.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x80u8), Just(0x90), Just(0xa0), Just(0xb0), 0x80..0xc0u8, any::<u8>()];
    let second = prop_oneof![Just(96u8), Just(97), Just(96 | 0x80), 200..=207u8, any::<u8>()];
    let ssrc = prop_oneof![Just(10u32), Just(11), Just(1000), any::<u32>()];
    let rest = prop::collection::vec(any::<u8>(), 0..80);
    let header = (first, second, any::<u16>(), any::<u32>(), ssrc);
    (header, rest, 0..100usize).prop_map(|((first, second, sequence, timestamp, ssrc), rest, cut)| {
        let mut bytes = vec![first, second];
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&timestamp.to_be_bytes());
        bytes.extend_from_slice(&ssrc.to_be_bytes());
        bytes.extend_from_slice(&rest);
        if cut < 12 {
            bytes.truncate(cut);
        }
        if (200..208).contains(&second) && bytes.len() >= 4 {
            let words = (bytes.len() / 4 - 1) as u16;
            bytes.truncate(bytes.len() / 4 * 4);
            bytes[2..4].copy_from_slice(&words.to_be_bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_a_peer_sends_breaks_the_room(all in prop::collection::vec((bytes(), any::<bool>(), 0..200u64), 1..12)) {
        let mut room = Room::default();
        let publisher = room.publish(Kind::Video, 10);
        let mut config = track_config(Kind::Video, "r");
        config.rids = vec!["l".into(), "h".into()];
        let layered = room.plane.add_track(room.now, publisher.peer, config);
        let mut layer = source(&room, publisher.peer, layered, Kind::Video, 30);
        layer.extensions = vec![(sim::MID, b"r".to_vec()), (RID, b"l".to_vec())];
        let slots = [room.slot(publisher.peer, Kind::Video, 1000), room.slot(publisher.peer, Kind::Video, 2000)];
        room.assign(slots[0], publisher.track, 1);
        room.assign(slots[1], layered, 1);
        room.frame(&mut layer, true);
        for (bytes, is_rtp, ms) in &all {
            let now = room.now;
            if *is_rtp {
                room.rtp(publisher.peer, bytes);
            } else {
                room.plane.handle_rtcp(now, publisher.peer, bytes, &mut room.wire);
            }
            room.advance(*ms);
        }
        room.take(2000);
        room.frame(&mut layer, false);
        prop_assert!(room.take(2000).len() >= 3 || !room.plane.layer_stats(room.now, layered).any(|l| l.is_live));
    }
}
