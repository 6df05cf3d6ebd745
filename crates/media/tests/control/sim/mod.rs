//! Seeded virtual-time simulation of subscribers behind one link.

pub mod cross;
pub mod link;
pub mod receiver;
pub mod rival;
pub mod rng;
pub mod source;
pub mod subscriber;

use std::time::Duration;

use roundtable_media::Moment;
use roundtable_media::allocate::Hints;

use self::cross::{Cross, Flow};
use self::link::{Link, LinkConfig};
use self::receiver::{Back, Receiver};
use self::rival::Rival;
use self::source::{LAYERS, Source, TEMPORAL};
use self::subscriber::{AUDIO_BPS, Move, Subscriber, Wire, cost};

/// What happens at a time.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    Rate(f64),
    Outage(bool),
    /// The viewport of a track of every subscriber.
    Height(usize, u16),
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    pub rival: Rival,
    pub link: LinkConfig,
    /// In milliseconds.
    pub events: Vec<(u64, Event)>,
    /// When each subscriber joins, in milliseconds.
    pub joins: Vec<u64>,
    /// Viewport heights: a track for each.
    pub tracks: Vec<u16>,
    pub millis: u64,
    /// Who else uses the link, from which millisecond on.
    pub cross: Option<(u64, Cross)>,
    /// Prints what happens.
    pub trace: bool,
}

impl Setup {
    pub fn new(rival: Rival, seed: u64, link: LinkConfig, millis: u64) -> Self {
        let trace = std::env::var_os("SIM_TRACE").is_some();
        Self { seed, rival, link, events: Vec::new(), joins: vec![0], tracks: vec![720], millis, cross: None, trace }
    }
}

/// What was seen of one subscriber.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each 100 ms: media bits per second that arrived, and the target.
    pub rate: Vec<f64>,
    pub target: Vec<f64>,
    /// (millisecond, track, rung)
    pub decided: Vec<Move>,
    pub live: Vec<Move>,
    pub shown: Vec<(u8, u64)>,
    /// The share of audio packets lost from the tenth second on.
    pub audio_lost: f64,
    pub plis: u32,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub seen: Vec<Seen>,
    /// Each millisecond.
    pub queue_ms: Vec<f64>,
    /// Each 100 ms: bits per second of the cross flow that arrived.
    pub cross: Vec<f64>,
}

struct Side {
    subscriber: Subscriber,
    receiver: Receiver,
    back: Link<Back>,
    sources: Vec<Source>,
    seen: Seen,
    bytes: u64,
    /// Audio sent and received before the tenth second.
    audio: (u64, u64),
}

pub fn run(setup: &Setup) -> Outcome {
    let origin = Moment::ORIGIN + Duration::from_secs(60); // Only an origin: no test waits.
    let mut forward: Link<Wire> = Link::new(setup.link, setup.seed);
    let mut sides: Vec<Option<Side>> = setup.joins.iter().map(|_| None).collect();
    let mut outcome = Outcome::default();
    let mut events = setup.events.iter().peekable();
    let mut tracks = setup.tracks.clone();
    let (mut wire, mut backs) = (Vec::new(), Vec::new());
    let (mut cross, mut cross_bytes) = (None, 0);
    for ms in 0..setup.millis {
        let now_us = ms * 1000;
        let now = origin + Duration::from_micros(now_us);
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= ms) {
            match *event {
                Event::Rate(bps) => forward.set_rate(now_us, bps),
                Event::Outage(on) => forward.outage = on,
                Event::Height(track, height) => {
                    tracks[track] = height;
                    for side in sides.iter_mut().flatten() {
                        side.subscriber.hints[track].height = height;
                        side.subscriber.allocate(now, now_us, &mut side.sources, true);
                    }
                }
            }
        }
        for (index, side) in sides.iter_mut().enumerate() {
            if setup.joins[index] == ms {
                *side = Some(Side::new(setup, index, now, now_us, &tracks));
            }
        }
        if let Some((_, kind)) = setup.cross.filter(|(at, _)| *at == ms) {
            cross = Some(Flow::new(kind, sides.len(), now, now_us, setup.link.delay_ms, setup.seed));
        }
        while let Some((at, packet)) = forward.poll(now_us) {
            if let Some(cross) = cross.as_mut().filter(|_| packet.to == sides.len()) {
                cross_bytes += u64::from(packet.size);
                cross.handle_arrival(at, now_us, &packet);
                continue;
            }
            let Some(side) = sides.get_mut(packet.to).and_then(Option::as_mut) else { continue };
            if let Some(back) = side.receiver.handle_packet(at, &packet) {
                side.back.send(now_us, back, 60);
            }
        }
        for side in sides.iter_mut().flatten() {
            side.step(now, now_us, &mut wire, &mut backs);
            for packet in wire.drain(..) {
                let size = packet.size;
                forward.send(now_us, packet, size);
            }
        }
        if let Some(cross) = &mut cross {
            cross.step(now, now_us, &mut wire);
            for packet in wire.drain(..) {
                let size = packet.size;
                forward.send(now_us, packet, size);
            }
        }
        outcome.queue_ms.push(forward.queue_ms());
        if ms == 10_000 {
            for side in sides.iter_mut().flatten() {
                side.audio = (side.subscriber.audio_sent, side.receiver.audio_received);
            }
        }
        if ms % 100 == 99 {
            outcome.cross.push(std::mem::take(&mut cross_bytes) as f64 * 80.0);
            for side in sides.iter_mut().flatten() {
                let bytes = side.receiver.media_bytes;
                side.seen.rate.push((bytes - side.bytes) as f64 * 80.0);
                side.bytes = bytes;
                side.seen.target.push(side.subscriber.estimator.target().as_f64());
            }
            if setup.trace {
                trace(ms, &sides, &forward);
            }
        }
    }
    outcome.seen = sides.into_iter().flatten().map(Side::finish).collect();
    outcome
}

