//! The rules of a slot that concern its clock (5) and its sender reports (6), proven in a simulated room.

mod sim;

use std::time::Duration;

use roundtable_wire::ext::{abs_capture_time, read_abs_capture_time, short_abs_capture_time};
use roundtable_wire::{Kind, NtpTime};

use sim::{
    CAPTURE, OUT_CAPTURE, Report, Room, SLOT, Sent, Source, UNIX_MICROS, assert_continuous, sender_reports,
    two_publishers,
};

/// How far the slot's timestamps are ahead of the arrivals, both counted from the first packet, in milliseconds.
fn leads(sent: &[(u64, Sent)], rate: u32) -> Vec<i64> {
    let (at, first) = &sent[0];
    sent.iter()
        .map(|(micros, packet)| {
            let ticks = i64::from(packet.timestamp.wrapping_sub(first.timestamp).cast_signed());
            ticks * 1000 / i64::from(rate) - (*micros as i64 - *at as i64) / 1000
        })
        .collect()
}

#[test]
fn rule_5_one_clock_for_life_never_back_and_never_ahead_of_arrival() {
    let mut room = Room::default();
    let mut sources: Vec<_> = (1..=4).map(|n| room.publish(Kind::Video, 10 * n)).collect();
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    // Clocks far apart, timestamps anywhere; the third never reports.
    let reports = [true, true, false, true];
    let mut sent = Vec::new();
    for round in 0..12usize {
        for (n, source) in sources.iter().enumerate().filter(|(n, _)| reports[*n]) {
            let clock = 1_000_000_000_000_000 + 5_000_000_000 * n as u64 + room.micros();
            room.report(source, room.now, clock);
        }
        let owner = round * 7 % 4;
        room.assign(slot, sources[owner].track, round as u32);
        for frame in 0..10 {
            for source in &mut sources {
                room.frame(source, frame == 2);
            }
            let micros = room.micros();
            sent.extend(room.take(SLOT).into_iter().map(|packet| (micros, packet)));
            room.advance(33);
        }
        // A pause now and then: the clock runs on.
        if round % 3 == 2 {
            room.assign(slot, None, 0);
            room.advance(5000);
        }
    }
    assert_continuous(&sent.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>());
    let leads = leads(&sent, 90_000);
    assert!(leads.iter().all(|lead| (-1..=34).contains(lead)), "one step ahead at most: {leads:?}");
}

#[test]
fn rule_5_capture_time_decides_where_an_owner_starts() {
    let mut room = Room::default();
    let (mut near, mut far) = (room.publish(Kind::Video, 10), room.publish(Kind::Video, 20));
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    for (source, clock) in [(&near, 1_000_000_000_000_000), (&far, 7_000_000_000_000_000)] {
        let captured = room.now;
        room.report(source, captured, clock);
    }
    room.advance(500);
    room.assign(slot, near.track, 1);
    room.frame(&mut near, true);
    room.advance(1000);
    room.assign(slot, far.track, 2);
    // Captured 200 ms before it arrives.
    let frame = far.frame(room.now - Duration::from_millis(200), true);
    room.deliver(&far, &frame);
    let sent = room.take(SLOT);
    let step = sent[3].timestamp.wrapping_sub(sent[0].timestamp);
    assert_eq!(step, 800 * 90, "800 ms lie between the captures, 1000 ms between the arrivals");
}

/// Lets the next frames of a source say when they were captured (abs-capture-time), or no more.
fn state(source: &mut Source, capture: Option<Vec<u8>>) {
    source.extensions = capture.map(|data| (CAPTURE, data)).into_iter().collect();
}

/// When packets say that they were captured, and how far the capturer's clock is ahead of ours.
fn stated(sent: &Sent) -> Option<(NtpTime, Option<i64>)> {
    let element = sent.extensions.iter().find(|(id, _)| *id == OUT_CAPTURE);
    element.map(|(_, data)| read_abs_capture_time(data).expect("a capture time"))
}

