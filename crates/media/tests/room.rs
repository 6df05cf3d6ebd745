//! What a room of publishers and subscribers asks of the plane besides the rules of slots: binding, simulcast, repair,
//! reports, and bounds.

mod sim;

use std::time::Duration;

use roundtable_media::allocate::Hints;
use roundtable_media::bwe::Bitrate;
use roundtable_media::{DropReason, Limits, PeerKey, PeerLimits, PlaneEvent, TrackKey};
use roundtable_wire::rtcp::{Dlrr, ReportBlock};
use roundtable_wire::{Kind, NtpTime, RtpPacket};

use sim::{LEVEL, MID, RID, RRID, Report, Room, Source, assert_continuous, source, track_config};

const SLOT: u32 = 1000;

/// A publisher of simulcast: rids l, m, h, which say who they are on their first packets.
fn simulcast(room: &mut Room) -> (PeerKey, TrackKey, [Source; 3]) {
    let peer = room.peer();
    let mut config = track_config(Kind::Video, "cam");
    config.rids = ["l", "m", "h"].map(str::to_owned).to_vec();
    let track = room.plane.add_track(room.now, peer, config);
    let mut layers = [10, 20, 30].map(|ssrc| source(room, peer, track, Kind::Video, ssrc));
    for ((layer, rid), len) in layers.iter_mut().zip(["l", "m", "h"]).zip([100, 300, 900]) {
        layer.extensions = vec![(MID, b"cam".to_vec()), (RID, rid.as_bytes().to_vec())];
        layer.payload_len = len;
    }
    (peer, track, layers)
}

/// Frames of all layers that are on, with keyframes where they are asked for.
fn run_layers(room: &mut Room, peer: PeerKey, layers: &mut [Source; 3], on: [bool; 3], frames: usize) {
    for _ in 0..frames {
        let asked = room.take_plis(peer);
        for (layer, _) in layers.iter_mut().zip(on).filter(|(_, on)| *on) {
            let key = asked.contains(&layer.ssrc);
            room.frame(layer, key);
        }
        room.advance(33);
    }
}

fn owner(sent: &sim::Sent) -> u32 {
    u32::from_be_bytes(sent.content()[1..5].try_into().unwrap())
}

#[test]
fn the_best_live_layer_is_forwarded_and_the_next_one_when_it_stops() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    run_layers(&mut room, peer, &mut layers, [true; 3], 90);
    let mut all = room.take(SLOT);
    assert_eq!(owner(all.last().unwrap()), 30, "the largest");
    assert_eq!(owner(&all[0]), 10, "the first that came, until then");

    run_layers(&mut room, peer, &mut layers, [true, true, false], 90);
    let after = room.take(SLOT);
    assert_eq!(owner(after.last().unwrap()), 20, "the next one");
    let gap = 90 - after.len() / 3;
    assert!((30..=42).contains(&gap), "noticed within 1.25 s: {gap} frames");
    all.extend(after);

    run_layers(&mut room, peer, &mut layers, [true; 3], 90);
    let after = room.take(SLOT);
    assert_eq!(owner(after.last().unwrap()), 30, "and back");
    let frames = after.len() / 3;
    assert!((90..=91).contains(&frames), "without a gap, as the lower one flows until the keyframe: {frames}");
    all.extend(after);
    assert_continuous(&all);
    let live = room.events().into_iter().filter(|event| matches!(event, PlaneEvent::SlotLive { .. })).count();
    assert_eq!(live, 1, "a layer is no owner");
    assert!(room.plane.counters().keyframe_requests_out <= 6);
}

#[test]
fn a_layer_that_never_starts_is_not_waited_for() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    run_layers(&mut room, peer, &mut layers, [false, true, false], 90);
    assert!(room.take(SLOT).iter().all(|sent| owner(sent) == 20));
    let stats: Vec<_> = room.plane.layer_stats(room.now, track).collect();
    assert_eq!(stats.iter().map(|layer| layer.is_live).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(stats.iter().map(|layer| layer.is_selected).collect::<Vec<_>>(), [false, true, false]);
    assert!(stats[1].bitrate_bps > 150_000, "{}", stats[1].bitrate_bps);
}

