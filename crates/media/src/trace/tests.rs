//! The format, and that nothing a plane is told is forgotten.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use roundtable_wire::{Codec, Extension, ExtensionMap, Kind};

use super::*;
use crate::bwe::Bitrate;
use crate::config::{Limits, TrackCodec};
use crate::event::Egress;
use crate::key::Key;
use crate::moment::Moment;
use crate::plane::Plane;
use crate::replay::{Summary, replay};

/// Calls of a plane that change it and are not recorded, with the reason.
const NOT_RECORDED: [&str; 12] = [
    // A server that records has one shard, and so no relays.
    "add_relayed_peer",
    "add_relayed_track",
    "set_relay",
    "handle_relay_wish",
    "handle_relayed",
    // Likewise no other shard to which a room could go.
    "take_counters",
    // Recorded as what they are to who stays: a peer that is removed, and one that is added with its slots.
    "detach_peer",
    "attach_peer",
    "poll_event",     // Takes out what the room is to hear; the plane looks at it nowhere.
    "record",         // Recording itself.
    "take_recorded",  // Likewise.
    "stop_recording", // Likewise.
];

struct Nowhere;

impl Egress for Nowhere {
    fn rtp(&mut self, _: PeerKey, _: &[u8], _: usize, _: &[u8], _: u32) {}
    fn rtcp(&mut self, _: PeerKey, _: &[u8]) {}
}

/// The sources of the plane, one after the other.
fn sources() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plane");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| std::fs::read_to_string(file).unwrap() + "\n").collect()
}

/// The public functions of `Plane` that can change it, with their bodies.
fn mutating_calls() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for block in sources().split("\nimpl Plane {\n").skip(1) {
        let block = format!("\n{}", block.split_once("\n}\n").unwrap().0);
        for function in block.split("\n    pub fn ").skip(1) {
            let function = function.split_once("\n    }").unwrap().0;
            let (signature, body) = function.split_once("{\n").unwrap();
            let name = signature.split(['(', '<']).next().unwrap();
            if signature.contains("&mut self") {
                found.push((name.to_owned(), body.to_owned()));
            }
        }
    }
    found.sort();
    found
}

fn camel(name: &str) -> String {
    let words = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect()
}

#[test]
fn every_call_that_changes_a_plane_is_recorded() {
    let calls = mutating_calls();
    assert!(calls.len() > Call::NUMBERS.len(), "the sources were not found: {calls:?}");
    let mut recorded = 0;
    for (name, body) in &calls {
        let notes = body.contains(&format!("Call::{}", camel(name)));
        assert!(
            !notes || !sources().contains(&format!("self.{name}(")),
            "Plane::{name}, called from within, is recorded twice"
        );
        let is_excused = NOT_RECORDED.contains(&name.as_str());
        assert!(notes != is_excused, "Plane::{name} is to be recorded, or to be listed here with the reason it is not");
        recorded += usize::from(notes);
    }
    assert_eq!(recorded, Call::NUMBERS.len(), "and nothing is recorded that is not called");
}

fn codec(codec: Codec, payload_type: u8) -> TrackCodec {
    TrackCodec { payload_type, codec, rtx_payload_type: Some(97), nack: true, pli: false, transport_cc: true }
}

fn track_config() -> TrackConfig {
    let mut extensions = ExtensionMap::default();
    extensions.set(Extension::Mid, 1);
    extensions.set(Extension::DependencyDescriptor, 13);
    TrackConfig {
        kind: Kind::Video,
        mid: "0".to_owned(),
        codecs: vec![
            codec(Codec::Vp8, 96),
            codec(Codec::Vp9 { profile: 2 }, 98),
            codec(Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f], packetization_mode: 1 }, 100),
            codec(Codec::Av1, 45),
            codec(Codec::Opus, 111),
            codec(Codec::Red, 63),
        ],
        extensions,
        rids: vec!["q".to_owned(), "h".to_owned()],
        ssrcs: vec![1, u32::MAX],
        fid: vec![(1, 2)],
    }
}

fn slot_config() -> SlotConfig {
    let TrackConfig { kind, mid, codecs, extensions, .. } = track_config();
    SlotConfig { kind, mid, ssrc: 7, rtx_ssrc: Some(8), cname: "seat".to_owned(), codecs, extensions }
}

/// One of each call.
fn one_of_each() -> Vec<Call<'static>> {
    let (peer, track, slot) = (PeerKey::from_raw(0), TrackKey::from_raw(0), SlotKey::from_raw(0));
    let limits = Limits { max_bitrate: Bitrate::kbps(500), max_height: 360, max_fps: 30 };
    let hints = Hints { visible: false, height: 90, max_fps: 15, pinned: true, priority: 3, max_height: 720 };
    vec![
        Call::AddPeer {},
        Call::SetPeerReady { peer, ready: true },
        Call::AddTrack { peer, config: track_config() },
        Call::AddSlot { peer, config: slot_config() },
        Call::Assign { slot, track: Some(track), generation: 9 },
        Call::SetHints { slot, hints },
        Call::SetLimits { peer, limits: PeerLimits { receive: limits, publish: Limits::default() } },
        Call::SetTrackClass { track, class: Class::Recent, spoke: u64::MAX },
        Call::HandleRtp { from: peer, packet: vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x10, 0, 0, 0].into() },
        Call::HandleRtcp { from: peer, compound: vec![0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7].into() },
        Call::HandleTimeout {},
        Call::HandlePathChange { peer },
        Call::SetMaxTalkers { most: 2 },
        Call::SetVoiceSlot { slot },
        Call::EndVoiceSlot { slot },
        Call::SetAudible { peer, track, audible: false },
        Call::SetTrackPaused { track, paused: true },
        Call::RemoveTrack { track },
        Call::RemovePeer { peer: PeerKey::from_raw(u32::MAX) },
    ]
}

