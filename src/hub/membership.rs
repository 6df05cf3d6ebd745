//! One member's line to the shard, which takes the member out again when it is let go of.

use std::time::Duration;

use roundtable_protocol::{LeaveReason, MemberId, RoomId};
use tokio::sync::oneshot;

use super::HubError;
use crate::shard::inbox::{Command, Inbox, JoinRefused, Joined, Request, SendError};

/// Tries to hand a full shard somebody's leave, [`LEAVE_PAUSE`] apart. After that the shard finds
/// the outbox closed.
const LEAVE_TRIES: u32 = 100;
const LEAVE_PAUSE: Duration = Duration::from_millis(50);

/// The outcome of a join as the shard sends it.
type Outcome = Result<Joined, JoinRefused>;

/// A member's line to the shard. Whatever becomes of its holder, the shard hears of it: by [`Membership::leave`], or when
/// this is dropped, as of a member that has lost its socket.
#[derive(Debug)]
pub struct Membership {
    inbox: Inbox,
    room: RoomId,
    member: MemberId,
    session: u64,
    left: bool,
}

impl Membership {
    pub(super) fn new(inbox: Inbox, room: RoomId, member: MemberId, session: u64) -> Self {
        Self { inbox, room, member, session, left: false }
    }

    /// Passes on what the member says.
    ///
    /// # Errors
    /// [`SendError`] when the shard takes nothing; the request is lost then.
    pub fn request(&self, request: Request) -> Result<(), SendError> {
        self.inbox.send(self.command(request))
    }

    /// Takes the member out of the room.
    pub fn leave(mut self, reason: LeaveReason) {
        self.send_leave(reason);
    }

    /// Lets go without a word, because the shard has taken the member out itself.
    pub fn forget(mut self) {
        self.left = true;
    }

    fn send_leave(&mut self, reason: LeaveReason) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        if self.request(parting(reason)) == Err(SendError::Full) {
            self.leave_later(reason);
        }
    }

    fn leave_later(&self, reason: LeaveReason) {
        // Without a runtime the process is ending, and with it every room.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (inbox, room, member, session) = (self.inbox.clone(), self.room.clone(), self.member.clone(), self.session);
        runtime.spawn(async move {
            for _ in 0..LEAVE_TRIES {
                tokio::time::sleep(LEAVE_PAUSE).await;
                let request = parting(reason);
                let command = Command::Member { room: room.clone(), member: member.clone(), session, request };
                if inbox.send(command) != Err(SendError::Full) {
                    return;
                }
            }
        });
    }

    fn command(&self, request: Request) -> Command {
        Command::Member { room: self.room.clone(), member: self.member.clone(), session: self.session, request }
    }
}

/// Whoever loses the connection may come back.
fn parting(reason: LeaveReason) -> Request {
    match reason {
        LeaveReason::Disconnected => Request::Away,
        reason => Request::Leave(reason),
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.send_leave(LeaveReason::Disconnected);
    }
}

/// The answer to a join that is under way. A caller that goes away in the very moment in which the
/// shard lets the member in takes the member out again.
pub(super) struct Reply {
    receiver: oneshot::Receiver<Outcome>,
    inbox: Inbox,
    room: RoomId,
}

impl Reply {
    pub(super) fn new(receiver: oneshot::Receiver<Outcome>, inbox: Inbox, room: RoomId) -> Self {
        Self { receiver, inbox, room }
    }

    /// Waits for the shard's word. [`HubError::Failed`] if it never comes, because the shard ended.
    pub(super) async fn wait(mut self, at_most: Duration) -> Result<Outcome, HubError> {
        match tokio::time::timeout(at_most, &mut self.receiver).await {
            Ok(outcome) => outcome.map_err(|_| HubError::Failed),
            Err(_) => Err(HubError::Overloaded),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(joined)) = self.receiver.try_recv() {
            let membership = Membership::new(self.inbox.clone(), self.room.clone(), joined.member.id, joined.session);
            membership.leave(LeaveReason::Left);
        }
    }
}
