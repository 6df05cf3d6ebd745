//! The rules browsers need of a slot, each with the trouble it avoids, proven in a simulated room.

mod sim;

use roundtable_media::allocate::Hints;
use roundtable_media::{CannotDecode, PlaneEvent};
use roundtable_wire::rtcp::ReportBlock;
use roundtable_wire::vp8::Descriptor;
use roundtable_wire::{Codec, Kind};

use sim::{
    OUT_OPUS, OUT_VP8, OUT_VP8_RTX, Report, Room, SLOT, Sent, Source, assert_continuous, sender_reports, slot_config,
    two_publishers,
};

fn nack(room: &mut Room, viewer: roundtable_media::PeerKey, lost: &[u16]) {
    room.rtcp(viewer, |writer| {
        writer.nack(1, SLOT, lost);
    });
}

#[test]
fn rule_2_sequence_timestamp_and_picture_ids_continue_by_one_across_owners() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, slot) = two_publishers(&mut room);
    let mut generation = 1;
    for _ in 0..5 {
        for (next, other) in [(1, 0), (0, 1)] {
            let mut sources = [&mut first, &mut second];
            room.run(&mut sources, 33, 7);
            generation += 1;
            room.assign(slot, sources[next].track, generation);
            room.run(&mut sources, 33, 2);
            room.frame(sources[next], true);
            room.frame(sources[other], false);
            room.advance(33);
        }
    }
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 3 * (1 + 10 * 10), "every frame of the owner, and none of anybody else");
    assert!(sent.iter().all(|sent| sent.peer == viewer));
    assert_continuous(&sent);
}

#[test]
fn rule_2_key_frame_indexes_continue_and_the_rollover_counter_is_explicit() {
    let mut room = Room::default();
    let (mut first, mut second, _, slot) = two_publishers(&mut room);
    room.assign(slot, second.track, 2);
    room.frame(&mut second, true);
    room.advance(33);
    room.assign(slot, first.track, 3);
    room.frame(&mut first, true);
    let keys: Vec<_> = room.take(SLOT).iter().step_by(3).map(|sent| sent.vp8().key_idx.unwrap()).collect();
    assert_eq!(keys, [keys[0], keys[0] + 1, keys[0] + 2]);

    first.packets_per_frame = 100;
    for _ in 0..700 {
        room.advance(33);
        room.frame(&mut first, false);
    }
    let sent = room.take(SLOT);
    assert_continuous(&sent);
    assert_eq!(sent.last().unwrap().index >> 16, 1, "70,000 packets are beyond the first 65,536");
}

#[test]
fn rule_2_retransmissions_work_across_the_switch_on_one_ssrc_with_its_own_count() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, slot) = two_publishers(&mut room);
    room.run(&mut [&mut first, &mut second], 33, 5);
    room.assign(slot, second.track, 2);
    room.frame(&mut second, true);
    room.advance(33);
    room.run(&mut [&mut first, &mut second], 33, 5);
    let sent = room.take(SLOT);

    let asked: Vec<&Sent> = [2, 17, 18, 19, 30].map(|at: usize| &sent[at]).to_vec();
    nack(&mut room, viewer, &asked.iter().map(|sent| sent.sequence()).collect::<Vec<_>>());
    let repeats = room.take(SLOT + 1);
    assert_eq!(repeats.len(), asked.len());
    for (n, (repeat, original)) in repeats.iter().zip(asked).enumerate() {
        assert_eq!(repeat.payload_type, OUT_VP8_RTX);
        assert_eq!(repeat.index, repeats[0].index + n as u64, "the RTX stream counts by itself");
        assert_eq!((repeat.timestamp, repeat.marker), (original.timestamp, original.marker));
        assert_eq!(repeat.repeated(), (original.sequence(), &original.payload[..]));
    }
    assert_eq!(room.plane.counters().rtx_out, 5);
}

