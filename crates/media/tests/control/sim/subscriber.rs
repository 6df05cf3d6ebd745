//! The server's side of one subscriber: allocator, layer switching, pacer, estimator, retransmissions.

use std::collections::VecDeque;
use std::time::Duration;

use roundtable_media::Moment;
use roundtable_media::allocate::{Allocator, Budget, Choice, Class, Hints, Rung, Track};
use roundtable_media::bwe::{Bitrate, ProbeId, SentPacket};
use roundtable_media::pacer::{Admission, Outgoing, Pacer, Priority, Release};
use roundtable_wire::twcc::Feedback;

use super::receiver::Back;
use super::rival::Compared;
use super::source::{LAYERS, Source, SourcePacket, TEMPORAL};

pub const AUDIO_BYTES: u16 = 100;
pub const AUDIO_BPS: f64 = 40e3;
const AUDIO_US: u64 = 20_000;
const WHEEL_US: u64 = 5_000;
const CACHE: usize = 2048;

/// One packet on the wire to the subscriber.
#[derive(Debug, Clone)]
pub struct Wire {
    pub to: usize,
    pub sequence: u64,
    pub size: u16,
    pub payload: Payload,
}

#[derive(Debug, Clone)]
pub enum Payload {
    Audio(u64),
    Video(VideoPacket),
    Filler,
    Report { sent_us: u64 },
}

#[derive(Debug, Clone, Copy)]
pub struct VideoPacket {
    pub track: u8,
    /// Counts video packets to this subscriber.
    pub number: u64,
    pub frame: u64,
    pub index: u16,
    pub count: u16,
    pub refers: Option<u64>,
}

/// The state of one track on its way to the subscriber.
#[derive(Debug, Default)]
struct Egress {
    wanted: Option<(u8, u8)>,
    current: Option<(u8, u8)>,
    /// While the keyframe of a lower layer is awaited: nothing, or the lowest temporal layer of the old one.
    restricted: Option<Restricted>,
    /// The source's frame that is being forwarded, with the number it has here and what it refers to.
    frame: Option<(u64, u64, Option<u64>)>,
    next_frame: u64,
    last: [Option<u64>; 3],
    asked_us: Option<u64>,
    /// Frames before this one are of no use any more.
    abandoned: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Restricted {
    Lowest,
    Nothing,
}

/// When, of which track, to which rung.
pub type Move = (u64, usize, Option<(u8, u8)>);

pub struct Subscriber {
    index: usize,
    pub estimator: Box<dyn Compared>,
    allocator: Allocator,
    pacer: Pacer<Payload>,
    pub hints: Vec<Hints>,
    tracks: Vec<Egress>,
    choices: Vec<Choice>,
    ladder: Vec<Rung>,
    sequence: u64,
    number: u64,
    audio_next_us: u64,
    pub audio_sent: u64,
    report_next_us: u64,
    cache: VecDeque<(VideoPacket, u16, u64, u8)>,
    rtx_tokens: f64,
    rtx_bps: f64,
    rtx_sum: f64,
    rtx_us: u64,
    /// (when, track, rung): as the allocator decided, and as it took effect.
    pub decided: Vec<Move>,
    pub live: Vec<Move>,
    pub pacer_queue: Duration,
    pub trace: bool,
}

impl Subscriber {
    pub fn new(index: usize, now: Moment, now_us: u64, estimator: Box<dyn Compared>, hints: Vec<Hints>) -> Self {
        let target = estimator.target();
        let mut ladder = Vec::new();
        for (spatial, (rate, height)) in LAYERS.iter().enumerate() {
            for (temporal, (share, fps)) in TEMPORAL.iter().enumerate() {
                ladder.push(Rung {
                    spatial: spatial as u8,
                    temporal: temporal as u8,
                    cost: Bitrate::from_f64(rate * share),
                    height: *height,
                    fps: *fps,
                    alive: Some(now - Duration::from_secs(5)),
                });
            }
        }
        ladder.sort_by_key(|rung| rung.cost);
        Self {
            index,
            estimator,
            allocator: Allocator::new(),
            pacer: Pacer::new(now, target),
            tracks: hints.iter().map(|_| Egress::default()).collect(),
            hints,
            choices: Vec::new(),
            ladder,
            sequence: 0,
            number: 0,
            audio_next_us: now_us,
            audio_sent: 0,
            report_next_us: now_us,
            cache: VecDeque::new(),
            rtx_tokens: 12_000.0,
            rtx_bps: 0.0,
            rtx_sum: 0.0,
            rtx_us: now_us,
            decided: Vec::new(),
            live: Vec::new(),
            pacer_queue: Duration::ZERO,
            trace: false,
        }
    }

