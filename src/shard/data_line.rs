//! What a member's data needs to be remembered: how fast it publishes, what it follows, and what waits for its channels.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use roundtable_protocol::limit::{
    DATA_BURST, DATA_BYTES_BURST, DATA_BYTES_PER_SECOND, DATA_PER_SECOND, DOC_REQUESTS_BURST, DOC_REQUESTS_PER_SECOND,
};
use roundtable_protocol::{DATA_CHANNEL_LABEL, LOSSY_CHANNEL_LABEL};
use roundtable_transport::peer::{MessageKind, Peer, SendError};

use crate::rate::Rate;
use crate::room::topic::Topics;

/// Bytes that wait for one receiver besides those in its channel.
const MAX_QUEUED_BYTES: usize = 1024 * 1024;
/// Messages that wait for one receiver besides those in its channel.
const MAX_QUEUED: usize = 1024;

/// What the home knows of a member's data.
#[derive(Debug)]
pub struct MemberData {
    /// Messages it may publish, …
    pub messages: Rate,
    /// … their bytes, …
    pub bytes: Rate,
    /// … and its questions for documents.
    pub documents: Rate,
    /// What it follows.
    pub topics: Arc<Topics>,
}

impl MemberData {
    /// A member that follows everything and has published nothing.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            messages: Rate::new(now, DATA_PER_SECOND, DATA_BURST),
            bytes: Rate::new(now, DATA_BYTES_PER_SECOND, DATA_BYTES_BURST),
            documents: Rate::new(now, DOC_REQUESTS_PER_SECOND, DOC_REQUESTS_BURST),
            topics: Arc::default(),
        }
    }
}

/// The data channels of a peer connection, and what waits for them.
#[derive(Debug, Default)]
pub struct DataLine {
    reliable: Option<u16>,
    lossy: Option<u16>,
    /// What waits for the reliable one, at most [`MAX_QUEUED`] and [`MAX_QUEUED_BYTES`].
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Whether something was dropped since the queue was last empty.
    slow: bool,
}

/// What became of a message for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The channel has it.
    Sent,
    /// It waits.
    Queued,
    /// It was dropped; whether it is the first one since there was room.
    Dropped {
        /// Which of both.
        is_first: bool,
    },
    /// There is no such channel.
    NoChannel,
}

impl DataLine {
    /// Notes a channel, if it is one for data and the first of its kind.
    pub fn opened(&mut self, id: u16, label: &str) {
        let place = match label {
            DATA_CHANNEL_LABEL => &mut self.reliable,
            LOSSY_CHANNEL_LABEL => &mut self.lossy,
            _ => return,
        };
        place.get_or_insert(id);
    }

    /// Forgets a channel; returns how many messages waited for it.
    pub fn closed(&mut self, id: u16) -> usize {
        if self.lossy == Some(id) {
            self.lossy = None;
        }
        if self.reliable != Some(id) {
            return 0;
        }
        self.reliable = None;
        self.queued = 0;
        self.queue.drain(..).count()
    }

    /// Whether a channel is one for data, and if so, whether it is the lossy one.
    #[must_use]
    pub fn kind(&self, id: u16) -> Option<bool> {
        if self.reliable == Some(id) { Some(false) } else { (self.lossy == Some(id)).then_some(true) }
    }

    /// Gives a message to its channel, or to the queue.
    pub fn offer(&mut self, now: Instant, transport: &mut Peer, lossy: bool, frame: &Bytes) -> Offered {
        let Some(id) = (if lossy { self.lossy } else { self.reliable }) else { return Offered::NoChannel };
        if lossy || self.queue.is_empty() {
            match transport.send_message(now, id, MessageKind::Binary, frame) {
                Ok(()) => return Offered::Sent,
                Err(SendError::Full) if lossy => return Offered::Dropped { is_first: false },
                Err(SendError::Full) => {}
                Err(_) => return Offered::NoChannel,
            }
        }
        if self.queue.len() == MAX_QUEUED || self.queued + frame.len() > MAX_QUEUED_BYTES {
            return Offered::Dropped { is_first: !std::mem::replace(&mut self.slow, true) };
        }
        self.queued += frame.len();
        self.queue.push_back(frame.clone());
        Offered::Queued
    }

    /// A channel for refusals: any that is open.
    #[must_use]
    pub fn any(&self) -> Option<u16> {
        self.reliable.or(self.lossy)
    }

    /// Sends what waits, as far as it goes.
    pub fn drain(&mut self, now: Instant, transport: &mut Peer) {
        let Some(id) = self.reliable else { return };
        while let Some(frame) = self.queue.front() {
            if transport.send_message(now, id, MessageKind::Binary, frame).is_err() {
                return;
            }
            self.queued -= frame.len();
            self.queue.pop_front();
        }
        self.slow = false;
    }
}
