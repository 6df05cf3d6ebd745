//! One room in two planes: the publishers are with the *origin*, and who watches in the *branch* sees them as well.

mod sim;

use roundtable_media::{PeerKey, PlaneEvent, SlotKey, TrackKey};
use roundtable_wire::Kind;

use sim::{Handed, LEVEL, MID, RID, Report, Room, Source, assert_continuous, sender_reports, source, track_config};

const SLOT: u32 = 1000;
const VOICE: u32 = 2000;
/// The way from the origin to the branch.
const WAY: u32 = 7;

/// Both planes and one track that the branch shows by relay.
struct Pair {
    origin: Room,
    branch: Room,
    publisher: PeerKey,
    stand_in: PeerKey,
    track: TrackKey,
    relayed: TrackKey,
    /// Encodings that the branch has asked for.
    wanted: u8,
    /// Keyframes that it has asked for.
    wishes: usize,
}

impl Pair {
    fn new(kind: Kind, rids: &[&str]) -> Self {
        let (mut origin, mut branch) = (Room::default(), Room::default());
        branch.start = origin.start;
        branch.now = origin.now;
        let publisher = origin.peer();
        let mut config = track_config(kind, "m");
        config.rids = rids.iter().map(|&rid| rid.to_owned()).collect();
        let track = origin.plane.add_track(origin.now, publisher, config.clone());
        let stand_in = branch.plane.add_relayed_peer(branch.now);
        let relayed = branch.plane.add_relayed_track(branch.now, stand_in, config);
        origin.plane.set_relay(origin.now, track, WAY, u8::MAX);
        Self { origin, branch, publisher, stand_in, track, relayed, wanted: u8::MAX, wishes: 0 }
    }

    fn viewer(&mut self, kind: Kind) -> (PeerKey, SlotKey) {
        let viewer = self.branch.peer();
        let slot = self.branch.slot(viewer, kind, SLOT);
        self.branch.assign(slot, self.relayed, 1);
        (viewer, slot)
    }

    /// Hands over what the one has for the other.
    fn carry(&mut self) {
        for (to, layer, handed) in std::mem::take(&mut self.origin.wire.relayed) {
            assert_eq!(to, WAY);
            let Room { plane, now, wire, .. } = &mut self.branch;
            plane.handle_relayed(*now, self.relayed, layer, handed.as_relayed(), wire);
        }
        for event in self.branch.events() {
            match event {
                PlaneEvent::KeyframeWanted { track, layer } => {
                    assert_eq!(track, self.relayed);
                    self.wishes += 1;
                    self.origin.plane.handle_relay_wish(self.origin.now, self.track, layer);
                }
                PlaneEvent::LayersWanted { track, layers } => {
                    assert_eq!(track, self.relayed);
                    self.wanted = layers;
                    self.origin.plane.set_relay(self.origin.now, self.track, WAY, layers);
                }
                _ => {}
            }
        }
    }

    fn advance(&mut self, ms: u64) {
        self.origin.advance(ms);
        self.branch.advance(ms);
        self.carry();
    }

    /// Frames of all encodings, with keyframes where the publisher is asked for them.
    fn run(&mut self, encodings: &mut [Source], frames: usize) {
        for _ in 0..frames {
            let asked = self.origin.take_plis(self.publisher);
            for encoding in &mut *encodings {
                let key = asked.contains(&encoding.ssrc);
                self.origin.frame(encoding, key);
            }
            self.advance(33);
        }
    }

    fn simulcast(&self) -> [Source; 3] {
        let mut encodings =
            [10, 20, 30].map(|ssrc| source(&self.origin, self.publisher, self.track, Kind::Video, ssrc));
        for ((encoding, rid), len) in encodings.iter_mut().zip(["l", "m", "h"]).zip([100, 300, 900]) {
            encoding.extensions = vec![(MID, b"m".to_vec()), (RID, rid.as_bytes().to_vec())];
            encoding.payload_len = len;
        }
        encodings
    }
}

fn owner(sent: &sim::Sent) -> u32 {
    u32::from_be_bytes(sent.content()[1..5].try_into().unwrap())
}

