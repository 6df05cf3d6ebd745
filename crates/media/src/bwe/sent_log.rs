//! Remembers what was sent under which transport-wide number, and joins it with the feedback that comes back.

use std::num::NonZeroU16;
use std::ops::Range;
use std::time::Duration;

use roundtable_prefetch::prefetch;
use roundtable_wire::twcc::{Feedback, REFERENCE_MICROS};

use crate::moment::Moment;

/// Numbers that are remembered; an older one is forgotten when a newer one needs its place.
pub const HISTORY_LEN: usize = 4096;
/// A packet is forgotten after this long: feedback on it would be too late to say anything of the path of now.
pub const HISTORY_AGE: Duration = Duration::from_secs(2);
const MAX_AGE: u64 = HISTORY_AGE.as_micros() as u64;
/// The ring begins with so many places and doubles up to [`HISTORY_LEN`] when packets younger than [`HISTORY_AGE`] of
/// which no feedback has said that they came would lose theirs: a picture of 1.5 Mbit/s sends so many in 0.18 s, and who
/// loses none hears of them within a round trip and a tenth of a second. A power of two, as all its sizes are.
const HISTORY_LEN_START: usize = 32;
/// Reference times this far from zero (34 years) are not summed up further, so that no sum of times overflows however
/// often a lying receiver has its clock come round.
const MAX_REFERENCE: i64 = 1 << 34;

/// Names one probe; packets sent for it carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProbeId(NonZeroU16);

impl ProbeId {
    /// The first one.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The one after it; they come round.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(NonZeroU16::MIN))
    }

    /// Its number, never zero.
    pub(crate) const fn number(self) -> u16 {
        self.0.get()
    }

    /// Zero names none.
    pub(crate) fn from_number(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }
}

/// One packet as it was handed to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentPacket {
    /// Its transport-wide number.
    pub sequence: u16,
    /// Bytes on the wire, with IP, UDP and SRTP.
    pub size: u16,
    /// The probe it is part of.
    pub probe: Option<ProbeId>,
    /// Whether it was sent for the probe alone: padding, or a repetition nobody asked for.
    pub filler: bool,
}

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Its number without the wrap.
    pub(crate) sequence: u64,
    /// When it was sent, in microseconds of our clock since the log was made.
    pub(crate) sent_micros: i64,
    /// When it arrived, in microseconds of the receiver's clock; `None` if it is lost.
    pub(crate) arrival_micros: Option<i64>,
    pub(crate) size: u16,
    pub(crate) probe: Option<ProbeId>,
    /// How long it was expected to queue, as it left behind others, in milliseconds.
    pub(crate) expected_ms: u16,
    /// Whether an earlier message called it lost.
    pub(crate) recovered: bool,
}

/// The packets of the last two seconds, from the first one on of which it is not known that it came.
#[derive(Debug)]
pub(crate) struct SentLog {
    start: Moment,
    /// Empty until the first packet, then a power of two.
    ring: Vec<Entry>,
    /// The number of the newest without its wrap.
    newest: Option<u64>,
    /// When the newest was sent, in microseconds.
    newest_micros: u64,
    /// No packet below this one is in the ring.
    oldest: u64,
    /// Until then, in microseconds, that one stays the oldest; zero if it has to be looked at.
    stays_until: u64,
    /// From here to the oldest all have been received: nothing more is to be learnt of them.
    settled: u64,
    in_flight_bytes: u64,
    /// The reference time of the last message without its wrap.
    reference: Option<i64>,
    unknown: u64,
}

/// 16 bytes, so that the ring takes at most 64 KiB.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The low half of the microseconds since the log was made.
    sent_micros: u32,
    /// The low half of the number: tells those apart that share a place in the ring.
    sequence: u32,
    size: u16,
    probe: u16,
    expected_ms: u16,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    InFlight,
    Lost,
    Received,
}

impl Entry {
    const EMPTY: Self = Self { sent_micros: 0, sequence: 0, size: 0, probe: 0, expected_ms: 0, state: State::Empty };
}

/// So many entries are brought near at most when feedback comes.
const PREFETCHED: usize = 64;

impl SentLog {
    pub(crate) fn new(now: Moment) -> Self {
        Self {
            start: now,
            ring: Vec::new(),
            newest: None,
            newest_micros: 0,
            oldest: 0,
            stays_until: 0,
            settled: 0,
            in_flight_bytes: 0,
            reference: None,
            unknown: 0,
        }
    }