#[test]
fn rule_2_history_is_six_hundred_packets_and_repeats_are_throttled() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, _) = two_publishers(&mut room);
    room.run(&mut [&mut first, &mut second], 5, 250);
    let sent = room.take(SLOT);
    let newest = sent.last().unwrap().sequence();
    nack(&mut room, viewer, &[newest.wrapping_sub(600)]);
    assert_eq!(room.take(SLOT + 1).len(), 0);
    nack(&mut room, viewer, &[newest.wrapping_sub(599)]);
    assert_eq!(room.take(SLOT + 1).len(), 1);
    nack(&mut room, viewer, &[newest.wrapping_add(1)]);
    assert_eq!(room.take(SLOT + 1).len(), 0, "nobody knows the future");

    let mut repeats = 0;
    for _ in 0..200 {
        nack(&mut room, viewer, &[newest]);
        repeats += room.take(SLOT + 1).len();
        room.advance(10);
    }
    assert_eq!(repeats, 4, "one packet is sent again four times at most");
}

#[test]
fn rule_2_retransmissions_stay_within_a_quarter_of_the_bytes() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, _) = two_publishers(&mut room);
    first.payload_len = 1000;
    let (mut media, mut rtx) = (0, 0);
    for _ in 0..100 {
        room.run(&mut [&mut first, &mut second], 33, 1);
        let sent = room.take(SLOT);
        media += sent.iter().map(|sent| sent.payload.len()).sum::<usize>();
        let all: Vec<_> = sent.iter().map(Sent::sequence).collect();
        for _ in 0..3 {
            nack(&mut room, viewer, &all);
            room.advance(110);
        }
        rtx += room.take(SLOT + 1).iter().map(|sent| sent.payload.len()).sum::<usize>();
    }
    // What a second allows may be sent at once.
    let seconds = (room.now - room.start).as_secs() as usize + 2;
    assert!(rtx <= media / 4 + seconds * 16 * 1024, "{rtx} bytes again of {media}");
    assert!(rtx > media / 4, "{rtx} bytes again of {media}");
}

/// A hundred packets of 1000 bytes, more than a second allows to be sent again; every third frame is of the
/// lowest temporal layer.
fn a_hundred_packets(room: &mut Room, source: &mut Source) -> Vec<Sent> {
    source.payload_len = 1000;
    room.take(SLOT);
    for frame in 0..50 {
        source.temporal = u8::from(frame % 3 > 0);
        room.run(&mut [source], 20, 1);
    }
    let sent = room.take(SLOT);
    sent[sent.len() - 100..].to_vec()
}

#[test]
fn rule_2_what_the_budget_refuses_is_none_of_the_four_repeats() {
    let mut room = Room::default();
    let (mut source, _, viewer, _) = two_publishers(&mut room);
    let sent = a_hundred_packets(&mut room, &mut source);
    let all: Vec<_> = sent.iter().map(Sent::sequence).collect();
    let last = all[99];
    for _ in 0..5 {
        nack(&mut room, viewer, &all);
        room.advance(110);
    }
    let repeats = room.take(SLOT + 1);
    assert!(!repeats.is_empty() && repeats.iter().all(|sent| sent.repeated().0 != last), "others took the budget");
    room.advance(3000);
    for _ in 0..6 {
        nack(&mut room, viewer, &[last]);
        room.advance(110);
    }
    assert_eq!(room.take(SLOT + 1).len(), 4);
}

#[test]
fn rule_2_the_lowest_temporal_layer_is_sent_again_first() {
    let mut room = Room::default();
    let (mut source, _, viewer, _) = two_publishers(&mut room);
    let sent = a_hundred_packets(&mut room, &mut source);
    nack(&mut room, viewer, &sent.iter().map(Sent::sequence).collect::<Vec<_>>());
    let layers: Vec<_> =
        room.take(SLOT + 1).iter().map(|sent| Descriptor::parse(sent.repeated().1).unwrap().tid.unwrap()).collect();
    let base = layers.iter().take_while(|&&layer| layer == 0).count();
    let whole = sent.iter().filter(|sent| sent.vp8().tid == Some(0)).count();
    assert_eq!(base, whole, "all of it before any other: {layers:?}");
    assert!(layers.len() > base && layers.len() < sent.len(), "of the rest what the budget leaves");
    assert_eq!(room.plane.counters().rtx_refused as usize, sent.len() - layers.len());
}

