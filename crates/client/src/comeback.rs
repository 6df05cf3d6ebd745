//! Coming back after a lost socket, or a lost server.

use std::collections::BTreeSet;
use std::sync::Arc;

use roundtable_protocol::message::{Resume, Resumed};

use crate::media::Media;
use crate::options::Options;
use crate::signal::{Entry, Signal};
use crate::{Client, ClientError, Shared, lock};

/// How a client came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// As the same member, with the same media.
    Untouched,
    /// As the same member, with another peer connection.
    Reconnected,
}

/// Which events a client has, so that it can say up to where it has all of them.
#[derive(Debug)]
pub(crate) struct Heard {
    all_to: u64,
    beyond: BTreeSet<u64>,
}

impl Heard {
    pub(crate) fn new(seq: u64) -> Self {
        Self { all_to: seq, beyond: BTreeSet::new() }
    }

    /// Notes an event; says whether it is news.
    pub(crate) fn note(&mut self, seq: u64) -> bool {
        let is_new = seq > self.all_to && self.beyond.insert(seq);
        while self.beyond.remove(&(self.all_to + 1)) {
            self.all_to += 1;
        }
        is_new
    }
}

impl Client {
    /// Comes back over another socket; the one of before, if it is still there, ends without a word. With `lose_media` the
    /// peer connection is made anew whatever the server has kept, and what was published goes on.
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be reached; [`ClientError::Ended`] when it does not know this client any more.
    pub async fn come_back(mut self, lose_media: bool) -> Result<(Self, Return), ClientError> {
        self.drop_socket().await;
        let ticket = self.welcome.resume.clone().ok_or(ClientError::Ended)?;
        let (epoch, seq) = (lock(&self.shared.state).epoch, lock(&self.shared.heard).all_to);
        let resume = Resume { token: ticket.token, epoch, seq };
        let (signal, entry) = Signal::come_back(&self.options, Some(resume), false).await?;
        let Entry::Resumed(resumed) = entry else { return Err(ClientError::Ended) };
        let Resumed { media: is_kept, slots, state, .. } = *resumed;
        if let Some(state) = state {
            *lock(&self.shared.heard) = Heard::new(state.seq);
            *lock(&self.shared.state) = state;
        }
        *lock(&self.shared.slots) = slots.into_iter().map(|slot| (slot.mid.clone(), slot)).collect();
        self.shared.ended.send_replace(None);
        let (options, welcome, shared) = (self.options.clone(), self.welcome.clone(), self.shared.clone());
        if is_kept && !lose_media {
            return Ok((Self::run(options, welcome, shared, self.media.clone(), signal, false), Return::Untouched));
        }
        let mut before = Vec::new();
        for source in self.media.published() {
            if let Some(track) = self.track(source).await {
                before.push((source, track));
            }
        }
        self.media.close().await;
        let media = Arc::new(Media::new(welcome.member.id.clone(), &options).await?);
        let client = Self::run(options, welcome, shared, media, signal, true);
        client.enter(&before, true).await?;
        client.media.start_sending();
        Ok((client, Return::Reconnected))
    }

    /// Goes on to another room, as a `move` told, with the same peer connection: what was published is published there.
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be reached or refuses; [`ClientError::Ended`] when it has not kept the peer
    /// connection.
    pub async fn follow(mut self, room: &str, ticket: &str) -> Result<Self, ClientError> {
        self.drop_socket().await;
        let options = Options { room: room.to_owned(), token: Some(ticket.to_owned()), ..self.options.clone() };
        let (signal, entry) = Signal::come_back(&options, None, true).await?;
        let Entry::Welcome(welcome) = entry else { return Err(ClientError::Ended) };
        if !welcome.media {
            return Err(ClientError::Ended);
        }
        self.media.reopen_channels().await?;
        let shared = Arc::new(Shared::new(&welcome));
        let client = Self::run(options, *welcome, shared, self.media.clone(), signal, false);
        let turn = client.negotiator.turn.lock().await;
        client.negotiator.offer().await?;
        drop(turn);
        Ok(client)
    }

    /// Loses the socket without a word; media goes on.
    pub async fn drop_socket(&mut self) {
        if !self.task.is_finished() {
            self.task.abort();
            // The socket is closed when the task is gone.
            let _ = (&mut self.task).await;
        }
    }
}
