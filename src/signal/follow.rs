//! One member's reading of its room's journal: what of it goes to the client, and from where on.

use std::sync::Arc;

use roundtable_protocol::{EventBody, RoomState};
use tokio::sync::watch;

use crate::journal::{Journal, Read, Told};

/// Events read from the journal at once.
const EVENTS_AT_ONCE: usize = 64;

/// Follows a journal from the state that the client begins with. It holds nothing but a number.
pub(super) struct Follower {
    journal: Arc<Journal>,
    changes: watch::Receiver<u64>,
    /// The last event the client has.
    seq: u64,
    /// Chat up to this event comes this way; what is written later comes from the shard.
    chat_until: u64,
    /// Whether it is woken by chat as well, since it lacks some that comes this way.
    hears_chat: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// Events for the client, in order. There may be none in a piece: chat comes this way only to who has missed it.
    Events(Vec<Arc<Told>>),
    /// The client has everything.
    UpToDate,
    /// What it lacks is not kept any more.
    Lost,
}

impl Follower {
    /// Begins with the state of now, which the client is to be given.
    pub(super) fn begin(journal: Arc<Journal>) -> (Self, RoomState) {
        let changes = journal.watch_but_chat();
        let state = journal.state();
        (Self { journal, changes, seq: state.seq, chat_until: state.seq, hears_chat: false }, state)
    }

    /// Goes on after the last event that the client has. Chat is among what follows up to event `chat_until`. With what
    /// the client has missed is not kept any more comes the state that it is to begin with again.
    pub(super) async fn resume(journal: Arc<Journal>, seq: u64, chat_until: u64) -> (Self, Option<RoomState>) {
        if let Read::Reset(_) = journal.read(seq, 1).await {
            let (follower, state) = Self::begin(journal);
            return (follower, Some(state));
        }
        let mut changes = journal.watch();
        changes.mark_changed();
        (Self { journal, changes, seq, chat_until, hears_chat: true }, None)
    }

    /// Takes the next piece, from the store if it must be.
    pub(super) async fn next(&mut self) -> Next {
        if self.hears_chat && self.seq >= self.chat_until {
            self.changes = self.journal.watch_but_chat();
            self.hears_chat = false;
        }
        self.changes.mark_unchanged();
        let read = self.journal.read(self.seq, EVENTS_AT_ONCE).await;
        self.take(read)
    }

    fn take(&mut self, read: Read) -> Next {
        let mut events = match read {
            Read::Events(events) => events,
            Read::Reset(_) => return Next::Lost,
        };
        let Some(last) = events.last() else { return Next::UpToDate };
        self.seq = last.seq;
        // Members get chat from the shard, which knows whose channel is open.
        events.retain(|event| event.seq <= self.chat_until || !matches!(event.body, EventBody::Chat { .. }));
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
