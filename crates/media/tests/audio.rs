//! Sound in a large room: who is heard, on which slot, and how much of it survives loss.

mod sim;

use std::collections::{BTreeMap, BTreeSet};

use roundtable_media::replay::replay;
use roundtable_media::{PeerKey, PlaneEvent, SlotKey, TrackCodec, TrackKey};
use roundtable_wire::red::{Block, Blocks, write};
use roundtable_wire::rtcp::ReportBlock;
use roundtable_wire::{Codec, Kind};

use sim::{LEVEL, OPUS, OUT_OPUS, Room, Sent, Source, Wire, assert_continuous, opus_codec, slot_config};

const RED: u8 = 63;
const OUT_RED: u8 = 64;
const VOICE: u32 = 5000;
const SILENT: u8 = 127;
const LOUD: u8 = 30;

/// A room of many microphones, with subscribers that have voice slots and no seats.
struct Hall {
    room: Room,
    talkers: Vec<Source>,
    viewer: PeerKey,
    voices: Vec<SlotKey>,
    ms: u64,
}

impl Hall {
    fn new(talkers: u32, voices: u32) -> Self {
        Self::within(Room::default(), talkers, voices)
    }

    fn within(mut room: Room, talkers: u32, voices: u32) -> Self {
        let talkers = (0..talkers).map(|n| room.publish(Kind::Audio, 100 + 10 * n)).collect();
        let viewer = room.peer();
        let slots = (0..voices).map(|n| room.slot(viewer, Kind::Audio, VOICE + 10 * n));
        let voices: Vec<SlotKey> = slots.collect();
        voices.iter().for_each(|&slot| room.plane.set_voice_slot(room.now, slot));
        Self { room, talkers, viewer, voices, ms: 0 }
    }

    /// Everybody sends a packet each 20 ms until `until`, at the level that `level` tells.
    fn talk(&mut self, until: u64, level: impl Fn(usize, u64) -> u8) {
        while self.ms < until {
            for (n, source) in self.talkers.iter_mut().enumerate() {
                let level = level(n, self.ms);
                let voice = if level < 60 { 0x80 } else { 0 };
                source.extensions = vec![(LEVEL, vec![level | voice])];
                self.room.frame(source, false);
            }
            self.room.advance(20);
            self.ms += 20;
        }
    }

    fn take(&mut self) -> Vec<Vec<Sent>> {
        (0..self.voices.len() as u32).map(|n| self.room.take(VOICE + 10 * n)).collect()
    }

    /// What the subscriber was told of its voice slots: (slot, talker).
    fn told(&mut self) -> Vec<(usize, Option<usize>)> {
        let events = self.room.events();
        let voice = events.into_iter().filter_map(|event| match event {
            PlaneEvent::Voice { slot, track, .. } => Some((slot, track)),
            _ => None,
        });
        let slot_of = |slot| self.voices.iter().position(|&voice| voice == slot).unwrap();
        let who = |track| self.talkers.iter().position(|source| source.track == track).unwrap();
        voice.map(|(slot, track)| (slot_of(slot), track.map(who))).collect()
    }
}

/// Who made a packet: the sources write their SSRC into it.
fn maker(sent: &Sent) -> u32 {
    u32::from_be_bytes(sent.payload[..4].try_into().unwrap())
}

fn frame_of(sent: &Sent) -> u32 {
    u32::from_be_bytes(sent.payload[4..8].try_into().unwrap())
}

/// Speech of 50: everybody talks for three seconds in turn, three at a time, over the noise of the others.
fn in_turns(n: usize, ms: u64) -> u8 {
    let turn = (ms / 1000) as usize;
    if (0..3).any(|back| (turn + 50 - back) % 50 == n) { 25 + (n % 10) as u8 } else { 85 + (n % 20) as u8 }
}

#[test]
fn of_fifty_talkers_three_streams_reach_a_subscriber_and_each_slot_is_one_stream() {
    let mut hall = Hall::new(50, 3);
    hall.talk(50_000, in_turns);
    let slots = hall.take();
    for sent in &slots {
        assert_continuous(sent);
        let makers: BTreeSet<u32> = sent.iter().map(maker).collect();
        assert!(makers.len() > 10, "the slots are given to others: {}", makers.len());
    }
    // Over any second no more than four were heard; over the whole time everybody was.
    let mut by_second: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    let mut total = 0;
    for sent in slots.iter().flatten() {
        let age = u64::from(frame_of(sent)) / 50;
        by_second.entry(age).or_default().insert(maker(sent));
        total += 1;
    }
    let most = by_second.values().map(BTreeSet::len).max();
    assert!(most.is_some_and(|most| (3..=4).contains(&most)), "{by_second:?}");
    let heard: BTreeSet<u32> = by_second.values().flatten().copied().collect();
    assert_eq!(heard.len(), 50);
    // Fifty packets a second on three slots, and the onsets, which come twice as fast.
    assert!(total <= 3 * (50 * 50 + 100), "{total}");
}