#[test]
fn rule_2_what_was_lost_of_a_layer_that_was_left_is_not_sent_again() {
    let mut room = Room::default();
    let (mut source, _, viewer, slot) = two_publishers(&mut room);
    let sent = a_hundred_packets(&mut room, &mut source);
    let lost = &sent[sent.len() - 12..];
    room.plane.set_hints(room.now, slot, Hints { max_fps: 10, ..Hints::default() });
    source.temporal = 0;
    room.run(&mut [&mut source], 20, 1);
    source.temporal = 1;
    room.run(&mut [&mut source], 20, 1);
    assert!(room.take(SLOT).iter().all(|sent| sent.vp8().tid == Some(0)), "the upper one was left");
    nack(&mut room, viewer, &lost.iter().map(Sent::sequence).collect::<Vec<_>>());
    let repeated: Vec<u16> = room.take(SLOT + 1).iter().map(|sent| sent.repeated().0).collect();
    let base: Vec<u16> = lost.iter().filter(|sent| sent.vp8().tid == Some(0)).map(Sent::sequence).collect();
    assert!(!base.is_empty() && base.len() < lost.len());
    assert_eq!(repeated, base);
}

#[test]
fn rule_3_video_switches_at_a_keyframe_and_the_old_owner_flows_until_then() {
    let mut room = Room::default();
    let (mut first, mut second, _, slot) = two_publishers(&mut room);
    room.take(SLOT);
    room.assign(slot, second.track, 2);
    room.run(&mut [&mut first, &mut second], 33, 3);
    let before = room.take(SLOT);
    assert_eq!(before.len(), 9);
    assert!(before.iter().all(|sent| sent.content()[1..5] == 10u32.to_be_bytes()), "the old owner goes on");

    room.frame(&mut second, true);
    room.run(&mut [&mut first, &mut second], 33, 2);
    let after = room.take(SLOT);
    assert_eq!(after.len(), 9);
    assert!(after.iter().all(|sent| sent.content()[1..5] == 20u32.to_be_bytes()), "only the new owner");
    assert_eq!(after[0].content()[0] & 1, 0, "which starts with its keyframe");
}

#[test]
fn rule_3_a_keyframe_is_asked_for_at_once_and_again_after_400_ms() {
    let mut room = Room::default();
    let (_first, mut second, _, slot) = two_publishers(&mut room);
    room.run(&mut [&mut second], 33, 20);
    room.take_plis(second.peer);
    room.assign(slot, second.track, 2);
    let assigned = room.now;
    let mut asked = Vec::new();
    for _ in 0..90 {
        room.settle();
        let at = (room.now - assigned).as_millis();
        asked.extend(room.take_plis(second.peer).into_iter().map(|ssrc| (at, ssrc)));
        room.frame(&mut second, false);
        room.advance(10);
    }
    assert_eq!(asked, [(0, 20), (400, 20), (800, 20)]);
    room.frame(&mut second, true);
    room.advance(5000);
    assert_eq!(room.take_plis(second.peer), [0; 0]);
}

#[test]
fn rule_3_requests_to_one_source_are_merged_and_spaced() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    room.frame(&mut source, true);
    let mut asked = 0;
    for n in 0..30 {
        let viewer = room.peer();
        let slot = room.slot(viewer, Kind::Video, 1000 + 2 * n);
        room.assign(slot, source.track, 1);
        for _ in 0..5 {
            room.advance(33);
            let plis = room.take_plis(source.peer).len();
            asked += plis;
            // The encoder answers with the next frame.
            room.frame(&mut source, plis > 0);
        }
    }
    assert!((1..=2).contains(&asked), "{asked} requests for 30 joins in 5 s: most begin with a keyframe of before");
    room.advance(450);
    room.frame(&mut source, true);
    let sent = &room.wire.rtp;
    assert!((0..30).all(|n| sent.iter().any(|sent| sent.ssrc == 1000 + 2 * n)), "everybody has a picture");
}

#[test]
fn rule_4_audio_switches_at_once_with_a_marker() {
    let mut room = Room::default();
    let (mut first, mut second) = (room.publish(Kind::Audio, 10), room.publish(Kind::Audio, 20));
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Audio, SLOT);
    room.assign(slot, first.track, 1);
    room.run(&mut [&mut first, &mut second], 20, 5);
    room.assign(slot, second.track, 2);
    room.run(&mut [&mut first, &mut second], 20, 5);
    let sent = room.take(SLOT);
    let owners: Vec<_> = sent.iter().map(|sent| sent.payload[3]).collect();
    assert_eq!(owners, [10, 10, 10, 10, 10, 20, 20, 20, 20, 20]);
    let marked: Vec<_> = (0..10).filter(|&at: &usize| sent[at].marker).collect();
    assert_eq!(marked, [0, 5]);
    assert_continuous(&sent);
}

