//! A peer that goes on in another room: what its other end sees is one connection.

mod sim;

use std::time::Duration;

use roundtable_media::bwe::Bitrate;
use roundtable_media::replay::replay;
use roundtable_media::{
    Detached, DropReason, Limits, Moment, PeerKey, PeerLimits, PlaneEvent, SlotKey, TrackConfig, TrackKey,
};
use roundtable_wire::Kind;
use roundtable_wire::rtcp::{Packet, ReportBlock, packets};

use sim::{
    LEVEL, MID, OUT_VP8, RID, RRID, Report, Room, Sent, Source, UNIX_MICROS, Wire, assert_continuous, source,
    track_config, two_rooms,
};

const VIDEO: u32 = 1000;
const SOUND: u32 = 2000;
const VOICE: u32 = 3000;
/// How much later the second room begins than the first, in microseconds.
const LATER: [i64; 2] = [-37_123_457, 41_654_321];

/// Two rooms at one time, and what the subscribers of both have seen.
struct Rooms {
    rooms: [Room; 2],
    origin: Moment,
    /// With the time it was sent, in microseconds.
    seen: Vec<(u64, Sent)>,
}

impl Rooms {
    fn new(later: i64) -> Self {
        let (rooms, origin) = two_rooms(later);
        Self { rooms, origin, seen: Vec::new() }
    }

    fn micros(&self) -> u64 {
        (self.rooms[0].now - self.origin).as_micros() as u64
    }

    fn advance(&mut self, ms: u64) {
        self.rooms.iter_mut().for_each(|room| room.advance(ms));
        self.gather();
    }

    /// Takes what was sent.
    fn gather(&mut self) {
        let micros = self.micros();
        for room in &mut self.rooms {
            self.seen.extend(room.wire.rtp.drain(..).map(|sent| (micros, sent)));
        }
    }

    /// A frame of each source, and 20 ms.
    fn step(&mut self, at: usize, sources: &mut [&mut Source], key: bool) {
        for source in sources {
            self.rooms[at].frame(source, key);
        }
        self.gather();
        self.advance(20);
    }

    /// A frame of each source each 20 ms, the first one with a keyframe.
    fn run(&mut self, at: usize, sources: &mut [&mut Source], count: usize) {
        (0..count).for_each(|n| self.step(at, sources, n == 0));
    }

    /// Takes a peer from one room to the other, with `ms` in between.
    fn shift(&mut self, from: usize, peer: PeerKey, ms: u64) -> (PeerKey, Vec<(String, SlotKey)>) {
        let old = &mut self.rooms[from];
        let detached = old.plane.detach_peer(old.now, peer).expect("it is there");
        self.advance(ms);
        let new = &mut self.rooms[1 - from];
        let (peer, slots) = new.plane.attach_peer(new.now, detached);
        new.plane.set_peer_ready(new.now, peer, true);
        (peer, slots)
    }

    fn seen_on(&self, ssrc: u32) -> Vec<Sent> {
        self.seen.iter().map(|(_, sent)| sent).filter(|sent| sent.ssrc == ssrc).cloned().collect()
    }

    /// The last packet on `ssrc` of `before` and the first one of what came since, with their times.
    fn seam(&self, ssrc: u32, before: usize) -> [&(u64, Sent); 2] {
        let is_on = |entry: &&(u64, Sent)| entry.1.ssrc == ssrc;
        let last = self.seen[..before].iter().rev().find(is_on).expect("sent before");
        [last, self.seen[before..].iter().find(is_on).expect("sent since")]
    }
}

/// Answers a subscriber's packets by transport-wide feedback.
#[derive(Default)]
struct Answers {
    from: usize,
    count: u8,
}

impl Answers {
    /// Tells that all has come that was sent since the last time.
    fn tell(&mut self, rooms: &mut Rooms, at: usize, peer: PeerKey) {
        let new: Vec<_> =
            rooms.seen[self.from..].iter().map(|(micros, sent)| (*micros, sent.transport_sequence)).collect();
        self.from = rooms.seen.len();
        let Some(base) = new.first().and_then(|(_, number)| *number) else { return };
        let arrivals: Vec<_> = new.iter().map(|(micros, _)| Some(micros + 15_000)).collect();
        let mut written = 0;
        let count = self.count;
        rooms.rooms[at].rtcp(peer, |writer| written = writer.twcc(1, VIDEO, count, base, &arrivals));
        self.count = self.count.wrapping_add(written);
    }
}