#[expect(clippy::print_stdout, reason = "a trace is what the run is asked for")]
fn trace(ms: u64, sides: &[Option<Side>], forward: &Link<Wire>) {
    for (index, side) in sides.iter().enumerate() {
        let Some(side) = side else { continue };
        println!(
            "{:8.3} #{index} target {:5.0}k rate {:5.0}k queue {:4.0} ms (link {:5.0}k) rung {:?} pacer {:?}",
            ms as f64 / 1e3,
            side.seen.target.last().unwrap_or(&0.0) / 1e3,
            side.seen.rate.last().unwrap_or(&0.0) / 1e3,
            forward.queue_ms(),
            forward.config.bps / 1e3,
            (0..side.sources.len()).map(|track| side.subscriber.current(track)).collect::<Vec<_>>(),
            side.subscriber.pacer_queue,
        );
        if let Some(state) = side.subscriber.estimator.state() {
            println!(
                "           {:?} delay {:.0}k loss {:.0}k acked {:.0}k {:?} {:?} {:?} lost {:.2} queue {:?} rtt {:?} limited {}",
                state.reason,
                state.delay.as_f64() / 1e3,
                state.loss.as_f64() / 1e3,
                state.acked.map_or(0.0, |acked| acked.as_f64() / 1e3),
                state.usage,
                state.trend,
                state.loss_state,
                state.loss_share,
                state.queue,
                state.rtt,
                state.limited,
            );
        }
    }
}

impl Side {
    fn new(setup: &Setup, index: usize, now: Moment, now_us: u64, tracks: &[u16]) -> Self {
        let seed = setup.seed.wrapping_mul(31).wrapping_add(index as u64);
        let hints = tracks.iter().map(|&height| Hints { height, ..Hints::default() }).collect();
        let back = LinkConfig { jitter_ms: setup.link.jitter_ms / 3.0, ..LinkConfig::new(10e6, setup.link.delay_ms) };
        let mut subscriber = Subscriber::new(index, now, now_us, setup.rival.estimator(now), hints);
        subscriber.trace = setup.trace;
        Self {
            subscriber,
            receiver: Receiver::new(seed),
            back: Link::new(back, seed ^ 0xbac),
            sources: (0..tracks.len())
                .map(|track| Source::new(seed.wrapping_mul(7).wrapping_add(track as u64)))
                .collect(),
            seen: Seen::default(),
            bytes: 0,
            audio: (0, 0),
        }
    }

    fn step(&mut self, now: Moment, now_us: u64, wire: &mut Vec<Wire>, backs: &mut Vec<Back>) {
        while let Some((_, back)) = self.back.poll(now_us) {
            self.subscriber.handle_back(now, now_us, &back, &mut self.sources, wire);
        }
        self.receiver.poll(now_us, backs);
        for back in backs.drain(..) {
            self.back.send(now_us, back, 80);
        }
        self.subscriber.handle_tick(now, now_us, &mut self.sources, wire);
        for track in 0..self.sources.len() {
            while let Some(packet) = self.sources[track].poll(now_us) {
                self.subscriber.handle_source(now, now_us, track, &packet, wire);
            }
        }
    }