#[test]
fn rule_5_what_packets_say_of_their_capture_counts_before_reports() {
    let mut room = Room::default();
    let (mut near, mut far) = (room.publish(Kind::Video, 10), room.publish(Kind::Video, 20));
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    let clock = 7_000_000_000_000_000;
    room.report(&near, room.now, 1_000_000_000_000_000);
    room.report(&far, room.now, clock);
    room.assign(slot, near.track, 1);
    room.frame(&mut near, true);
    room.advance(1000);
    room.assign(slot, far.track, 2);
    // The camera is 300 ms late, which the report knows nothing of.
    state(&mut far, Some(short_abs_capture_time(NtpTime::from_unix_micros(clock + 700_000)).to_vec()));
    room.frame(&mut far, true);
    let sent = room.take(SLOT);
    let step = sent[3].timestamp.wrapping_sub(sent[0].timestamp);
    assert!(step.abs_diff(700 * 90) <= 1, "{step} ticks");
    room.settle();
    let (ntp, rtp) = sender_reports(&mut room, viewer, SLOT).pop().expect("a report");
    assert_eq!(ntp, NtpTime::from_unix_micros(UNIX_MICROS + 1_000_000));
    let ahead = rtp.wrapping_sub(sent[3].timestamp).cast_signed();
    assert!((ahead - 300 * 90).abs() <= 1, "what is captured now comes {ahead} ticks later");
}

#[test]
fn rule_5_capture_times_pass_with_the_distance_of_the_clocks() {
    for kind in [Kind::Video, Kind::Audio] {
        let mut room = Room::default();
        let mut source = room.publish(kind, 10);
        let viewer = room.peer();
        let slot = room.slot(viewer, kind, SLOT);
        room.assign(slot, source.track, 1);
        // Its clock is ten seconds ahead of ours, that of whom it repeats two seconds ahead of its own.
        let clock = UNIX_MICROS + 10_000_000;
        room.report(&source, room.now, clock);
        let captured = NtpTime::from_unix_micros(clock + 2_000_000);
        let near = |(of, ahead): (NtpTime, Option<i64>), micros: u64, seconds: i64| {
            let error = of.to_unix_micros().abs_diff(captured.to_unix_micros() + micros);
            assert!(error <= 1, "{kind:?}: off by {error} µs");
            let off = ahead.expect("an offset") - (seconds << 32);
            assert!(off.abs() < 1 << 16, "{kind:?}: off by {off}");
        };
        state(&mut source, Some(abs_capture_time(captured, 2 << 32).to_vec()));
        room.frame(&mut source, true);
        near(stated(&room.take(SLOT)[0]).unwrap(), 0, 12);

        // A silent one is extrapolated for who begins with it, by the publisher's own clock.
        state(&mut source, None);
        room.advance(20);
        room.frame(&mut source, false);
        assert_eq!(stated(&room.take(SLOT)[0]), None, "{kind:?}");
        room.advance(20);
        room.assign(slot, None, 2);
        room.assign(slot, source.track, 3);
        room.frame(&mut source, true);
        let first = room.take(SLOT)[0].clone();
        let (of, ahead) = stated(&first).expect("said to who begins");
        near((NtpTime(of.0 + (2 << 32)), ahead), 40_000, 10);
        if kind == Kind::Video {
            room.rtcp(viewer, |writer| {
                writer.nack(1, SLOT, &[first.sequence()]);
            });
            assert_eq!(stated(&room.take(SLOT + 1)[0]), Some((of, ahead)), "and to who asks again");
        }
    }
}

#[test]
fn rule_5_without_a_report_what_packets_say_tells_the_clock() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    room.assign(slot, source.track, 1);
    let captured = NtpTime::from_unix_micros(UNIX_MICROS - 5_000_000);
    state(&mut source, Some(short_abs_capture_time(captured).to_vec()));
    room.frame(&mut source, true);
    assert_eq!(stated(&room.take(SLOT)[0]), Some((captured, Some(-5 << 32))));
    room.settle();
    assert_eq!(sender_reports(&mut room, viewer, SLOT).len(), 1);
}