fn talker(room: &mut Room, ssrc: u32) -> Source {
    let mut source = room.publish(Kind::Audio, ssrc);
    source.extensions = vec![(LEVEL, vec![0x80 | 30])];
    source
}

fn nack(room: &mut Room, peer: PeerKey, media: u32, sequence: u16) {
    room.rtcp(peer, |writer| {
        writer.nack(1, media, &[sequence]);
    });
}

/// What the sender reports say was sent on `ssrc`, the last one.
fn reported(room: &mut Room, peer: PeerKey, ssrc: u32) -> u32 {
    let reports = room.take_rtcp(peer).into_iter().rev();
    let mut counts = reports.filter_map(|report| match report {
        Report::Sender { ssrc: of, packets, .. } if of == ssrc => Some(packets),
        _ => None,
    });
    counts.next().expect("a report")
}

#[test]
fn every_stream_to_a_subscriber_goes_on_in_another_room() {
    for later in LATER {
        let mut rooms = Rooms::new(later);
        let mut there = [0, 1].map(|at| {
            let (room, base) = (&mut rooms.rooms[at], 10 * at as u32);
            [room.publish(Kind::Video, 10 + base), room.publish(Kind::Audio, 110 + base), talker(room, 210 + base)]
        });
        let old = &mut rooms.rooms[0];
        let viewer = old.peer();
        let slots = [(Kind::Video, VIDEO), (Kind::Audio, SOUND), (Kind::Audio, VOICE)];
        let slots = slots.map(|(kind, ssrc)| old.measured_slot(viewer, kind, ssrc));
        old.plane.set_voice_slot(old.now, slots[2]);
        old.assign(slots[0], there[0][0].track, 1);
        old.assign(slots[1], there[0][1].track, 1);
        let mut answers = Answers::default();
        for n in 0..300 {
            let [video, sound, voice] = &mut there[0];
            rooms.step(0, &mut [video, sound, voice], n == 0);
            answers.tell(&mut rooms, 0, viewer);
        }
        let lost = rooms.seen_on(VIDEO).last().unwrap().sequence();
        nack(&mut rooms.rooms[0], viewer, VIDEO, lost);
        rooms.advance(7);
        let before = rooms.seen.len();
        let times = [VIDEO, SOUND, VOICE].map(|ssrc| rooms.seen_on(ssrc).last().unwrap().mid.clone());
        assert_eq!(times, [None, None, None], "the mid was told for long enough");

        let (viewer, slots) = rooms.shift(0, viewer, 1713);
        let mids: Vec<_> = slots.iter().map(|(mid, _)| mid.as_str()).collect();
        assert_eq!(mids, ["s1000", "s2000", "s3000"], "in the order in which they were made");
        rooms.run(1, &mut there[1].iter_mut().collect::<Vec<_>>(), 3);
        assert_eq!(rooms.seen.len(), before, "idle, every one of them");
        let new = &mut rooms.rooms[1];
        let unknown = new.plane.counters().rtx_unknown;
        nack(new, viewer, VIDEO, lost);
        assert_eq!(new.plane.counters().rtx_unknown, unknown + 1, "what is of the old room is not sent again");
        new.plane.set_voice_slot(new.now, slots[2].1);
        new.assign(slots[0].1, there[1][0].track, 1);
        new.assign(slots[1].1, there[1][1].track, 1);
        rooms.run(1, &mut there[1].iter_mut().collect::<Vec<_>>(), 30);
        let again = rooms.seen_on(VIDEO).last().unwrap().sequence();
        nack(&mut rooms.rooms[1], viewer, VIDEO, again);
        rooms.advance(500);

        for (ssrc, rate) in [(VIDEO, 90_000), (SOUND, 48_000), (VOICE, 48_000)] {
            assert_continuous(&rooms.seen_on(ssrc));
            let [(left, last), (came, first)] = rooms.seam(ssrc, before);
            let ticks = i64::from(first.timestamp.wrapping_sub(last.timestamp));
            let off = ticks * 1000 / rate - (came - left) as i64 / 1000;
            // On a voice slot speech begins with the 60 ms before it was known to be one.
            let onset = if ssrc == VOICE { 60 } else { 0 };
            assert!((off + onset).abs() <= 3, "{ssrc}: the clock runs on, but for {off} ms");
            let since = rooms.seen[before..].iter().filter(|(_, sent)| sent.ssrc == ssrc);
            assert!(since.take(30).all(|(_, sent)| sent.mid.is_some()), "{ssrc}: as after a switch");
        }
        let repeats = rooms.seen_on(VIDEO + 1);
        assert!(repeats.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "they count on by themselves");
        // Some were sent for probes, and some of those are nothing but padding.
        let numbers: Vec<_> =
            { repeats.iter() }.filter(|sent| !sent.payload.is_empty()).map(|s| s.repeated().0).collect();
        assert!(numbers.contains(&lost) && numbers.contains(&again), "{numbers:?}");
        let numbers: Vec<_> = rooms.seen.iter().map(|(_, sent)| sent.transport_sequence.expect("a number")).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    }
}

