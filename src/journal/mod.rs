//! A room's numbered events, kept for a while so that every reader can catch up by number.
//!
//! One shard appends; WebSocket sessions and SSE streams read at their own pace, each holding
//! nothing but the number of the last event it has. Who falls out of the ring gets the folded
//! state instead, and never holds anybody up.
//!
//! With a store behind it an event is numbered first, then kept, and only then shown to anybody: what somebody has read
//! is there again after the process was killed.
//!
//! In a room of many people most come and go without an event of their own: the room tells their
//! number from time to time. Beside the events stands everybody who is here now, to be read page
//! by page (`docs/decisions/0012-audiences-are-counted.md`).

mod keeping;
pub mod ledger;
mod redacting;
mod roster;
mod told;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use roundtable_protocol::event::{MemberInfo, attribute_bytes};
use roundtable_protocol::{Event, EventBody, MemberId, RoomId, RoomState};
use tokio::sync::watch;

pub use self::keeping::Keeper;
use self::ledger::Ledger;
pub use self::roster::Page;
use self::roster::Roster;
pub use self::told::Told;

/// Events a journal keeps; the oldest goes when one more comes.
pub const MAX_EVENTS: usize = 2048;
/// Text a journal keeps, in bytes; the oldest events go until the rest fits. The newest always stays.
pub const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// The newest events of a journal whose JSON is kept once somebody has read it. It is dropped of older ones, and written
/// anew for whoever is so far behind.
pub const MAX_WRITTEN: usize = 128;
/// Who gets chat by another way is woken by each event of such a number, so that it does not fall out of the ring.
const WAKE_EVERY: u64 = 128;

/// What a room's readers share: its latest events and its state.
#[derive(Debug)]
pub struct Journal {
    room: RoomId,
    epoch: u64,
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
    /// The same, but that chat alone does not change it.
    last_but_chat: watch::Sender<u64>,
    keeper: Option<Keeper>,
    me: Weak<Self>,
    /// Where the events of all rooms are gathered.
    ledger: Option<Arc<Ledger>>,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The events behind its number, in order and without a gap; empty when it is up to date.
    Events(Vec<Arc<Told>>),
    /// Its number is too old or was never given out: start again from this state.
    Reset(RoomState),
}

#[derive(Debug)]
struct Ring {
    /// The last number that was given out.
    numbered: u64,
    /// Whether the room's end has been numbered, so that nothing is taken any more.
    ending: bool,
    /// Numbered, but not kept yet: nobody has seen them. The store's queue bounds them.
    unkept: VecDeque<Arc<Event>>,
    events: VecDeque<Arc<Told>>,
    text_bytes: usize,
    /// Shared with readers who copy it outside of the lock; the writer copies it only while one does.
    state: Arc<RoomState>,
    roster: Roster,
}

impl Journal {
    /// Begins the journal of one life of a room, of events that `keeper` keeps if there is one. `epoch` tells its lives apart.
    #[must_use]
    #[cfg(test)]
    pub fn new(room: RoomId, epoch: u64, keeper: Option<Keeper>) -> Arc<Self> {
        Self::again(RoomState::new(room, epoch), Vec::new(), keeper, None)
    }

    /// The same, whose events are handed on to the ledger of all rooms as well, in the order of their numbers.
    #[must_use]
    pub fn with_ledger(room: RoomId, epoch: u64, keeper: Option<Keeper>, ledger: Arc<Ledger>) -> Arc<Self> {
        Self::again(RoomState::new(room, epoch), Vec::new(), keeper, Some(ledger))
    }

    /// The journal of a room as it stood when the process before this one ended: its last events, and the state after them.
    #[must_use]
    pub fn again(
        state: RoomState,
        events: Vec<Event>,
        keeper: Option<Keeper>,
        ledger: Option<Arc<Ledger>>,
    ) -> Arc<Self> {
        let (room, epoch, seq) = (state.room.clone(), state.epoch, state.seq);
        let text_bytes = events.iter().map(text_bytes).sum();
        let ring = Mutex::new(Ring {
            numbered: seq,
            ending: false,
            unkept: VecDeque::new(),
            events: events.into_iter().map(|event| Arc::new(Told::new(Arc::new(event)))).collect(),
            text_bytes,
            state: Arc::new(state),
            roster: Roster::default(),
        });
        let (last, last_but_chat) = (watch::Sender::new(seq), watch::Sender::new(seq));
        Arc::new_cyclic(|me| Self { room, epoch, ring, last, last_but_chat, keeper, me: me.clone(), ledger })
    }

    /// Appends an event and wakes the readers. The journal numbers it: its `seq`, and that of the
    /// chat message it may hold, become one more than the last. Returns that number.
    ///
    /// Only the room's shard appends. After `roomClosed` nothing is taken any more. With a keeper the event is shown, and
    /// the readers are woken, when it is kept. What the store does not take (it is full, or closed) is shown at once.
    pub fn append(&self, mut event: Event) -> u64 {
        let (seq, event) = {
            let mut ring = self.lock();
            if ring.ending {
                return ring.numbered;
            }
            let seq = ring.numbered + 1;
            event.seq = seq;
            if let EventBody::Chat { message } = &mut event.body {
                message.seq = seq;
            }
            let event = Arc::new(event);
            ring.numbered = seq;
            ring.ending = matches!(event.body, EventBody::RoomClosed { .. });
            ring.unkept.push_back(Arc::clone(&event));
            (seq, event)
        };
        match &self.keeper {
            Some(keeper) => {
                let me = self.me.clone();
                keeper.keep(&self.room, self.epoch, event, move || {
                    if let Some(journal) = me.upgrade() {
                        journal.show(seq);
                    }
                });
            }
            None => self.show(seq),
        }
        seq
    }