#[test]
fn seats_are_gated_in_large_rooms_only_and_leave_no_hole() {
    for (count, is_gated) in [(8, false), (9, true)] {
        let mut hall = Hall::new(count, 0);
        let tracks: Vec<TrackKey> = hall.talkers.iter().map(|source| source.track).collect();
        for (n, track) in tracks.into_iter().enumerate() {
            let slot = hall.room.slot(hall.viewer, Kind::Audio, 2000 + 10 * n as u32);
            hall.room.assign(slot, track, 1);
        }
        hall.talk(10_000, |n, ms| if (ms / 1000) % 5 == n as u64 % 5 { LOUD } else { 90 });
        let streams: Vec<_> = (0..count).map(|n| hall.room.take(2000 + 10 * n)).collect();
        let packets: Vec<usize> = streams.iter().map(Vec::len).collect();
        assert_eq!(packets.iter().all(|&packets| packets == 500), !is_gated, "{count} talkers: {packets:?}");
        for sent in &streams {
            assert_continuous(sent);
            // Whatever was held back, sound stays where it was on the slot's clock.
            let [first, .., last] = &sent[..] else { panic!("nothing of {count}") };
            let frames = frame_of(last) - frame_of(first);
            assert_eq!(last.timestamp.wrapping_sub(first.timestamp), 960 * frames);
        }
    }
}

#[test]
fn the_onset_of_speech_is_heard_though_it_takes_three_packets_to_know() {
    let mut hall = Hall::new(12, 3);
    hall.talk(2000, |_, _| 90);
    assert_eq!(hall.take().concat().len(), 0, "nobody speaks");
    hall.talk(3000, |n, _| if n == 7 { LOUD } else { 90 });
    let [sent, ..] = &hall.take()[..] else { panic!("no slots") };
    assert_eq!(frame_of(&sent[0]), 100, "the packet before the first loud one");
    assert!(sent[0].marker && sent[1..].iter().all(|sent| !sent.marker));
    assert_continuous(sent);
    assert!(sent.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == 960));
    assert_eq!(hall.told(), [(0, Some(7))]);
}

#[test]
fn voice_slots_go_to_idle_ones_first_and_then_to_whose_talker_was_out_for_longest() {
    let mut hall = Hall::new(12, 3);
    let turn = |hall: &mut Hall, speakers: &[usize]| {
        let until = hall.ms + 3000;
        let speakers = speakers.to_vec();
        hall.talk(until, |n, _| if speakers.contains(&n) { LOUD } else { 100 });
        hall.told()
    };
    assert_eq!(turn(&mut hall, &[4]), [(0, Some(4))]);
    assert_eq!(turn(&mut hall, &[5]), [(1, Some(5))]);
    assert_eq!(turn(&mut hall, &[6]), [(2, Some(6))]);
    assert_eq!(turn(&mut hall, &[4]), [], "still there");
    assert_eq!(turn(&mut hall, &[7]).len(), 1);
    hall.take().iter().for_each(|sent| assert_continuous(sent));
}

#[test]
fn packets_on_voice_slots_name_their_talker_and_those_on_seats_name_nobody() {
    let mut hall = Hall::new(12, 2);
    let seat = hall.room.slot(hall.viewer, Kind::Audio, 2000);
    hall.room.assign(seat, hall.talkers[0].track, 1);
    for speaker in [1, 2, 3] {
        let until = hall.ms + 3000;
        hall.talk(until, |n, _| if n == 0 || n == speaker { LOUD } else { 100 });
    }
    let sent: Vec<Sent> = hall.take().into_iter().flatten().collect();
    let owner = |sent: &Sent| hall.talkers.iter().find(|source| source.ssrc == maker(sent)).unwrap().track.csrc();
    assert!(sent.len() > 100 && sent.iter().all(|sent| sent.csrcs == [owner(sent)]));
    assert_eq!(sent.iter().flat_map(|sent| &sent.csrcs).collect::<BTreeSet<_>>().len(), 3);
    let seated = hall.room.take(2000);
    assert!(seated.len() > 100 && seated.iter().all(|sent| sent.csrcs.is_empty()));
}

