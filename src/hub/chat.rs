//! Chat of before: from the store where there is one, else from the memory of the room.

use roundtable_protocol::chat::{ChatEntry, ChatPage, ChatPlace};
use roundtable_protocol::{MessageId, RoomId};

use super::{Hub, HubError};
use crate::shard::inbox::Command;
use crate::store::{Retention, RoomRetention, Store, StoreError};

impl Hub {
    /// The messages of a room before a place, or the last ones; `None` if there is no such room, and nothing is kept of
    /// one. With a store those of earlier lives of the room are among them.
    ///
    /// # Errors
    /// [`HubError`] when the shard does not answer or the store cannot be read.
    pub async fn chat_page(
        &self,
        room: &RoomId,
        before: Option<ChatPlace>,
        limit: usize,
    ) -> Result<Option<ChatPage>, HubError> {
        if self.0.store.is_none() {
            let Some(inbox) = self.inbox_of(room) else { return Ok(None) };
            let room = room.clone();
            return self.ask(inbox, |reply| Command::ChatPage { room, before, limit, reply }).await;
        }
        let journal = self.room(room).filter(|journal| !journal.is_closed());
        // What is kept, but not shown yet, is nobody's to see.
        let shown = journal.as_ref().map(|journal| ChatPlace { epoch: journal.epoch(), seq: journal.last_seq() + 1 });
        let until = [before, shown].into_iter().flatten().min().map(|place| (place.epoch, place.seq));
        let of = room.clone();
        let found = self.read(move |store| store.chat_before(&of, until, limit + 1)).await?;
        if found.is_empty() && journal.is_none() {
            return Ok(None);
        }
        Ok(Some(ChatPage::cut(found.into_iter().map(ChatEntry::from).collect(), limit)))
    }

    /// What the store has of a message that is to be changed. Without a store the room knows all there is.
    pub async fn recall(&self, room: &RoomId, message: &MessageId) -> Option<ChatEntry> {
        self.0.store.as_ref()?;
        let (room, message) = (room.clone(), message.clone());
        // What cannot be read is not there; the failure is logged.
        self.read(move |store| store.chat_message(&room, &message)).await.ok()?.map(ChatEntry::from)
    }

    /// Says how much chat is kept of a room, or that it is as much as of others. Resolves once that is on the disk; `false`
    /// if there is no store.
    ///
    /// # Errors
    /// [`HubError`] when the store does not take it.
    pub async fn set_chat_retention(&self, room: &RoomId, chat: Option<Retention>) -> Result<bool, HubError> {
        let Some(store) = &self.0.store else { return Ok(false) };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let told = Box::new(move |outcome: Result<(), StoreError>| drop(sender.send(outcome)));
        store.set_retention(room, RoomRetention { events: None, chat }, told).map_err(|_| HubError::Overloaded)?;
        match receiver.await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => {
                tracing::error!(%error, %room, "how much chat is kept could not be put down");
                Err(HubError::Failed)
            }
            Err(_) => Err(self.gone()),
        }
    }

    /// Reads the store on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, HubError> {
        let store = self.0.store.clone().ok_or(HubError::Failed)?;
        match tokio::task::spawn_blocking(move || query(store)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "the store could not be read");
                Err(if self.is_stopping() { HubError::Stopping } else { HubError::Failed })
            }
            Err(_) => Err(HubError::Failed),
        }
    }
}