    pub fn handle_source(
        &mut self,
        now: Moment,
        now_us: u64,
        track: usize,
        packet: &SourcePacket,
        out: &mut Vec<Wire>,
    ) {
        let Some(video) = self.forward(now_us, track, packet) else { return };
        self.cache.push_back((video, packet.size, 0, 0));
        if self.cache.len() > CACHE {
            self.cache.pop_front();
        }
        let outgoing = Outgoing { item: Payload::Video(video), size: packet.size, priority: Priority::Video };
        if let Admission::Now(payload, probe) = self.pacer.handle_packet(now, outgoing) {
            self.send(now, payload, packet.size, probe, false, out);
        }
    }

    fn forward(&mut self, now_us: u64, track: usize, packet: &SourcePacket) -> Option<VideoPacket> {
        let egress = &mut self.tracks[track];
        if packet.index == 0 && packet.key && egress.wanted.is_some_and(|wanted| wanted.0 == packet.spatial) {
            if egress.current != egress.wanted {
                egress.current = egress.wanted;
                self.live.push((now_us, track, egress.current));
            }
            egress.restricted = None;
            egress.asked_us = None;
        }
        let (spatial, temporal) = egress.current?;
        let temporal = match egress.restricted {
            Some(Restricted::Nothing) => return None,
            Some(Restricted::Lowest) => 0,
            None => temporal,
        };
        if packet.spatial != spatial {
            return None;
        }
        if packet.index == 0 {
            let is_discardable = packet.temporal > 0 && packet.temporal == temporal;
            if packet.temporal > temporal || is_discardable && self.pacer.is_full() {
                egress.frame = None;
                return None;
            }
            let refers = match (packet.key, packet.temporal) {
                (true, _) => None,
                (false, 0) => egress.last[0],
                (false, 1) => egress.last[0],
                (false, _) => egress.last[0].max(egress.last[1]),
            };
            if packet.key {
                egress.abandoned = egress.next_frame;
                egress.last = [None; 3];
            }
            egress.last[usize::from(packet.temporal)] = Some(egress.next_frame);
            egress.frame = Some((packet.frame, egress.next_frame, refers));
            egress.next_frame += 1;
        }
        let (_, frame, refers) = egress.frame.filter(|frame| frame.0 == packet.frame)?;
        let number = self.number;
        self.number += 1;
        Some(VideoPacket { track: track as u8, number, frame, index: packet.index, count: packet.count, refers })
    }

    pub fn handle_back(&mut self, now: Moment, now_us: u64, back: &Back, sources: &mut [Source], out: &mut Vec<Wire>) {
        match back {
            Back::Feedback(body) => {
                let feedback = Feedback::parse(body).expect("written by the receiver");
                self.estimator.handle_feedback(now, &feedback);
                self.allocate(now, now_us, sources, false);
            }
            Back::Nack(numbers) => numbers.iter().for_each(|&number| self.retransmit(now, now_us, number, out)),
            Back::PictureLoss(track) => sources[usize::from(*track)].request_keyframe(now_us),
            Back::Report { sent_us } => self.estimator.handle_rtt(now, Duration::from_micros(now_us - sent_us)),
        }
    }

