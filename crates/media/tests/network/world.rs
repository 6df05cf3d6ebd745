//! Everything at once in virtual time: publishers, the plane, links, subscribers. Nothing is polled; an event happens
//! when its time has come.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use roundtable_media::allocate::Hints;
use roundtable_media::{Egress, Moment, PeerKey, Plane, PlaneEvent, SlotKey, TrackKey};
use roundtable_wire::{Kind, RtpPacket};

use crate::checker::{Checker, Fault, Reached};
use crate::link::{Link, LinkConfig};
use crate::negotiated::slot_config;
use crate::piece::Piece;
use crate::publisher::{FRAME_US, Media, Publisher, SOUND_US, UNIX_MICROS};
use crate::receiver::Receiver;
use crate::replays::Digest;
use crate::rng::Rng;

const REPORT_US: u64 = 1_000_000;
/// How long a message of the signalling takes.
const SIGNALLING_US: u64 = 50_000;
const SAMPLE_US: u64 = 50_000;
/// A publisher whose packets wait this long for its uplink encodes nothing.
const MAX_BACKLOG_US: f64 = 250_000.0;
/// What of a payload's rewritten part and of its rest is kept on the way to a subscriber.
const KEPT: usize = 64;
/// Shorter payloads are kept whole, as those of redundant audio.
const ELIDED: usize = 256;

/// What happens at a time.
enum Event {
    Capture(usize),
    Speak(usize),
    PublisherReport(usize),
    Arrive(PeerKey, Rc<[u8]>),
    Control(PeerKey, Vec<u8>),
    ToPublisher(usize, Vec<u8>),
    ToSubscriber(usize, Vec<u8>, usize),
    ControlSubscriber(usize, Vec<u8>),
    Wake(usize),
    Wanted(TrackKey, u8),
    Script(Box<dyn FnOnce(&mut World)>),
    Sample,
}

struct Entry {
    at_us: u64,
    order: u64,
    event: Event,
}

/// One subscriber with its way back.
pub(crate) struct Subscriber {
    pub(crate) peer: PeerKey,
    pub(crate) receiver: Receiver,
    /// In the order of the receiver's slots.
    pub(crate) slots: Vec<Seat>,
    pub(crate) joined_us: u64,
    takes_descriptors: bool,
    /// By the sample: bytes of video received so far, retransmissions aside.
    pub(crate) received: Vec<u64>,
    downlink: usize,
    back: Link,
    wake_at: u64,
}

/// A slot with what is known of it from outside.
pub(crate) struct Seat {
    pub(crate) key: SlotKey,
    pub(crate) kind: Kind,
    pub(crate) checker: Checker,
    ssrc: u32,
}

pub(crate) struct World {
    pub(crate) plane: Plane,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) links: Vec<Link>,
    /// Of each link, by the sample (50 ms).
    pub(crate) queues: Vec<Vec<f64>>,
    pub(crate) now_us: u64,
    pub(crate) events: u64,
    /// What left for video slots, if somebody keeps it: when, the packet, its rollover counter.
    pub(crate) dump: Option<Vec<(u64, Vec<u8>, u32)>>,
    start: Moment,
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    uplinks: Vec<Link>,
    /// Who has the key with this index.
    who: Vec<Who>,
    sink: Sink,
    reached: Reached,
    rng: Rng,
    made: Vec<Rc<[u8]>>,
    compounds: Vec<Vec<u8>>,
    next_ssrc: u32,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Publisher(usize),
    Subscriber(usize),
}

#[derive(Default)]
struct Sink(Vec<Outgoing>, Digest);

enum Outgoing {
    Rtp { peer: PeerKey, bytes: Vec<u8>, size: usize, roc: u32 },
    Rtcp { peer: PeerKey, bytes: Vec<u8> },
}