    /// Remembers a packet. One whose number is not above all before it is not remembered.
    pub(crate) fn record(&mut self, now: Moment, packet: &SentPacket, expected_ms: u16) {
        let sent_micros = self.micros(now);
        self.prune(sent_micros);
        let sequence = self.unwrapped(packet.sequence);
        match self.newest {
            None => (self.oldest, self.settled) = (sequence, sequence),
            Some(newest) if sequence <= newest => return,
            Some(_) => {}
        }
        self.make_room(sequence);
        if sequence == self.oldest {
            self.stays_until = sent_micros + MAX_AGE;
        }
        (self.newest, self.newest_micros) = (Some(sequence), sent_micros);
        self.in_flight_bytes += u64::from(packet.size);
        let entry = Entry {
            sent_micros: sent_micros as u32,
            sequence: sequence as u32,
            size: packet.size,
            probe: packet.probe.map_or(0, ProbeId::number),
            expected_ms,
            state: State::InFlight,
        };
        *self.slot(sequence) = entry;
    }

    /// Has the place of the next packet brought near, and that of the oldest one.
    pub(crate) fn prefetch(&self) {
        let mask = self.ring.len().wrapping_sub(1);
        for sequence in [self.newest.unwrap_or(0).wrapping_add(1), self.oldest] {
            // The ring's length is a power of two; an empty one has no places.
            if let Some(entry) = self.ring.get(sequence as usize & mask) {
                prefetch(entry);
            }
        }
    }

    /// Has the places brought near of what is on its way.
    pub(crate) fn prefetch_in_flight(&self) {
        let (oldest, newest) = (self.oldest, self.newest.unwrap_or(self.oldest));
        let mask = self.ring.len().wrapping_sub(1);
        // Four entries lie in one line; as many as a feedback message may tell of are enough.
        for sequence in (oldest..=newest).step_by(4).take(PREFETCHED / 4) {
            // The ring's length is a power of two; an empty one has no places.
            if let Some(entry) = self.ring.get(sequence as usize & mask) {
                prefetch(entry);
            }
        }
    }

    /// Appends what a message newly tells, in the order of the numbers.
    ///
    /// Numbers that were not sent or are forgotten are ignored, and so is what is known already. A lost packet may
    /// turn out to be received, never the reverse.
    pub(crate) fn resolve(&mut self, now: Moment, feedback: &Feedback<'_>, out: &mut Vec<Report>) {
        let now_micros = self.micros(now);
        self.prune(now_micros);
        let skipped = self.skipped(feedback);
        let reference_micros = self.unwrap_reference(feedback.reference_time);
        for sequence in skipped {
            self.tell(now_micros, sequence, None, out);
        }
        // What is then the oldest may have been received before.
        self.stays_until = 0;
        for (number, arrival) in feedback.statuses() {
            let sequence = self.unwrapped(number);
            let arrival_micros = arrival.map(|micros| reference_micros.saturating_add(micros));
            self.tell(now_micros, sequence, arrival_micros, out);
        }
    }

    /// Appends what it newly tells that a packet arrived then, or is lost.
    #[inline]
    fn tell(&mut self, now_micros: u64, sequence: u64, arrival_micros: Option<i64>, out: &mut Vec<Report>) {
        let known = self.newest.is_some_and(|newest| sequence <= newest) && sequence >= self.oldest;
        if !known {
            self.unknown += u64::from(!(self.settled..self.oldest).contains(&sequence));
            return;
        }
        let entry = self.slot(sequence);
        if entry.sequence != sequence as u32 || entry.state == State::Empty {
            self.unknown += 1;
            return;
        }
        let before = match (entry.state, arrival_micros) {
            (State::InFlight, None) => std::mem::replace(&mut entry.state, State::Lost),
            (State::InFlight | State::Lost, Some(_)) => std::mem::replace(&mut entry.state, State::Received),
            (State::Lost, None) | (State::Received | State::Empty, _) => return,
        };
        let Entry { sent_micros, size, probe, expected_ms, .. } = *entry;
        // So the ring holds what is on its way rather than all of the history.
        self.oldest += u64::from(sequence == self.oldest && arrival_micros.is_some());
        if before == State::InFlight {
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(u64::from(size));
        }
        // Younger than two seconds, so the low half tells its age.
        let age = u64::from((now_micros as u32).wrapping_sub(sent_micros));
        out.push(Report {
            sequence,
            sent_micros: now_micros.saturating_sub(age) as i64,
            arrival_micros,
            size,
            probe: ProbeId::from_number(probe),
            expected_ms,
            recovered: before == State::Lost,
        });
    }

    /// Forgets what is too old to be told of; returns the bytes that still are in flight.
    pub(crate) fn expire(&mut self, now: Moment) -> u64 {
        let now_micros = self.micros(now);
        self.prune(now_micros);
        self.in_flight_bytes
    }

    /// Forgets what is in flight; the numbers go on.
    pub(crate) fn forget(&mut self) {
        if let Some(newest) = self.newest {
            self.forget_below(newest + 1);
        }
    }