#[test]
fn a_higher_layer_is_taken_at_its_keyframe_only() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    run_layers(&mut room, peer, &mut layers, [true, false, false], 60);
    room.take(SLOT);
    let mut asked = Vec::new();
    for _ in 0..60 {
        // The publisher does not answer.
        asked.extend(room.take_plis(peer));
        room.frame(&mut layers[0], false);
        room.frame(&mut layers[2], false);
        room.advance(33);
    }
    assert!(asked.len() >= 2 && asked.iter().all(|ssrc| *ssrc == 30), "{asked:?}");
    assert!(room.take(SLOT).iter().all(|sent| owner(sent) == 10));
}

#[test]
fn retransmissions_of_a_layer_are_bound_by_rrid_and_fill_the_gap() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    run_layers(&mut room, peer, &mut layers, [false, false, true], 10);
    room.take(SLOT);
    let layer = &mut layers[2];
    let lost = layer.frame(room.now, false);
    room.deliver(layer, &lost[..1]);
    room.deliver(layer, &lost[2..]);
    room.take_rtcp(peer);
    room.advance(11);
    let sequence = RtpPacket::parse(&lost[1]).unwrap().sequence;
    assert_eq!(room.take_rtcp(peer), [Report::Nack(30, vec![sequence])]);

    layer.extensions = vec![(MID, b"cam".to_vec()), (RRID, b"h".to_vec())];
    let repeat = layer.repeat(&lost[1]);
    room.deliver(layer, std::slice::from_ref(&repeat));
    let mut sent = room.take(SLOT);
    assert_eq!(sent.iter().map(|sent| sent.content()[9]).collect::<Vec<_>>(), [0, 2, 1]);
    sent.sort_by_key(|sent| sent.index);
    assert_continuous(&sent);
    assert_eq!(room.plane.counters().recovered_in, 1);

    // Neither the repeat again nor the lost packet itself passes a second time, and nothing is asked for any more.
    room.deliver(layer, &[repeat, lost[1].clone()]);
    room.advance(2000);
    assert_eq!(room.take(SLOT).len(), 0);
    let is_regular =
        |report: &Report| matches!(report, Report::Receiver(_) | Report::Remb(..) | Report::ReferenceTime(..));
    assert!(room.take_rtcp(peer).iter().all(is_regular));
}

#[test]
fn publishers_are_asked_as_often_as_their_round_trip_allows_and_then_for_a_keyframe() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    source.frame(room.now, false);
    room.frame(&mut source, false);
    room.take_rtcp(source.peer);
    let (mut asked, mut plis) = (0, 0);
    for _ in 0..120 {
        room.advance(10);
        for report in room.take_rtcp(source.peer) {
            asked += usize::from(matches!(&report, Report::Nack(10, lost) if lost.len() == 3));
            plis += usize::from(report == Report::Pli(10));
        }
        room.frame(&mut source, false);
    }
    assert_eq!(asked, 10, "every 100 ms until a second has gone by");
    assert!(plis >= 1, "given up, only a keyframe helps");
}

#[test]
fn sources_are_bound_by_what_is_declared_or_by_mid_and_else_dropped() {
    let mut room = Room::default();
    let peer = room.peer();
    let track = room.plane.add_track(room.now, peer, track_config(Kind::Video, "cam"));
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);

    let mut nameless = source(&room, peer, track, Kind::Video, 10);
    room.run(&mut [&mut nameless], 1, 30);
    assert_eq!(room.plane.counters().dropped(DropReason::UnknownSource), 90);
    // Twenty packets were searched; a mid comes too late now ...
    nameless.extensions = vec![(MID, b"cam".to_vec())];
    room.frame(&mut nameless, true);
    assert_eq!(room.take(SLOT).len(), 0);
    // ... unless it is another SSRC, or a new track makes it worth looking again.
    let mut named = Source { ssrc: 40, ..nameless.clone() };
    room.frame(&mut named, true);
    assert_eq!(room.take(SLOT).len(), 3);
    room.plane.add_track(room.now, peer, track_config(Kind::Video, "screen"));
    room.frame(&mut nameless, true);
    assert_eq!(room.take(SLOT).len(), 3, "the track has changed its SSRC");
}