#[test]
fn who_has_a_seat_is_not_heard_twice_nor_who_is_refused_nor_oneself() {
    let mut hall = Hall::new(12, 3);
    let (seated, refused) = (hall.talkers[0].track, hall.talkers[1].track);
    let seat = hall.room.slot(hall.viewer, Kind::Audio, 2000);
    hall.room.plane.set_audible(hall.room.now, hall.viewer, refused, false);
    let own = hall.room.publish_from(hall.viewer, Kind::Audio, 900);
    hall.talkers.push(own);
    let level = |n: usize, _| if n < 2 || n == 12 { LOUD } else { 100 };
    hall.talk(2000, level);
    assert_eq!(hall.told(), [(0, Some(0))], "the only one who may be");
    hall.room.assign(seat, seated, 1);
    assert_eq!(hall.told(), [(0, None)]);
    hall.talk(3000, level);
    assert_eq!(hall.room.take(2000).len(), 50);
    let voice = hall.take().concat();
    assert!(voice.iter().all(|sent| maker(sent) == 100) && voice.len() <= 100);
    hall.room.assign(seat, None, 2);
    hall.room.plane.set_audible(hall.room.now, hall.viewer, refused, true);
    hall.talk(3100, level);
    let told: BTreeSet<_> = hall.told().into_iter().map(|(_, who)| who).collect();
    assert_eq!(told, BTreeSet::from([Some(0), Some(1)]));
}

#[test]
fn silence_is_not_sent_and_speech_comes_back_where_it_belongs() {
    let mut hall = Hall::new(9, 3);
    hall.talk(2000, |n, _| if n == 0 { LOUD } else { SILENT });
    let before = hall.take().concat();
    hall.talk(5000, |_, _| SILENT);
    let silence = hall.take().concat();
    assert_eq!(silence.len(), 3, "three packets of silence, then none");
    hall.talk(6000, |n, _| if n == 0 { LOUD } else { SILENT });
    let after = hall.take().concat();
    assert!(after[0].marker, "a talk spurt begins (RFC 3551 4.1)");
    let all = [before, silence, after].concat();
    assert_continuous(&all);
    let [first, .., last] = &all[..] else { panic!("nothing") };
    assert_eq!(last.timestamp.wrapping_sub(first.timestamp), 960 * (frame_of(last) - frame_of(first)));
}

#[test]
fn dominance_follows_a_script_within_600_ms_and_does_not_flap() {
    let mut hall = Hall::new(3, 0);
    let script = [(0, 2000u64), (1, 6000), (2, 9000), (0, 13_000)];
    let speaker = |ms| script.iter().rev().find(|&&(_, from)| from <= ms).map(|&(who, _)| who);
    let mut changes = Vec::new();
    while hall.ms < 16_000 {
        // The others assent for a quarter of a second now and then.
        let level = |n, ms| match speaker(ms) {
            Some(who) if who == n => LOUD,
            Some(_) if ms % 1700 < 250 && n == 2 => 35,
            Some(_) | None => 95,
        };
        hall.talk(hall.ms + 20, level);
        let told = hall.room.events().into_iter().filter_map(|event| match event {
            PlaneEvent::Dominant { track } => track,
            _ => None,
        });
        let who = told.map(|track| hall.talkers.iter().position(|source| source.track == track).unwrap());
        changes.extend(who.map(|who| (who, hall.ms)));
    }
    assert_eq!(changes.len(), script.len(), "{changes:?}");
    for (&(who, at), (expected, from)) in changes.iter().zip(script) {
        assert!(who == expected && (from..=from + 600).contains(&at), "{changes:?}");
    }
}

#[test]
fn the_dominant_one_is_named_anew_when_muted() {
    let mut hall = Hall::new(2, 0);
    hall.talk(1000, |n, _| if n == 0 { LOUD } else { 100 });
    let track = hall.talkers[0].track;
    assert!(hall.room.events().contains(&PlaneEvent::Dominant { track: Some(track) }));
    hall.room.plane.set_track_paused(hall.room.now, track, true);
    assert!(hall.room.events().contains(&PlaneEvent::Dominant { track: None }));
    hall.talk(2000, |n, _| if n == 1 { LOUD } else { 20 });
    let other = hall.talkers[1].track;
    assert!(hall.room.events().contains(&PlaneEvent::Dominant { track: Some(other) }), "the muted one is not heard");
}