    /// What was sent before the first packet a receiver ever got: its first message begins behind that, and no other one
    /// will tell that it is lost.
    fn skipped(&self, feedback: &Feedback<'_>) -> Range<u64> {
        let is_first = self.reference.is_none() && feedback.feedback_count == 0;
        let base = self.unwrapped(feedback.base_sequence);
        match self.newest {
            Some(newest) if is_first && base <= newest => self.oldest..base,
            Some(_) | None => 0..0,
        }
    }

    /// Bytes that were sent within [`HISTORY_AGE`] and that no feedback has told of.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Statuses that told of numbers not in the history.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Microseconds of our clock since the log was made.
    pub(crate) fn micros(&self, now: Moment) -> u64 {
        now.micros_since(self.start)
    }

    /// The number nearest to the newest one that ends so.
    const fn unwrapped(&self, sequence: u16) -> u64 {
        match self.newest {
            // The newest is at least 2^16 and the distance at least -2^15: the sum stays positive.
            Some(newest) => newest.wrapping_add_signed(sequence.wrapping_sub(newest as u16).cast_signed() as i64),
            None => (1 << 16) + sequence as u64,
        }
    }

    #[inline]
    fn prune(&mut self, now_micros: u64) {
        if now_micros > self.stays_until {
            self.look_at_oldest(now_micros);
        }
    }

    fn look_at_oldest(&mut self, now_micros: u64) {
        let Some(newest) = self.newest else { return };
        if now_micros.saturating_sub(self.newest_micros) > MAX_AGE {
            // After a long pause the low halves of the times tell nothing.
            self.forget_below(newest + 1);
            return;
        }
        while self.oldest <= newest {
            let oldest = self.oldest;
            let &mut Entry { sent_micros, sequence, state, .. } = self.slot(oldest);
            let age = u64::from((now_micros as u32).wrapping_sub(sent_micros));
            if state == State::Empty || sequence != oldest as u32 || age > MAX_AGE {
                self.forget_below(oldest + 1);
            } else if state == State::Received {
                self.oldest = oldest + 1;
            } else {
                self.stays_until = now_micros.saturating_sub(age) + MAX_AGE;
                break;
            }
        }
    }

    /// Lets the ring hold `sequence`: it grows, or loses what is too old for it.
    #[inline]
    fn make_room(&mut self, sequence: u64) {
        // Nothing above it is in the ring, which is never larger than the largest one.
        if sequence - self.oldest >= self.ring.len() as u64 {
            self.grow(sequence);
        }
    }

    fn grow(&mut self, sequence: u64) {
        // Numbers may be skipped: everything that now is too old for the largest ring leaves it.
        self.forget_below((sequence + 1).saturating_sub(HISTORY_LEN as u64));
        let needed = (sequence + 1 - self.oldest) as usize; // At most the largest ring, after the line above.
        if needed <= self.ring.len() {
            return;
        }
        let len = needed.next_power_of_two().clamp(HISTORY_LEN_START, HISTORY_LEN);
        let grown = vec![Entry::EMPTY; len];
        let before = std::mem::replace(&mut self.ring, grown);
        let Some(newest) = self.newest else { return };
        for known in self.oldest..=newest {
            // There was a place for each of them in the smaller ring.
            let entry = before.get((known & (before.len() as u64).saturating_sub(1)) as usize);
            *self.slot(known) = entry.copied().unwrap_or(Entry::EMPTY);
        }
    }

    fn forget_below(&mut self, bound: u64) {
        let bound = bound.max(self.oldest);
        // No more than the ring holds need be looked at, however far the numbers jumped.
        for sequence in self.oldest..bound.min(self.oldest + self.ring.len() as u64) {
            let entry = self.slot(sequence);
            if entry.sequence != sequence as u32 {
                continue;
            }
            let in_flight = if entry.state == State::InFlight { u64::from(entry.size) } else { 0 };
            entry.state = State::Empty;
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(in_flight);
        }
        (self.oldest, self.settled, self.stays_until) = (bound, bound, 0);
    }

    fn slot(&mut self, sequence: u64) -> &mut Entry {
        // Asked for only once the ring has places; the remainder is below their number, a power of two.
        let mask = self.ring.len() as u64 - 1;
        &mut self.ring[(sequence & mask) as usize]
    }

    /// The reference time in microseconds, without the wrap of its 24 bits.
    fn unwrap_reference(&mut self, reference: i32) -> i64 {
        let unwrapped = match self.reference {
            None => i64::from(reference),
            Some(last) => {
                // Shifted up and back to take the distance modulo 2^24, with its sign.
                let distance = reference.wrapping_sub(last as i32) << 8 >> 8;
                last.saturating_add(i64::from(distance))
            }
        };
        let unwrapped = if unwrapped.abs() > MAX_REFERENCE { i64::from(reference) } else { unwrapped };
        self.reference = Some(unwrapped);
        unwrapped.saturating_mul(REFERENCE_MICROS as i64)
    }
}