#[test]
fn a_publisher_that_starts_anew_with_another_ssrc_is_taken_up_at_its_keyframe() {
    let mut room = Room::default();
    let peer = room.peer();
    let track = room.plane.add_track(room.now, peer, track_config(Kind::Video, "cam"));
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    let mut old = source(&room, peer, track, Kind::Video, 10);
    old.extensions = vec![(MID, b"cam".to_vec())];
    let mut new = Source { extensions: old.extensions.clone(), ..source(&room, peer, track, Kind::Video, 77) };
    room.frame(&mut old, true);
    room.run(&mut [&mut old], 33, 10);
    let mut all = room.take(SLOT);
    room.take_plis(peer);
    room.run(&mut [&mut new], 33, 3);
    assert_eq!(room.take_plis(peer), [77]);
    assert_eq!(room.take(SLOT).len(), 0);
    room.frame(&mut new, true);
    room.run(&mut [&mut new], 33, 3);
    all.extend(room.take(SLOT));
    assert_eq!(all.len(), 3 * (11 + 4));
    assert_continuous(&all);
}

#[test]
fn only_so_many_ssrcs_are_bound_for_one_peer() {
    let mut room = Room::default();
    let peer = room.peer();
    for n in 0..40 {
        let mid = format!("m{n}");
        let track = room.plane.add_track(room.now, peer, track_config(Kind::Audio, &mid));
        let mut one = source(&room, peer, track, Kind::Audio, 100 + n);
        one.extensions = vec![(MID, mid.into_bytes())];
        room.frame(&mut one, false);
    }
    assert_eq!(room.plane.counters().dropped(DropReason::TooManySources), 40 - 16);
}

#[test]
fn padding_ends_here_and_leaves_no_hole() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    for n in 0..100 {
        room.advance(33);
        room.frame(&mut source, false);
        for _ in 0..n % 4 {
            let timestamp = source.timestamp(room.now);
            let padding = source.packet(timestamp, false, &[]);
            room.deliver(&source, &[padding]);
        }
    }
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 303);
    assert_continuous(&sent);
    assert_eq!(room.plane.counters().padding_in, 150);

    // Padding that was overtaken is sent on as an empty packet: a number was left out for it.
    let timestamp = source.timestamp(room.now);
    let padding = source.packet(timestamp, false, &[]);
    room.frame(&mut source, false);
    room.deliver(&source, &[padding]);
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 4);
    assert!(sent[3].payload.is_empty() && sent[3].index + 1 == sent[0].index);
}

#[test]
fn receiver_reports_tell_loss_and_the_last_sender_report_every_second() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    room.report(&source, room.now, 1_000_000_000_000_000);
    for n in 0..50 {
        let frame = source.frame(room.now, false);
        // Every tenth frame loses its last packet.
        let kept = if n % 10 == 5 { 2 } else { 3 };
        room.deliver(&source, &frame[..kept]);
        room.advance(20);
    }
    let reports = room.take_rtcp(source.peer);
    let blocks: Vec<_> = reports
        .iter()
        .filter_map(|report| match report {
            Report::Receiver(blocks) => Some(blocks),
            _ => None,
        })
        .collect();
    assert_eq!(blocks.len(), 1, "one a second");
    let [block] = blocks[0][..] else { panic!("one for each SSRC heard: {blocks:?}") };
    assert_eq!((block.ssrc, block.cumulative_lost, block.fraction_lost), (10, 5, (5 * 256 / 150) as u8));
    assert!(block.last_sender_report != 0);
    assert_eq!(block.delay_since_last, 65_536, "a second");
    assert!(room.plane.layer_stats(room.now, source.track).all(|layer| layer.lost == 5));
}

