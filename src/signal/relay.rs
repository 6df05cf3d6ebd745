//! A conversation without a socket: requests bring what the client says, and a stream or one request after the other
//! fetches what is said to it.
//!
//! Both directions are numbered from 1, so that a request that failed half-way can be made again: what was brought
//! already is left out, and what was fetched is kept for a while. Who asks for what is not kept any more has to come back
//! by resumption.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Messages of the client that may wait for the conversation; one that brings more waits.
const MAX_POSTED: usize = 64;
/// Messages that may wait to be fetched; then the conversation waits, and ends a client that fetches nothing.
const MAX_WAITING: usize = 256;
/// Messages, and bytes of them, that are kept after they were fetched; the oldest go.
const MAX_KEPT: usize = 256;
const MAX_KEPT_BYTES: usize = 512 * 1024;

/// What a request brings.
#[derive(Debug)]
pub enum Posted {
    /// A message.
    Message(String),
    /// A sign of life.
    Alive,
    /// The client leaves.
    Closed,
}

/// The conversation's end.
#[derive(Debug)]
pub(super) struct Relay {
    posted: mpsc::Receiver<Posted>,
    shared: Arc<Shared>,
    /// Whether the client has left, after which nothing comes.
    left: bool,
}

/// The end of the requests. Clones are the same one.
#[derive(Debug, Clone)]
pub struct RelayHandle {
    posted: mpsc::Sender<Posted>,
    shared: Arc<Shared>,
    /// Held while messages are brought, so that they stay in their order.
    turn: Arc<tokio::sync::Mutex<u64>>,
}

#[derive(Debug)]
struct Shared {
    outgoing: Mutex<Outgoing>,
    /// The number of the last message, or that it is closed: wakes who fetches.
    changed: watch::Sender<u64>,
    fetched: Notify,
}

#[derive(Debug, Default)]
struct Outgoing {
    /// The number of the first message here.
    first: u64,
    messages: VecDeque<Utf8Bytes>,
    bytes: usize,
    /// Of those here, how many were fetched.
    fetched: usize,
    /// Which reader fetches; an older one is told to end.
    reader: u64,
    closed: Option<(u16, &'static str)>,
}

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Messages with their numbers, in order; none if none came in time.
    Messages(Vec<(u64, Utf8Bytes)>),
    /// There will be no more: the close code, and the stable word.
    Closed(u16, &'static str),
    /// What is asked for is not kept any more, or another reader has come.
    Gone,
}

/// Why messages were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Some before them have not come.
    #[error("message {expected} is to come next")]
    Gap {
        /// The number of the next message.
        expected: u64,
    },
    /// The conversation is over.
    #[error("the conversation is over")]
    Over,
}

/// Makes both ends.
pub(super) fn relay() -> (Relay, RelayHandle) {
    let (sender, posted) = mpsc::channel(MAX_POSTED);
    let outgoing = Mutex::new(Outgoing { first: 1, ..Outgoing::default() });
    let shared = Arc::new(Shared { outgoing, changed: watch::Sender::new(0), fetched: Notify::new() });
    let handle = RelayHandle { posted: sender, shared: Arc::clone(&shared), turn: Arc::default() };
    (Relay { posted, shared, left: false }, handle)
}

impl Shared {
    /// Every change is complete before anything that could panic runs.
    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    pub(super) async fn recv(&mut self) -> Option<Posted> {
        if self.left {
            return None;
        }
        let posted = self.posted.recv().await;
        self.left = matches!(posted, Some(Posted::Closed));
        posted
    }

    /// Puts a message to those that are to be fetched; waits while there are as many as may be.
    pub(super) async fn send(&mut self, text: Utf8Bytes) {
        loop {
            // Made before the look, so that what is fetched in between wakes it.
            let fetched = self.shared.fetched.notified();
            if self.shared.lock().waiting() < MAX_WAITING {
                break;
            }
            fetched.await;
        }
        self.shared.lock().push(text);
        self.shared.changed.send_modify(|last| *last += 1);
    }

    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        self.shared.lock().closed.get_or_insert((code, reason));
        self.shared.changed.send_modify(|_| {});
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A conversation that ends without a word has failed.
        self.close(1011, "");
    }
}

impl Outgoing {
    fn waiting(&self) -> usize {
        self.messages.len() - self.fetched
    }

    fn push(&mut self, text: Utf8Bytes) {
        self.bytes += text.len();
        self.messages.push_back(text);
    }

    /// Lets go of what was fetched long ago.
    fn trim(&mut self) {
        while self.fetched > MAX_KEPT || (self.fetched > 0 && self.bytes > MAX_KEPT_BYTES) {
            let Some(oldest) = self.messages.pop_front() else { return };
            self.bytes -= oldest.len();
            self.fetched -= 1;
            self.first += 1;
        }
    }

    /// The messages behind the one numbered `after`; `None` if they are not all here.
    fn fetch(&mut self, after: u64) -> Option<Vec<(u64, Utf8Bytes)>> {
        let skip = usize::try_from(after.checked_sub(self.first - 1)?).ok()?;
        if skip > self.messages.len() {
            return None;
        }
        let numbered = (self.first..).zip(&self.messages).skip(skip);
        let messages = numbered.map(|(number, text)| (number, text.clone())).collect();
        self.fetched = self.messages.len();
        Some(messages)
    }
}