#[test]
fn rule_4_late_packets_of_the_old_and_earlier_packets_of_the_new_owner_are_dropped() {
    for kind in [Kind::Audio, Kind::Video] {
        let mut room = Room::default();
        let (mut first, mut second) = (room.publish(kind, 10), room.publish(kind, 20));
        let viewer = room.peer();
        let slot = room.slot(viewer, kind, SLOT);
        room.assign(slot, first.track, 1);
        room.frame(&mut first, true);
        let late_of_first = first.frame(room.now, false);
        room.frame(&mut first, false);
        let early_of_second = second.frame(room.now, false);
        room.frame(&mut second, true);
        room.advance(20);
        room.assign(slot, second.track, 2);
        let before = room.take(SLOT).len();
        assert!(before > 0);
        room.frame(&mut second, true);
        room.deliver(&first, &late_of_first);
        room.deliver(&second, &early_of_second);
        room.frame(&mut second, false);
        let sent = room.take(SLOT);
        let owner = |sent: &Sent| if kind == Kind::Video { sent.content()[4] } else { sent.payload[3] };
        assert!(sent.iter().all(|sent| owner(sent) == 20), "{kind:?}");
        let per_frame = if kind == Kind::Video { 3 } else { 1 };
        assert_eq!(sent.len(), 2 * per_frame, "{kind:?}");
        assert_continuous(&sent);
    }
}

#[test]
fn rule_4_a_reordered_keyframe_start_brings_what_overtook_it() {
    let mut room = Room::default();
    let (mut first, mut second, _, slot) = two_publishers(&mut room);
    room.take(SLOT);
    room.assign(slot, second.track, 2);
    let keyframe = second.frame(room.now, true);
    room.deliver(&second, &keyframe[1..]);
    room.frame(&mut first, false);
    room.frame(&mut second, false);
    assert_eq!(room.take(SLOT).len(), 3, "the old owner's, as the new one's cannot be decoded yet");
    room.deliver(&second, &keyframe[..1]);
    room.frame(&mut second, false);
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 9);
    assert_continuous(&sent);
}

#[test]
fn rule_7_media_and_retransmissions_carry_the_mid_alike() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, slot) = two_publishers(&mut room);
    let mut generation = 1;
    for _ in 0..2 {
        room.run(&mut [&mut first, &mut second], 33, 100);
        let sent = room.take(SLOT);
        let with = sent.iter().take_while(|sent| sent.mid.as_deref() == Some("s1000")).count();
        assert_eq!(with, 200, "the first two hundred of a slot and of each owner");
        assert!(sent[with..].iter().all(|sent| sent.mid.is_none()));

        // The first retransmission comes when the media has stopped telling: the browser must still learn its mid.
        let newest = sent.last().unwrap().sequence();
        for back in 0..250 {
            nack(&mut room, viewer, &[newest.wrapping_sub(back)]);
            room.advance(200);
        }
        let repeats = room.take(SLOT + 1);
        assert_eq!(repeats.len(), 250);
        assert!(repeats[..200].iter().all(|sent| sent.mid.as_deref() == Some("s1000")));
        assert!(repeats[200..].iter().all(|sent| sent.mid.is_none()));

        generation += 1;
        let next = if generation == 2 { &mut second } else { &mut first };
        room.assign(slot, next.track, generation);
        room.frame(next, true);
    }
}

#[test]
fn rule_7_a_slot_whose_mid_was_not_negotiated_carries_it_nowhere() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let extensions = sim::map(&[(roundtable_wire::Extension::TransportSequence, sim::OUT_TWCC)]);
    let slot = room.plane.add_slot(
        room.now,
        viewer,
        roundtable_media::SlotConfig { extensions, ..sim::measured_slot_config(Kind::Video, SLOT) },
    );
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    let sent = room.take(SLOT);
    nack(&mut room, viewer, &[sent[0].sequence()]);
    let all = [sent, room.take(SLOT + 1)].concat();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|sent| sent.extensions.iter().map(|(id, _)| *id).eq([sim::OUT_TWCC])));
}