#[test]
fn the_round_trip_of_a_subscriber_spaces_its_repeats() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    room.report(&source, room.now, 1_000_000_000_000_000);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    room.settle();
    let sr = room.take_rtcp(viewer).into_iter().find_map(|report| match report {
        Report::Sender { ntp, .. } => Some(ntp),
        _ => None,
    });
    room.advance(250);
    let block = roundtable_wire::rtcp::ReportBlock {
        ssrc: SLOT,
        fraction_lost: 64,
        last_sender_report: sr.expect("a report").compact(),
        delay_since_last: 65_536 / 16,
        ..Default::default()
    };
    room.rtcp(viewer, |writer| {
        writer.receiver_report(5, &[block]);
    });
    let stats = room.plane.slot_stats(slot).unwrap();
    assert!(stats.rtt.abs_diff(Duration::from_micros(187_500)) < Duration::from_millis(1), "{:?}", stats.rtt);
    assert_eq!((stats.fraction_lost, stats.packets), (64, 3));

    let sequence = room.take(SLOT)[0].sequence();
    let mut at = Vec::new();
    for ms in 0..700 {
        room.rtcp(viewer, |writer| {
            writer.nack(5, SLOT, &[sequence]);
        });
        at.extend(room.take(SLOT + 1).iter().map(|_| ms));
        room.advance(100 / 10);
    }
    assert_eq!(at, [0, 19, 19, 38], "in steps of 10 ms; what was asked for twice is sent twice");
}

#[test]
fn a_flood_of_rtcp_is_dropped_and_counted() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    for _ in 0..1000 {
        room.rtcp(viewer, |writer| {
            writer.pli(5, SLOT).nack(5, SLOT, &[1, 2, 3]);
        });
    }
    assert_eq!(room.plane.counters().dropped(DropReason::RtcpFlood), 2000 - 102);
    room.advance(2000);
    assert!(room.take_plis(source.peer).len() <= 7, "a slot's wishes are few, whatever it says");
}

#[test]
fn reference_times_are_answered_each() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    room.frame(&mut source, true);
    room.advance(500);
    let ntp = NtpTime(0x1111_2222_3333_4444);
    room.rtcp(source.peer, |writer| {
        for ssrc in 1..=20 {
            writer.receiver_reference_time(ssrc, NtpTime(7));
        }
        writer.receiver_reference_time(3, ntp);
    });
    room.advance(500);
    let answers = room.take_rtcp(source.peer).into_iter().find_map(|report| match report {
        Report::Dlrr(answers) => Some(answers),
        _ => None,
    });
    let answers = answers.expect("an answer");
    assert_eq!(answers.len(), 8, "of many receivers some");
    let answer = answers.iter().find(|answer| answer.ssrc == 3).unwrap();
    assert_eq!(answer.last_receiver_report, 0x2222_3333, "the last one");
    assert!(answer.delay_since_last.abs_diff(32_768) < 2);
    room.advance(1000);
    assert!(!room.take_rtcp(source.peer).iter().any(|report| matches!(report, Report::Dlrr(_))), "once");
}

/// Lets a publisher answer the reference time it is sent; the path takes `rtt` milliseconds both ways together.
fn answer_reference(room: &mut Room, source: &sim::Source, rtt: u64) {
    let reference = room.take_rtcp(source.peer).into_iter().find_map(|report| match report {
        Report::ReferenceTime(ssrc, ntp) => Some((ssrc, ntp.compact())),
        _ => None,
    });
    let (ssrc, last_receiver_report) = reference.expect("a reference time with the report");
    room.advance(rtt + 125);
    let answer = Dlrr { ssrc, last_receiver_report, delay_since_last: 65_536 / 8 };
    let of_another = Dlrr { ssrc: ssrc ^ 1, delay_since_last: 0, ..answer };
    room.rtcp(source.peer, |writer| {
        writer.dlrr(10, &[of_another, answer, Dlrr { last_receiver_report: 0, ..answer }]);
    });
}

#[test]
fn the_round_trip_of_who_only_publishes_spaces_what_it_is_asked() {
    for (rtt, nacks, wishes) in [(40, 40, 400), (320, 200, 640)] {
        let mut room = Room::default();
        let mut source = room.publish(Kind::Video, 10);
        let viewer = room.peer();
        let slot = room.slot(viewer, Kind::Video, SLOT);
        room.assign(slot, source.track, 1);
        room.frame(&mut source, true);
        room.advance(1000);
        answer_reference(&mut room, &source, rtt);
        source.frame(room.now, false);
        room.frame(&mut source, false);
        room.rtcp(viewer, |writer| {
            writer.pli(5, SLOT);
        });
        let since = room.now;
        let (mut asked, mut wished) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            room.settle();
            for report in room.take_rtcp(source.peer) {
                let at = (room.now - since).as_millis();
                match report {
                    Report::Nack(..) => asked.push(at),
                    Report::Pli(_) => wished.push(at),
                    _ => {}
                }
            }
            room.advance(10);
        }
        assert_eq!(asked[1] - asked[0], nacks);
        assert_eq!(wished[1] - wished[0], wishes);
    }
}

