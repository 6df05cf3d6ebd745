//! However often peers go from room to room, and whatever happens there: no number is given out twice, and each of their
//! streams stays one.

mod sim;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use roundtable_media::bwe::Bitrate;
use roundtable_media::{Limits, Moment, PeerKey, PeerLimits, SlotKey, TrackConfig};
use roundtable_wire::Kind;
use roundtable_wire::ext::read_transport_sequence;
use roundtable_wire::rtcp::{Packet, packets};
use roundtable_wire::{RtpPacket, rtcp::ReportBlock};

use sim::{LEVEL, MID, RID, Room, Sent, Source, source, track_config, two_rooms};

/// A case is two rooms, so the many cases that parsers get would take minutes here.
const MAX_CASES: u32 = 5000;
const RIDS: [&str; 2] = ["l", "h"];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// All who publish in both rooms send a frame, with a keyframe where the bit is set; packets are lost by the mask.
    Frame { keys: u8, lost: u16, size: usize },
    /// One of those who move goes to the other room, after a while in none.
    Move { who: usize, ms: u64 },
    /// Their slots get other owners, or none.
    Assign { who: usize, owner: usize },
    /// What is sent to one of them is bounded.
    Limit { who: usize, kbps: u64 },
    /// One of them asks again for what it was sent lately.
    Nack { who: usize, back: u16 },
    /// One of them tells what has come, or of what was long ago.
    Feedback { who: usize, back: usize },
    /// One of them reports its loss.
    Report { who: usize, loss: u8 },
    /// Somebody who stays is muted or unmuted.
    Pause { room: usize, paused: bool },
    /// One of them stops publishing, or starts again.
    Publish { who: usize },
    /// Whether packets may leave for one of them.
    Ready { who: usize, ready: bool },
    /// Time goes by.
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..2usize;
    let rarely = prop_oneof![3 => Just(0u16), 1 => any::<u16>().prop_map(|bits| bits & 0x1111)];
    let keys = prop_oneof![3 => Just(0), 1 => any::<u8>()];
    prop_oneof![
        14 => (keys, rarely, prop_oneof![3 => Just(100usize), 1 => Just(1100)])
            .prop_map(|(keys, lost, size)| Step::Frame { keys, lost, size }),
        3 => (who(), prop_oneof![2 => Just(0u64), 1 => 1..3000u64]).prop_map(|(who, ms)| Step::Move { who, ms }),
        4 => (who(), 0..4usize).prop_map(|(who, owner)| Step::Assign { who, owner }),
        1 => (who(), 50..3000u64).prop_map(|(who, kbps)| Step::Limit { who, kbps }),
        3 => (who(), 0..100u16).prop_map(|(who, back)| Step::Nack { who, back }),
        3 => (who(), 0..200usize).prop_map(|(who, back)| Step::Feedback { who, back }),
        1 => (who(), any::<u8>()).prop_map(|(who, loss)| Step::Report { who, loss }),
        1 => (0..2usize, any::<bool>()).prop_map(|(room, paused)| Step::Pause { room, paused }),
        1 => who().prop_map(|who| Step::Publish { who }),
        1 => (who(), any::<bool>()).prop_map(|(who, ready)| Step::Ready { who, ready }),
        4 => (1..400u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// One who goes from room to room, watches and publishes.
struct Mover {
    at: usize,
    peer: PeerKey,
    slots: Vec<SlotKey>,
    /// The SSRC of its first slot.
    base: u32,
    camera: [Source; 2],
    is_publishing: bool,
    /// Its next transport-wide number, and when each was heard.
    number: u16,
    heard: BTreeMap<u16, i64>,
    /// What was sent to it with transport-wide numbers.
    numbers: Vec<(u16, u64)>,
    generation: u32,
}

struct World {
    rooms: [Room; 2],
    origin: Moment,
    /// Those who stay in each room: a camera and a voice.
    stay: [[Source; 2]; 2],
    movers: Vec<Mover>,
    seen: Vec<Sent>,
    /// What feedback told each of them, by what its clock was ahead in microseconds.
    ahead: [BTreeSet<i64>; 2],
}

fn camera_config() -> TrackConfig {
    TrackConfig { rids: RIDS.map(str::to_owned).to_vec(), ..track_config(Kind::Video, "cam") }
}

impl World {
    fn new(later: i64) -> Self {
        let (mut rooms, origin) = two_rooms(later);
        let stay = [0, 1].map(|at| {
            let (room, base) = (&mut rooms[at], 100 * at as u32);
            let mut voice = room.publish(Kind::Audio, 50 + base);
            voice.extensions = vec![(LEVEL, vec![0x80 | 30])];
            [room.publish(Kind::Video, 10 + base), voice]
        });
        let movers = (0..2).map(|who| Mover::new(&mut rooms[who as usize], who as usize, 1000 * (1 + who))).collect();
        Self { rooms, origin, stay, movers, seen: Vec::new(), ahead: [BTreeSet::new(), BTreeSet::new()] }
    }

    fn micros(&self) -> u64 {
        (self.rooms[0].now - self.origin).as_micros() as u64
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Frame { keys, lost, size } => self.frame(keys, lost, size),
            Step::Move { who, ms } => self.shift(who, ms),
            Step::Assign { who, owner } => {
                let mover = &mut self.movers[who];
                mover.generation += 1;
                let (at, generation) = (mover.at, mover.generation);
                let other = self.movers.iter().find(|other| other.at == at && other.base != self.movers[who].base);
                let video = match owner {
                    0 => Some(self.stay[at][0].track),
                    1 => other.filter(|other| other.is_publishing).map(|other| other.camera[0].track),
                    _ => None,
                };
                let sound = (owner == 0).then(|| self.stay[at][1].track);
                let (room, slots) = (&mut self.rooms[at], &self.movers[who].slots);
                room.assign(slots[0], video, generation);
                room.assign(slots[1], sound, generation);
            }
            Step::Limit { who, kbps } => {
                let limits = Limits { max_bitrate: Bitrate::kbps(kbps), ..Limits::default() };
                let room = &mut self.rooms[self.movers[who].at];
                let limits = PeerLimits { receive: limits, publish: limits };
                room.plane.set_limits(room.now, self.movers[who].peer, limits);
            }
            Step::Nack { who, back } => {
                let Mover { at, peer, base, .. } = self.movers[who];
                if let Some(sent) = self.seen.iter().rev().find(|sent| sent.ssrc == base) {
                    let sequence = sent.sequence().wrapping_sub(back);
                    self.rooms[at].rtcp(peer, |writer| {
                        writer.nack(1, base, &[sequence, sequence.wrapping_add(1)]);
                    });
                }
            }
            Step::Feedback { who, back } => self.feedback(who, back),
            Step::Report { who, loss } => {
                let Mover { at, peer, base, .. } = self.movers[who];
                let block = ReportBlock {
                    ssrc: base,
                    fraction_lost: loss,
                    cumulative_lost: 0,
                    highest_sequence: 0,
                    jitter: 0,
                    last_sender_report: 0,
                    delay_since_last: 0,
                };
                self.rooms[at].rtcp(peer, |writer| {
                    writer.receiver_report(1, &[block]);
                });
            }
            Step::Pause { room, paused } => {
                let now = self.rooms[room].now;
                self.stay[room].iter().for_each(|source| {
                    self.rooms[room].plane.set_track_paused(now, source.track, paused);
                });
            }
            Step::Publish { who } => {
                let mover = &mut self.movers[who];
                let room = &mut self.rooms[mover.at];
                if mover.is_publishing {
                    room.plane.remove_track(room.now, mover.camera[0].track);
                }
                // One that ends in a room is forgotten there; it names itself again, as a new sender would.
                mover.names_itself(mover.is_publishing);
                mover.is_publishing = !mover.is_publishing;
                if mover.is_publishing {
                    mover.publish(room);
                }
            }
            Step::Ready { who, ready } => {
                let room = &mut self.rooms[self.movers[who].at];
                room.plane.set_peer_ready(room.now, self.movers[who].peer, ready);
            }
            Step::Wait { ms } => self.advance(ms),
        }
        self.gather();
    }

    fn advance(&mut self, ms: u64) {
        self.rooms.iter_mut().for_each(|room| room.advance(ms));
        self.gather();
    }

    /// Takes what was sent to those who move, and what they were told.
    fn gather(&mut self) {
        let micros = self.micros();
        for (at, room) in self.rooms.iter_mut().enumerate() {
            for sent in room.wire.rtp.drain(..) {
                let mover = self.movers.iter_mut().find(|mover| mover.at == at && mover.peer == sent.peer);
                let mover = mover.expect("nobody else watches");
                mover.numbers.extend(sent.transport_sequence.map(|number| (number, micros)));
                self.seen.push(sent);
            }
            for (peer, compound) in room.wire.rtcp.drain(..) {
                let Some(who) = self.movers.iter().position(|mover| (mover.at, mover.peer) == (at, peer)) else {
                    continue;
                };
                for packet in packets(&compound) {
                    let Ok(Packet::TransportFeedback(feedback)) = packet else { continue };
                    let told = feedback.statuses().filter_map(|(number, arrival)| Some((number, arrival?)));
                    let heard = &self.movers[who].heard;
                    let ahead = told.map(|(number, arrival)| feedback.reference_micros() + arrival - heard[&number]);
                    self.ahead[who].extend(ahead);
                }
            }
        }
    }

    fn frame(&mut self, keys: u8, lost: u16, size: usize) {
        let micros = self.micros() as i64;
        let has = |mask: u16, n: usize| mask >> (n % 16) & 1 == 1;
        for at in 0..2 {
            let now = self.rooms[at].now;
            for (n, source) in self.stay[at].iter_mut().enumerate() {
                source.payload_len = if source.kind == Kind::Video { size } else { 60 };
                let frame = source.frame(now, keys >> (2 * at + n) & 1 == 1);
                let kept: Vec<_> = { frame.into_iter().enumerate() }.filter(|(part, _)| !has(lost, part + n)).collect();
                for (_, packet) in kept {
                    self.rooms[at].rtp(source.peer, &packet);
                }
            }
        }
        for (who, mover) in self.movers.iter_mut().enumerate() {
            let room = &mut self.rooms[mover.at];
            for (layer, source) in mover.camera.iter_mut().enumerate() {
                source.transport_sequence = Some(mover.number);
                source.payload_len = size * (1 + layer) / 2;
                for (part, packet) in source.frame(room.now, keys >> (4 + who) & 1 == 1).into_iter().enumerate() {
                    if has(lost, 3 * layer + part) {
                        continue;
                    }
                    let read = RtpPacket::parse(&packet).unwrap();
                    let number = read.extension(sim::TWCC).and_then(read_transport_sequence).unwrap();
                    mover.heard.insert(number, micros);
                    room.rtp(mover.peer, &packet);
                }
                mover.number = source.transport_sequence.unwrap();
            }
            if keys == 0 && mover.camera[0].frames > 3 {
                mover.names_itself(false); // It was reported on.
            }
        }
        self.gather();
        self.advance(20);
    }

    fn shift(&mut self, who: usize, ms: u64) {
        let (at, peer) = (self.movers[who].at, self.movers[who].peer);
        let old = &mut self.rooms[at];
        let detached = old.plane.detach_peer(old.now, peer).expect("it is there");
        self.advance(ms);
        let mover = &mut self.movers[who];
        mover.at = 1 - at;
        let new = &mut self.rooms[mover.at];
        let (peer, slots) = new.plane.attach_peer(new.now, detached);
        assert_eq!(slots.len(), 3, "all of them");
        (mover.peer, mover.slots) = (peer, slots.into_iter().map(|(_, slot)| slot).collect());
        new.plane.set_voice_slot(new.now, mover.slots[2]);
        new.plane.set_peer_ready(new.now, peer, true);
        if mover.is_publishing {
            mover.publish(new);
        }
    }

    fn feedback(&mut self, who: usize, back: usize) {
        let Mover { at, peer, base, .. } = self.movers[who];
        let numbers = &self.movers[who].numbers;
        let last = &numbers[numbers.len().saturating_sub(back)..];
        let Some(&(first, _)) = last.first() else { return };
        let arrivals: Vec<_> = last.iter().map(|&(number, at)| (number % 7 != 0).then_some(at + 9_000)).collect();
        self.rooms[at].rtcp(peer, |writer| {
            writer.twcc(1, base, 9, first, &arrivals);
        });
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let mut indexes: BTreeMap<u32, BTreeMap<u64, &Sent>> = BTreeMap::new();
        for sent in &self.seen {
            let before = indexes.entry(sent.ssrc).or_default().insert(sent.index, sent);
            prop_assert!(before.is_none(), "{} was given out twice on {}", sent.index, sent.ssrc);
        }
        for (ssrc, sent) in &indexes {
            let is_media = ssrc % 10 == 0;
            let ordered: Vec<_> = sent.values().collect();
            for pair in ordered.windows(2) {
                let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed();
                prop_assert!(!is_media || step >= 0, "{ssrc}: timestamps go back by {}", -step);
                prop_assert!(is_media || pair[1].index == pair[0].index + 1, "{ssrc}: repeats count by one");
            }
        }
        for (who, mover) in self.movers.iter().enumerate() {
            let follow = |pair: &[(u16, u64)]| pair[1].0 == pair[0].0.wrapping_add(1);
            prop_assert!(mover.numbers.windows(2).all(follow), "{:?}", mover.numbers);
            let spread = self.ahead[who].last().zip(self.ahead[who].first()).map_or(0, |(last, first)| last - first);
            prop_assert!(spread <= 500, "its feedback is by one clock, but for {spread} µs");
        }
        Ok(())
    }
}

impl Mover {
    fn new(room: &mut Room, at: usize, base: u32) -> Self {
        let peer = room.peer();
        let kinds = [(Kind::Video, base), (Kind::Audio, base + 100), (Kind::Audio, base + 200)];
        let slots = kinds.map(|(kind, ssrc)| room.measured_slot(peer, kind, ssrc)).to_vec();
        room.plane.set_voice_slot(room.now, slots[2]);
        let track = room.plane.add_track(room.now, peer, camera_config());
        let camera = [1, 2].map(|n| source(room, peer, track, Kind::Video, base + 500 + 10 * n));
        let (heard, numbers) = (BTreeMap::new(), Vec::new());
        let mut mover =
            Self { at, peer, slots, base, camera, is_publishing: true, number: 0, heard, numbers, generation: 0 };
        mover.names_itself(true);
        mover
    }

    fn publish(&mut self, room: &mut Room) {
        let track = room.plane.add_track(room.now, self.peer, camera_config());
        self.camera.iter_mut().for_each(|source| (source.peer, source.track) = (self.peer, track));
    }

    fn names_itself(&mut self, names: bool) {
        for (source, rid) in self.camera.iter_mut().zip(RIDS) {
            let extensions = vec![(MID, b"cam".to_vec()), (RID, rid.as_bytes().to_vec())];
            source.extensions = if names { extensions } else { Vec::new() };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300).min(MAX_CASES),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_move_breaks_a_stream(later in -90_000_000..90_000_000i64, steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new(later);
        for step in &steps {
            world.take(step);
        }
        world.check()?;
    }
}
