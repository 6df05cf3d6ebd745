//! A bounded queue from several threads to one task, which takes no more memory than what waits in it.
//!
//! tokio's has room for 32 messages for as long as it is there, in 800 bytes. Each member has two queues in which there
//! is mostly nothing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use tokio::task::coop::cooperative;

/// So many places stay when the queue has run empty.
const KEPT_PLACES: usize = 4;

/// Where messages are put in.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Where they are taken out, in their order.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// Why a message was not put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrySendError {
    /// As many messages wait as may.
    Full,
    /// Nobody will take it out.
    Closed,
}

#[derive(Debug)]
struct Shared<T> {
    capacity: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    messages: VecDeque<T>,
    /// Whoever waits for a message.
    waker: Option<Waker>,
    senders: usize,
    is_closed: bool,
}

/// A queue in which `capacity` messages may wait.
#[must_use]
pub fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { messages: VecDeque::new(), waker: None, senders: 1, is_closed: false };
    let shared = Arc::new(Shared { capacity, state: Mutex::new(state) });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Puts a message in; never waits.
    ///
    /// # Errors
    /// When as many wait as may, or nobody will take it out.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError> {
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(TrySendError::Closed);
        }
        if state.messages.len() >= self.0.capacity {
            return Err(TrySendError::Full);
        }
        state.messages.push_back(message);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().messages.len()
    }

    /// Whether the receiver has gone.
    #[cfg(test)]
    pub fn is_closed(&self) -> bool {
        self.0.lock().is_closed
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        let waker = if state.senders == 0 { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Receiver<T> {
    /// Waits for the next message; `None` once all senders have gone and nothing is left. Nothing is lost if the future is
    /// dropped.
    pub async fn recv(&mut self) -> Option<T> {
        // As tokio's own do: a task that always finds something lets others have their turn.
        cooperative(poll_fn(|cx| {
            let mut state = self.0.lock();
            if let Some(message) = state.take() {
                return Poll::Ready(Some(message));
            }
            if state.senders == 0 {
                return Poll::Ready(None);
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        }))
        .await
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().messages.len()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let left = std::mem::take(&mut state.messages);
        // What lies there may have a sender of this queue in it.
        drop(state);
        drop(left);
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change is complete before anything that could panic runs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<T> {
        let message = self.messages.pop_front();
        if self.messages.is_empty() && self.messages.capacity() > KEPT_PLACES {
            self.messages.shrink_to(KEPT_PLACES);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn messages_come_out_in_their_order_and_the_end_behind_them() {
        let (sender, mut receiver) = queue(3);
        let other = sender.clone();
        assert_eq!([1, 2, 3, 4].map(|n| sender.try_send(n)), [Ok(()), Ok(()), Ok(()), Err(TrySendError::Full)]);
        drop(sender);
        assert_eq!((receiver.recv().await, other.waiting()), (Some(1), 2));
        assert_eq!(other.try_send(5), Ok(()), "there is room again");
        drop(other);
        assert_eq!(receiver.waiting(), 3);
        for expected in [Some(2), Some(3), Some(5), None, None] {
            assert_eq!(receiver.recv().await, expected);
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_message_and_by_the_end() {
        let (sender, mut receiver) = queue(1);
        let taken = tokio::spawn(async move { (receiver.recv().await, receiver.recv().await) });
        let sent = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(sender.try_send("word"), Ok(()));
            std::thread::sleep(Duration::from_millis(5));
        });
        assert_eq!(taken.await.unwrap(), (Some("word"), None));
        sent.join().unwrap();
    }

    #[test]
    fn nothing_is_put_in_once_the_receiver_has_gone() {
        let (sender, receiver) = queue(1);
        let message = Arc::new(());
        assert_eq!(sender.try_send(Arc::clone(&message)), Ok(()));
        drop(receiver);
        assert_eq!(sender.try_send(Arc::clone(&message)), Err(TrySendError::Closed));
        assert_eq!(Arc::strong_count(&message), 1, "what waited has gone");
    }

    #[tokio::test]
    async fn an_empty_queue_holds_next_to_nothing() {
        let (sender, mut receiver) = queue(256);
        (0..256).for_each(|n| sender.try_send(n).unwrap());
        assert_eq!(receiver.recv().await, Some(0));
        while receiver.waiting() > 0 {
            receiver.recv().await;
        }
        assert!(receiver.0.lock().messages.capacity() <= KEPT_PLACES);
        assert!(size_of::<Shared<Box<u8>>>() <= 96, "{} bytes", size_of::<Shared<Box<u8>>>());
    }
}