#[test]
fn numbers_go_on_across_their_rollover_and_reports_count_on() {
    let mut rooms = Rooms::new(LATER[0]);
    let [mut first, mut second] = [0, 1].map(|at| rooms.rooms[at].publish(Kind::Video, 10 + 10 * at as u32));
    let viewer = rooms.rooms[0].peer();
    let slot = rooms.rooms[0].slot(viewer, Kind::Video, VIDEO);
    rooms.rooms[0].assign(slot, first.track, 1);
    rooms.rooms[0].frame(&mut first, true);
    rooms.gather();
    first.packets_per_frame = 100;
    while rooms.seen.last().unwrap().1.index < 65_400 {
        rooms.run(0, &mut [&mut first], 1);
    }
    let (packets, before) = (rooms.seen.len() as u32, rooms.seen.len());
    let clock = UNIX_MICROS + rooms.micros();
    let now = rooms.rooms[1].now;
    rooms.rooms[1].report(&second, now, clock);
    let (viewer, slots) = rooms.shift(0, viewer, 50);
    rooms.rooms[1].assign(slots[0].1, second.track, 1);
    rooms.run(1, &mut [&mut second], 100);
    let all = rooms.seen_on(VIDEO);
    assert_continuous(&all);
    assert!(all[before].index < 65_536 && all.last().unwrap().index > 65_536, "it came round in the new room");
    let reported = reported(&mut rooms.rooms[1], viewer, VIDEO);
    assert!(reported > packets && reported <= all.len() as u32, "{reported}");
}

/// A subscriber in the first room for whom much waits, and a publisher in the second.
fn with_a_queue(rooms: &mut Rooms) -> (PeerKey, Source) {
    let [mut first, second] = [0, 1].map(|at| rooms.rooms[at].publish(Kind::Video, 10 + 10 * at as u32));
    let viewer = rooms.rooms[0].peer();
    let slot = rooms.rooms[0].measured_slot(viewer, Kind::Video, VIDEO);
    rooms.rooms[0].assign(slot, first.track, 1);
    (first.packets_per_frame, first.payload_len) = (30, 1100);
    for n in 0..6 {
        rooms.rooms[0].frame(&mut first, n == 0);
        rooms.advance(20);
    }
    let queue = rooms.rooms[0].plane.send_stats(viewer).unwrap().queue;
    assert!(queue > Duration::from_millis(200), "much waits: {queue:?}");
    (viewer, second)
}

#[test]
fn what_was_sent_again_before_it_was_sent_keeps_its_number() {
    let mut rooms = Rooms::new(LATER[1]);
    let (viewer, mut second) = with_a_queue(&mut rooms);
    let ahead = rooms.seen_on(VIDEO).last().unwrap().index + 10;
    nack(&mut rooms.rooms[0], viewer, VIDEO, ahead as u16);
    rooms.advance(20);
    let repeats = rooms.seen_on(VIDEO + 1);
    let is_ahead = |sent: &Sent| !sent.payload.is_empty() && sent.repeated().0 == ahead as u16;
    assert!(repeats.iter().any(is_ahead) && rooms.seen_on(VIDEO).last().unwrap().index < ahead);
    let before = rooms.seen.len();
    let (_, slots) = rooms.shift(0, viewer, 40);
    rooms.rooms[1].assign(slots[0].1, second.track, 1);
    rooms.run(1, &mut [&mut second], 20);
    let [_, (_, first)] = rooms.seam(VIDEO, before);
    assert_eq!(first.index, ahead + 1, "the subscriber would take it for one it has");
}