#[test]
fn rule_5_without_reports_the_arrival_counts_and_that_choice_stays() {
    let mut room = Room::default();
    let (mut first, mut second, _, slot) = two_publishers(&mut room);
    room.run(&mut [&mut first], 33, 10);
    room.advance(7);
    room.assign(slot, second.track, 2);
    let late = second.frame(room.now - Duration::from_millis(200), true);
    room.deliver(&second, &late);
    let sent = room.take(SLOT);
    let [old, new] = [sent[sent.len() - 4].clone(), sent[sent.len() - 3].clone()];
    assert_eq!(new.timestamp.wrapping_sub(old.timestamp), 40 * 90, "placed by its arrival");
    room.report(&second, room.now, 3_000_000_000_000_000);
    room.advance(33);
    let next = second.frame(room.now - Duration::from_millis(200), false);
    room.deliver(&second, &next);
    assert_eq!(room.take(SLOT)[0].timestamp.wrapping_sub(new.timestamp), 33 * 90, "no correction on the way");
}

#[test]
fn rule_5_a_publisher_whose_timestamps_leap_does_not_take_the_slot_along() {
    for leap in [600, -600, 4, -4] {
        let mut room = Room::default();
        let (mut first, _, _, _) = two_publishers(&mut room);
        room.run(&mut [&mut first], 33, 3);
        first.timestamp_base = first.timestamp_base.wrapping_add_signed(leap * 90_000);
        room.run(&mut [&mut first], 33, 3);
        let sent = room.take(SLOT);
        assert_continuous(&sent);
        let span = sent.last().unwrap().timestamp.wrapping_sub(sent[0].timestamp);
        assert!(span <= 7 * 34 * 90, "leapt by {leap} s and took {span} ticks");
    }
}

#[test]
fn rule_5_an_owner_that_is_in_time_follows_one_that_came_seconds_late() {
    for late in [3000, 900, 0] {
        let mut room = Room::default();
        let (mut first, mut second) = (room.publish(Kind::Video, 10), room.publish(Kind::Video, 20));
        let viewer = room.peer();
        let slot = room.slot(viewer, Kind::Video, SLOT);
        room.advance(5000);
        for source in [&first, &second] {
            let captured = room.now;
            room.report(source, captured, 1_000_000_000_000_000 + room.micros());
        }
        room.assign(slot, first.track, 1);
        for number in 0..5 {
            let frame = first.frame(room.now - Duration::from_millis(late), number == 0);
            room.deliver(&first, &frame);
            room.advance(33);
        }
        let before = room.take(SLOT);
        room.assign(slot, second.track, 2);
        for number in 0..5 {
            room.frame(&mut second, number == 0);
            room.advance(33);
        }
        let after = room.take(SLOT);
        assert_eq!((before.len(), after.len()), (15, 15), "{late} ms late");
        assert_continuous(&[before.clone(), after.clone()].concat());
        let step = after[0].timestamp.wrapping_sub(before[12].timestamp);
        assert_eq!(step, (late as u32 + 33) * 90, "{late} ms late");
    }
}

#[test]
fn rule_6_sender_reports_follow_the_switch_and_tell_the_capture_time_of_now() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Video, 10);
    let viewer = room.peer();
    let slot = room.slot(viewer, Kind::Video, SLOT);
    // Its report takes 30 ms to us, and says what it captured when it was sent.
    let captured = room.now;
    room.advance(30);
    room.report(&source, captured, 1_000_000_000_000_000);
    room.advance(100);
    room.assign(slot, source.track, 1);
    let mut first = None;
    let mut at = Vec::new();
    for _ in 0..400 {
        // Encoding takes 50 ms.
        let frame = source.frame(room.now - Duration::from_millis(50), first.is_none());
        room.deliver(&source, &frame);
        first = first.or_else(|| room.take(SLOT).first().cloned());
        room.settle();
        for (ntp, rtp) in sender_reports(&mut room, viewer, SLOT) {
            let now = room.micros();
            assert_eq!(ntp, NtpTime::from_unix_micros(UNIX_MICROS + now), "our clock, now");
            let first = first.as_ref().expect("a report follows the first packet");
            // That packet was captured 50 ms before it came, at 130 ms; the report's delay counts as ours.
            let expected = first.timestamp.wrapping_add(((now - (130 - 50 + 30) * 1000) * 9 / 100) as u32);
            let error = rtp.wrapping_sub(expected).cast_signed();
            assert!(error.abs() <= 90, "off by {error} ticks");
            at.push(now / 1000);
        }
        room.advance(10);
    }
    assert_eq!(at[..5], [130, 380, 630, 1630, 2630], "at the switch, and at most a second apart");
}

