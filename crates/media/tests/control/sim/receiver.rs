//! A browser: feedback as Chromium sends it, NACKs, and a decoder that needs what frames refer to.

use std::collections::{BTreeMap, HashMap, HashSet};

use roundtable_wire::twcc;

use super::rng::Rng;
use super::subscriber::{Payload, Wire};

/// What goes back to the server.
#[derive(Debug, Clone)]
pub enum Back {
    /// The body of a transport-wide feedback message.
    Feedback(Vec<u8>),
    Nack(Vec<u64>),
    PictureLoss(u8),
    Report {
        sent_us: u64,
    },
}

const NACK_AFTER_US: u64 = 10_000;
const NACK_REPEAT_US: u64 = 100_000;
const NACK_AGE_US: u64 = 1_000_000;
/// Without a decoded frame for so long a keyframe is asked for.
const STUCK_US: u64 = 700_000;

#[derive(Debug)]
pub struct Receiver {
    rng: Rng,
    /// Transport-wide number to arrival.
    arrivals: BTreeMap<u64, u64>,
    window: Option<u64>,
    next_feedback_us: u64,
    feedback_count: u8,
    video_seen: HashSet<u64>,
    video_highest: Option<u64>,
    missing: BTreeMap<u64, Missing>,
    frames: HashMap<(u8, u64), Frame>,
    decoded: HashSet<(u8, u64)>,
    last_pli_us: u64,
    next_nack_us: u64,
    audio_highest: Option<u64>,
    pub audio_received: u64,
    /// (track, when): every frame that was shown.
    pub shown: Vec<(u8, u64)>,
    pub media_bytes: u64,
    pub plis: u32,
}

#[derive(Debug)]
struct Missing {
    seen_us: u64,
    next_us: u64,
}

#[derive(Debug)]
struct Frame {
    left: u16,
    refers: Option<u64>,
    got: HashSet<u16>,
}