impl Egress for Sink {
    fn rtp(&mut self, peer: PeerKey, head: &[u8], header_len: usize, tail: &[u8], roc: u32) {
        self.1.rtp(peer, head, header_len, tail, roc);
        let size = head.len() + tail.len();
        let is_padded = head[0] & 0x20 != 0;
        let mut bytes = Vec::with_capacity(head.len() + 2 * KEPT);
        bytes.extend_from_slice(head);
        // The middle of a payload is filler.
        if tail.len() > ELIDED && !is_padded {
            bytes.extend_from_slice(&tail[..KEPT]);
            bytes.extend_from_slice(&tail[tail.len() - Piece::LEN..]);
        } else {
            bytes.extend_from_slice(tail);
        }
        debug_assert_eq!(RtpPacket::parse(&bytes).map(|packet| packet.header_len), Ok(header_len));
        self.0.push(Outgoing::Rtp { peer, bytes, size, roc });
    }

    fn rtcp(&mut self, peer: PeerKey, compound: &[u8]) {
        self.1.rtcp(peer, compound);
        self.0.push(Outgoing::Rtcp { peer, bytes: compound.to_vec() });
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let start = Moment::ORIGIN; // An origin to add to; no test waits for real time.
        let mut world = Self {
            plane: Plane::new(start, UNIX_MICROS, seed),
            publishers: Vec::new(),
            subscribers: Vec::new(),
            links: Vec::new(),
            queues: Vec::new(),
            now_us: 0,
            events: 0,
            dump: None,
            start,
            heap: BinaryHeap::new(),
            order: 0,
            uplinks: Vec::new(),
            who: Vec::new(),
            sink: Sink::default(),
            reached: HashMap::new(),
            rng: Rng::new(seed),
            made: Vec::new(),
            compounds: Vec::new(),
            next_ssrc: 1000,
        };
        world.push(0, Event::Sample);
        world
    }

    /// A publisher with a camera and a microphone behind `uplink`.
    pub(crate) fn publish(&mut self, media: Media, uplink: LinkConfig) -> usize {
        let (at, number) = (self.publishers.len(), self.publishers.len() as u16 * 2 + 1);
        let now = self.now();
        let peer = self.plane.add_peer(now);
        self.plane.set_peer_ready(now, peer, true);
        let track = self.plane.add_track(now, peer, Publisher::video_config(number, media));
        let seed = self.rng.word();
        let mut publisher = Publisher::new(peer, track, number, media, seed);
        publisher.audio = Some(self.plane.add_track(now, peer, Publisher::audio_config(number)));
        self.publishers.push(publisher);
        self.uplinks.push(Link::new(uplink, self.rng.word()));
        self.know(peer, Who::Publisher(at));
        let phase = self.rng.word() % FRAME_US;
        self.push(self.now_us + phase, Event::Capture(at));
        self.push(self.now_us + phase % SOUND_US, Event::Speak(at));
        self.push(self.now_us + phase + 200_000, Event::PublisherReport(at));
        at
    }

    /// A way to subscribers; several may share it.
    pub(crate) fn link(&mut self, config: LinkConfig) -> usize {
        self.links.push(Link::new(config, self.rng.word()));
        self.queues.push(Vec::new());
        self.links.len() - 1
    }

    /// A subscriber behind a link, whose way back is as long and wide.
    pub(crate) fn subscribe(&mut self, downlink: usize) -> usize {
        self.subscribe_as(downlink, true)
    }

    /// Adds a subscriber who takes dependency descriptors, or does not.
    pub(crate) fn subscribe_as(&mut self, downlink: usize, takes_descriptors: bool) -> usize {
        let at = self.subscribers.len();
        let now = self.now();
        let peer = self.plane.add_peer(now);
        self.plane.set_peer_ready(now, peer, true);
        self.know(peer, Who::Subscriber(at));
        let there = &self.links[downlink].config;
        let back = LinkConfig { delay_us: there.delay_us, jitter_us: there.jitter_us / 3.0, ..LinkConfig::new(5e6, 0) };
        let back = Link::new(back, self.rng.word());
        self.subscribers.push(Subscriber {
            peer,
            receiver: Receiver::new(self.now_us),
            slots: Vec::new(),
            joined_us: self.now_us,
            takes_descriptors,
            received: Vec::new(),
            downlink,
            back,
            wake_at: u64::MAX,
        });
        self.arm(at);
        at
    }