#[test]
fn publishers_without_transport_wide_feedback_are_given_a_generous_bound() {
    let mut room = Room::default();
    let peer = room.peer();
    let mut config = track_config(Kind::Video, "m10");
    config.codecs[0].transport_cc = false;
    config.codecs[0].pli = false;
    config.ssrcs = vec![10];
    let track = room.plane.add_track(room.now, peer, config);
    let mut source = source(&room, peer, track, Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    room.frame(&mut source, false);
    room.advance(1000);
    let reports = room.take_rtcp(peer);
    assert!(reports.contains(&Report::Remb(8_000_000, vec![10])));
    assert!(reports.contains(&Report::Fir(10, 1)), "without PLI, FIR asks: {reports:?}");
}

#[test]
fn who_reports_but_never_with_feedback_gets_all_there_is_and_who_says_nothing_gets_nothing() {
    for reports in [true, false] {
        let mut room = Room::default();
        let mut source = room.publish(Kind::Video, 10);
        let viewer = room.peer();
        let slot = room.measured_slot(viewer, Kind::Video, SLOT);
        room.assign(slot, source.track, 1);
        room.frame(&mut source, true);
        for _ in 0..6 {
            room.run(&mut [&mut source], 50, 20);
            if reports {
                let block = ReportBlock { ssrc: SLOT, ..ReportBlock::default() };
                room.rtcp(viewer, |writer| {
                    writer.receiver_report(5, &[block]);
                });
            }
        }
        let estimator = room.plane.send_stats(viewer).expect("a subscriber").estimator;
        assert_eq!(estimator.is_none(), reports, "{estimator:?}");
        room.frame(&mut source, true); // Who was paused waits for one.
        room.advance(50);
        room.take(SLOT);
        room.run(&mut [&mut source], 50, 20);
        assert_eq!(room.take(SLOT).len(), if reports { 60 } else { 0 });
    }
}

#[test]
fn a_muted_track_is_silent_and_comes_back_with_a_keyframe() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    room.plane.set_track_paused(room.now, source.track, true);
    room.run(&mut [&mut source], 33, 15);
    let mut all = room.take(SLOT);
    assert_eq!(all.len(), 3);
    room.take_plis(source.peer);
    room.plane.set_track_paused(room.now, source.track, false);
    room.settle();
    assert_eq!(room.take_plis(source.peer), [10]);
    room.run(&mut [&mut source], 33, 1);
    room.frame(&mut source, true);
    all.extend(room.take(SLOT));
    assert_eq!(all.len(), 6);
    assert_continuous(&all);
}

#[test]
fn nothing_leaves_for_a_peer_that_is_not_ready_and_readiness_brings_a_picture() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.plane.add_peer(room.now);
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    room.run(&mut [&mut source], 33, 30);
    assert_eq!(room.wire.rtp.len(), 0);
    room.take_plis(source.peer);
    room.plane.set_peer_ready(room.now, viewer, true);
    room.settle();
    assert_eq!(room.take_plis(source.peer), [0; 0], "the last keyframe is young enough to begin with");
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 31 * 3);
    assert_continuous(&sent);
}

#[test]
fn who_comes_long_after_a_keyframe_asks_for_another() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    room.frame(&mut source, true);
    room.run(&mut [&mut source], 33, 120);
    room.take_plis(source.peer);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.settle();
    assert_eq!(room.take_plis(source.peer), [10]);
    assert_eq!(room.take(SLOT).len(), 0);
    room.frame(&mut source, true);
    assert_eq!(room.take(SLOT).len(), 3);
}