#[test]
fn what_waits_when_a_subscriber_goes_leaves_no_hole() {
    let mut rooms = Rooms::new(LATER[1]);
    let (viewer, mut second) = with_a_queue(&mut rooms);
    let (_, slots) = rooms.shift(0, viewer, 40);
    rooms.rooms[1].assign(slots[0].1, second.track, 1);
    rooms.run(1, &mut [&mut second], 20);
    let all = rooms.seen_on(VIDEO);
    assert!(all.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "what never left has taken no number");
    assert!(owner(all.last().unwrap()) == 20 && owner(&all[0]) == 10);
    assert_eq!(rooms.rooms[1].plane.counters().paced_lost, 0);
}

fn owner(sent: &Sent) -> u32 {
    u32::from_be_bytes(sent.content()[1..5].try_into().unwrap())
}

#[test]
fn what_was_learnt_of_the_path_is_not_forgotten_on_the_way() {
    let mut rooms = Rooms::new(LATER[0]);
    let [mut first, mut second] = [0, 1].map(|at| rooms.rooms[at].publish(Kind::Video, 10 + 10 * at as u32));
    let viewer = rooms.rooms[0].peer();
    let slot = rooms.rooms[0].measured_slot(viewer, Kind::Video, VIDEO);
    rooms.rooms[0].assign(slot, first.track, 1);
    let mut answers = Answers::default();
    for source in [&mut first, &mut second] {
        (source.packets_per_frame, source.payload_len) = (6, 1000);
    }
    for n in 0..300 {
        rooms.step(0, &mut [&mut first], n == 0);
        answers.tell(&mut rooms, 0, viewer);
    }
    let target = |rooms: &Rooms, at: usize, peer| rooms.rooms[at].plane.send_stats(peer).unwrap().target;
    let before = target(&rooms, 0, viewer);
    assert!(before > Bitrate::kbps(2_500), "the path was found to carry {before:?}");
    // Of these nobody will tell.
    rooms.run(0, &mut [&mut first], 5);
    answers.from = rooms.seen.len();

    let (viewer, slots) = rooms.shift(0, viewer, 700);
    assert_eq!(target(&rooms, 1, viewer), before);
    let state = rooms.rooms[1].plane.send_stats(viewer).unwrap().estimator.expect("it is measured");
    assert_eq!(state.in_flight, 0, "nobody will tell of it");
    answers.from = rooms.seen.len();
    rooms.rooms[1].assign(slots[0].1, second.track, 1);
    let mut lowest = before;
    for n in 0..150 {
        rooms.step(1, &mut [&mut second], n == 0);
        answers.tell(&mut rooms, 1, viewer);
        lowest = lowest.min(target(&rooms, 1, viewer));
    }
    assert!(lowest >= before.scale(0.95), "{before:?} fell to {lowest:?}");
    let state = rooms.rooms[1].plane.send_stats(viewer).unwrap().estimator.expect("it is measured");
    assert!(state.loss_share < 0.01, "what was on its way is not lost: {state:?}");
}

/// A report of a subscriber on the slot, without feedback.
fn report(room: &mut Room, peer: PeerKey) {
    let block = ReportBlock { ssrc: VIDEO, ..ReportBlock::default() };
    room.rtcp(peer, |writer| {
        writer.receiver_report(1, &[block]);
    });
}

#[test]
fn who_gives_no_feedback_is_known_in_another_room_and_who_was_not_heard_is_not_blamed() {
    for (reports, is_measured) in [(3, false), (2, true)] {
        let mut rooms = Rooms::new(LATER[0]);
        let [mut first, mut second] = [0, 1].map(|at| rooms.rooms[at].publish(Kind::Video, 10 + 10 * at as u32));
        let viewer = rooms.rooms[0].peer();
        let slot = rooms.rooms[0].measured_slot(viewer, Kind::Video, VIDEO);
        rooms.rooms[0].assign(slot, first.track, 1);
        rooms.run(0, &mut [&mut first], 150);
        (0..reports).for_each(|_| report(&mut rooms.rooms[0], viewer));
        let (viewer, slots) = rooms.shift(0, viewer, 5000);
        rooms.rooms[1].assign(slots[0].1, second.track, 1);
        rooms.run(1, &mut [&mut second], 10);
        report(&mut rooms.rooms[1], viewer);
        let stats = rooms.rooms[1].plane.send_stats(viewer).unwrap();
        assert_eq!(stats.estimator.is_some(), is_measured, "after {reports} reports");
    }
}

