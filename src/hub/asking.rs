//! Questions to the shards and their answers, or why there is none.

use roundtable_protocol::{ErrorCode, RoomId};
use tokio::sync::oneshot;

use super::Hub;
use crate::shard::inbox::{Command, Inbox, SendError};

/// Why the shard gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// It has more to do than it can.
    #[error("the server is overloaded")]
    Overloaded,
    /// It is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// It failed.
    #[error("the server has failed")]
    Failed,
}

impl HubError {
    /// The stable word on the wire.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Overloaded => ErrorCode::Overloaded,
            Self::Stopping => ErrorCode::Stopping,
            Self::Failed => ErrorCode::Internal,
        }
    }
}

impl Hub {
    /// The shard of an open room.
    pub(super) fn inbox_of(&self, room: &RoomId) -> Option<&Inbox> {
        self.0.inboxes.get(self.0.rooms.shard_of(room)?)
    }

    /// Asks all shards at once and waits for their answers, in the order of their numbers.
    pub(super) async fn ask_all<T>(
        &self,
        question: impl Fn(oneshot::Sender<T>) -> Command,
    ) -> Result<Vec<T>, HubError> {
        let mut receivers = Vec::new();
        for inbox in &self.0.inboxes {
            let (sender, receiver) = oneshot::channel();
            self.send(inbox, question(sender))?;
            receivers.push(receiver);
        }
        let mut answers = Vec::new();
        for receiver in receivers {
            answers.push(self.answer(receiver).await?);
        }
        Ok(answers)
    }

    /// Asks a shard and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        inbox: &Inbox,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, HubError> {
        let (sender, receiver) = oneshot::channel();
        self.send(inbox, question(sender))?;
        self.answer(receiver).await
    }

    async fn answer<T>(&self, receiver: oneshot::Receiver<T>) -> Result<T, HubError> {
        match tokio::time::timeout(self.0.config.reply_timeout, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(HubError::Overloaded),
        }
    }

    pub(super) fn send(&self, inbox: &Inbox, command: Command) -> Result<(), HubError> {
        inbox.send(command).map_err(|error| match error {
            SendError::Full => HubError::Overloaded,
            SendError::Stopped => self.gone(),
        })
    }

    /// What it means that the shard is not there any more.
    pub(super) fn gone(&self) -> HubError {
        if self.is_stopping() { HubError::Stopping } else { HubError::Failed }
    }
}