    fn retransmit(&mut self, now: Moment, now_us: u64, number: u64, out: &mut Vec<Wire>) {
        let Some(first) = self.cache.front().map(|entry| entry.0.number) else { return };
        let Some(entry) = number.checked_sub(first).and_then(|place| self.cache.get_mut(place as usize)) else {
            return;
        };
        let size = entry.1;
        if self.tracks[usize::from(entry.0.track)].abandoned > entry.0.frame {
            return; // A keyframe came, or is to come, after it.
        }
        if entry.2 + 60_000 > now_us && entry.2 > 0 || entry.3 >= 4 || self.rtx_tokens < f64::from(size) {
            return;
        }
        (entry.2, entry.3) = (now_us, entry.3 + 1);
        let payload = Payload::Video(entry.0);
        self.rtx_tokens -= f64::from(size);
        self.rtx_sum += f64::from(size) * 8.0;
        let outgoing = Outgoing { item: payload, size, priority: Priority::Retransmission };
        if let Admission::Now(payload, probe) = self.pacer.handle_packet(now, outgoing) {
            self.send(now, payload, size, probe, false, out);
        }
    }

    pub fn handle_tick(&mut self, now: Moment, now_us: u64, sources: &mut [Source], out: &mut Vec<Wire>) {
        while self.audio_next_us <= now_us {
            self.audio_next_us += AUDIO_US;
            let item = Payload::Audio(self.audio_sent);
            self.audio_sent += 1;
            let outgoing = Outgoing { item, size: AUDIO_BYTES, priority: Priority::Audio };
            if let Admission::Now(payload, probe) = self.pacer.handle_packet(now, outgoing) {
                self.send(now, payload, AUDIO_BYTES, probe, false, out);
            }
        }
        if self.report_next_us <= now_us {
            self.report_next_us += 1_000_000;
            out.push(Wire { to: self.index, sequence: 0, size: 80, payload: Payload::Report { sent_us: now_us } });
        }
        if !now_us.is_multiple_of(WHEEL_US) {
            return;
        }
        if self.estimator.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.estimator.handle_timeout(now);
        }
        self.refill_retransmissions(now_us);
        self.pacer.set_target(now, self.estimator.target(), self.estimator.pacing());
        self.allocate(now, now_us, sources, false);
        let quiet = self.live.last().is_some_and(|begun| now_us < begun.0 + 600_000);
        if let Some(cluster) =
            self.estimator.poll_probe(now, quiet.then(|| self.pacer.queue() >= Duration::from_millis(50)))
        {
            if self.trace {
                note(now_us, format_args!("probe {:?} at {}", cluster.cause, cluster.rate));
            }
            self.pacer.handle_probe(now, cluster);
        }
        while let Some(release) = self.pacer.poll_transmit(now) {
            match release {
                Release::Packet(payload, probe) => {
                    let size = self.size_of(&payload);
                    self.send(now, payload, size, probe, false, out);
                }
                Release::Filler { bytes, probe } => {
                    self.send(now, Payload::Filler, bytes, Some(probe), true, out);
                }
            }
        }
        self.pacer_queue = self.pacer.queue();
    }

    fn size_of(&self, payload: &Payload) -> u16 {
        let Payload::Video(video) = payload else { return AUDIO_BYTES };
        let first = self.cache.front().map_or(0, |entry| entry.0.number);
        let place = video.number.checked_sub(first).map(|place| place as usize);
        place.and_then(|place| self.cache.get(place)).map_or(1200, |entry| entry.1)
    }

    fn refill_retransmissions(&mut self, now_us: u64) {
        let share = self.estimator.target().as_f64() * 0.25 / 8.0;
        self.rtx_tokens = (self.rtx_tokens + share * WHEEL_US as f64 / 1e6).min(share.max(12_000.0));
        if now_us - self.rtx_us >= 250_000 {
            let span = (now_us - self.rtx_us) as f64 / 1e6;
            let kept = (-span / 2.0).exp();
            self.rtx_bps = kept * self.rtx_bps + (1.0 - kept) * self.rtx_sum / span;
            (self.rtx_sum, self.rtx_us) = (0.0, now_us);
        }
    }

