//! What is to be measured: which message goes to whom, and which of them count.

use std::time::Duration;

use serde::Serialize;

use crate::options::{Events, Readings, Transports};

/// What messages come over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The WebSocket, in both directions.
    WebSocket,
    /// Server-sent events; written over WebSockets.
    Sse,
    /// Data channels, in both directions.
    Data,
}

/// To whom a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// To everybody in one room, as chat.
    Broadcast,
    /// To one of all, in turn: as data that names its receiver. An event stream shows its whole room, so there each reader
    /// has a room of its own, and the message is chat.
    Single,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) transport: Transport,
    pub(crate) reading: Reading,
    /// Who receives; the last of them are those that stall.
    pub(crate) connections: u32,
    pub(crate) stalled: u32,
    /// Messages a second.
    pub(crate) rate: u32,
    /// Seconds before the first window, and of each window.
    pub(crate) warmup: u32,
    pub(crate) seconds: u32,
}

/// The runs that are asked for.
pub(crate) fn plans(options: &Events) -> Vec<Plan> {
    let transports = match options.transport {
        Transports::Websocket => vec![Transport::WebSocket],
        Transports::Sse => vec![Transport::Sse],
        Transports::Data => vec![Transport::Data],
        Transports::All => vec![Transport::WebSocket, Transport::Sse, Transport::Data],
    };
    let readings = match options.reading {
        Readings::Broadcast => vec![Reading::Broadcast],
        Readings::Single => vec![Reading::Single],
        Readings::Both => vec![Reading::Broadcast, Reading::Single],
    };
    let Events { connections, rate, warmup, seconds, .. } = *options;
    let stalled = options.stalled.min(connections - 1); // There is at least one connection.
    let plan = |transport, reading| Plan { transport, reading, connections, stalled, rate, warmup, seconds };
    transports.iter().flat_map(|transport| readings.iter().map(|reading| plan(*transport, *reading))).collect()
}

impl Plan {
    /// Rooms: one, or one for each reader of an event stream that is to get something alone.
    pub(crate) fn rooms(&self) -> u32 {
        match (self.transport, self.reading) {
            (Transport::Sse, Reading::Single) => self.connections,
            _ => 1,
        }
    }

    /// Members who write: as many as keep the rate of chat of each below eight a second, or one in each room.
    pub(crate) fn writers(&self) -> u32 {
        self.rooms().max(self.rate.div_ceil(WRITER_RATE))
    }

    /// Receivers that count.
    pub(crate) fn watchers(&self) -> u32 {
        self.connections - self.stalled
    }

    /// Windows that count: before some stall, and after it.
    pub(crate) fn windows(&self) -> usize {
        if self.stalled > 0 { 2 } else { 1 }
    }

    /// The first message of each window, and the end of the last.
    pub(crate) fn bounds(&self) -> Vec<u32> {
        (0..=self.windows() as u32).map(|window| self.rate * (self.warmup + window * self.seconds)).collect()
    }

    /// Messages of the run.
    pub(crate) fn messages(&self) -> u32 {
        self.rate * (self.warmup + self.windows() as u32 * self.seconds)
    }

    /// When a message is due, after the beginning.
    pub(crate) fn due(&self, seq: u32) -> Duration {
        Duration::from_secs_f64(f64::from(seq) / f64::from(self.rate))
    }

    /// The window in which a message counts.
    pub(crate) fn window_of(&self, seq: u32) -> Option<usize> {
        let window = (seq / self.rate).checked_sub(self.warmup)? / self.seconds;
        Some(window as usize)
    }

    /// Whether a message is for a receiver.
    pub(crate) fn is_for(&self, seq: u32, receiver: u32) -> bool {
        self.reading == Reading::Broadcast || seq % self.connections == receiver
    }

    /// Deliveries to those who count.
    pub(crate) fn deliveries(&self) -> u64 {
        let (messages, watchers) = (u64::from(self.messages()), u64::from(self.watchers()));
        match self.reading {
            Reading::Broadcast => messages * watchers,
            Reading::Single => {
                let rounds = messages / u64::from(self.connections);
                rounds * watchers + (messages % u64::from(self.connections)).min(watchers)
            }
        }
    }
}

/// Below the rate of chat that a member has (`CHAT_PER_SECOND`), so that no jitter is refused.
const WRITER_RATE: u32 = 8;
