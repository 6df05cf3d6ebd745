//! The long poll of a room: its journal for clients that can hold no stream open.
//!
//! It is answered at once when there is something behind the number that the reader names, and otherwise when something
//! comes or the wait is over. While it waits nothing is queued for it.

use std::sync::Arc;
use std::time::Duration;

use roundtable_protocol::feed::EventPage;
use roundtable_protocol::{Event, RoomState};
use tokio::time::Instant;

use crate::journal::{Journal, Read, Told, text_bytes};

/// Events in one answer at most; the next poll has the rest.
pub(super) const EVENTS_PER_POLL: usize = 500;
/// An answer ends with the event by which its text grows past this, in bytes.
pub(super) const POLL_TEXT_BYTES: usize = 256 * 1024;

/// Reads what is behind an event, or the state if the reader has none that means something.
pub(super) async fn poll(journal: &Arc<Journal>, after: Option<u64>, wait: Duration) -> EventPage {
    let Some(after) = after else { return reset(journal, journal.state()) };
    let deadline = Instant::now() + wait;
    let mut changes = journal.watch();
    loop {
        changes.mark_unchanged();
        // Looked at before the read: what was closed then has all its events in it.
        let closed = journal.is_closed();
        match journal.read_after(after, EVENTS_PER_POLL) {
            Read::Reset(state) => return reset(journal, state),
            Read::Events(events) if events.is_empty() && !closed => {
                if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                    return page(journal, after);
                }
            }
            Read::Events(events) => return with_events(journal, after, events, closed),
        }
    }
}

/// An answer to who has everything there will ever be.
pub(super) fn over(journal: &Journal) -> EventPage {
    EventPage { closed: true, ..page(journal, journal.last_seq()) }
}

fn with_events(journal: &Journal, after: u64, events: Vec<Arc<Told>>, closed: bool) -> EventPage {
    let mut answer = page(journal, after);
    let mut bytes = 0;
    for event in events {
        bytes += text_bytes(&event);
        answer.next = id(journal, event.seq);
        answer.closed = closed && event.seq >= journal.last_seq();
        answer.events.push(Event::clone(event.event()));
        if bytes >= POLL_TEXT_BYTES {
            break;
        }
    }
    answer.closed |= closed && after >= journal.last_seq();
    answer
}

fn reset(journal: &Journal, state: RoomState) -> EventPage {
    let closed = state.closed;
    EventPage { closed, reset: Some(state.clone()), ..page(journal, state.seq) }
}

fn page(journal: &Journal, seq: u64) -> EventPage {
    let (room, epoch) = (journal.room().clone(), journal.epoch());
    EventPage { room, epoch, reset: None, events: Vec::new(), next: id(journal, seq), closed: false }
}

fn id(journal: &Journal, seq: u64) -> String {
    format!("{}-{seq}", journal.epoch())
}