    pub fn allocate(&mut self, now: Moment, now_us: u64, sources: &mut [Source], forced: bool) {
        let target = self.estimator.target();
        let stepping = self.pacer.is_congested();
        let budget = Budget {
            target,
            proven: self.estimator.is_proven(),
            probed: self.estimator.probed(now),
            audio_slots: 1,
            red: false,
            retransmissions: Bitrate::from_f64(self.rtx_bps),
            congested: stepping,
            settled: self.estimator.is_settled(now) && self.pacer.queue() <= Duration::from_millis(100),
        };
        if !forced && !self.allocator.is_due(now, &budget) {
            return;
        }
        let tracks: Vec<Track<'_>> = self
            .hints
            .iter()
            .enumerate()
            .map(|(key, hints)| Track {
                key: key as u32,
                rungs: &self.ladder,
                hints: *hints,
                class: Class::Recent,
                spoke: 0,
            })
            .collect();
        let demand = self.allocator.allocate(now, &budget, &tracks, &mut self.choices);
        self.estimator.set_demand(demand);
        for (track, choice) in self.choices.iter().enumerate() {
            let rung = choice.rung.map(|rung| (self.ladder[rung].spatial, self.ladder[rung].temporal));
            let egress = &mut self.tracks[track];
            if rung != egress.wanted {
                if self.trace {
                    let (before, cause) = (egress.wanted, choice.cause);
                    note(
                        now_us,
                        format_args!("track {track} {before:?} -> {rung:?} ({cause:?}) at {target}: {demand:?}"),
                    );
                }
                self.decided.push((now_us, track, rung));
            }
            egress.wanted = rung;
            let before = egress.current;
            egress.apply(&self.ladder, target);
            if egress.current != before {
                self.live.push((now_us, track, egress.current));
            }
            let awaits = egress.wanted.is_some() && egress.wanted.map(|w| w.0) != egress.current.map(|c| c.0);
            if awaits && egress.asked_us.is_none_or(|asked| asked + 500_000 <= now_us) {
                egress.asked_us = Some(now_us);
                sources[track].request_keyframe(now_us);
            }
        }
    }

    fn send(
        &mut self,
        now: Moment,
        payload: Payload,
        size: u16,
        probe: Option<ProbeId>,
        filler: bool,
        out: &mut Vec<Wire>,
    ) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.estimator.handle_sent(now, &SentPacket { sequence: sequence as u16, size, probe, filler });
        out.push(Wire { to: self.index, sequence, size, payload });
    }

    pub fn current(&self, track: usize) -> Option<(u8, u8)> {
        self.tracks[track].current
    }
}

#[expect(clippy::print_stdout, reason = "a trace is what the run is asked for")]
fn note(now_us: u64, what: std::fmt::Arguments<'_>) {
    println!("{:8.3} {what}", now_us as f64 / 1e6);
}

pub fn cost((spatial, temporal): (u8, u8)) -> f64 {
    LAYERS[usize::from(spatial)].0 * TEMPORAL[usize::from(temporal)].0
}

impl Egress {
    /// Temporal moves and pauses take effect at once, spatial ones with a keyframe.
    fn apply(&mut self, _ladder: &[Rung], target: Bitrate) {
        let (Some(wanted), Some(current)) = (self.wanted, self.current) else {
            if self.wanted.is_none() {
                (self.current, self.restricted, self.asked_us) = (None, None, None);
            }
            return;
        };
        if wanted.0 == current.0 {
            self.current = Some(wanted);
            (self.restricted, self.asked_us) = (None, None);
        } else if wanted.0 < current.0 {
            let lowest = cost((current.0, 0)) <= 0.9 * target.as_f64();
            self.restricted = Some(if lowest { Restricted::Lowest } else { Restricted::Nothing });
            if !lowest {
                self.abandoned = self.next_frame;
            }
        } else {
            self.restricted = None;
        }
    }
}