#[test]
fn rule_8_one_transport_wide_count_for_each_peer_over_all_slots_and_retransmissions() {
    let mut room = Room::default();
    let (mut first, mut second) = (room.publish(Kind::Video, 10), room.publish(Kind::Video, 20));
    let mut audio = room.publish(Kind::Audio, 30);
    let viewer = room.peer();
    let slot = room.measured_slot(viewer, Kind::Video, SLOT);
    room.assign(slot, first.track, 1);
    let sound = room.measured_slot(viewer, Kind::Audio, 2000);
    let more = room.measured_slot(viewer, Kind::Video, 3000);
    room.assign(sound, audio.track, 1);
    room.assign(more, second.track, 1);
    let other = room.peer();
    let others = room.measured_slot(other, Kind::Video, 4000);
    room.assign(others, first.track, 1);
    room.frame(&mut first, true);
    room.frame(&mut second, true);
    for _ in 0..20 {
        room.run(&mut [&mut first, &mut second, &mut audio], 20, 2);
        let newest = room.wire.rtp.iter().rev().find(|sent| sent.ssrc == SLOT).unwrap().sequence();
        nack(&mut room, viewer, &[newest]);
    }
    assert!(room.wire.rtp.iter().any(|sent| sent.ssrc == SLOT + 1));
    for peer in [viewer, other] {
        let all: Vec<_> = room.wire.rtp.iter().filter(|sent| sent.peer == peer).collect();
        let numbers: Vec<_> = all.iter().map(|sent| sent.transport_sequence.expect("a number")).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
        assert_eq!(numbers[0], 0);
    }
}

#[test]
fn rule_8_feedback_names_a_live_media_ssrc_of_the_publisher() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    source.transport_sequence = Some(65_500);
    room.run(&mut [&mut source], 20, 50);
    room.advance(100);
    let mut told = 0;
    for report in room.take_rtcp(source.peer) {
        if let Report::Feedback { media_ssrc, received, .. } = report {
            assert_eq!(media_ssrc, 10);
            told += received;
        }
    }
    assert_eq!(told, 150, "every packet is told of once");

    // An SSRC nobody knows is no reason to name it, nor to keep its packets from the count.
    source.ssrc = 99;
    room.run(&mut [&mut source], 20, 2);
    room.advance(100);
    let reports = room.take_rtcp(source.peer);
    assert!(reports.iter().any(|report| matches!(report, Report::Feedback { media_ssrc: 10, received: 6, .. })));
}

#[test]
fn rule_8_feedback_leaves_every_50_to_100_ms() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    source.transport_sequence = Some(1);
    for (packets, interval) in [(1, 100), (10, 50)] {
        source.packets_per_frame = packets;
        room.advance(500);
        room.take_rtcp(source.peer);
        let mut at = Vec::new();
        for _ in 0..1000 {
            if room.micros().is_multiple_of(10_000) {
                room.frame(&mut source, false);
            }
            room.advance(1);
            let reports = room.take_rtcp(source.peer);
            at.extend(reports.iter().filter(|report| matches!(report, Report::Feedback { .. })).map(|_| room.micros()));
        }
        for pair in at.windows(2) {
            let gap = (pair[1] - pair[0]) / 1000;
            assert!((interval..=interval + 10).contains(&gap), "{packets} packets in 10 ms: {gap} ms");
        }
        assert!(at.len() as u64 >= 900 / (interval + 10));
    }
}

#[test]
fn rule_9_payload_types_are_mapped_by_codec_and_what_cannot_be_decoded_is_said() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let mut sound = room.publish(Kind::Audio, 30);
    let viewer = room.peer();
    let slots = [room.slot(viewer, Kind::Video, SLOT), room.slot(viewer, Kind::Audio, 2000)];
    room.assign(slots[0], source.track, 1);
    room.assign(slots[1], sound.track, 1);
    room.frame(&mut source, true);
    room.frame(&mut sound, true);
    assert!(room.take(SLOT).iter().all(|sent| sent.payload_type == OUT_VP8));
    assert!(room.take(2000).iter().all(|sent| sent.payload_type == OUT_OPUS));

    // A subscriber that lists VP9 only.
    let mut config = slot_config(Kind::Video, 3000);
    config.codecs[0].codec = Codec::Vp9 { profile: 0 };
    let slot = room.plane.add_slot(room.now, viewer, config);
    assert_eq!(room.plane.assign(room.now, slot, Some(source.track), 1), Err(CannotDecode));
    let sound_on_video = room.plane.assign(room.now, slots[0], Some(sound.track), 2);
    assert_eq!(sound_on_video, Err(CannotDecode), "nor does a picture slot play sound");
    room.frame(&mut source, true);
    assert_eq!((room.take(SLOT).len(), room.take(3000).len()), (3, 0), "what was refused changes nothing");
}