#[test]
fn commands_to_make_a_keyframe_are_counted_on() {
    let mut rooms = Rooms::new(LATER[0]);
    let mut config = track_config(Kind::Video, "m10");
    config.codecs[0].pli = false;
    config.ssrcs = vec![10];
    let mut peer = rooms.rooms[0].peer();
    let mut numbers = Vec::new();
    for at in [0, 1] {
        let room = &mut rooms.rooms[at];
        let viewer = room.peer();
        let slot = room.slot(viewer, Kind::Video, VIDEO);
        let track = room.plane.add_track(room.now, peer, config.clone());
        let mut camera = source(room, peer, track, Kind::Video, 10);
        room.assign(slot, track, 1);
        for _ in 0..30 {
            rooms.rooms[at].frame(&mut camera, false);
            rooms.advance(20);
        }
        let reports = rooms.rooms[at].take_rtcp(peer).into_iter();
        numbers
            .extend(reports.filter_map(|report| if let Report::Fir(_, number) = report { Some(number) } else { None }));
        if at == 0 {
            (peer, _) = rooms.shift(0, peer, 20);
        }
    }
    assert!(numbers.len() >= 4, "{numbers:?}");
    assert!(numbers.iter().zip(1..).all(|(&number, count)| number == count), "{numbers:?}");
}

/// A camera of three encodings, which name themselves in their first packets only.
struct Camera {
    layers: [Source; 3],
    /// Its next transport-wide number.
    number: u16,
}

const RIDS: [&str; 3] = ["l", "m", "h"];

fn camera_config(rids: &[&str]) -> TrackConfig {
    TrackConfig { rids: rids.iter().map(|&rid| rid.to_owned()).collect(), ..track_config(Kind::Video, "cam") }
}

impl Camera {
    fn new(room: &mut Room) -> (PeerKey, Self) {
        let peer = room.peer();
        let track = room.plane.add_track(room.now, peer, camera_config(&RIDS));
        let mut layers = [10, 20, 30].map(|ssrc| source(room, peer, track, Kind::Video, ssrc));
        for ((layer, rid), len) in layers.iter_mut().zip(RIDS).zip([100, 300, 900]) {
            layer.extensions = vec![(MID, b"cam".to_vec()), (RID, rid.as_bytes().to_vec())];
            layer.payload_len = len;
        }
        (peer, Self { layers, number: 65_000 })
    }

    /// Sends a frame of each encoding.
    fn send(&mut self, room: &mut Room, key: bool) {
        for layer in &mut self.layers {
            layer.transport_sequence = Some(self.number);
            room.frame(layer, key);
            self.number = layer.transport_sequence.unwrap();
        }
    }

    /// Browsers do not name an SSRC any more once its packets were reported on.
    fn stop_naming(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.extensions.clear());
    }

    fn go(&mut self, peer: PeerKey, track: TrackKey) {
        self.layers.iter_mut().for_each(|layer| (layer.peer, layer.track) = (peer, track));
    }
}

/// The arrival times that feedback to `peer` tells of, by transport-wide number, and the counts of the messages.
fn told(room: &mut Room, peer: PeerKey) -> (Vec<(u64, Option<i64>)>, Vec<u8>) {
    let compounds: Vec<_> = room.wire.rtcp.extract_if(.., |(to, _)| *to == peer).collect();
    let (mut arrivals, mut counts) = (Vec::new(), Vec::new());
    for packet in compounds.iter().flat_map(|(_, compound)| packets(compound)) {
        let Ok(Packet::TransportFeedback(feedback)) = packet else { continue };
        let start = feedback.reference_micros();
        counts.push(feedback.feedback_count);
        arrivals.extend(feedback.statuses().map(|(number, at)| (u64::from(number), at.map(|at| start + at))));
    }
    (arrivals, counts)
}