#[test]
fn a_slot_that_shows_something_does_not_begin_in_the_past() {
    let mut room = Room::default();
    let (mut first, mut second) = (room.publish(Kind::Video, 10), room.publish(Kind::Video, 20));
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, first.track, 1);
    room.frame(&mut first, true);
    room.frame(&mut second, true);
    room.run(&mut [&mut first, &mut second], 33, 10);
    room.take_plis(second.peer);
    room.assign(slot, second.track, 2);
    room.run(&mut [&mut first, &mut second], 33, 20);
    let asked = room.take_plis(second.peer);
    assert!(asked.contains(&20), "its timestamps would run ahead of what comes: {asked:?}");
    assert!(room.take(SLOT).iter().all(|sent| owner(sent) == 10));
}

#[test]
fn speaking_is_told_from_the_level_extension() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Audio, 10);
    let talk = |room: &mut Room, source: &mut Source, level: u8, packets: usize| {
        source.extensions = vec![(LEVEL, vec![level])];
        room.run(&mut [source], 20, packets);
    };
    talk(&mut room, &mut source, 127, 10);
    talk(&mut room, &mut source, 30 | 0x80, 10);
    let track = source.track;
    let codec = PlaneEvent::Codec { track, codec: roundtable_wire::Codec::Opus };
    // Who leads the conversation is told apart from it.
    let events = |room: &mut Room| {
        let all = room.events().into_iter();
        all.filter(|event| !matches!(event, PlaneEvent::Dominant { .. })).collect::<Vec<_>>()
    };
    assert_eq!(events(&mut room), [codec, PlaneEvent::Speaking { track, speaking: true }]);
    talk(&mut room, &mut source, 127, 10);
    assert_eq!(events(&mut room), []);
    room.advance(1000);
    assert_eq!(events(&mut room), [PlaneEvent::Speaking { track, speaking: false }], "even if packets stop");
    talk(&mut room, &mut source, 30, 10);
    room.plane.remove_track(room.now, track);
    let speaking = [true, false].map(|speaking| PlaneEvent::Speaking { track, speaking });
    assert_eq!(events(&mut room), speaking);
}

#[test]
fn level_and_orientation_reach_the_subscriber_by_its_own_ids() {
    let mut room = Room::default();
    let (mut video, mut audio) = (room.publish(Kind::Video, 10), room.publish(Kind::Audio, 20));
    video.extensions = vec![(sim::ORIENTATION, vec![1]), (RID, b"x".to_vec()), (MID, b"m10".to_vec())];
    audio.extensions = vec![(LEVEL, vec![0x85])];
    let viewer = room.peer();
    let slots = [room.measured_slot(viewer, Kind::Video, SLOT), room.measured_slot(viewer, Kind::Audio, 2000)];
    room.assign(slots[0], video.track, 1);
    room.assign(slots[1], audio.track, 1);
    room.frame(&mut video, true);
    room.frame(&mut audio, true);
    let ids = |sent: &sim::Sent| sent.extensions.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    let (picture, sound) = (room.take(SLOT), room.take(2000));
    assert_eq!(ids(&picture[0]), [sim::OUT_TWCC, sim::OUT_MID, sim::OUT_ORIENTATION]);
    assert!(picture[0].extensions.contains(&(sim::OUT_ORIENTATION, vec![1])));
    assert!(sound[0].extensions.contains(&(sim::OUT_LEVEL, vec![0x85])));
}

#[test]
fn who_leaves_is_forgotten_whole() {
    let mut room = Room::default();
    for round in 0..500 {
        let mut publisher = room.publish(Kind::Video, 10);
        let viewer = room.peer();
        let slot = room.slot(viewer, Kind::Video, SLOT);
        room.assign(slot, publisher.track, round);
        room.frame(&mut publisher, true);
        assert_eq!(room.take(SLOT).len(), 3);
        let (first, second) = if round % 2 == 0 { (publisher.peer, viewer) } else { (viewer, publisher.peer) };
        room.plane.remove_peer(room.now, first);
        room.frame(&mut publisher, true);
        room.plane.remove_peer(room.now, second);
        room.frame(&mut publisher, true);
        assert_eq!(room.wire.rtp.len(), 0, "nobody is there");
        assert_eq!(room.plane.slot_stats(slot), None);
        room.advance(100);
    }
    room.advance(2000);
    assert_eq!(room.plane.poll_timeout(), None, "an empty room has nothing to do");
}