#[test]
fn rule_9_a_codec_that_shows_itself_later_is_said_once_and_comes_back_at_a_keyframe() {
    let mut room = Room::default();
    let peer = room.peer();
    let mut config = sim::track_config(Kind::Video, "m10");
    let vp9 = roundtable_media::TrackCodec {
        payload_type: 98,
        codec: Codec::Vp9 { profile: 0 },
        rtx_payload_type: Some(99),
        ..config.codecs[0]
    };
    config.codecs.push(vp9);
    config.ssrcs = vec![10];
    let track = room.plane.add_track(room.now, peer, config);
    let mut source = sim::source(&room, peer, track, Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);

    source.payload_type = 98;
    room.run(&mut [&mut source], 33, 3);
    assert_eq!(room.take(SLOT).len(), 0);
    let codec = PlaneEvent::Codec { track, codec: vp9.codec };
    assert_eq!(room.events(), [codec, PlaneEvent::CannotDecode { slot, track }]);

    source.payload_type = sim::VP8;
    room.run(&mut [&mut source], 33, 1);
    assert_eq!(room.take(SLOT).len(), 0, "not in the middle");
    room.frame(&mut source, true);
    room.run(&mut [&mut source], 33, 3);
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 12);
    assert_continuous(&sent);
}

#[test]
fn rule_9_a_subscriber_of_both_codecs_gets_both_on_one_ssrc() {
    let mut room = Room::default();
    let (mut first, mut second) = (room.publish(Kind::Video, 10), room.publish(Kind::Video, 20));
    let viewer = room.peer();
    let mut config = slot_config(Kind::Video, SLOT);
    let vp9 = roundtable_media::TrackCodec { payload_type: 98, codec: Codec::Vp9 { profile: 0 }, ..config.codecs[0] };
    config.codecs.push(vp9);
    let slot = room.plane.add_slot(room.now, viewer, config);
    room.assign(slot, first.track, 1);
    room.frame(&mut first, true);

    let peer = second.peer;
    let mut config = sim::track_config(Kind::Video, "v9");
    config.codecs = vec![roundtable_media::TrackCodec { payload_type: 45, rtx_payload_type: None, ..vp9 }];
    config.ssrcs = vec![50];
    second.track = room.plane.add_track(room.now, peer, config);
    (second.ssrc, second.payload_type) = (50, 45);
    room.assign(slot, second.track, 2);
    room.advance(33);
    // VP9 without layers: start of a frame that is not inter-predicted.
    let timestamp = second.timestamp(room.now);
    let keyframe = second.packet(timestamp, true, &[0x8c, 0x80, 0x01, 1, 2, 3]);
    room.deliver(&second, &[keyframe]);
    room.advance(33);
    room.assign(slot, first.track, 3);
    room.frame(&mut first, true);
    let sent = room.take(SLOT);
    let types: Vec<_> = sent.iter().map(|sent| sent.payload_type).collect();
    assert_eq!(types, [OUT_VP8, OUT_VP8, OUT_VP8, 98, OUT_VP8, OUT_VP8, OUT_VP8]);
    assert!(sent.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
}

#[test]
fn rule_10_an_idle_slot_is_silent_and_comes_back_continuous() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, slot) = two_publishers(&mut room);
    room.report(&first, room.now, 1_000_000_000_000_000);
    room.run(&mut [&mut first], 33, 5);
    room.assign(slot, None, 2);
    room.advance(10);
    let before = room.take(SLOT);
    room.take_rtcp(viewer);
    room.run(&mut [&mut first, &mut second], 33, 300);
    assert_eq!((room.take(SLOT).len(), sender_reports(&mut room, viewer, SLOT).len()), (0, 0));
    room.assign(slot, first.track, 3);
    room.frame(&mut first, true);
    let after = room.take(SLOT);
    assert_continuous(&[before, after].concat());
}

