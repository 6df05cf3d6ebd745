//! One event as its readers get it, and its JSON, which is written once for all of them.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use roundtable_protocol::{Event, ServerMessage};

/// An event of a journal. It is its event wherever that is asked for.
#[derive(Debug)]
pub struct Told {
    event: Arc<Event>,
    /// The JSON of the message that brings it to a member; written when the first reader needs it.
    message: OnceLock<Bytes>,
}

impl Told {
    /// An event whose JSON nobody has needed so far.
    #[must_use]
    pub fn new(event: Arc<Event>) -> Self {
        Self { event, message: OnceLock::new() }
    }

    /// The event itself.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// The JSON of [`ServerMessage::Event`]: all who ask get the same bytes, in one place of memory.
    #[must_use]
    pub fn message(&self) -> Bytes {
        let write = || {
            let message = ServerMessage::Event { event: Event::clone(&self.event) };
            // None of our types has a map with keys that are no strings, the one thing that fails.
            serde_json::to_vec(&message).unwrap_or_default().into()
        };
        self.message.get_or_init(write).clone()
    }

    /// The JSON of the event alone, which is a part of the message.
    #[must_use]
    pub fn json(&self) -> Bytes {
        let message = self.message();
        message.slice(BEFORE.len().min(message.len())..message.len().saturating_sub(AFTER.len()).max(BEFORE.len()))
    }

    /// The same event without its JSON: for one that is old, and that few will ask for.
    pub(super) fn bare(&self) -> Self {
        Self::new(Arc::clone(&self.event))
    }

    /// Whether its JSON is kept.
    #[cfg(test)]
    pub(super) fn is_written(&self) -> bool {
        self.message.get().is_some()
    }
}

impl Deref for Told {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}

/// What stands in the message before the event, …
const BEFORE: &str = r#"{"type":"event","event":"#;
/// … and behind it.
const AFTER: &str = "}";

#[cfg(test)]
mod tests {
    use roundtable_protocol::event::{ChatMessage, EventBody};
    use roundtable_protocol::{MemberId, MessageId};

    use super::*;

    fn bodies() -> [EventBody; 2] {
        let member = MemberId::new("ann").unwrap();
        let (id, text) = (MessageId::new("m").unwrap(), "line\nbreak \u{1f642} \"}".to_owned());
        let message = ChatMessage { id, seq: 9, at: 1, member: member.clone(), name: "Ann".into(), text, nonce: None };
        [EventBody::Speaking { member, speaking: true }, EventBody::Chat { message }]
    }

    #[test]
    fn all_readers_get_the_same_bytes_and_they_are_those_of_the_event() {
        for body in bodies() {
            let event = Event { seq: 9, at: 1, body };
            let told = Told::new(Arc::new(event.clone()));
            assert!(!told.is_written(), "nobody has asked");
            assert_eq!(told.message(), serde_json::to_vec(&ServerMessage::Event { event: event.clone() }).unwrap());
            assert_eq!(told.json(), serde_json::to_vec(&event).unwrap());
            let places: Vec<*const u8> = (0..1_000).map(|_| told.message().as_ptr()).collect();
            assert!(places.iter().all(|place| *place == told.message().as_ptr()), "written once");
            assert!(told.message().as_ptr_range().contains(&told.json().as_ptr()), "the event is a part of it");
            assert!(!told.bare().is_written() && told.bare() == told);
        }
    }
}