#[test]
fn who_watches_in_the_branch_gets_the_best_encoding_and_nothing_is_sent_to_the_stand_in() {
    let mut pair = Pair::new(Kind::Video, &["l", "m", "h"]);
    pair.viewer(Kind::Video);
    let mut encodings = pair.simulcast();
    pair.run(&mut encodings, 3);
    // Chromium says who a packet belongs to only until it is told that it arrives.
    encodings.iter_mut().for_each(|encoding| encoding.extensions.clear());
    pair.run(&mut encodings, 120);
    let sent = pair.branch.take(SLOT);
    assert_eq!(owner(sent.last().unwrap()), 30, "the largest");
    assert!(sent.len() > 3 * 110, "{}", sent.len());
    assert_continuous(&sent);
    assert!(pair.wishes > 0, "the publisher was asked for the keyframes to begin with");
    assert!(pair.origin.plane.counters().keyframe_requests_out <= 6);
    assert!(pair.branch.take_rtcp(pair.stand_in).is_empty());
    assert_eq!(pair.branch.plane.counters().keyframe_requests_out, 0);
}

#[test]
fn what_nobody_watches_in_the_branch_is_not_handed_over() {
    let mut pair = Pair::new(Kind::Video, &["l", "m", "h"]);
    let (_, slot) = pair.viewer(Kind::Video);
    let mut encodings = pair.simulcast();
    pair.run(&mut encodings, 60);
    pair.branch.assign(slot, None, 2);
    pair.run(&mut encodings, 400);
    assert_eq!(pair.wanted, 0, "after a while it wants none of it, and the origin neither");
    let before = pair.branch.plane.counters().packets_in;
    pair.run(&mut encodings, 30);
    assert_eq!(pair.branch.plane.counters().packets_in, before);
    let mut told = pair.origin.events().into_iter().filter_map(|event| match event {
        PlaneEvent::LayersWanted { layers, .. } => Some(layers),
        _ => None,
    });
    assert_eq!(told.next_back(), Some(0), "and then the publisher may stop");
    // Whoever comes back is served again.
    pair.branch.assign(slot, pair.relayed, 3);
    pair.branch.take(SLOT);
    pair.run(&mut encodings, 90);
    let sent = pair.branch.take(SLOT);
    assert_eq!(sent.last().map(owner), Some(30));
}

#[test]
fn who_watches_at_the_origin_and_in_the_branch_see_the_same_frames() {
    let mut pair = Pair::new(Kind::Video, &[]);
    let near = pair.origin.peer();
    let slot = pair.origin.slot(near, Kind::Video, SLOT);
    pair.origin.assign(slot, pair.track, 1);
    pair.viewer(Kind::Video);
    let mut encoding = source(&pair.origin, pair.publisher, pair.track, Kind::Video, 10);
    encoding.extensions = vec![(MID, b"m".to_vec())];
    // Both have asked for the keyframe with which this begins, and share it.
    pair.run(std::slice::from_mut(&mut encoding), 60);
    let contents = |sent: Vec<sim::Sent>| -> Vec<Vec<u8>> { sent.iter().map(|sent| sent.content().to_vec()).collect() };
    let (here, there) = (contents(pair.origin.take(SLOT)), contents(pair.branch.take(SLOT)));
    assert!(there.len() >= 3 * 50, "{}", there.len());
    assert!(here.ends_with(&there), "the branch may begin a moment later, and lacks nothing from then on");
    assert!(pair.origin.plane.counters().keyframe_requests_out <= 2, "one keyframe serves both");
}

#[test]
fn what_is_lost_before_the_origin_comes_repaired_and_is_asked_for_by_the_origin_alone() {
    let mut pair = Pair::new(Kind::Video, &[]);
    // Nobody watches at the origin, but for the branch it repairs what it hands on.
    pair.viewer(Kind::Video);
    let mut encoding = source(&pair.origin, pair.publisher, pair.track, Kind::Video, 10);
    encoding.extensions = vec![(MID, b"m".to_vec())];
    pair.run(std::slice::from_mut(&mut encoding), 30);
    let lost = encoding.frame(pair.origin.now, false);
    pair.origin.deliver(&encoding, &[lost[0].clone(), lost[2].clone()]);
    pair.advance(33);
    pair.origin.frame(&mut encoding, false);
    pair.advance(33);
    let asked = pair.origin.take_rtcp(pair.publisher).into_iter().filter(|report| matches!(report, Report::Nack(..)));
    assert!(asked.count() > 0, "the origin asks again");
    assert!(pair.branch.take_rtcp(pair.stand_in).is_empty());
    // The repeat says by its mid where it belongs, as nothing is declared.
    let repeat = encoding.repeat(&lost[1]);
    pair.origin.deliver(&encoding, &[repeat]);
    pair.advance(33);
    pair.run(std::slice::from_mut(&mut encoding), 30);
    let sent = pair.branch.take(SLOT);
    let mut indices: Vec<u64> = sent.iter().map(|sent| sent.index).collect();
    indices.sort_unstable();
    assert!(indices.windows(2).all(|pair| pair[1] == pair[0] + 1), "no hole is left");
    let content = |packet: &[u8]| roundtable_wire::RtpPacket::parse(packet).unwrap().payload[6..].to_vec();
    let missed = content(&lost[1]);
    assert!(sent.iter().any(|sent| sent.payload.ends_with(&missed)));
}