#[test]
fn rule_11_one_announcement_for_each_assignment_with_generation_and_first_timestamp() {
    let mut room = Room::default();
    let (mut first, mut second, _, slot) = two_publishers(&mut room);
    let live = |room: &mut Room| -> Vec<(u32, u32)> {
        let events = room.events().into_iter();
        let live = events.filter_map(|event| match event {
            PlaneEvent::SlotLive { slot: of, generation, rtp_timestamp } => {
                assert_eq!(of, slot);
                Some((generation, rtp_timestamp))
            }
            _ => None,
        });
        live.collect()
    };
    let timestamp = room.take(SLOT)[0].timestamp;
    assert_eq!(live(&mut room), [(1, timestamp)]);

    room.assign(slot, second.track, 2);
    room.run(&mut [&mut first, &mut second], 33, 3);
    assert_eq!(live(&mut room), [], "the old owner's packets announce nobody");
    room.take(SLOT);
    room.frame(&mut second, true);
    room.run(&mut [&mut first, &mut second], 33, 3);
    let timestamp = room.take(SLOT)[0].timestamp;
    assert_eq!(live(&mut room), [(2, timestamp)]);

    // Changed twice before anything came of it: only the last counts.
    room.assign(slot, first.track, 3);
    room.assign(slot, second.track, 4);
    room.run(&mut [&mut first, &mut second], 33, 1);
    let timestamp = room.take(SLOT)[0].timestamp;
    assert_eq!(live(&mut room), [(4, timestamp)], "who was there already is announced with the next packet");
    room.frame(&mut first, true);
    assert_eq!((live(&mut room), room.take(SLOT).len()), (vec![], 0));
}

#[test]
fn rule_9_redundant_audio_is_taken_apart_for_who_does_not_take_it_or_need_it() {
    let mut room = Room::default();
    let peer = room.peer();
    let mut config = sim::track_config(Kind::Audio, "m10");
    config.codecs.push(roundtable_media::TrackCodec { payload_type: 63, codec: Codec::Red, ..config.codecs[0] });
    config.ssrcs = vec![10];
    let track = room.plane.add_track(room.now, peer, config);
    let mut source = sim::source(&room, peer, track, Kind::Audio, 10);
    source.payload_type = 63;
    let viewer = room.peer();
    let plain = room.slot(viewer, Kind::Audio, SLOT);
    let mut config = slot_config(Kind::Audio, 2000);
    config.codecs.push(roundtable_media::TrackCodec { payload_type: 64, codec: Codec::Red, ..config.codecs[0] });
    let redundant = room.plane.add_slot(room.now, viewer, config);
    room.assign(plain, track, 1);
    room.assign(redundant, track, 1);
    let mut send = |room: &mut Room, timestamp, payload: &[u8]| {
        let packet = source.packet(timestamp, false, payload);
        room.deliver(&source, &[packet]);
        let taken = |ssrc| room.take(ssrc).into_iter().map(|sent| (sent.payload_type, sent.payload));
        [SLOT, 2000].map(taken).map(Iterator::collect::<Vec<_>>)
    };
    let plain = |payload: &[u8]| vec![(OUT_OPUS, payload.to_vec())];
    assert_eq!(
        send(&mut room, 960, &[0x80 | 111, 0, 0, 2, 111, 8, 9, 1, 2, 3]),
        [plain(&[1, 2, 3]), plain(&[1, 2, 3])]
    );

    // Who loses something gets the frame before again, by its own payload types.
    let block = roundtable_wire::rtcp::ReportBlock { ssrc: 2000, fraction_lost: 8, ..Default::default() };
    room.rtcp(viewer, |writer| {
        writer.receiver_report(5, &[block]);
    });
    let offset = (960u16 << 2).to_be_bytes();
    let redundant = [0x80 | OUT_OPUS, offset[0], offset[1], 3, OUT_OPUS, 1, 2, 3, 4, 5];
    let sent = send(&mut room, 1920, &[0x80 | 111, offset[0], offset[1], 3, 111, 1, 2, 3, 4, 5]);
    assert_eq!(sent, [plain(&[4, 5]), vec![(64, redundant.to_vec())]]);
}

