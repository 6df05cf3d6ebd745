//! Puts handshake messages together, so that the engine never sees a fragment.
//!
//! The engine's own buffer recurses once per fragment and counts payload only; one-byte and empty fragments would
//! exhaust its stack and our memory. Here a message costs at most twice its length, and a fragment nothing beyond it.

use std::collections::BTreeMap;

use super::record::{Fragment, MAX_MESSAGE_SEQ};

/// The handshake messages on their way, by number.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    /// At most `MAX_MESSAGE_SEQ` + 1 messages of at most `MAX_MESSAGE_LEN` bytes.
    messages: BTreeMap<u16, Partial>,
}

/// A handshake message, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) message_type: u8,
    pub(super) message_seq: u16,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
struct Partial {
    message_type: u8,
    body: Vec<u8>,
    known: Vec<bool>,
    missing: usize,
}

impl Reassembly {
    /// Adds one fragment. One that contradicts what came before it starts the message afresh: a repeated flight must be
    /// able to heal what a stray datagram spoiled.
    pub(super) fn push(&mut self, fragment: &Fragment<'_>) {
        debug_assert!(fragment.message_seq <= MAX_MESSAGE_SEQ, "the record walk refuses higher numbers");
        let fresh = || Partial::new(fragment.message_type, fragment.message_len);
        let partial = self.messages.entry(fragment.message_seq).or_insert_with(fresh);
        if partial.message_type != fragment.message_type || partial.body.len() != fragment.message_len {
            *partial = fresh();
        }
        partial.fill(fragment.offset, fragment.data);
    }

    /// Takes a message out once it is whole.
    pub(super) fn take(&mut self, message_seq: u16) -> Option<Message> {
        self.messages.get(&message_seq).filter(|partial| partial.missing == 0)?;
        let Partial { message_type, body, .. } = self.messages.remove(&message_seq)?;
        Some(Message { message_type, message_seq, body })
    }

    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.messages.values().map(|partial| partial.body.len() + partial.known.len()).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

impl Partial {
    fn new(message_type: u8, len: usize) -> Self {
        Self { message_type, body: vec![0; len], known: vec![false; len], missing: len }
    }

    fn fill(&mut self, offset: usize, data: &[u8]) {
        let slots = self.body.iter_mut().zip(&mut self.known).skip(offset);
        for ((slot, known), byte) in slots.zip(data) {
            self.missing -= usize::from(!*known); // As many are missing as are not known.
            (*slot, *known) = (*byte, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(message_seq: u16, message_len: usize, offset: usize, data: &[u8]) -> Fragment<'_> {
        Fragment { message_type: 1, message_len, message_seq, offset, data }
    }

    #[test]
    fn fragments_in_any_order_with_overlaps_make_the_message() {
        let mut reassembly = Reassembly::default();
        for (offset, data) in [(4, &b"efgh"[..]), (0, b"ab"), (6, b"ghij"), (1, b"bcd")] {
            assert_eq!(reassembly.take(0), None);
            reassembly.push(&fragment(0, 10, offset, data));
        }
        let message = reassembly.take(0).expect("all ten bytes came");
        assert_eq!((message.body.as_slice(), message.message_seq), (&b"abcdefghij"[..], 0));
        assert_eq!(reassembly.take(0), None, "taken once");
    }

    #[test]
    fn a_contradicting_fragment_does_not_spoil_the_message_for_ever() {
        let mut reassembly = Reassembly::default();
        reassembly.push(&fragment(2, 16_000, 15_000, b"forged"));
        reassembly.push(&fragment(2, 4, 0, b"real"));
        assert_eq!(reassembly.take(2).expect("whole").body, b"real");
    }
}
