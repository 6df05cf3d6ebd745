//! What happens in a room, for the application that embeds it.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use roundtable_protocol::{Event, RoomState};
use tokio::sync::watch;

use crate::journal::{Journal, Read};

/// Events taken from the journal at once.
const BATCH: usize = 64;

/// A room's events from now on, in order and without a gap.
///
/// The journal keeps the latest two thousand or so, and with a data directory more. A reader that falls further behind is
/// told with [`Update::Reset`] and never loses anything in silence.
#[derive(Debug)]
pub struct Events {
    journal: Arc<Journal>,
    changes: watch::Receiver<u64>,
    state: RoomState,
    pending: VecDeque<Arc<Event>>,
}

/// One step of [`Events`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// Something happened.
    Event(Arc<Event>),
    /// The reader was too slow and missed events; this is the room after them.
    Reset(RoomState),
}

impl Events {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        Self { changes: journal.watch(), state: journal.state(), journal, pending: VecDeque::new() }
    }

    /// Waits for the next event; `None` once the room is over. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.state.apply(&event);
                return Some(Update::Event(event));
            }
            if self.state.closed {
                return None;
            }
            self.changes.borrow_and_update();
            match self.journal.read(self.state.seq, BATCH).await {
                Read::Events(events) if events.is_empty() => self.changes.changed().await.ok()?,
                Read::Events(events) => {
                    self.pending = events.iter().map(|told| Arc::clone(told.event())).collect();
                }
                Read::Reset(state) => {
                    self.state = state.clone();
                    return Some(Update::Reset(state));
                }
            }
        }
    }

    /// The room as it was after the last update returned, or when this was made.
    #[must_use]
    pub fn state(&self) -> &RoomState {
        &self.state
    }

    /// The same as a stream.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Update> {
        let step = |mut events: Self| async {
            let update = events.next().await?;
            Some((update, events))
        };
        stream::unfold(self, step).boxed()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use roundtable_protocol::event::{EventBody, MemberInfo, RoomCloseReason};
    use roundtable_protocol::{MemberId, RoomId};

    use super::*;
    use crate::journal::MAX_EVENTS;

    fn journal() -> Arc<Journal> {
        Journal::new(RoomId::new("r").unwrap(), 1, None)
    }

    fn join(journal: &Journal, id: &str) {
        let member = MemberInfo::guest(MemberId::new(id).unwrap(), id.to_owned());
        journal.append(Event { seq: 0, at: 0, body: EventBody::Joined { member } });
    }

    fn next(events: &mut Events) -> Option<Option<Update>> {
        events.next().now_or_never()
    }

    #[test]
    fn events_come_in_order_from_now_until_the_room_is_over() {
        let journal = journal();
        join(&journal, "before");
        let mut events = Events::new(Arc::clone(&journal));
        assert_eq!(events.state().members.len(), 1, "what was before is in the state");
        assert_eq!(next(&mut events), None, "nothing new yet");

        join(&journal, "ann");
        join(&journal, "bob");
        for seq in [2, 3] {
            assert!(matches!(next(&mut events), Some(Some(Update::Event(event))) if event.seq == seq));
            assert_eq!(events.state().seq, seq);
        }
        journal.append(Event { seq: 0, at: 0, body: EventBody::RoomClosed { reason: RoomCloseReason::Empty } });
        assert!(matches!(next(&mut events), Some(Some(Update::Event(event))) if event.seq == 4));
        assert_eq!(next(&mut events), Some(None));
        assert_eq!(events.into_stream().next().now_or_never(), Some(None), "as a stream too");
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told() {
        let journal = journal();
        let mut events = Events::new(Arc::clone(&journal));
        for _ in 0..=MAX_EVENTS {
            join(&journal, "ann");
        }
        let Some(Some(Update::Reset(state))) = next(&mut events) else { panic!("no reset") };
        assert_eq!(state, journal.state());
        assert_eq!(next(&mut events), None, "and goes on from there");
    }
}