    fn finish(self) -> Seen {
        let millis = |moves: Vec<Move>| moves.into_iter().map(|(us, track, rung)| (us / 1000, track, rung)).collect();
        Seen {
            decided: millis(self.subscriber.decided),
            live: millis(self.subscriber.live),
            shown: self.receiver.shown,
            audio_lost: 1.0
                - (self.receiver.audio_received - self.audio.1) as f64
                    / (self.subscriber.audio_sent - self.audio.0).max(1) as f64,
            plis: self.receiver.plis,
            ..self.seen
        }
    }
}

impl Outcome {
    /// The first subscriber's share of what arrived between two milliseconds, which count from when each began.
    pub fn share(&self, from: u64, to: u64) -> f64 {
        let ours = self.seen[0].mean_rate(from, to);
        let part = &self.cross[(from / 100) as usize..(to / 100) as usize];
        ours / (ours + part.iter().sum::<f64>() / part.len() as f64)
    }
}

impl Seen {
    /// Media bits per second that arrived between two milliseconds.
    pub fn mean_rate(&self, from: u64, to: u64) -> f64 {
        let part = &self.rate[(from / 100) as usize..((to / 100) as usize).min(self.rate.len())];
        part.iter().sum::<f64>() / part.len().max(1) as f64
    }

    /// The rung of a track at a millisecond.
    pub fn rung_at(&self, track: usize, ms: u64) -> Option<(u8, u8)> {
        self.live.iter().rev().find(|live| live.1 == track && live.0 <= ms).and_then(|live| live.2)
    }

    /// The cost of all tracks, with audio, at a millisecond.
    pub fn cost_at(&self, tracks: usize, ms: u64) -> f64 {
        AUDIO_BPS + (0..tracks).filter_map(|track| self.rung_at(track, ms)).map(cost).sum::<f64>()
    }

    /// The first millisecond from `from` on at which `holds` of the cost.
    pub fn first_cost(&self, tracks: usize, from: u64, to: u64, holds: impl Fn(f64) -> bool) -> Option<u64> {
        (from..to).step_by(10).find(|&ms| holds(self.cost_at(tracks, ms)))
    }

    /// Milliseconds frozen between two milliseconds: gaps of shown frames, as getStats counts them.
    pub fn frozen(&self, track: u8, from: u64, to: u64) -> u64 {
        let times: Vec<u64> = self.shown.iter().filter(|shown| shown.0 == track).map(|shown| shown.1 / 1000).collect();
        let mut recent: std::collections::VecDeque<u64> = std::collections::VecDeque::new();
        let mut frozen = 0;
        for pair in times.windows(2) {
            let gap = pair[1].saturating_sub(pair[0]);
            let mean = recent.iter().sum::<u64>() / (recent.len().max(1) as u64);
            if recent.len() >= 5 && gap > (3 * mean).max(mean + 150) && pair[1] >= from && pair[0] < to {
                frozen += gap;
            }
            recent.push_back(gap);
            if recent.len() > 30 {
                recent.pop_front();
            }
        }
        frozen
    }

    /// How often a track was given less than before.
    pub fn falls(&self, from: u64, to: u64) -> usize {
        let worth = |rung: Option<(u8, u8)>| rung.map_or(0.0, cost);
        let given = |at: usize| {
            let (ms, track, rung) = self.decided[at];
            let before = self.decided[..at].iter().rev().find(|before| before.1 == track);
            (from..to).contains(&ms) && before.is_some_and(|before| worth(rung) < worth(before.2))
        };
        (0..self.decided.len()).filter(|&at| given(at)).count()
    }

    pub fn switches(&self, from: u64, to: u64) -> usize {
        self.decided.iter().filter(|decided| (from..to).contains(&decided.0)).count()
    }
}

/// The cost of the set of rungs that is worth most of those that fit `bps`, with audio.
pub fn best_fitting(tracks: usize, bps: f64) -> f64 {
    let mut rungs = vec![(0.0, 0.0)];
    for spatial in 0..3_u8 {
        for temporal in 0..3_u8 {
            let (height, fps) =
                (f64::from(LAYERS[usize::from(spatial)].1), f64::from(TEMPORAL[usize::from(temporal)].1));
            let worth = (height * (fps / 30.0).sqrt() * (fps / 10.0).min(1.0)).log2();
            rungs.push((cost((spatial, temporal)), worth));
        }
    }
    let mut sets = vec![(AUDIO_BPS, 0.0)];
    for _ in 0..tracks {
        let more = sets.iter().flat_map(|set| rungs.iter().map(move |rung| (set.0 + rung.0, set.1 + rung.1)));
        sets = more.filter(|set| set.0 <= bps).collect();
    }
    let best = sets.into_iter().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.total_cmp(&a.0)));
    best.map_or(bps, |set| set.0)
}

pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