    /// Shows the events up to this number.
    fn show(&self, seq: u64) {
        let mut all_is_chat = true;
        {
            let mut ring = self.lock();
            while let Some(event) = ring.unkept.pop_front_if(|event| event.seq <= seq) {
                all_is_chat &= matches!(event.body, EventBody::Chat { .. }) && event.seq % WAKE_EVERY != 0;
                if let Some(ledger) = &self.ledger {
                    // Below the lock, so that the ledger has the events of a room in their order.
                    ledger.push(&self.room, self.epoch, Arc::clone(&event));
                }
                ring.push(event);
            }
        }
        // Nothing is shown twice, whatever the order in which it is told.
        let rise = |last: &mut u64| {
            let is_new = *last < seq;
            *last = seq.max(*last);
            is_new
        };
        self.last.send_if_modified(rise);
        if !all_is_chat {
            self.last_but_chat.send_if_modified(rise);
        }
        if let Some(ledger) = &self.ledger {
            ledger.wake();
        }
        if let Some(keeper) = &self.keeper {
            keeper.tell_shown();
        }
    }

    /// Waits until the event of this number is shown.
    pub async fn shown(&self, seq: u64) {
        // The sender lives as long as `self`, so this ends by the value only.
        let _ = self.last.subscribe().wait_for(|last| *last >= seq).await;
    }

    /// Whether events are kept before they are shown.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.keeper.is_some()
    }

    /// The last number that was given out, be the event shown or not.
    #[must_use]
    pub fn last_numbered(&self) -> u64 {
        self.lock().numbered
    }

    /// Notes that somebody entered who is counted: no event, and nobody is woken.
    pub fn enter(&self, member: &MemberInfo) {
        let mut ring = self.lock();
        if !ring.state.closed {
            ring.roster.enter(member);
        }
    }

    /// Notes what is seen from now on of somebody who is counted: no event either.
    pub fn update(&self, member: &MemberInfo) {
        self.lock().roster.update(member);
    }

    /// Somebody who is in the room at this moment, listed or counted.
    #[must_use]
    pub fn person(&self, member: &MemberId) -> Option<Arc<MemberInfo>> {
        self.lock().roster.find(member).cloned()
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

    /// Whether the room is over, as far as it is shown.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().state.closed
    }

    /// Whether the room is over, be that shown or not: nothing is taken any more.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.lock().ending
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

    /// The same; what the ring does not hold any more comes from the store, if there is one and it has it still.
    pub async fn read(&self, seq: u64, at_most: usize) -> Read {
        match self.read_after(seq, at_most) {
            Read::Events(events) => Read::Events(events),
            Read::Reset(state) => match self.read_kept(seq, at_most).await {
                Some(events) => Read::Events(events),
                None => Read::Reset(state),
            },
        }
    }

    /// The events after the one numbered `seq` as the store has them; `None` if the next one is not there.
    async fn read_kept(&self, seq: u64, at_most: usize) -> Option<Vec<Arc<Told>>> {
        let last = self.last_seq();
        if seq >= last {
            return None;
        }
        let events = self.keeper.as_ref()?.read(&self.room, self.epoch, seq, at_most).await?;
        // What is kept, but not shown yet, is nobody's to see.
        let shown = events.into_iter().take_while(|event| event.seq <= last);
        let shown: Vec<Arc<Told>> = shown.map(|event| Arc::new(Told::new(Arc::new(event)))).collect();
        shown.first().is_some_and(|first| first.seq == seq + 1).then_some(shown)
    }

    /// Tells the number of the last event whenever it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The same for who gets chat by another way: it changes with other events only, and now and then, so that a reader
    /// of it keeps up with the ring.
    #[must_use]
    pub fn watch_but_chat(&self) -> watch::Receiver<u64> {
        self.last_but_chat.subscribe()
    }

    /// A reader or writer that panicked left the ring whole: every change of it is complete before
    /// anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, event: Arc<Event>) {
        match &event.body {
            EventBody::Joined { member } => self.roster.enter(member),
            EventBody::Left { member, .. } => self.roster.exit(member),
            EventBody::RoomClosed { .. } => self.roster.clear(),
            EventBody::MemberUpdated { member, .. } => self.roster.follow(member, &event.body),
            EventBody::Restarted { members, .. } => members.iter().for_each(|member| self.roster.enter(member)),
            _ => {}
        }
        Arc::make_mut(&mut self.state).apply(&event);
        self.redact(&event);
        self.text_bytes += text_bytes(&event);
        self.events.push_back(Arc::new(Told::new(event)));
        let old = self.events.len().checked_sub(MAX_WRITTEN + 1);
        if let Some(old) = old.and_then(|old| self.events.get_mut(old)) {
            *old = Arc::new(old.bare());
        }
        while self.events.len() > MAX_EVENTS || (self.text_bytes > MAX_TEXT_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.text_bytes -= text_bytes(&oldest);
        }
    }

    fn read_after(&self, seq: u64, at_most: usize) -> Option<Vec<Arc<Told>>> {
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
        EventBody::Joined { member } => member.text_bytes(),
        EventBody::Audience { listed, counted, .. } => {
            let listed = listed.iter().map(|member| member.text_bytes() + member.id.as_str().len());
            let counted = counted.iter().map(|member| member.as_str().len());
            listed.chain(counted).sum()
        }
        EventBody::MemberUpdated { name, metadata, attributes, .. } => {
            name.len() + metadata.as_ref().map_or(0, String::len) + attribute_bytes(attributes)
        }
        EventBody::Published { track } => track.codec.len(),
        EventBody::Chat { message } => message.name.len() + message.text.len(),
        EventBody::ChatEdited { text, .. } => text.len(),
        EventBody::Reaction { reaction, .. } => reaction.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