    /// Shows the camera of a publisher at a height to a subscriber, and lets it hear the microphone.
    pub(crate) fn watch(&mut self, subscriber: usize, publisher: usize, height: u16) {
        let (video, audio) = (self.publishers[publisher].video, self.publishers[publisher].audio);
        let is_described = self.publishers[publisher].media.has_dependency();
        let has_dependency = is_described && self.subscribers[subscriber].takes_descriptors;
        let slot = self.seat(subscriber, Kind::Video, has_dependency);
        self.hint(subscriber, slot, Hints { height, ..Hints::default() });
        self.assign(subscriber, slot, video);
        if let Some(audio) = audio {
            let slot = self.seat(subscriber, Kind::Audio, false);
            self.assign(subscriber, slot, audio);
        }
    }

    pub(crate) fn hint(&mut self, subscriber: usize, slot: usize, hints: Hints) {
        let (now, key) = (self.now(), self.subscribers[subscriber].slots[slot].key);
        self.plane.set_hints(now, key, hints);
    }

    pub(crate) fn assign(&mut self, subscriber: usize, slot: usize, track: TrackKey) {
        let (now, key) = (self.now(), self.subscribers[subscriber].slots[slot].key);
        self.plane.assign(now, key, Some(track), 1).expect("decodable");
    }

    /// Does something when its time has come.
    pub(crate) fn at(&mut self, at_us: u64, action: impl FnOnce(&mut Self) + 'static) {
        self.push(at_us, Event::Script(Box::new(action)));
    }

    /// Lets time pass up to `until_us`.
    pub(crate) fn run_until(&mut self, until_us: u64) {
        loop {
            let timeout = self.plane.poll_timeout().map(|at| self.micros_at(at));
            let next = self.heap.peek().map_or(u64::MAX, |Reverse(entry)| entry.at_us);
            if timeout.is_some_and(|at| at <= next && at <= until_us) {
                self.now_us = self.now_us.max(timeout.unwrap_or(0));
                let now = self.now();
                self.plane.handle_timeout(now, &mut self.sink);
                assert!(self.plane.poll_timeout().is_none_or(|next| next > now), "what is due was done");
            } else if next <= until_us {
                let Some(Reverse(entry)) = self.heap.pop() else { break };
                self.now_us = entry.at_us;
                self.handle(entry.event);
            } else {
                break;
            }
            self.events += 1;
            self.carry();
        }
        self.now_us = until_us;
    }

    /// The faults of all slots, at the end.
    pub(crate) fn faults(&mut self) -> Vec<(Fault, String)> {
        let seats = self.subscribers.iter_mut().flat_map(|subscriber| &mut subscriber.slots);
        seats.flat_map(|seat| seat.checker.finish(&self.reached)).collect()
    }

    /// What the checkers have seen: media packets and retransmissions.
    pub(crate) fn checked(&self) -> (u64, u64) {
        let seats = self.subscribers.iter().flat_map(|subscriber| &subscriber.slots);
        seats.fold((0, 0), |sum, seat| (sum.0 + seat.checker.count, sum.1 + seat.checker.rtx_count))
    }

    /// All that the plane has sent.
    pub(crate) fn digest(&self) -> &Digest {
        &self.sink.1
    }

    pub(crate) fn uplink(&self, publisher: usize) -> &Link {
        &self.uplinks[publisher]
    }

    pub(crate) fn now(&self) -> Moment {
        self.start + Duration::from_micros(self.now_us)
    }

