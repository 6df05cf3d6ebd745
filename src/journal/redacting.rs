//! What a chat message said before it was edited or deleted is taken out of the events of before.

use std::sync::Arc;

use roundtable_protocol::{Event, EventBody, MessageId};

use super::{Ring, Told, text_bytes};

impl Ring {
    /// Takes out of the ring what an event that comes in takes away.
    pub(super) fn redact(&mut self, event: &Event) {
        match &event.body {
            EventBody::ChatEdited { message, text, .. } => self.replace(message, Some(text)),
            EventBody::ChatDeleted { message, .. } => self.replace(message, None),
            _ => {}
        }
    }

    /// Gives each event about a message the present text, or none.
    fn replace(&mut self, id: &MessageId, text: Option<&str>) {
        for event in &mut self.events {
            if !is_about(event, id) {
                continue;
            }
            self.text_bytes -= text_bytes(event);
            let mut present = Event::clone(event.event());
            put(&mut present.body, text);
            // A new event, so that its JSON is written anew; who holds that of before lets go of it once it is sent.
            *event = Arc::new(Told::new(Arc::new(present)));
            self.text_bytes += text_bytes(event);
        }
    }
}

/// Whether an event holds words of a message.
fn is_about(event: &Event, id: &MessageId) -> bool {
    match &event.body {
        EventBody::Chat { message } => message.id == *id,
        EventBody::ChatEdited { message, .. } => message == id,
        _ => false,
    }
}

fn put(body: &mut EventBody, present: Option<&str>) {
    match body {
        EventBody::Chat { message } => {
            present.unwrap_or_default().clone_into(&mut message.text);
            if present.is_none() {
                message.name.clear();
            }
        }
        EventBody::ChatEdited { text, .. } => present.unwrap_or_default().clone_into(text),
        _ => {}
    }
}