impl RelayHandle {
    /// Brings messages, the first of which has this number. What came before is left out. Waits for the conversation.
    ///
    /// # Errors
    /// [`PostError`]; nothing of it was taken then, or the conversation is over.
    pub async fn post(&self, first: u64, messages: Vec<String>) -> Result<(), PostError> {
        let mut taken = self.turn.lock().await;
        let expected = *taken + 1;
        if first > expected {
            return Err(PostError::Gap { expected });
        }
        self.send(Posted::Alive).await?;
        for (number, message) in (first..).zip(messages) {
            if number > *taken {
                self.send(Posted::Message(message)).await?;
                *taken = number;
            }
        }
        Ok(())
    }

    /// The client leaves.
    pub async fn leave(&self) {
        // A conversation that is over has nothing to be told.
        let _ = self.send(Posted::Closed).await;
    }

    /// Begins to read; whoever read before is told to end. Returns what tells this reader from others.
    #[must_use]
    pub fn begin(&self) -> u64 {
        let reader = {
            let mut outgoing = self.shared.lock();
            outgoing.reader += 1;
            outgoing.reader
        };
        self.shared.changed.send_modify(|_| {});
        reader
    }

    /// Waits for messages behind the one numbered `after`, but no longer than `wait`.
    pub async fn fetch(&self, reader: u64, after: u64, wait: Duration) -> Fetched {
        let mut changed = self.shared.changed.subscribe();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            changed.mark_unchanged();
            if let Some(fetched) = self.fetch_now(reader, after) {
                self.shared.fetched.notify_waiters();
                return fetched;
            }
            match tokio::time::timeout_at(deadline, changed.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Fetched::Messages(Vec::new()),
            }
        }
    }

    /// Whether the conversation is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.posted.is_closed()
    }

    /// Notes that the client lives.
    pub fn note_alive(&self) {
        // One that waits says the same.
        let _ = self.posted.try_send(Posted::Alive);
    }

    fn fetch_now(&self, reader: u64, after: u64) -> Option<Fetched> {
        let mut outgoing = self.shared.lock();
        if outgoing.reader != reader {
            return Some(Fetched::Gone);
        }
        let Some(messages) = outgoing.fetch(after) else { return Some(Fetched::Gone) };
        outgoing.trim();
        match (messages.is_empty(), outgoing.closed) {
            (false, _) => Some(Fetched::Messages(messages)),
            (true, Some((code, reason))) => Some(Fetched::Closed(code, reason)),
            (true, None) => None,
        }
    }

    async fn send(&self, posted: Posted) -> Result<(), PostError> {
        self.posted.send(posted).await.map_err(|_| PostError::Over)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn numbers(fetched: &Fetched) -> Vec<u64> {
        match fetched {
            Fetched::Messages(messages) => messages.iter().map(|(number, _)| *number).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_was_fetched_can_be_fetched_again_for_a_while() {
        let (mut relay, handle) = relay();
        let reader = handle.begin();
        for n in 0..3 {
            relay.send(format!("{n}").into()).await;
        }
        assert_eq!(numbers(&handle.fetch(reader, 0, AT_ONCE).await), [1, 2, 3]);
        assert_eq!(numbers(&handle.fetch(reader, 1, AT_ONCE).await), [2, 3]);
        assert_eq!(handle.fetch(reader, 3, AT_ONCE).await, Fetched::Messages(vec![]));
        assert_eq!(handle.fetch(reader, 4, AT_ONCE).await, Fetched::Gone, "that was never said");
        for n in 0..2 * MAX_KEPT as u64 {
            relay.send(format!("{n}").into()).await;
            let _ = handle.fetch(reader, 3 + n, AT_ONCE).await;
        }
        assert_eq!(handle.fetch(reader, 1, AT_ONCE).await, Fetched::Gone);
        relay.close(1000, "");
        assert_eq!(handle.fetch(reader, 3 + 2 * MAX_KEPT as u64, AT_ONCE).await, Fetched::Closed(1000, ""));
    }

    #[tokio::test]
    async fn a_conversation_waits_for_who_fetches_nothing() {
        let (mut relay, handle) = relay();
        for n in 0..MAX_WAITING {
            relay.send(format!("{n}").into()).await;
        }
        assert!(relay.send("one more".into()).now_or_never().is_none());
        let reader = handle.begin();
        assert_eq!(numbers(&handle.fetch(reader, 0, AT_ONCE).await).len(), MAX_WAITING);
        assert!(relay.send("one more".into()).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_is_brought_twice_is_taken_once_and_a_gap_is_refused() {
        let (mut relay, handle) = relay();
        let texts = |from: u32, to: u32| (from..=to).map(|n| n.to_string()).collect::<Vec<_>>();
        handle.post(1, texts(1, 3)).await.unwrap();
        handle.post(2, texts(2, 5)).await.unwrap();
        assert_eq!(handle.post(7, texts(7, 7)).await, Err(PostError::Gap { expected: 6 }));
        let mut taken = Vec::new();
        while let Some(Some(posted)) = relay.recv().now_or_never() {
            if let Posted::Message(text) = posted {
                taken.push(text);
            }
        }
        assert_eq!(taken, texts(1, 5));
        drop(relay);
        assert_eq!(handle.post(6, texts(6, 6)).await, Err(PostError::Over));
        let reader = handle.begin();
        assert_eq!(handle.fetch(reader, 0, AT_ONCE).await, Fetched::Closed(1011, ""));
    }

    #[tokio::test]
    async fn a_second_reader_takes_the_place_of_the_first() {
        let (mut relay, handle) = relay();
        let first = handle.begin();
        let waiting = handle.fetch(first, 0, Duration::from_secs(60));
        let second = handle.begin();
        assert_eq!(waiting.await, Fetched::Gone);
        relay.send("for the second".into()).await;
        assert_eq!(numbers(&handle.fetch(second, 0, AT_ONCE).await), [1]);
    }
}