/// A publisher and a subscriber that both know RED, or not.
struct Pair {
    room: Room,
    source: Source,
    viewer: PeerKey,
    sends_red: bool,
    before: Option<Vec<u8>>,
}

const PAIR_SLOT: u32 = 2000;

impl Pair {
    fn new(sends_red: bool, takes_red: bool) -> Self {
        let red = |payload_type| TrackCodec { payload_type, codec: Codec::Red, ..opus_codec(payload_type) };
        let mut room = Room::default();
        let peer = room.peer();
        let mut config = sim::track_config(Kind::Audio, "mic");
        config.codecs.push(red(RED));
        config.ssrcs = vec![10];
        let track = room.plane.add_track(room.now, peer, config);
        let source = sim::source(&room, peer, track, Kind::Audio, 10);
        let viewer = room.peer();
        let mut config = slot_config(Kind::Audio, PAIR_SLOT);
        // Nobody here tells what arrives, and a path that is silent has no room for redundancy.
        config.codecs.iter_mut().for_each(|codec| codec.transport_cc = false);
        if takes_red {
            config.codecs.push(TrackCodec { transport_cc: false, ..red(OUT_RED) });
        }
        let slot = room.plane.add_slot(room.now, viewer, config);
        room.assign(slot, track, 1);
        Self { room, source, viewer, sends_red, before: None }
    }

    /// One packet of 20 ms whose audio is its number; lost on the way to the server if so told.
    fn packet(&mut self, n: u32, is_lost: bool) {
        let audio = n.to_be_bytes().to_vec();
        self.source.extensions = vec![(LEVEL, vec![0x80 | LOUD])];
        let mut payload = audio.clone();
        if self.sends_red {
            let block = |offset, data| Block { payload_type: OPUS, timestamp_offset: offset, data };
            let before = self.before.as_deref().map(|before| block(960, before));
            let mut out = [0; 100];
            let len = write(before.as_slice(), block(0, &audio), &mut out);
            payload = out[..len].to_vec();
        }
        self.source.payload_type = if self.sends_red { RED } else { OPUS };
        let timestamp = self.source.timestamp(self.room.now);
        let packet = self.source.packet(timestamp, false, &payload);
        if !is_lost {
            self.room.deliver(&self.source, &[packet]);
        }
        self.before = Some(audio);
        self.room.advance(20);
    }

    fn report(&mut self, fraction_lost: u8) {
        let block = ReportBlock { ssrc: PAIR_SLOT, fraction_lost, ..Default::default() };
        self.room.rtcp(self.viewer, |writer| {
            writer.receiver_report(5, &[block]);
        });
    }
}

/// The frames in a packet with their timestamps, the packet's own last.
fn frames(sent: &Sent) -> Vec<(u32, Vec<u8>)> {
    if sent.payload_type == OUT_OPUS {
        return vec![(sent.timestamp, sent.payload.clone())];
    }
    let blocks = Blocks::parse(&sent.payload).unwrap();
    let all = blocks.redundant().iter().copied().chain([blocks.primary()]);
    let all = all.inspect(|block| assert_eq!(block.payload_type, OUT_OPUS, "the subscriber's own type"));
    all.map(|block| (sent.timestamp.wrapping_sub(block.timestamp_offset.into()), block.data.to_vec())).collect()
}

/// Pseudo-random numbers from 0 to 99 (xorshift).
fn dice(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state % 100
}

/// The share of frames that a subscriber with 20 % loss has to conceal, after the first report.
fn concealed(sends_red: bool, takes_red: bool) -> f64 {
    let mut pair = Pair::new(sends_red, takes_red);
    let (mut state, mut heard, mut sent) = (0x1234_5678, BTreeSet::new(), BTreeSet::new());
    for n in 0..5000 {
        pair.packet(n, false);
        if n % 50 == 0 {
            pair.report(51);
        }
        for packet in pair.room.take(PAIR_SLOT) {
            sent.insert(packet.timestamp);
            if dice(&mut state) >= 20 {
                heard.extend(frames(&packet).into_iter().map(|(timestamp, _)| timestamp));
            }
        }
    }
    assert_eq!(sent.len(), 5000);
    sent.difference(&heard).count() as f64 / sent.len() as f64
}