#[test]
fn every_call_reads_as_it_was_written() {
    let calls = one_of_each();
    let mut numbers: Vec<_> = calls.iter().map(Call::number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, Call::NUMBERS, "one of each");
    for call in calls {
        let mut out = Vec::new();
        call.put(&mut out);
        let mut reader = Reader::new(&out);
        assert_eq!(Call::take(call.number(), &mut reader), Ok(Some(call)));
        assert!(reader.is_at_end());
    }
}

/// What a plane records that is told one of each, a quarter of a second apart.
fn small_trace() -> Vec<u8> {
    let start = Moment::ORIGIN;
    let mut plane = Plane::new(start, 1_700_000_000_000_000, 5);
    assert!(plane.record(1 << 20));
    for (call, quarters) in one_of_each().into_iter().zip(1..) {
        call.apply(&mut plane, start + Duration::from_millis(250) * quarters, &mut Nowhere);
    }
    let mut trace = Vec::new();
    plane.take_recorded(&mut trace);
    trace
}

fn read(trace: &[u8]) -> Result<Summary, TraceError> {
    replay(trace, Moment::ORIGIN, &mut Nowhere, &mut |_| {})
}

#[test]
fn calls_are_recorded_once_each() {
    let summary = read(&small_trace()).unwrap();
    assert_eq!(summary.calls, one_of_each().len() as u64, "removing a peer does not also remove its tracks");
    assert_eq!((summary.unix_micros, summary.is_cut), (1_700_000_000_000_000, false));
    assert_eq!(summary.span, Duration::from_millis(250) * one_of_each().len() as u32);
}

#[test]
fn what_is_no_trace_is_refused_with_the_place() {
    let trace = small_trace();
    let error = |trace: &[u8]| read(trace).unwrap_err().to_string();
    assert_eq!(error(b""), "at byte 0: this is no trace of a plane");
    assert_eq!(error(b"RIFF and more"), "at byte 0: this is no trace of a plane");
    assert!(error(b"rttrace\x09more").starts_with("at byte 7: the trace has version 9 of the format"));
    let cut = error(&trace[..trace.len() - 1]);
    assert!(cut.starts_with("at byte ") && cut.ends_with(": the trace ends within a call"), "{cut}");
    let unknown = error(&[&trace[..], &[99, 0]].concat());
    assert_eq!(unknown, format!("at byte {}: no call has the number 99", trace.len()));
    let late = error(&[&trace[..], &[15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat());
    assert_eq!(late, format!("at byte {}: the time of a call is out of its range", trace.len() + 1));
}

#[test]
fn a_recording_that_is_full_says_so_and_ends() {
    let start = Moment::ORIGIN;
    let mut plane = Plane::new(start, 0, 1);
    assert!(plane.record(100));
    for n in 0..200 {
        plane.add_peer(start + Duration::from_millis(n));
    }
    let recording = plane.recording().unwrap();
    assert!(recording.is_over() && recording.bytes <= 100, "{recording:?}");
    assert_eq!(recording.calls + recording.missed, 200);
    let mut trace = Vec::new();
    plane.take_recorded(&mut trace);
    assert_eq!(trace.len() as u64, recording.bytes);
    let summary = read(&trace).unwrap();
    assert_eq!((summary.calls, summary.is_cut), (recording.calls, true));
}

#[test]
fn what_waits_to_be_taken_is_bounded() {
    let start = Moment::ORIGIN;
    let mut plane = Plane::new(start, 0, 1);
    assert!(plane.record(u64::MAX));
    let peer = plane.add_peer(start);
    let compound: Vec<u8> = (0..1200).map(|n| n as u8 | 1).collect();
    for _ in 0..10_000 {
        plane.handle_rtcp(start, peer, &compound, &mut Nowhere);
    }
    let recording = plane.recording().unwrap();
    assert!(recording.is_over() && recording.pending <= 4 << 20, "{recording:?}");
}

#[test]
fn recording_begins_at_the_beginning_or_not_at_all() {
    let start = Moment::ORIGIN;
    let mut plane = Plane::new(start, 0, 1);
    let peer = plane.add_peer(start);
    plane.remove_peer(start, peer);
    assert!(!plane.record(1 << 20), "the places of keys are worn");
    assert_eq!(plane.recording(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_trace_makes_the_replay_panic(
        cut in 0..600usize,
        changes in prop::collection::vec((8..600usize, any::<u8>()), 0..6),
        tail in prop::collection::vec(0..18u8, 0..40),
    ) {
        let mut trace = small_trace();
        trace.truncate(trace.len().saturating_sub(cut / 4));
        for (at, byte) in changes {
            if let Some(place) = trace.get_mut(at) {
                *place = byte;
            }
        }
        trace.extend(tail);
        if let Err(error) = read(&trace) {
            prop_assert!(error.offset <= trace.len(), "{error}");
        }
    }
}
