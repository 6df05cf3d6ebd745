//! How messages go into frames: one in each, or for clients that said so in their hello, several small ones in one frame
//! and large ones compressed.
//!
//! What the client waits for leaves at the end of the turn in which it was said, together with all that was said before it;
//! the order is never changed. What nobody waits for (who came, who speaks) leaves at once after a quiet time, and otherwise
//! [`TICK`] after the last frame, so that a burst of it costs a client no more than a frame for each tick.

mod deflate;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roundtable_protocol::ServerMessage;
use roundtable_protocol::message::Packing;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(super) use self::deflate::{InflateError, inflate};

/// From one frame to the next that holds only what nobody waits for.
pub const TICK: Duration = Duration::from_millis(20);
/// Messages in one frame; with as many the frame leaves before its time.
pub const MAX_BATCH_MESSAGES: usize = 128;
/// Bytes of messages in one frame, uncompressed; with as many it leaves before its time. A larger message goes alone.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;
/// Shorter frames are not compressed: they would still take a packet each.
pub const MIN_DEFLATE_BYTES: usize = 1024;
/// Places for messages that are kept free while none wait.
const KEPT_PLACES: usize = 8;

/// Whether a client waits for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// It does.
    Now,
    /// It notices nothing if the message comes a [`TICK`] later.
    InPassing,
}

impl Haste {
    /// How a message is waited for.
    pub(super) fn of(message: &ServerMessage) -> Self {
        match message {
            ServerMessage::Typing { .. } | ServerMessage::Stats { .. } => Self::InPassing,
            _ => Self::Now,
        }
    }
}

/// What goes over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packed {
    /// A text frame.
    Text(Utf8Bytes),
    /// A binary frame: a text, compressed.
    Binary(Bytes),
}

/// A message that waits for its frame.
#[derive(Debug)]
struct Parcel {
    json: Utf8Bytes,
    /// Whether others get the same bytes.
    is_shared: bool,
}

/// Puts one client's messages into frames.
#[derive(Debug, Default)]
pub(super) struct Packer {
    batches: bool,
    deflates: bool,
    waiting: VecDeque<Parcel>,
    waiting_bytes: usize,
    /// How many of those that wait, from the first on, are not to wait any longer.
    hasty: usize,
    /// Until when what nobody waits for is held back.
    quiet_until: Option<Instant>,
}

impl Packer {
    /// Packs in these ways from now on.
    pub(super) fn accept(&mut self, ways: &[Packing]) {
        self.batches = ways.contains(&Packing::Batch);
        self.deflates = ways.contains(&Packing::Deflate);
    }

    /// Whether several messages can go in one frame.
    pub(super) fn batches(&self) -> bool {
        self.batches
    }

    /// Takes a message that only this client gets.
    pub(super) fn push(&mut self, json: Utf8Bytes, haste: Haste) {
        self.take(Parcel { json, is_shared: false }, haste);
    }

    /// Takes one that others get in the same place of memory. Alone in its frame it stays as it is, so that it costs each of
    /// them no copy and no compression.
    pub(super) fn push_shared(&mut self, json: Utf8Bytes, haste: Haste) {
        self.take(Parcel { json, is_shared: true }, haste);
    }

    /// The next frame that is to leave, asked for at the end of a turn; at once where [`Packer::is_full`].
    pub(super) fn poll_frame(&mut self, now: Instant) -> Option<Packed> {
        if self.waiting.is_empty() || self.poll_timeout().is_some_and(|due| now < due) {
            return None;
        }
        let count = self.fitting();
        self.hasty = self.hasty.saturating_sub(count);
        if self.batches {
            self.quiet_until = Some(now + TICK);
        }
        let frame = self.pack(count);
        self.waiting.shrink_to(KEPT_PLACES);
        frame
    }

    /// When [`Packer::poll_frame`] has something, if that is later than now.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.hasty == 0 && !self.waiting.is_empty() && !self.is_full();
        self.quiet_until.filter(|_| waits)
    }

    /// Whether as much waits as a frame holds.
    pub(super) fn is_full(&self) -> bool {
        !self.batches || self.waiting.len() >= MAX_BATCH_MESSAGES || self.waiting_bytes >= MAX_BATCH_BYTES
    }

    fn take(&mut self, parcel: Parcel, haste: Haste) {
        self.waiting_bytes += parcel.json.len();
        self.waiting.push_back(parcel);
        if haste == Haste::Now {
            self.hasty = self.waiting.len();
        }
    }

    /// How many of those that wait go in the next frame, at least one.
    fn fitting(&self) -> usize {
        if !self.batches {
            return 1;
        }
        let sizes = self.waiting.iter().scan(0, |bytes, parcel| {
            *bytes += parcel.json.len();
            Some(*bytes)
        });
        sizes.take(MAX_BATCH_MESSAGES).take_while(|bytes| *bytes <= MAX_BATCH_BYTES).count().max(1)
    }

    fn pack(&mut self, count: usize) -> Option<Packed> {
        if count > 1 {
            let array = self.batch(count);
            return Some(self.deflated(array));
        }
        let Parcel { json, is_shared } = self.waiting.pop_front()?;
        self.waiting_bytes -= json.len();
        Some(if is_shared { Packed::Text(json) } else { self.deflated(json) })
    }

    /// Takes so many messages as one array.
    fn batch(&mut self, count: usize) -> Utf8Bytes {
        let mut array = String::with_capacity(self.waiting_bytes + count + 1);
        for parcel in self.waiting.drain(..count) {
            array.push(if array.is_empty() { '[' } else { ',' });
            array.push_str(&parcel.json);
            self.waiting_bytes -= parcel.json.len();
        }
        array.push(']');
        array.into()
    }

    fn deflated(&self, text: Utf8Bytes) -> Packed {
        let is_worth_it = self.deflates && text.len() >= MIN_DEFLATE_BYTES;
        match is_worth_it.then(|| deflate::deflate(text.as_bytes())).flatten() {
            Some(shorter) => Packed::Binary(shorter),
            None => Packed::Text(text),
        }
    }
}

#[cfg(test)]
mod tests;
