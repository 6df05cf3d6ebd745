//! Builds feedback messages from arrival times.

use crate::twcc::{
    DELTA_MICROS, MAX_RUN, MAX_STATUS_COUNT, ONE_BIT_SYMBOLS, REFERENCE_MICROS, Symbol, TWO_BIT_BIT, TWO_BIT_SYMBOLS,
    VECTOR_BIT,
};

/// The longest message we write, RTCP header and sources included; what does not fit goes into the next one.
pub const MAX_MESSAGE_LEN: usize = 1100;

/// Bytes of the RTCP header, the two sources and the fixed part of the message.
const FIXED_LEN: usize = 20;
// A run as long as a message fits its field of 13 bits.
const _: () = assert!(MAX_STATUS_COUNT as usize <= MAX_RUN);
const TICKS_PER_REFERENCE: i64 = (REFERENCE_MICROS / DELTA_MICROS) as i64;

/// The arrivals that go into one message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Not empty and at most [`MAX_STATUS_COUNT`] long; every delta between neighbours fits 16 bits.
    arrivals: &'a [Option<u64>],
}

/// Takes as many arrivals from the front as fit one message: their deltas must fit 16 bits (±8.19 s), the message
/// [`MAX_MESSAGE_LEN`] and the count [`MAX_STATUS_COUNT`]. `None` if there are no arrivals.
#[must_use]
pub fn next_message(arrivals: &[Option<u64>]) -> Option<Message<'_>> {
    let mut clock = Clock::starting_with(arrivals);
    let mut delta_len = 0;
    let mut taken = 0;
    for &arrival in arrivals.iter().take(usize::from(MAX_STATUS_COUNT)) {
        let Some(delta) = clock.delta(arrival) else { break };
        delta_len += delta.map_or(Symbol::Lost, symbol).delta_len();
        // The worst chunks hold seven symbols each.
        let chunk_len = 2 * (taken + 1_usize).div_ceil(TWO_BIT_SYMBOLS);
        if FIXED_LEN + (chunk_len + delta_len).next_multiple_of(4) > MAX_MESSAGE_LEN {
            break;
        }
        taken += 1;
    }
    // The first arrival lies within 64 ms of the reference taken from it, so there always is one if there are any.
    arrivals.get(..taken).filter(|taken| !taken.is_empty()).map(|arrivals| Message { arrivals })
}

impl Message<'_> {
    /// How many arrivals the message holds.
    #[must_use]
    pub const fn status_count(&self) -> u16 {
        // Bounded by MAX_STATUS_COUNT.
        self.arrivals.len() as u16
    }

    /// Whether any packet arrived; if none did, the message has no time to refer to.
    #[must_use]
    pub fn has_arrival(&self) -> bool {
        self.arrivals.iter().any(Option::is_some)
    }

    /// Appends everything that follows the two sources, without padding.
    pub fn write(&self, out: &mut Vec<u8>, base_sequence: u16, feedback_count: u8) {
        let clock = Clock::starting_with(self.arrivals);
        // The reference wraps like the field does.
        let [.., a, b, c] = (clock.ticks / TICKS_PER_REFERENCE).to_be_bytes();
        out.extend_from_slice(&base_sequence.to_be_bytes());
        out.extend_from_slice(&self.status_count().to_be_bytes());
        out.extend_from_slice(&[a, b, c, feedback_count]);
        write_chunks(out, &mut self.deltas(clock).map(|delta| delta.map_or(Symbol::Lost, symbol)));
        for delta in self.deltas(clock).flatten() {
            match u8::try_from(delta) {
                Ok(small) => out.push(small),
                Err(_) => out.extend_from_slice(&delta.to_be_bytes()),
            }
        }
    }

    fn deltas(&self, mut clock: Clock) -> impl Iterator<Item = Option<i16>> {
        // No delta is too large: that is the invariant of a message.
        self.arrivals.iter().map(move |&arrival| clock.delta(arrival).flatten())
    }
}

/// The time the next delta counts from.
#[derive(Debug, Clone, Copy)]
struct Clock {
    /// In units of a delta. Rounding the times, not the spans, keeps the error below one unit for all.
    ticks: i64,
}

impl Clock {
    /// Stands at the reference time of a message that starts with `arrivals`.
    fn starting_with(arrivals: &[Option<u64>]) -> Self {
        let first = arrivals.iter().find_map(|&arrival| arrival).map_or(0, ticks_of);
        Self { ticks: first - first % TICKS_PER_REFERENCE }
    }

    /// Goes on to `arrival` and says by how much; `None` if that does not fit.
    fn delta(&mut self, arrival: Option<u64>) -> Option<Option<i16>> {
        let Some(arrival) = arrival else { return Some(None) };
        let ticks = ticks_of(arrival);
        let delta = i16::try_from(ticks - self.ticks).ok()?;
        self.ticks = ticks;
        Some(Some(delta))
    }
}

const fn ticks_of(micros: u64) -> i64 {
    // A quotient by 250 leaves the sign bit free.
    (micros / DELTA_MICROS) as i64
}

fn symbol(delta: i16) -> Symbol {
    if u8::try_from(delta).is_ok() { Symbol::Small } else { Symbol::Large }
}

/// Symbols that wait for their chunk: as many as the largest vector holds.
#[derive(Debug, Default)]
struct Window {
    symbols: [u16; ONE_BIT_SYMBOLS],
    len: usize,
}

impl Window {
    /// Fills up from `symbols`, which may have ended.
    fn fill(&mut self, symbols: &mut impl Iterator<Item = Symbol>) {
        while let Some(place) = self.symbols.get_mut(self.len) {
            let Some(symbol) = symbols.next() else { return };
            *place = symbol.bits();
            self.len += 1;
        }
    }

    fn waiting(&self) -> &[u16] {
        self.symbols.get(..self.len).unwrap_or_default()
    }

    fn drop_front(&mut self, count: usize) {
        let count = count.min(self.len);
        self.symbols.copy_within(count..self.len, 0);
        self.len -= count;
    }
}

/// Chooses for the symbols in front the chunk that holds most of them; a run if it is as good.
fn write_chunks(out: &mut Vec<u8>, symbols: &mut impl Iterator<Item = Symbol>) {
    let mut symbols = symbols.peekable();
    let mut window = Window::default();
    loop {
        window.fill(&mut symbols);
        let waiting = window.waiting();
        let Some(&first) = waiting.first() else { return };
        let mut run = waiting.iter().take_while(|&&symbol| symbol == first).count();
        let fits_one_bit = waiting.iter().all(|&symbol| symbol <= 1);
        let vector = if fits_one_bit { waiting.len() } else { waiting.len().min(TWO_BIT_SYMBOLS) };
        let chunk = if run >= vector {
            window.drop_front(run);
            // Only a run that reaches the end of the window goes on behind it.
            while window.len == 0 && symbols.next_if(|symbol| symbol.bits() == first).is_some() {
                run += 1;
            }
            first << 13 | run as u16
        } else {
            let (kind, width, places) =
                if fits_one_bit { (0, 1, ONE_BIT_SYMBOLS) } else { (TWO_BIT_BIT, 2, TWO_BIT_SYMBOLS) };
            let taken = waiting.iter().take(vector).enumerate();
            // The first symbol stands highest; places without a symbol stay zero.
            let bits = taken.fold(0, |bits, (at, symbol)| bits | symbol << (width * (places - 1 - at)));
            window.drop_front(vector);
            VECTOR_BIT | kind | bits
        };
        out.extend_from_slice(&chunk.to_be_bytes());
    }
}