#[test]
fn rule_2_picture_ids_of_vp9_continue_too() {
    let mut room = Room::default();
    let peer = room.peer();
    let publish = |room: &mut Room, ssrc: u32| {
        let mut config = sim::track_config(Kind::Video, &format!("m{ssrc}"));
        config.codecs[0].codec = Codec::Vp9 { profile: 0 };
        config.ssrcs = vec![ssrc];
        let track = room.plane.add_track(room.now, peer, config);
        sim::source(room, peer, track, Kind::Video, ssrc)
    };
    let (mut first, mut second) = (publish(&mut room, 10), publish(&mut room, 20));
    let viewer = room.peer();
    let mut config = slot_config(Kind::Video, SLOT);
    config.codecs[0].codec = Codec::Vp9 { profile: 0 };
    let slot = room.plane.add_slot(room.now, viewer, config);
    // Non-flexible, one layer: keyframe, then a picture that depends on it. One counts in 7 bits.
    let picture = |source: &mut sim::Source, at, id: &[u8], key: bool, tl0: u8| {
        let flags = if key { 0xa8 } else { 0xe8 };
        let payload = [&[flags], id, &[0x00, tl0, 0xaa]].concat();
        let timestamp = source.timestamp(at);
        source.packet(timestamp, true, &payload)
    };
    for (generation, key_first) in [(1, true), (2, false), (3, true)] {
        let track = if key_first { first.track } else { second.track };
        room.assign(slot, track, generation);
        for n in 0..2u8 {
            let packet = if key_first {
                picture(&mut first, room.now, &[(126 + 2 * generation as u8 + n) & 0x7f], n == 0, n)
            } else {
                picture(&mut second, room.now, &[0x80 | 0x12, 0x30 + n], n == 0, 200 + n)
            };
            room.deliver(&first, &[packet]);
            room.advance(33);
        }
    }
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 6);
    for pair in sent.windows(2) {
        let id = |sent: &Sent| u16::from_be_bytes([sent.payload[1], sent.payload[2]]);
        assert_eq!(id(&pair[1]) & 0x7fff, (id(&pair[0]) + 1) & 0x7fff);
        assert_eq!(pair[1].payload[4], pair[0].payload[4].wrapping_add(1));
    }
}

#[test]
fn sound_takes_transport_wide_numbers_beside_pictures_for_probes_and_where_it_is_lost() {
    const SOUND: u32 = 2000;
    let mut room = Room::default();
    let (mut sound, mut picture) = (room.publish(Kind::Audio, 10), room.publish(Kind::Video, 20));
    let viewer = room.peer();
    let ear = room.measured_slot(viewer, Kind::Audio, SOUND);
    let eye = room.measured_slot(viewer, Kind::Video, SLOT);
    room.assign(ear, sound.track, 1);
    let report = |room: &mut Room, fraction_lost| {
        let block = ReportBlock { ssrc: SOUND, fraction_lost, ..ReportBlock::default() };
        room.rtcp(viewer, |writer| {
            writer.receiver_report(1, &[block]);
        });
    };
    // A probe begins at once; without feedback it is given up after a second.
    room.run(&mut [&mut sound], 20, 100);
    assert!(room.take(SOUND).iter().any(|sent| sent.transport_sequence.is_some()), "the probe");
    let numbered = |room: &mut Room, sources: &mut [&mut Source]| {
        room.run(sources, 20, 50);
        let sent = room.take(SOUND);
        assert_eq!(sent.len(), 50, "sound flows all the while");
        sent.iter().filter(|sent| sent.transport_sequence.is_some()).count()
    };
    assert_eq!(numbered(&mut room, &mut [&mut sound]), 0, "who only listens tells of nothing");
    report(&mut room, 40);
    assert_eq!(numbered(&mut room, &mut [&mut sound]), 50, "what is lost is to be learnt of");
    (0..30).for_each(|_| report(&mut room, 0));
    assert_eq!(numbered(&mut room, &mut [&mut sound]), 0);
    room.assign(eye, picture.track, 1);
    room.frame(&mut picture, true);
    room.run(&mut [&mut sound, &mut picture], 20, 100);
    room.take(SOUND);
    assert_eq!(numbered(&mut room, &mut [&mut sound, &mut picture]), 50, "both go the same way");
}
