//! One thing for the store's thread to write.

use std::sync::Arc;

use roundtable_protocol::event::attribute_bytes;
use roundtable_protocol::{Event, EventBody, MessageId, RoomId};

use super::config::RoomRetention;
use super::error::StoreError;
use super::shape::{Append, Session, Then};

/// What is to be written, and who is told.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) told: Told,
}

/// Who is told of the outcome.
pub(super) enum Told {
    /// Whether it was done.
    Done(Then),
    /// The new version of the record too.
    Version(Box<dyn FnOnce(Result<u64, StoreError>) + Send>),
}

/// What is to be written. Applying one twice is the same as once, since a batch that failed is tried again.
pub(super) enum Work {
    Append(Append),
    EditChat {
        room: RoomId,
        id: MessageId,
        text: String,
        at: u64,
    },
    DeleteChat {
        room: RoomId,
        id: MessageId,
    },
    OpenRoom {
        room: RoomId,
        epoch: u64,
        key: Option<String>,
        at: u64,
    },
    CloseRoom {
        room: RoomId,
        epoch: u64,
    },
    PutSnapshot {
        room: RoomId,
        epoch: u64,
        json: String,
    },
    PutSession(Session),
    RemoveSession {
        token_hash: [u8; 32],
    },
    SetRetention {
        room: RoomId,
        retention: RoomRetention,
    },
    PutRecord(PutRecord),
    DeleteRecord {
        kind: String,
        key: String,
    },
    /// What is too old goes. Done beside the others, bit by bit.
    Prune {
        now: u64,
    },
    /// Nothing: it is done when everything before it is.
    Flush,
}

/// A record that is to be written.
pub(super) struct PutRecord {
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) expires: Option<u64>,
    /// The version that it must have; `Some(0)` if it must not be there.
    pub(super) expected: Option<u64>,
}

impl Told {
    /// Tells it. `outcome` is the version of a record, or 0.
    pub(super) fn tell(self, outcome: Result<u64, StoreError>) {
        match self {
            Self::Done(then) => then(outcome.map(drop)),
            Self::Version(then) => then(outcome),
        }
    }
}

impl Work {
    /// Whether a text goes that must not be found on the disk afterwards.
    pub(super) fn erases(&self) -> bool {
        let takes =
            |event: &Arc<Event>| matches!(event.body, EventBody::ChatEdited { .. } | EventBody::ChatDeleted { .. });
        match self {
            Self::EditChat { .. } | Self::DeleteChat { .. } => true,
            Self::Append(append) => append.events.iter().any(takes),
            _ => false,
        }
    }

    /// Events in it.
    pub(super) fn events(&self) -> u64 {
        match self {
            Self::Append(append) => append.events.len() as u64,
            _ => 0,
        }
    }

    /// How much of the queue's count it takes.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Append(append) => append.events.len().max(1),
            _ => 1,
        }
    }

    /// How much memory it holds, in bytes, more or less.
    pub(super) fn bytes(&self) -> usize {
        JOB_BYTES
            + match self {
                Self::Append(append) => append.events.iter().map(|event| event_bytes(event)).sum(),
                Self::EditChat { text, .. } => text.len(),
                Self::PutSnapshot { json, .. } | Self::PutSession(Session { json, .. }) => json.len(),
                Self::OpenRoom { key, .. } => key.as_ref().map_or(0, String::len),
                Self::PutRecord(put) => put.kind.len() + put.key.len() + put.value.len(),
                Self::DeleteRecord { kind, key } => kind.len() + key.len(),
                _ => 0,
            }
    }
}

/// What a job weighs beside its texts.
const JOB_BYTES: usize = 256;
/// What an event weighs beside the strings that people choose.
const EVENT_BYTES: usize = 256;

fn event_bytes(event: &Event) -> usize {
    EVENT_BYTES
        + match &event.body {
            EventBody::Chat { message } => message.name.len() + message.text.len(),
            EventBody::ChatEdited { text, .. } => text.len(),
            EventBody::Joined { member } => member.name.len(),
            EventBody::MemberUpdated { name, metadata, attributes, .. } => {
                name.len() + metadata.as_ref().map_or(0, String::len) + attribute_bytes(attributes)
            }
            EventBody::Audience { listed, counted, .. } => {
                listed.iter().map(|member| EVENT_BYTES + member.name.len()).sum::<usize>() + counted.len() * EVENT_BYTES
            }
            _ => 0,
        }
}