#[test]
fn a_publisher_that_names_its_encodings_no_more_is_forwarded_in_another_room_at_once() {
    for later in LATER {
        let mut rooms = Rooms::new(later);
        let (peer, mut camera) = Camera::new(&mut rooms.rooms[0]);
        for n in 0..20 {
            camera.send(&mut rooms.rooms[0], n == 0);
            rooms.advance(20);
        }
        let layer = &mut camera.layers[2];
        let lost = layer.frame(rooms.rooms[0].now, false);
        layer.extensions = vec![(MID, b"cam".to_vec()), (RRID, b"h".to_vec())];
        let repeat = layer.repeat(&lost[0]);
        rooms.rooms[0].deliver(layer, &lost[1..]);
        rooms.rooms[0].deliver(layer, &[repeat]);
        assert_eq!(rooms.rooms[0].plane.counters().recovered_in, 1);
        camera.stop_naming();
        let audience = [0, 1].map(|at| rooms.rooms[at].peer());
        let watched = rooms.rooms[0].slot(audience[0], Kind::Video, VIDEO);
        rooms.rooms[0].assign(watched, camera.layers[0].track, 1);

        let (peer, slots) = rooms.shift(0, peer, 300);
        assert!(slots.is_empty());
        let old = &rooms.rooms[0];
        assert_eq!(old.plane.slot_stats(watched).unwrap().wanted, None, "its tracks have ended where it was");
        assert_eq!(old.plane.layer_stats(old.now, camera.layers[0].track).count(), 0);
        // What comes before its offer belongs to nothing yet, and is no reason to forget anything.
        for n in 0..30 {
            camera.go(peer, camera.layers[0].track);
            camera.send(&mut rooms.rooms[1], n == 0);
        }
        let new = &mut rooms.rooms[1];
        // The encodings may be listed in another order.
        let track = new.plane.add_track(new.now, peer, camera_config(&["h", "m", "l"]));
        camera.go(peer, track);
        let slot = new.slot(audience[1], Kind::Video, VIDEO);
        new.assign(slot, track, 1);
        camera.send(new, true);
        let live: Vec<_> = new.plane.layer_stats(new.now, track).map(|layer| layer.is_live).collect();
        assert_eq!(live, [true; 3], "all three, with their first packets");
        assert!(new.take(VIDEO).iter().all(|sent| sent.payload_type == OUT_VP8));
        for _ in 0..100 {
            rooms.advance(20);
            let key = !rooms.rooms[1].take_plis(peer).is_empty();
            camera.send(&mut rooms.rooms[1], key);
        }
        rooms.gather();
        assert_eq!(owner(rooms.seen_on(VIDEO).last().unwrap()), 30, "the largest is the one it was");

        // Its retransmissions are known too.
        let new = &mut rooms.rooms[1];
        let layer = &mut camera.layers[2];
        let lost = layer.frame(new.now, false);
        new.deliver(layer, &lost[1..]);
        let repeat = layer.repeat(&lost[0]);
        new.deliver(layer, &[repeat]);
        assert_eq!(new.plane.counters().recovered_in, 1);
        assert_eq!(new.plane.layer_stats(new.now, track).next().unwrap().packets, (21 * 3 - 1) + (102 * 3 - 1));
    }
}

#[test]
fn feedback_to_a_publisher_goes_on_by_the_same_clock_and_tells_nothing_of_the_time_between() {
    for later in LATER {
        let mut rooms = Rooms::new(later);
        let (peer, mut camera) = Camera::new(&mut rooms.rooms[0]);
        for n in 0..50 {
            camera.send(&mut rooms.rooms[0], n == 0);
            rooms.advance(20);
        }
        camera.stop_naming();
        let (before, counts) = told(&mut rooms.rooms[0], peer);
        let last = before.last().unwrap();
        let (last_at, first_missed) = (last.1.expect("it came"), camera.number);
        let sent_at = rooms.micros();
        let (peer, _) = rooms.shift(0, peer, 1000);
        camera.number = camera.number.wrapping_add(500); // Nobody heard these.
        let new = &mut rooms.rooms[1];
        let track = new.plane.add_track(new.now, peer, camera_config(&RIDS));
        camera.go(peer, track);
        for n in 0..20 {
            camera.send(&mut rooms.rooms[1], n == 0);
            rooms.advance(20);
        }
        let (after, more) = told(&mut rooms.rooms[1], peer);
        assert_eq!(more[0], counts.last().unwrap().wrapping_add(1), "the messages are counted on");
        assert!(after.iter().all(|(_, at)| at.is_some()), "nothing is called lost: {after:?}");
        let first = after[0];
        assert_eq!(first.0 as u16, first_missed.wrapping_add(500), "the first that was heard again");
        let (passed, told) = (rooms.micros() - 400_000 - sent_at, first.1.unwrap() - last_at);
        assert_eq!(passed, 1_000_000);
        // The last packet in the old room came 20 to 40 ms before it went.
        assert!((1_015_000..1_105_000).contains(&told), "{told} µs between the two");
    }
}