    /// Adds a seat; returns its place among those of the subscriber.
    fn seat(&mut self, subscriber: usize, kind: Kind, has_dependency: bool) -> usize {
        let ssrc = self.next_ssrc;
        self.next_ssrc += 2;
        let (now, peer) = (self.now(), self.subscribers[subscriber].peer);
        let takes_descriptors = self.subscribers[subscriber].takes_descriptors;
        let key = self.plane.add_slot(now, peer, slot_config(kind, ssrc, takes_descriptors));
        let checker = Checker::new(kind, ssrc, has_dependency);
        let subscriber = &mut self.subscribers[subscriber];
        subscriber.slots.push(Seat { key, kind, checker, ssrc });
        subscriber.receiver.add_slot(kind, ssrc);
        subscriber.slots.len() - 1
    }

    fn know(&mut self, peer: PeerKey, who: Who) {
        assert_eq!(self.who.len(), peer.index(), "nobody leaves, so places are given in order");
        self.who.push(who);
    }

    fn micros_at(&self, at: Moment) -> u64 {
        // Up to the next whole microsecond, so that what is due is due.
        at.saturating_duration_since(self.start).as_nanos().div_ceil(1000) as u64
    }

    fn push(&mut self, at_us: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at_us, order: self.order, event }));
    }

    fn handle(&mut self, event: Event) {
        let (now, now_us) = (self.now(), self.now_us);
        match event {
            Event::Capture(at) => {
                // An encoder whose packets wait leaves pictures out.
                if self.uplinks[at].queue_us(now_us) <= MAX_BACKLOG_US {
                    self.publishers[at].capture(now_us, &mut self.made);
                    self.send_up(at);
                }
                self.push(now_us + FRAME_US, Event::Capture(at));
            }
            Event::Speak(at) => {
                self.publishers[at].speak(now_us, &mut self.made);
                self.send_up(at);
                self.push(now_us + SOUND_US, Event::Speak(at));
            }
            Event::PublisherReport(at) => {
                let (peer, compound) = (self.publishers[at].peer, self.publishers[at].reports(now_us));
                let [arrival, _] = self.uplinks[at].send(now_us, compound.len());
                if let Some(arrival) = arrival {
                    self.push(arrival, Event::Control(peer, compound));
                }
                self.push(now_us + REPORT_US, Event::PublisherReport(at));
            }
            Event::Arrive(peer, packet) => {
                if let Some(piece) = Piece::read(&packet) {
                    let order = self.reached.len() as u64;
                    self.reached.entry((piece.track, piece.stream, piece.sequence)).or_insert(order);
                }
                self.plane.handle_rtp(now, peer, &packet, &mut self.sink);
            }
            Event::Control(peer, compound) => self.plane.handle_rtcp(now, peer, &compound, &mut self.sink),
            Event::ToPublisher(at, compound) => {
                self.publishers[at].handle_rtcp(now_us, &compound, &mut self.made);
                self.send_up(at);
            }
            Event::ToSubscriber(at, bytes, size) => {
                self.subscribers[at].receiver.handle_rtp(now_us, &bytes, size);
                self.arm(at);
            }
            Event::ControlSubscriber(at, bytes) => self.subscribers[at].receiver.handle_rtcp(now_us, &bytes),
            Event::Wake(at) => self.wake(at),
            Event::Wanted(track, layers) => {
                if let Some(publisher) = self.publishers.iter_mut().find(|publisher| publisher.video == track) {
                    publisher.set_wanted(layers);
                }
            }
            Event::Script(action) => action(self),
            Event::Sample => {
                for (link, queue) in self.links.iter().zip(&mut self.queues) {
                    queue.push(link.queue_us(now_us));
                }
                for subscriber in &mut self.subscribers {
                    let slots = subscriber.slots.iter().zip(&subscriber.receiver.slots);
                    let video = slots.filter(|(seat, _)| seat.kind == Kind::Video);
                    let bytes = video.map(|(_, slot)| slot.media_bytes).sum();
                    subscriber.received.push(bytes);
                }
                self.push(now_us + SAMPLE_US, Event::Sample);
            }
        }
    }

    fn send_up(&mut self, at: usize) {
        let peer = self.publishers[at].peer;
        let mut made = std::mem::take(&mut self.made);
        for packet in made.drain(..) {
            for arrival in self.uplinks[at].send(self.now_us, packet.len()).into_iter().flatten() {
                self.push(arrival, Event::Arrive(peer, Rc::clone(&packet)));
            }
        }
        self.made = made;
    }

    /// Wakes a receiver when it next has something to do.
    fn arm(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        let due = subscriber.receiver.poll_timeout().max(self.now_us);
        if due < subscriber.wake_at {
            subscriber.wake_at = due;
            self.push(due, Event::Wake(at));
        }
    }

    fn wake(&mut self, at: usize) {
        let now_us = self.now_us;
        let subscriber = &mut self.subscribers[at];
        if subscriber.wake_at > now_us {
            return; // An earlier one has done it.
        }
        subscriber.wake_at = u64::MAX;
        let mut compounds = std::mem::take(&mut self.compounds);
        subscriber.receiver.handle_timeout(now_us, &mut compounds);
        for compound in compounds.drain(..) {
            let subscriber = &mut self.subscribers[at];
            let peer = subscriber.peer;
            let [arrival, _] = subscriber.back.send(now_us, compound.len());
            if let Some(arrival) = arrival {
                self.push(arrival, Event::Control(peer, compound));
            }
        }
        self.compounds = compounds;
        self.arm(at);
    }

    /// Takes what the plane has sent and told to where it goes.
    fn carry(&mut self) {
        let mut sent = std::mem::take(&mut self.sink.0);
        for outgoing in sent.drain(..) {
            match outgoing {
                Outgoing::Rtp { peer, bytes, size, roc } => self.carry_rtp(peer, bytes, size, roc),
                Outgoing::Rtcp { peer, bytes } => match self.who[peer.index()] {
                    Who::Publisher(at) => {
                        let delay = self.uplinks[at].config.delay_us;
                        self.push(self.now_us + delay, Event::ToPublisher(at, bytes));
                    }
                    Who::Subscriber(at) => {
                        let link = self.subscribers[at].downlink;
                        let [arrival, _] = self.links[link].send(self.now_us, bytes.len());
                        if let Some(arrival) = arrival {
                            self.push(arrival, Event::ControlSubscriber(at, bytes));
                        }
                    }
                },
            }
        }
        self.sink.0 = sent;
        while let Some(event) = self.plane.poll_event() {
            if let PlaneEvent::LayersWanted { track, layers } = event {
                self.push(self.now_us + SIGNALLING_US, Event::Wanted(track, layers));
            }
        }
    }

    fn carry_rtp(&mut self, peer: PeerKey, bytes: Vec<u8>, size: usize, roc: u32) {
        let Who::Subscriber(at) = self.who[peer.index()] else { panic!("media for a publisher") };
        let now_us = self.now_us;
        let subscriber = &mut self.subscribers[at];
        let ssrc = RtpPacket::parse(&bytes).expect("the plane sends RTP").ssrc;
        let seat = subscriber.slots.iter_mut().find(|seat| ssrc == seat.ssrc || ssrc == seat.ssrc + 1);
        let seat = seat.expect("an SSRC of the subscriber");
        seat.checker.handle(now_us, &bytes, roc, &self.reached);
        if let Some(dump) = self.dump.as_mut().filter(|_| seat.kind == Kind::Video) {
            dump.push((now_us, bytes.clone(), roc));
        }
        let downlink = subscriber.downlink;
        let [first, again] = self.links[downlink].send(now_us, size);
        if let Some(again) = again {
            self.push(again, Event::ToSubscriber(at, bytes.clone(), size));
        }
        if let Some(first) = first {
            self.push(first, Event::ToSubscriber(at, bytes, size));
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.order).cmp(&(other.at_us, other.order))
    }
}
