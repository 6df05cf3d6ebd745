//! Events on their way to the disk.

use std::fmt;
use std::sync::Arc;

use roundtable_protocol::{Event, RoomId};

use crate::store::{Append, Store};

/// Is called, on any thread and often, when further events are shown.
pub type OnShown = Arc<dyn Fn() + Send + Sync>;

/// Keeps the events of a journal.
#[derive(Clone)]
pub struct Keeper {
    store: Store,
    on_shown: OnShown,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl Keeper {
    /// One that keeps events in `store`.
    #[must_use]
    pub fn new(store: Store, on_shown: OnShown) -> Self {
        Self { store, on_shown }
    }

    /// Keeps an event; `then` is called once that is done, or will not be.
    pub(super) fn keep(&self, room: &RoomId, epoch: u64, event: Arc<Event>, then: impl Fn() + Clone + Send + 'static) {
        let append = Append { room: room.clone(), epoch, events: vec![event] };
        let kept = then.clone();
        // A failure is the store's to count and to log: the call goes on without the disk.
        let refused = self.store.append(append, Box::new(move |_| kept())).is_err();
        if refused {
            then();
        }
    }

    /// The events behind a number, at most so many; `None` if they cannot be read.
    pub(super) async fn read(&self, room: &RoomId, epoch: u64, seq: u64, at_most: usize) -> Option<Vec<Event>> {
        let (store, room) = (self.store.clone(), room.clone());
        let reading = tokio::task::spawn_blocking(move || store.events_after(&room, epoch, seq, at_most));
        let read = reading.await.ok()?;
        read.inspect_err(|error| tracing::error!(%error, "the store could not be read")).ok()
    }

    pub(super) fn tell_shown(&self) {
        (self.on_shown)();
    }
}