fn receiver_report(room: &mut Room, peer: PeerKey, ssrc: u32) -> ReportBlock {
    let reports = room.take_rtcp(peer).into_iter().rev();
    let blocks = reports.filter_map(|report| if let Report::Receiver(blocks) = report { Some(blocks) } else { None });
    blocks.flatten().find(|block| block.ssrc == ssrc).expect("a report")
}

#[test]
fn reports_on_what_a_publisher_sends_count_on_without_the_time_between() {
    let mut rooms = Rooms::new(LATER[1]);
    let mut camera = rooms.rooms[0].publish(Kind::Video, 10);
    camera.sequence = 65_000;
    let config = |ssrcs: Vec<u32>| TrackConfig { ssrcs, ..track_config(Kind::Video, "m10") };
    for n in 0..300 {
        let lost = camera.frame(rooms.rooms[0].now, n == 0);
        rooms.rooms[0].deliver(&camera, &lost[usize::from(n == 30)..]);
        rooms.advance(20);
    }
    let before = receiver_report(&mut rooms.rooms[0], camera.peer, 10);
    assert_eq!((before.highest_sequence >> 16, before.cumulative_lost), (2, 1), "it has come round once");
    let (peer, _) = rooms.shift(0, camera.peer, 2500);
    for _ in 0..125 {
        camera.frame(rooms.rooms[1].now, false); // Nobody hears these.
    }
    let new = &mut rooms.rooms[1];
    camera.peer = peer;
    camera.track = new.plane.add_track(new.now, peer, config(vec![10]));
    for n in 0..110 {
        rooms.rooms[1].frame(&mut camera, n == 0);
        rooms.advance(20);
    }
    let after = receiver_report(&mut rooms.rooms[1], peer, 10);
    assert_eq!(after.highest_sequence >> 16, 2);
    let last = u32::from(camera.sequence.wrapping_sub(1));
    assert!(last - (after.highest_sequence & 0xffff) < 150, "of the last second");
    assert_eq!((after.cumulative_lost, after.fraction_lost), (1, 0));
    assert!(after.jitter < 90, "no jitter by another clock: {}", after.jitter);
}

#[test]
fn what_an_offer_declares_wins_over_what_is_remembered() {
    let mut rooms = Rooms::new(LATER[0]);
    let camera = rooms.rooms[0].publish(Kind::Video, 10);
    rooms.run(0, &mut [&mut camera.clone()], 3);
    let (peer, _) = rooms.shift(0, camera.peer, 20);
    let new = &mut rooms.rooms[1];
    let config = TrackConfig { ssrcs: vec![70], ..track_config(Kind::Video, "m10") };
    let track = new.plane.add_track(new.now, peer, config);
    let mut old = Source { peer, track, ..camera };
    let unknown = |room: &Room| room.plane.counters().dropped(DropReason::UnknownSource);
    let before = unknown(new);
    new.frame(&mut old, true);
    assert_eq!(unknown(new) - before, 3, "it is a stranger");
    let mut declared = source(new, peer, track, Kind::Video, 70);
    new.frame(&mut declared, true);
    assert_eq!(unknown(new) - before, 3);
    assert_eq!(new.plane.layer_stats(new.now, track).next().unwrap().packets, 3);
}

#[test]
fn what_is_remembered_outlasts_a_room_in_which_nothing_was_published() {
    let mut rooms = Rooms::new(LATER[0]);
    let (peer, mut camera) = Camera::new(&mut rooms.rooms[0]);
    camera.send(&mut rooms.rooms[0], true);
    camera.stop_naming();
    let (peer, _) = rooms.shift(0, peer, 20);
    let (peer, _) = rooms.shift(1, peer, 20);
    let room = &mut rooms.rooms[0];
    let track = room.plane.add_track(room.now, peer, camera_config(&RIDS));
    camera.go(peer, track);
    camera.send(room, false);
    assert!(room.plane.layer_stats(room.now, track).all(|layer| layer.is_live));
    // Once it is bound it is remembered no longer.
    room.plane.remove_track(room.now, track);
    let track = room.plane.add_track(room.now, peer, camera_config(&RIDS));
    camera.go(peer, track);
    camera.send(room, false);
    assert!(!room.plane.layer_stats(room.now, track).any(|layer| layer.is_live));
}