#[test]
fn hostile_bytes_are_dropped_and_nobody_else_notices() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    room.frame(&mut source, true);
    let good = source.frame(room.now, false);
    for len in 0..good[0].len() {
        for packet in [&good[0][..len], &[0xff; 1500][..len]] {
            room.rtp(viewer, packet);
            let now = room.now;
            room.plane.handle_rtcp(now, viewer, packet, &mut room.wire);
        }
    }
    let mut empty_rtx = source.repeat(&good[0]);
    empty_rtx.truncate(13);
    room.deliver(&source, &[empty_rtx]);
    assert_eq!(room.plane.counters().dropped(DropReason::BadRetransmission), 1);
    room.deliver(&source, &good);
    let sent = room.take(SLOT);
    assert_eq!(sent.len(), 6);
    assert_continuous(&sent);
}

#[test]
fn encodings_larger_than_any_that_is_wanted_stop_and_smaller_ones_go_on() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    let wanted = |room: &mut Room| {
        let told = room.events().into_iter().filter_map(|event| match event {
            PlaneEvent::LayersWanted { layers, .. } => Some(layers),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    run_layers(&mut room, peer, &mut layers, [true; 3], 300);
    assert_eq!(owner(room.take(SLOT).last().unwrap()), 30);
    assert_eq!(wanted(&mut room), [0; 0], "nobody shows the smaller ones, but one may have to");
    for (height, left) in [(360, 0b011), (180, 0b001)] {
        room.plane.set_hints(room.now, slot, Hints { height, ..Hints::default() });
        run_layers(&mut room, peer, &mut layers, [true; 3], 300);
        assert_eq!(wanted(&mut room), [left]);
    }
    room.plane.set_hints(room.now, slot, Hints { visible: false, ..Hints::default() });
    run_layers(&mut room, peer, &mut layers, [true; 3], 300);
    assert_eq!(wanted(&mut room), [0], "nobody looks");
}

#[test]
fn what_policy_forbids_is_not_sent_whatever_the_subscriber_asks_for() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let viewer = room.peer();
    let receive = Limits { max_height: 400, ..Limits::default() };
    room.plane.set_limits(room.now, viewer, PeerLimits { receive, ..PeerLimits::default() });
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, track, 1);
    run_layers(&mut room, peer, &mut layers, [true; 3], 90);
    let greedy = Hints { height: u16::MAX, max_fps: u8::MAX, max_height: u16::MAX, ..Hints::default() };
    room.plane.set_hints(room.now, slot, greedy);
    run_layers(&mut room, peer, &mut layers, [true; 3], 90);
    let sent = room.take(SLOT);
    assert_eq!(owner(sent.last().unwrap()), 20, "360 rows are the most that 400 allow");
    assert!(sent.iter().all(|sent| owner(sent) != 30));
    room.plane.set_limits(room.now, viewer, PeerLimits::default());
    run_layers(&mut room, peer, &mut layers, [true; 3], 90);
    assert_eq!(owner(room.take(SLOT).last().unwrap()), 30, "when the limit goes, it comes");
}

#[test]
fn who_publishes_more_than_it_may_is_told_and_then_reported() {
    let mut room = Room::default();
    let (peer, track, mut layers) = simulcast(&mut room);
    let publish = Limits { max_bitrate: Bitrate::kbps(200), ..Limits::default() };
    room.plane.set_limits(room.now, peer, PeerLimits { publish, ..PeerLimits::default() });
    let mut told = Vec::new();
    for _ in 0..270 {
        for report in room.take_rtcp(peer) {
            if let Report::Remb(bitrate, _) = report {
                told.push(bitrate);
            }
        }
        for layer in &mut layers {
            room.frame(layer, false);
        }
        room.advance(33);
    }
    assert!(told.len() >= 7 && told.iter().all(|&bitrate| (190_000..=200_000).contains(&bitrate)), "{told:?}");
    let reports = room.events().into_iter().filter(|event| *event == PlaneEvent::OverLimit { track }).count();
    assert_eq!(reports, 1, "after five seconds, and not again at once");
}
