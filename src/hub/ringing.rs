//! Calls in real time: who listens where, and the clock that ends what nobody answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use roundtable_protocol::call::{Call, CallAnswer, CallEvent};
use roundtable_protocol::event::MemberInfo;
use tokio::sync::{Notify, broadcast};

use super::calls::{CallError, CallWish, Calls};
use super::secret::secret;
use super::{Hub, now};
use crate::shard::queue::{Receiver, Sender, queue};

/// Events that may wait for one listener; one more ends it. Who comes back is told what still rings.
pub const REACH_CAPACITY: usize = 64;
/// Listeners of one identity; a further one is refused.
pub const MAX_REACHES_OF_ONE: usize = 32;
/// Events that a reader of all calls may fall behind before it misses some.
pub const ALL_CAPACITY: usize = 4_096;

impl Hub {
    /// Whom a member's calls are for: who it has proven to be. Where nobody has to prove anything it is the name they
    /// give; elsewhere somebody without a proof is reached by nobody.
    #[must_use]
    pub fn identity_of<'a>(&self, member: &'a MemberInfo) -> &'a str {
        let unproven = if self.0.authorise.is_some() { member.id.as_str() } else { &member.name };
        member.identity.as_deref().unwrap_or(unproven)
    }
}

/// All calls, and whoever listens.
#[derive(Debug)]
pub(super) struct Ringing {
    state: Mutex<State>,
    all: broadcast::Sender<CallEvent>,
    /// A deadline may have come before the one that is waited for.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    calls: Calls,
    /// Who listens, by identity.
    reaches: HashMap<String, Vec<Listener>>,
    next: u64,
    /// Whether a task waits for the next deadline.
    is_driven: bool,
}

/// A way to tell one person of calls, until this is dropped.
#[derive(Debug)]
pub struct Reach {
    ringing: Arc<Ringing>,
    identity: String,
    number: u64,
    events: Receiver<Arc<CallEvent>>,
}

/// The other end of a [`Reach`], and its number.
type Listener = (u64, Sender<Arc<CallEvent>>);

impl Reach {
    /// The next event; `None` if this one listened too slowly.
    pub async fn recv(&mut self) -> Option<Arc<CallEvent>> {
        self.events.recv().await
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        let mut state = self.ringing.lock();
        if let Some(reaches) = state.reaches.get_mut(&self.identity) {
            reaches.retain(|(number, _)| *number != self.number);
            if reaches.is_empty() {
                state.reaches.remove(&self.identity);
            }
        }
    }
}

impl Default for Ringing {
    fn default() -> Self {
        Self { state: Mutex::default(), all: broadcast::Sender::new(ALL_CAPACITY), sooner: Notify::new() }
    }
}

impl Ringing {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything that could panic runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells both sides, and whoever follows all calls.
    fn pass_on(&self, state: &mut State) {
        while let Some(event) = state.calls.poll_event().map(Arc::new) {
            for identity in [Some(&event.call.to), event.call.from.as_ref()].into_iter().flatten() {
                if let Some(reaches) = state.reaches.get_mut(identity) {
                    reaches.retain(|(_, reach)| reach.try_send(Arc::clone(&event)).is_ok());
                }
            }
            // Nobody may follow.
            let _ = self.all.send(Arc::unwrap_or_clone(event));
        }
    }
}

impl Hub {
    /// Calls somebody: it rings wherever they listen, now or while it rings.
    ///
    /// # Errors
    /// [`CallError`] says why not.
    pub fn call(&self, wish: CallWish) -> Result<Call, CallError> {
        let id = secret("call").ok_or(CallError::TooMany)?;
        let ringing = &self.0.ringing;
        let mut state = ringing.lock();
        let call = state.calls.start(now(), id, wish)?;
        ringing.pass_on(&mut state);
        if !std::mem::replace(&mut state.is_driven, true) {
            tokio::spawn(drive(Arc::downgrade(ringing)));
        }
        drop(state);
        ringing.sooner.notify_one();
        Ok(call)
    }

    /// Answers or cancels a call for one of its sides; `None` is the server's operator.
    ///
    /// # Errors
    /// [`CallError`] says why not.
    pub fn answer_call(&self, id: &str, by: Option<&str>, answer: CallAnswer) -> Result<Call, CallError> {
        let ringing = &self.0.ringing;
        let mut state = ringing.lock();
        let call = state.calls.answer(now(), id, by, answer)?;
        ringing.pass_on(&mut state);
        Ok(call)
    }

    /// A call that rings.
    #[must_use]
    pub fn find_call(&self, id: &str) -> Option<Call> {
        self.0.ringing.lock().calls.find(id).cloned()
    }