#[test]
fn only_a_peer_of_its_own_can_be_taken_out_of_a_room() {
    const fn assert_send<T: Send>() {}
    assert_send::<Detached>();
    let mut room = Room::default();
    let stand_in = room.plane.add_relayed_peer(room.now);
    assert!(room.plane.detach_peer(room.now, stand_in).is_none());
    let peer = room.peer();
    let talker = talker(&mut room, 110);
    let slot = room.slot(peer, Kind::Audio, SOUND);
    room.plane.set_voice_slot(room.now, slot);
    assert!(room.plane.detach_peer(room.now, peer).is_some());
    assert!(room.plane.detach_peer(room.now, peer).is_none(), "it is gone");
    assert!(room.plane.slot_stats(slot).is_none());
    room.run(&mut [&mut talker.clone()], 20, 50);
    assert!(room.take(SOUND).is_empty());
    assert!(!room.events().iter().any(|event| matches!(event, PlaneEvent::Voice { .. })));
}

#[test]
fn limits_are_those_of_the_new_room() {
    let mut rooms = Rooms::new(LATER[0]);
    let viewer = rooms.rooms[0].peer();
    rooms.rooms[0].measured_slot(viewer, Kind::Video, VIDEO);
    let limits = Limits { max_bitrate: Bitrate::kbps(300), ..Limits::default() };
    let now = rooms.rooms[0].now;
    rooms.rooms[0].plane.set_limits(now, viewer, PeerLimits { receive: limits, publish: limits });
    assert_eq!(rooms.rooms[0].plane.send_stats(viewer).unwrap().target, Bitrate::kbps(300));
    let (viewer, _) = rooms.shift(0, viewer, 20);
    assert_eq!(rooms.rooms[1].plane.send_stats(viewer).unwrap().target, Bitrate::kbps(1000), "what was assumed");
}

#[test]
fn a_recording_with_a_move_can_be_replayed() {
    let mut rooms = Rooms::new(LATER[1]);
    rooms.rooms.iter_mut().for_each(|room| assert!(room.plane.record(16 << 20)));
    let [mut first, mut second] = [0, 1].map(|at| rooms.rooms[at].publish(Kind::Video, 10 + 10 * at as u32));
    let viewer = rooms.rooms[0].peer();
    let slot = rooms.rooms[0].measured_slot(viewer, Kind::Video, VIDEO);
    rooms.rooms[0].assign(slot, first.track, 1);
    let mut answers = Answers::default();
    for n in 0..50 {
        rooms.step(0, &mut [&mut first], n == 0);
        answers.tell(&mut rooms, 0, viewer);
    }
    let (viewer, slots) = rooms.shift(0, viewer, 200);
    let stays = rooms.rooms[1].peer();
    let later = rooms.rooms[1].slot(stays, Kind::Video, SOUND);
    rooms.rooms[1].assign(slots[0].1, second.track, 1);
    rooms.rooms[1].assign(later, second.track, 1);
    let before = rooms.seen.len();
    for n in 0..50 {
        rooms.step(1, &mut [&mut second], n == 0);
        answers.tell(&mut rooms, 1, viewer);
        let lost = rooms.seen_on(VIDEO).last().unwrap().sequence();
        nack(&mut rooms.rooms[1], viewer, VIDEO, lost);
        rooms.step(0, &mut [&mut first], false);
    }
    for (at, room) in rooms.rooms.iter_mut().enumerate() {
        let mut trace = Vec::new();
        room.plane.take_recorded(&mut trace);
        let mut wire = Wire::default();
        let summary = replay(&trace, room.start, &mut wire, &mut |_| {}).expect("a whole trace");
        assert_eq!(summary.counters.packets_in, room.plane.counters().packets_in);
        let count = |ssrc| wire.rtp.iter().filter(|sent| sent.ssrc == ssrc).count();
        let since = rooms.seen[before..].iter().filter(|(_, sent)| sent.ssrc == SOUND);
        let numbers: Vec<_> = wire.rtp.iter().filter(|sent| sent.ssrc == SOUND).map(|sent| sent.index).collect();
        match at {
            0 => assert!(count(VIDEO) > 100 && numbers.is_empty()),
            _ => assert!(count(VIDEO) > 100 && numbers == since.map(|(_, sent)| sent.index).collect::<Vec<_>>()),
        }
    }
}