#[test]
fn reports_to_many_who_listen_leave_at_few_moments() {
    let mut room = Room::default();
    let mut source = room.publish(Kind::Audio, 10);
    let captured = room.now;
    room.report(&source, captured, 1_000_000_000_000_000);
    let mut listeners = Vec::new();
    for n in 0..30 {
        let (peer, ssrc) = (room.peer(), 2000 + n);
        let slot = room.slot(peer, Kind::Audio, ssrc);
        room.assign(slot, source.track, 1);
        listeners.push((peer, ssrc));
        room.frame(&mut source, true);
        room.advance(13);
    }
    let mut moments = std::collections::BTreeMap::new();
    for n in 0..400 {
        if n % 2 == 0 {
            room.frame(&mut source, true);
        }
        room.settle();
        for &(peer, ssrc) in &listeners {
            let told = sender_reports(&mut room, peer, ssrc).len();
            if n >= 200 && told > 0 {
                *moments.entry(n).or_insert(0) += told;
            }
        }
        room.advance(10);
    }
    assert_eq!(moments.values().sum::<usize>(), 60, "each in each of two seconds");
    assert!(moments.len() <= 20, "{moments:?}");
}

#[test]
fn rule_6_sound_and_picture_of_a_publisher_share_one_offset() {
    let mut room = Room::default();
    let peer = room.peer();
    let mut video = room.publish_from(peer, Kind::Video, 10);
    let mut audio = room.publish_from(peer, Kind::Audio, 20);
    let viewer = room.peer();
    let slots = [room.slot(viewer, Kind::Video, SLOT), room.slot(viewer, Kind::Audio, 2000)];
    // The report of the picture comes 150 ms late, that of the sound at once: still one clock.
    let clock = 1_000_000_000_000_000;
    let captured = room.now;
    room.report(&audio, captured, clock);
    room.advance(150);
    room.report(&video, captured, clock);
    room.assign(slots[0], video.track, 1);
    room.assign(slots[1], audio.track, 1);
    let moment = room.now;
    let [picture, sound] = [video.frame(moment, true), audio.frame(moment, true)];
    room.deliver(&audio, &sound);
    room.advance(200); // The picture takes longer.
    room.deliver(&video, &picture);
    let (picture, sound) = (room.take(SLOT)[0].clone(), room.take(2000)[0].clone());
    room.advance(2000);
    let reports = room.take_rtcp(viewer);
    let capture = |ssrc: u32, timestamp: u32, rate: i64| {
        let found = reports.iter().rev().find_map(|report| match report {
            Report::Sender { ssrc: of, ntp, rtp, .. } if *of == ssrc => Some((*ntp, *rtp)),
            _ => None,
        });
        let (ntp, rtp) = found.expect("a report");
        ntp.to_unix_micros() as i64 + i64::from(timestamp.wrapping_sub(rtp).cast_signed()) * 1_000_000 / rate
    };
    let difference = capture(SLOT, picture.timestamp, 90_000) - capture(2000, sound.timestamp, 48_000);
    assert!(difference.abs() < 1000, "captured together, {difference} µs apart");
    assert!(reports.contains(&Report::Name(SLOT, "seat1000".into())), "with a canonical name");
}

#[test]
fn rule_6_without_a_capture_clock_there_is_no_report_at_all() {
    let mut room = Room::default();
    let (mut first, mut second, viewer, _) = two_publishers(&mut room);
    room.run(&mut [&mut first, &mut second], 33, 60);
    assert_eq!(sender_reports(&mut room, viewer, SLOT), []);
    room.report(&first, room.now, 1_000_000_000_000_000);
    room.advance(300);
    assert_eq!(sender_reports(&mut room, viewer, SLOT).len(), 1, "as soon as there is one");
}