    /// What becomes of all calls from now on.
    #[must_use]
    pub fn call_events(&self) -> broadcast::Receiver<CallEvent> {
        self.0.ringing.all.subscribe()
    }

    /// Listens for calls to one person and from them, beginning with those that ring already. `None` if
    /// [`MAX_REACHES_OF_ONE`] do so.
    #[must_use]
    pub fn reach(&self, identity: &str) -> Option<Reach> {
        let ringing = &self.0.ringing;
        let mut state = ringing.lock();
        let (sender, events) = queue(REACH_CAPACITY);
        for event in state.calls.of(identity) {
            // What does not fit rings elsewhere.
            let _ = sender.try_send(Arc::new(event));
        }
        state.next += 1;
        let number = state.next;
        let reaches = state.reaches.entry(identity.to_owned()).or_default();
        if reaches.len() >= MAX_REACHES_OF_ONE {
            return None;
        }
        reaches.push((number, sender));
        Some(Reach { ringing: Arc::clone(ringing), identity: identity.to_owned(), number, events })
    }
}

/// Ends what nobody answers, as long as anything rings.
async fn drive(ringing: Weak<Ringing>) {
    while let Some(ringing) = ringing.upgrade() {
        let next = {
            let mut state = ringing.lock();
            state.calls.handle_timeout(now());
            ringing.pass_on(&mut state);
            let next = state.calls.poll_timeout();
            state.is_driven = next.is_some();
            next
        };
        let Some(next) = next else { return };
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = ringing.sooner.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubConfig;
    use roundtable_protocol::RoomId;
    use roundtable_protocol::call::CallState;

    fn hub() -> Hub {
        Hub::new(HubConfig::default(), vec![], Arc::new(|_| vec![]), None, None)
    }

    fn wish(timeout_s: u32) -> CallWish {
        CallWish { from: Some("ann".into()), to: "bob".into(), room: RoomId::new("r").unwrap(), timeout_s }
    }

    #[tokio::test]
    async fn both_sides_hear_each_step_once_wherever_they_listen() {
        let hub = hub();
        let (mut ann, mut phone, mut desk) =
            (hub.reach("ann").unwrap(), hub.reach("bob").unwrap(), hub.reach("bob").unwrap());
        let mut all = hub.call_events();
        let call = hub.call(wish(30)).unwrap();
        hub.answer_call(&call.id, Some("bob"), CallAnswer::Accept).unwrap();
        for reach in [&mut ann, &mut phone, &mut desk] {
            let (one, two) = (reach.recv().await.unwrap(), reach.recv().await.unwrap());
            assert_eq!((one.seq, one.state, two.seq, two.state), (1, CallState::Ringing, 2, CallState::Accepted));
            assert_eq!(reach.events.waiting(), 0, "that is all");
        }
        assert_eq!(all.recv().await.unwrap().state, CallState::Ringing);
        drop((ann, phone, desk));
        assert!(hub.0.ringing.lock().reaches.is_empty());
    }

    #[tokio::test]
    async fn what_nobody_answers_ends_by_itself_the_shortest_first() {
        let hub = hub();
        let mut bob = hub.reach("bob").unwrap();
        let long = hub.call(wish(2)).unwrap();
        let short = hub.call(wish(1)).unwrap();
        let mut ends = Vec::new();
        while ends.len() < 2 {
            let event = bob.recv().await.unwrap();
            if event.state == CallState::TimedOut {
                ends.push(event.call.id.clone());
            }
        }
        assert_eq!(ends, [short.id, long.id]);
    }

    #[tokio::test]
    async fn who_comes_while_it_rings_hears_it_and_listeners_are_bounded() {
        let hub = hub();
        let call = hub.call(wish(30)).unwrap();
        let mut reaches: Vec<_> = (0..MAX_REACHES_OF_ONE).map(|_| hub.reach("bob").unwrap()).collect();
        assert_eq!(reaches[7].recv().await.unwrap().call, call);
        assert!(hub.reach("bob").is_none());
        reaches.pop();
        assert!(hub.reach("bob").is_some());
    }

    #[tokio::test]
    async fn a_listener_that_does_not_listen_is_let_go_of() {
        let hub = hub();
        let mut bob = hub.reach("bob").unwrap();
        for _ in 0..REACH_CAPACITY {
            let call = hub.call(wish(30)).unwrap();
            hub.answer_call(&call.id, None, CallAnswer::Cancel).unwrap();
        }
        let mut heard = 0;
        while bob.recv().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, REACH_CAPACITY);
    }
}