#[test]
fn redundancy_conceals_far_less_than_half_at_20_percent_loss() {
    let without = concealed(true, false);
    assert!((0.17..0.23).contains(&without), "{without}");
    for sends_red in [true, false] {
        let with = concealed(sends_red, true);
        assert!(with < without / 10.0, "{with} against {without}; two more frames leave 0.2³");
    }
}

#[test]
fn redundancy_follows_the_loss_of_each_subscriber() {
    let mut pair = Pair::new(true, true);
    let depth = |pair: &mut Pair, fraction_lost| {
        pair.report(fraction_lost);
        (0..3).for_each(|n| pair.packet(n, false));
        let sent = pair.room.take(PAIR_SLOT);
        assert_continuous(&sent);
        frames(sent.last().unwrap()).len()
    };
    let depths = [0, 2, 3, 10, 20, 0, 0, 0, 0, 0, 0, 0].map(|lost| depth(&mut pair, lost));
    assert_eq!(depths, [1, 1, 2, 2, 3, 3, 2, 2, 2, 2, 1, 1]);
}

#[test]
fn what_is_lost_on_the_way_to_the_server_is_recovered_in_order_from_redundancy() {
    for takes_red in [false, true] {
        let mut pair = Pair::new(true, takes_red);
        for n in 0..100 {
            pair.packet(n, n % 7 == 3);
        }
        let sent = pair.room.take(PAIR_SLOT);
        let audio: Vec<_> = sent.iter().map(|sent| u32::from_be_bytes(sent.payload[..4].try_into().unwrap())).collect();
        assert_eq!(audio, (0..100).collect::<Vec<_>>());
        assert_continuous(&sent);
        assert!(sent.windows(2).all(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp) == 960));
        assert_eq!(pair.room.plane.counters().recovered_in, 14);
    }
}

#[test]
fn a_packet_that_comes_late_after_it_was_recovered_is_not_sent_twice() {
    let mut pair = Pair::new(true, false);
    (0..3).for_each(|n| pair.packet(n, false));
    let timestamp = pair.source.timestamp(pair.room.now);
    let mut late = pair.source.clone();
    let late = late.packet(timestamp, false, &[OPUS, 0, 0, 0, 3]);
    pair.packet(3, true);
    pair.packet(4, false);
    pair.room.deliver(&pair.source, &[late]);
    assert_eq!(pair.room.take(PAIR_SLOT).len(), 5);
}

#[test]
fn malformed_redundancy_harms_nobody() {
    let mut pair = Pair::new(true, true);
    pair.report(60);
    (0..5).for_each(|n| pair.packet(n, false));
    for payload in [&[0x80 | OPUS][..], &[0x80 | OPUS, 0xff, 0xff, 0xff, OPUS], &[0x80 | RED, 0, 0, 1, OPUS, 1, 2], &[]]
    {
        pair.source.payload_type = RED;
        let timestamp = pair.source.timestamp(pair.room.now);
        pair.source.sequence = pair.source.sequence.wrapping_add(3);
        let packet = pair.source.packet(timestamp, false, payload);
        pair.room.deliver(&pair.source, &[packet]);
        pair.room.advance(20);
    }
    (0..5).for_each(|n| pair.packet(n, false));
    assert!(pair.room.take(PAIR_SLOT).len() >= 10);
}

#[test]
fn a_replayed_hall_gives_its_slots_to_the_same_talkers() {
    let mut room = Room::default();
    assert!(room.plane.record(64 << 20), "nothing was told yet");
    let mut hall = Hall::within(room, 20, 3);
    let mut trace = Vec::new();
    for second in 1..=15 {
        hall.talk(1000 * second, in_turns);
        hall.room.plane.take_recorded(&mut trace);
    }
    let mut wire = Wire::default();
    let summary = replay(&trace, hall.room.start, &mut wire, &mut |_| {}).expect("a whole trace");
    assert!(!summary.is_cut && summary.calls > 20 * 50 * 14, "{summary:?}");
    assert_eq!(&summary.counters, hall.room.plane.counters());

    let header = |sent: &Sent| (sent.ssrc, sent.index, sent.timestamp, sent.marker, sent.payload.len());
    let headers = |wire: &Wire| wire.rtp.iter().map(header).collect::<Vec<_>>();
    assert!(wire.rtp.len() > 1000, "{}", wire.rtp.len());
    assert_eq!(headers(&wire), headers(&hall.room.wire));
    assert_eq!(wire.rtcp, hall.room.wire.rtcp);
    assert!(wire.rtp.iter().all(|sent| sent.payload[1..].iter().all(|&byte| byte == 0)), "nobody's voice is in it");
}