#[test]
fn sound_and_picture_of_the_branch_keep_their_clock() {
    let mut pair = Pair::new(Kind::Video, &[]);
    let (viewer, _) = pair.viewer(Kind::Video);
    let mut encoding = source(&pair.origin, pair.publisher, pair.track, Kind::Video, 10);
    encoding.extensions = vec![(MID, b"m".to_vec())];
    for second in 0..8_u64 {
        pair.run(std::slice::from_mut(&mut encoding), 30);
        let (now, micros) = (pair.origin.now, 5_000_000 + pair.origin.micros());
        pair.origin.report(&encoding, now, micros);
        assert!(second == 0 || pair.origin.wire.relayed.iter().any(|(.., item)| matches!(item, Handed::Report { .. })));
        pair.carry();
    }
    let reports = sender_reports(&mut pair.branch, viewer, SLOT);
    assert!(reports.len() >= 2, "{reports:?}");
    for two in reports.windows(2) {
        let span = (two[1].0.0 - two[0].0.0) as f64 / f64::from(u32::MAX);
        let ticks = f64::from(two[1].1.wrapping_sub(two[0].1)) / 90_000.0;
        assert!((span - ticks).abs() < 0.002, "{span} s of wall clock are {ticks} s of the stream");
    }
}

#[test]
fn who_speaks_at_the_origin_is_heard_on_a_voice_slot_of_the_branch() {
    let mut pair = Pair::new(Kind::Audio, &[]);
    let listener = pair.branch.peer();
    let slot = pair.branch.slot(listener, Kind::Audio, VOICE);
    pair.branch.plane.set_voice_slot(pair.branch.now, slot);
    let mut voice = source(&pair.origin, pair.publisher, pair.track, Kind::Audio, 40);
    voice.extensions = vec![(MID, b"m".to_vec()), (LEVEL, vec![0x80 | 20])];
    let mut speaking = false;
    for _ in 0..100 {
        pair.origin.frame(&mut voice, false);
        pair.origin.advance(20);
        pair.branch.advance(20);
        for (_, layer, handed) in std::mem::take(&mut pair.origin.wire.relayed) {
            let Room { plane, now, wire, .. } = &mut pair.branch;
            plane.handle_relayed(*now, pair.relayed, layer, handed.as_relayed(), wire);
        }
        speaking |=
            pair.branch.events().iter().any(|event| matches!(event, PlaneEvent::Speaking { speaking: true, .. }));
    }
    let sent = pair.branch.take(VOICE);
    assert!(sent.len() > 80, "{}", sent.len());
    assert!(speaking, "each plane hears for itself who speaks");
}

#[test]
fn what_is_handed_over_of_a_track_that_has_gone_is_forgotten() {
    let mut pair = Pair::new(Kind::Video, &[]);
    pair.viewer(Kind::Video);
    let mut encoding = source(&pair.origin, pair.publisher, pair.track, Kind::Video, 10);
    encoding.extensions = vec![(MID, b"m".to_vec())];
    pair.run(std::slice::from_mut(&mut encoding), 10);
    pair.branch.plane.remove_track(pair.branch.now, pair.relayed);
    assert!(!pair.branch.plane.has_tracks(pair.stand_in));
    pair.run(std::slice::from_mut(&mut encoding), 10);
    // Bytes that are no RTP, and a layer that the track never had.
    let Room { plane, now, wire, .. } = &mut pair.branch;
    plane.handle_relayed(*now, pair.relayed, 0, Handed::Packet(vec![1; 5]).as_relayed(), wire);
    plane.handle_relayed(*now, pair.relayed, 9, Handed::Packet(vec![0x80; 40]).as_relayed(), wire);
}
