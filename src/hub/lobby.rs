//! Those who wait to be let in, before all rooms. They are in no room: nothing of it reaches them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use roundtable_protocol::moderation::{Knock, KnockEnd};
use roundtable_protocol::{ErrorCode, RoomId, ServerMessage};
use tokio::sync::oneshot;

use super::secret::secret;
use super::{Hub, HubError, JoinError, now};
use crate::room::lobby::{Ended, Lobby, LobbyError, WAITING_TIME};
use crate::shard::deed::Audience;
use crate::shard::inbox::Command;

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Come in.
    Admitted,
    /// Go away, for this reason.
    Refused {
        /// The stable word.
        code: ErrorCode,
        /// A sentence for people.
        message: String,
    },
}

/// Those who wait, by room. There are no more rooms here than sockets.
#[derive(Debug, Default)]
pub(super) struct Lobbies(Mutex<HashMap<RoomId, Lobby<oneshot::Sender<Verdict>>>>);

/// Somebody who waits. Letting go of it withdraws the knock.
#[derive(Debug)]
pub struct Waiting {
    hub: Hub,
    room: RoomId,
    knock: String,
    until: Instant,
    verdict: oneshot::Receiver<Verdict>,
}

impl Waiting {
    /// Waits for the answer. Dropping the future loses nothing.
    pub async fn verdict(&mut self) -> Verdict {
        let mut is_late = false;
        loop {
            tokio::select! {
                verdict = &mut self.verdict => {
                    let message = "the knock has ended".to_owned();
                    return verdict.unwrap_or(Verdict::Refused { code: ErrorCode::LobbyDenied, message });
                }
                () = tokio::time::sleep_until(self.until.into()), if !is_late => {
                    is_late = true;
                    self.hub.end_overdue_knocks(&self.room);
                }
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // One that was answered is not there any more.
        let _ = self.hub.end_knock(&self.room, &self.knock, KnockEnd::Withdrawn, None);
    }
}

impl Lobbies {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Lobby<oneshot::Sender<Verdict>>>> {
        // Every change is complete before anything that could panic runs.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Somebody who may not enter by themselves waits, and whoever moderates the room is told.
    ///
    /// # Errors
    /// [`JoinError::LobbyFull`].
    pub fn knock(&self, room: &RoomId, name: &str) -> Result<Waiting, JoinError> {
        let id = secret("k").ok_or(HubError::Failed)?;
        let (sender, verdict) = oneshot::channel();
        let now = now();
        let knock = {
            let mut lobbies = self.0.lobbies.lock();
            let lobby = lobbies.entry(room.clone()).or_default();
            lobby.knock(now, id.clone(), name.to_owned(), sender).map_err(|_| JoinError::LobbyFull)?
        };
        self.announce(room, Audience::Moderators, ServerMessage::Knock { knock });
        Ok(Waiting { hub: self.clone(), room: room.clone(), knock: id, until: now.instant + WAITING_TIME, verdict })
    }

    /// Everybody who waits before a room, in the order of their knocks.
    #[must_use]
    pub fn knocks(&self, room: &RoomId) -> Vec<Knock> {
        self.0.lobbies.lock().get(room).map(Lobby::knocks).unwrap_or_default()
    }

    /// Ends a knock; `message` is for who is refused.
    pub(super) fn end_knock(
        &self,
        room: &RoomId,
        knock: &str,
        end: KnockEnd,
        message: Option<String>,
    ) -> Result<(), LobbyError> {
        let ended = {
            let mut lobbies = self.0.lobbies.lock();
            let lobby = lobbies.get_mut(room).ok_or(LobbyError::Unknown)?;
            let ended = lobby.end(knock, end)?;
            if lobby.is_empty() {
                lobbies.remove(room);
            }
            ended
        };
        self.settle_knock(room, ended, message);
        Ok(())
    }

    /// Lets everybody in who waits; returns how many.
    pub(super) fn admit_all(&self, room: &RoomId) -> usize {
        let all = self.0.lobbies.lock().remove(room).map(|mut lobby| lobby.end_all(KnockEnd::Admitted));
        let all = all.unwrap_or_default();
        let count = all.len();
        all.into_iter().for_each(|ended| self.settle_knock(room, ended, None));
        count
    }

    /// Tells one who moderates from now on of everybody who waits.
    /// Tells a moderator who waits.
    pub fn tell_knocks(&self, room: &RoomId, member: &roundtable_protocol::MemberId) {
        for knock in self.knocks(room) {
            self.announce(room, Audience::One(member.clone()), ServerMessage::Knock { knock });
        }
    }

    fn end_overdue_knocks(&self, room: &RoomId) {
        let over = {
            let mut lobbies = self.0.lobbies.lock();
            let over = lobbies.get_mut(room).map(|lobby| lobby.handle_timeout(Instant::now()));
            if lobbies.get(room).is_some_and(Lobby::is_empty) {
                lobbies.remove(room);
            }
            over
        };
        over.unwrap_or_default().into_iter().for_each(|ended| self.settle_knock(room, ended, None));
    }

    fn settle_knock(&self, room: &RoomId, ended: Ended<oneshot::Sender<Verdict>>, message: Option<String>) {
        let Ended { knock, end, reach } = ended;
        let refused = |code, default: &str| {
            let message = message.unwrap_or_else(|| default.to_owned());
            Verdict::Refused { code, message }
        };
        let verdict = match end {
            KnockEnd::Admitted => Verdict::Admitted,
            KnockEnd::TimedOut => refused(ErrorCode::LobbyTimeout, "nobody let you in"),
            _ => refused(ErrorCode::LobbyDenied, "you were not let in"),
        };
        // Who withdrew listens no more.
        let _ = reach.send(verdict);
        self.announce(room, Audience::Moderators, ServerMessage::KnockEnded { knock: knock.id, end });
    }

    /// Tells those of an open room something; a shard that has more to do than it can leaves it out.
    pub(super) fn announce(&self, room: &RoomId, audience: Audience, message: ServerMessage) {
        let Some(inbox) = self.inbox_of(room) else { return };
        if self.send(inbox, Command::Announce { room: room.clone(), audience, message }).is_err() {
            tracing::warn!(%room, "those who moderate could not be told who waits");
        }
    }
}
