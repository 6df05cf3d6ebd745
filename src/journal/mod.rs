//! A room's numbered events, kept for a while so that every reader can catch up by number.
//!
//! One shard appends; WebSocket sessions and SSE streams read at their own pace, each holding
//! nothing but the number of the last event it has. Who falls out of the ring gets the folded
//! state instead, and never holds anybody up.
//!
//! In a room of many people most come and go without an event of their own: the room tells their
//! number from time to time. Beside the events stands everybody who is here now, to be read page
//! by page (`docs/decisions/0012-audiences-are-counted.md`).

pub mod ledger;
mod roster;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roundtable_protocol::event::MemberInfo;
use roundtable_protocol::{Event, EventBody, MemberId, RoomId, RoomState};
use tokio::sync::watch;

use self::ledger::Ledger;
pub use self::roster::Page;
use self::roster::Roster;

/// Events a journal keeps; the oldest goes when one more comes.
pub const MAX_EVENTS: usize = 2048;
/// Text a journal keeps, in bytes; the oldest events go until the rest fits. The newest always stays.
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// What a room's readers share: its latest events and its state.
#[derive(Debug)]
pub struct Journal {
    room: RoomId,
    epoch: u64,
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
    /// Where the events of all rooms are gathered.
    ledger: Option<Arc<Ledger>>,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The events behind its number, in order and without a gap; empty when it is up to date.
    Events(Vec<Arc<Event>>),
    /// Its number is too old or was never given out: start again from this state.
    Reset(RoomState),
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    text_bytes: usize,
    /// Shared with readers who copy it outside of the lock; the writer copies it only while one does.
    state: Arc<RoomState>,
    roster: Roster,
}

impl Journal {
    /// Begins the journal of one life of a room. `epoch` tells its lives apart.
    #[must_use]
    pub fn new(room: RoomId, epoch: u64) -> Self {
        let state = Arc::new(RoomState::new(room.clone(), epoch));
        let ring = Mutex::new(Ring { events: VecDeque::new(), text_bytes: 0, state, roster: Roster::default() });
        Self { room, epoch, ring, last: watch::Sender::new(0), ledger: None }
    }

    /// Hands each event on to the ledger of all rooms as well, in the order of its numbers.
    #[must_use]
    pub fn with_ledger(self, ledger: Arc<Ledger>) -> Self {
        Self { ledger: Some(ledger), ..self }
    }

    /// Appends an event and wakes the readers. The journal numbers it: its `seq`, and that of the
    /// chat message it may hold, become one more than the last. Returns that number.
    ///
    /// Only the room's shard appends. After `roomClosed` nothing is taken any more.
    pub fn append(&self, mut event: Event) -> u64 {
        let seq = {
            let mut ring = self.lock();
            if ring.state.closed {
                return ring.state.seq;
            }
            let seq = ring.state.seq + 1;
            event.seq = seq;
            if let EventBody::Chat { message } = &mut event.body {
                message.seq = seq;
            }
            let event = ring.push(event);
            if let Some(ledger) = &self.ledger {
                // Below the lock, so that the ledger has the events of a room in their order.
                ledger.push(&self.room, self.epoch, event);
            }
            seq
        };
        self.last.send_replace(seq);
        if let Some(ledger) = &self.ledger {
            ledger.wake();
        }
        seq
    }

    /// Notes that somebody entered who is counted: no event, and nobody is woken.
    pub fn enter(&self, member: &MemberInfo) {
        let mut ring = self.lock();
        if !ring.state.closed {
            ring.roster.enter(member);
        }
    }

    /// Notes that somebody is gone who was counted.
    pub fn exit(&self, member: &MemberId) {
        self.lock().roster.exit(member);
    }

    /// The room's id.
    #[must_use]
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// Which life of the room this is.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the last event, 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.lock().state.seq
    }

    /// Whether the room is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().state.closed
    }

    /// The room after its last event.
    #[must_use]
    pub fn state(&self) -> RoomState {
        RoomState::clone(&self.shared_state())
    }

    /// The same, without a copy. Let go of it soon: while it is held, the next event costs a copy.
    #[must_use]
    pub fn shared_state(&self) -> Arc<RoomState> {
        Arc::clone(&self.lock().state)
    }

    /// People in the room at this moment, listed or counted.
    #[must_use]
    pub fn population(&self) -> usize {
        self.lock().roster.len()
    }

    /// At most `at_most` of them, in order of joining, behind the end of an earlier page; 0 for the first.
    #[must_use]
    pub fn people_after(&self, after: u64, at_most: usize) -> Page {
        self.lock().roster.page(after, at_most)
    }

    /// The events after the one numbered `seq`, at most `at_most` of them.
    #[must_use]
    pub fn read_after(&self, seq: u64, at_most: usize) -> Read {
        let state = {
            let ring = self.lock();
            match ring.read_after(seq, at_most) {
                Some(events) => return Read::Events(events),
                None => Arc::clone(&ring.state),
            }
        };
        Read::Reset(RoomState::clone(&state))
    }

    /// Tells the number of the last event whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// A reader or writer that panicked left the ring whole: every change of it is complete before
    /// anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, event: Event) -> Arc<Event> {
        match &event.body {
            EventBody::Joined { member } => self.roster.enter(member),
            EventBody::Left { member, .. } => self.roster.exit(member),
            EventBody::RoomClosed { .. } => self.roster.clear(),
            _ => {}
        }
        Arc::make_mut(&mut self.state).apply(&event);
        self.text_bytes += text_bytes(&event);
        let event = Arc::new(event);
        self.events.push_back(Arc::clone(&event));
        while self.events.len() > MAX_EVENTS || (self.text_bytes > MAX_TEXT_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.text_bytes -= text_bytes(&oldest);
        }
        event
    }

    fn read_after(&self, seq: u64, at_most: usize) -> Option<Vec<Arc<Event>>> {
        let last = self.state.seq;
        // The ring holds the numbers `last - len + 1 ..= last`.
        let missing = usize::try_from(last.checked_sub(seq)?).ok()?;
        let skip = self.events.len().checked_sub(missing)?;
        Some(self.events.iter().skip(skip).take(at_most).cloned().collect())
    }
}

/// What an event weighs: the strings that people choose. The rest is bounded by [`MAX_EVENTS`].
#[must_use]
pub fn text_bytes(event: &Event) -> usize {
    match &event.body {
        EventBody::Joined { member } => member.name.len(),
        EventBody::Audience { listed, counted, .. } => {
            let listed = listed.iter().map(|member| member.name.len() + member.id.as_str().len());
            let counted = counted.iter().map(|member| member.as_str().len());
            listed.chain(counted).sum()
        }
        EventBody::Published { track } => track.codec.len(),
        EventBody::Chat { message } => message.name.len() + message.text.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