impl Receiver {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed ^ 0x4ec),
            arrivals: BTreeMap::new(),
            window: None,
            next_feedback_us: 0,
            feedback_count: 0,
            video_seen: HashSet::new(),
            video_highest: None,
            missing: BTreeMap::new(),
            frames: HashMap::new(),
            decoded: HashSet::new(),
            last_pli_us: 0,
            next_nack_us: 0,
            audio_highest: None,
            audio_received: 0,
            shown: Vec::new(),
            media_bytes: 0,
            plis: 0,
        }
    }

    pub fn handle_packet(&mut self, at_us: u64, wire: &Wire) -> Option<Back> {
        if let Payload::Report { sent_us } = wire.payload {
            return Some(Back::Report { sent_us });
        }
        if self.arrivals.contains_key(&wire.sequence) {
            return None;
        }
        self.arrivals.insert(wire.sequence, at_us);
        // Chromium reports again from a number that came late.
        self.window = Some(self.window.map_or(wire.sequence, |window| window.min(wire.sequence)));
        match &wire.payload {
            Payload::Audio(number) => {
                self.audio_received += 1;
                self.audio_highest = self.audio_highest.max(Some(*number));
                self.media_bytes += u64::from(wire.size);
            }
            Payload::Video(packet) => {
                if self.video_seen.insert(packet.number) {
                    self.media_bytes += u64::from(wire.size);
                    self.note_number(at_us, packet.number);
                    self.assemble(at_us, packet);
                }
            }
            Payload::Filler | Payload::Report { .. } => {}
        }
        None
    }

    fn note_number(&mut self, at_us: u64, number: u64) {
        self.missing.remove(&number);
        let highest = self.video_highest.unwrap_or(number.saturating_sub(1));
        for gap in highest + 1..number {
            self.missing.insert(gap, Missing { seen_us: at_us, next_us: at_us + NACK_AFTER_US });
        }
        self.video_highest = Some(highest.max(number));
    }

    fn assemble(&mut self, at_us: u64, packet: &super::subscriber::VideoPacket) {
        let key = (packet.track, packet.frame);
        let frame = self.frames.entry(key).or_insert_with(|| Frame {
            left: packet.count,
            refers: packet.refers,
            got: HashSet::new(),
        });
        if frame.got.insert(packet.index) {
            frame.left -= 1;
        }
        if frame.left == 0 {
            self.decode(at_us, key.0);
        }
    }

    /// Shows every frame that is complete and whose reference was shown.
    fn decode(&mut self, at_us: u64, track: u8) {
        loop {
            let decoded = &self.decoded;
            let mut ready: Vec<u64> = self
                .frames
                .iter()
                .filter(|((of, _), frame)| {
                    *of == track
                        && frame.left == 0
                        && frame.refers.is_none_or(|refers| decoded.contains(&(track, refers)))
                })
                .map(|((_, frame), _)| *frame)
                .collect();
            if ready.is_empty() {
                break;
            }
            ready.sort_unstable();
            for frame in ready {
                self.frames.remove(&(track, frame));
                self.decoded.insert((track, frame));
                self.shown.push((track, at_us));
            }
        }
        if let Some(newest) = self.decoded.iter().filter(|(of, _)| *of == track).map(|(_, frame)| *frame).max() {
            self.frames.retain(|(of, frame), _| *of != track || *frame + 60 > newest);
            if self.decoded.len() > 400 {
                self.decoded.retain(|(of, frame)| *of != track || *frame + 100 > newest);
            }
        }
    }

    pub fn poll(&mut self, now_us: u64, out: &mut Vec<Back>) {
        if now_us >= self.next_feedback_us {
            // p10 52, p50 62, p90 70 ms.
            self.next_feedback_us = now_us + (self.rng.between(50.0, 74.0) * 1e3) as u64;
            self.feedback(out);
        }
        if now_us < self.next_nack_us {
            return;
        }
        self.next_nack_us = now_us + 5_000;
        self.missing.retain(|_, missing| missing.seen_us + NACK_AGE_US > now_us);
        let due: Vec<u64> = self
            .missing
            .iter_mut()
            .filter(|(_, missing)| missing.next_us <= now_us)
            .map(|(number, missing)| {
                missing.next_us = now_us + NACK_REPEAT_US;
                *number
            })
            .collect();
        if !due.is_empty() {
            out.push(Back::Nack(due));
        }
        for track in 0..2 {
            let stuck = self.frames.keys().any(|key| key.0 == track)
                && self
                    .shown
                    .iter()
                    .rev()
                    .find(|shown| shown.0 == track)
                    .is_none_or(|shown| shown.1 + STUCK_US < now_us);
            if stuck && self.last_pli_us + STUCK_US < now_us && now_us > STUCK_US {
                self.last_pli_us = now_us;
                self.plis += 1;
                out.push(Back::PictureLoss(track));
            }
        }
    }

    fn feedback(&mut self, out: &mut Vec<Back>) {
        let Some(mut base) = self.window else { return };
        let Some((&highest, _)) = self.arrivals.last_key_value() else { return };
        if base > highest {
            return;
        }
        let times: Vec<Option<u64>> = (base..=highest).map(|number| self.arrivals.get(&number).copied()).collect();
        let mut rest = &times[..];
        while let Some(message) = twcc::next_message(rest) {
            let count = message.status_count();
            if message.has_arrival() {
                let mut body = vec![0, 0, 0, 1, 0, 0, 0, 2];
                message.write(&mut body, base as u16, self.feedback_count);
                self.feedback_count = self.feedback_count.wrapping_add(1);
                out.push(Back::Feedback(body));
            }
            base += u64::from(count);
            rest = &rest[usize::from(count)..];
        }
        self.window = Some(highest + 1);
        while self.arrivals.len() > 2000 {
            self.arrivals.pop_first();
        }
    }
}
