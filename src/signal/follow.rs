//! One member's reading of its room's journal: what of it goes to the client, and from where on.

use std::sync::Arc;

use roundtable_protocol::{Event, EventBody, RoomState};
use tokio::sync::watch;

use crate::journal::{Journal, Read};

/// Events read from the journal at once.
const EVENTS_AT_ONCE: usize = 64;

/// Follows a journal from the state that the client begins with. It holds nothing but a number.
pub(super) struct Follower {
    journal: Arc<Journal>,
    changes: watch::Receiver<u64>,
    /// The last event the client has.
    seq: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Events for the client, in order. There may be none in a piece: chat does not come this way.
    Events(Vec<Arc<Event>>),
    /// The client has everything.
    UpToDate,
    /// What it lacks is not kept any more.
    Lost,
}

impl Follower {
    /// Begins with the state of now, which the client is to be given.
    pub(super) fn begin(journal: Arc<Journal>) -> (Self, RoomState) {
        let changes = journal.watch();
        let state = journal.state();
        (Self { journal, changes, seq: state.seq }, state)
    }

    /// Takes the next piece.
    pub(super) fn next(&mut self) -> Next {
        self.changes.mark_unchanged();
        let mut events = match self.journal.read_after(self.seq, EVENTS_AT_ONCE) {
            Read::Events(events) => events,
            Read::Reset(_) => return Next::Lost,
        };
        let Some(last) = events.last() else { return Next::UpToDate };
        self.seq = last.seq;
        // Members get chat from the shard, which knows whose channel is open.
        events.retain(|event| !matches!(event.body, EventBody::Chat { .. }));
        Next::Events(events)
    }

    /// Waits until there is something to take.
    pub(super) async fn changed(&mut self) {
        // The journal is held here, so the watch does not end.
        let _ = self.changes.changed().await;
    }
}

#[cfg(test)]
mod tests;
