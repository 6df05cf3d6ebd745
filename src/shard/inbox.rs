//! The only way into a shard: a bounded queue of commands, and what comes back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use roundtable_protocol::chat::{ChatEntry, ChatPage, ChatPlace};
use roundtable_protocol::data::DataHeader;
use roundtable_protocol::event::{LeaveReason, MemberInfo, RoomCloseReason};
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::member::MemberChange;
use roundtable_protocol::message::{PublishRequest, PublishedTrack, SlotChange, SubscribeChange, ViewChange};
use roundtable_protocol::settings::RoomSettings;
use roundtable_protocol::stats::RoomStats;
use roundtable_protocol::{ErrorCode, Grants, MemberId, MessageId, RoomId, ServerMessage, TrackId};
use roundtable_transport::sdp::Offer;
use tokio::sync::oneshot;

use crate::journal::Journal;
use crate::room::chat::Change;
use crate::room::member::Newcomer;
use crate::room::record::MemberRecord;
use crate::shard::deed::{Audience, Deed, DeedRefused, Done, KeptConnection, Origin};
use crate::shard::load::Load;
use crate::shard::queue::{Receiver as QueueReceiver, Sender as QueueSender, TrySendError as QueueError, queue};
use crate::shard::stats::ShardStats;

/// Commands that may wait for a shard; a full inbox refuses with [`Full`] and the caller says `server/overloaded`.
pub const INBOX_CAPACITY: usize = 4096;
/// Messages that may wait for one member's session; a full outbox ends that member as a slow reader.
pub const OUTBOX_CAPACITY: usize = 256;

/// Where a shard puts what concerns one member's session alone.
///
/// The messages lie elsewhere: a few places stay for as long as the member does, and most of the time there is no message.
#[derive(Debug, Clone)]
pub struct Outbox(QueueSender<Box<ToMember>>);

/// Where the session takes it from.
#[derive(Debug)]
pub struct OutboxReceiver(QueueReceiver<Box<ToMember>>);

/// Why a message was not put into an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// As many messages wait as may.
    #[error("the outbox is full")]
    Full,
    /// The session has gone.
    #[error("the session has gone")]
    Closed,
}

/// Makes an outbox of [`OUTBOX_CAPACITY`].
#[must_use]
pub fn outbox() -> (Outbox, OutboxReceiver) {
    let (sender, receiver) = queue(OUTBOX_CAPACITY);
    (Outbox(sender), OutboxReceiver(receiver))
}

impl Outbox {
    /// Puts a message in; never waits.
    ///
    /// # Errors
    /// When it is full, or the session has gone.
    pub fn try_send(&self, message: ToMember) -> Result<(), OutboxError> {
        self.0.try_send(Box::new(message)).map_err(|error| match error {
            QueueError::Full => OutboxError::Full,
            QueueError::Closed => OutboxError::Closed,
        })
    }

    /// Whether so little waits that data may be put in as well: never so much that what else there is to say has no place.
    #[must_use]
    pub fn has_room_for_data(&self) -> bool {
        self.0.waiting() < OUTBOX_CAPACITY / 2
    }

    /// Whether next to nothing waits.
    #[must_use]
    pub fn is_nearly_empty(&self) -> bool {
        self.0.waiting() < OUTBOX_CAPACITY / 8
    }

    /// Whether the session has gone.
    #[cfg(test)]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl OutboxReceiver {
    /// Waits for the next message; `None` once the shard has let go of the member.
    pub async fn recv(&mut self) -> Option<ToMember> {
        self.0.recv().await.map(|message| *message)
    }

    /// The same on a thread that may block.
    #[cfg(test)]
    pub fn blocking_recv(&mut self) -> Option<ToMember> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
        runtime.block_on(self.recv())
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

/// What the control side asks of a shard.
#[derive(Debug)]
pub enum Command {
    /// Lets somebody into a room, opening it if need be.
    Join(Box<Join>),
    /// Something a member says.
    Member {
        /// The room.
        room: RoomId,
        /// Who.
        member: MemberId,
        /// Which of its sessions says so; what comes from one that was replaced is ignored.
        session: u64,
        /// What.
        request: Request,
    },
    /// Somebody whose socket was lost has another one.
    Resume(Resume),
    /// Opens a room as it was when the process before this one ended.
    Restore(Restore),
    /// Ends a room; its members are told.
    CloseRoom {
        /// Which.
        room: RoomId,
        /// Why.
        reason: RoomCloseReason,
    },
    /// Changes what a member may receive and publish.
    Limit {
        /// The room.
        room: RoomId,
        /// Who.
        member: MemberId,
        /// The whole of its limits from now on.
        limits: MemberLimits,
        /// Is told whether there is such a member.
        reply: oneshot::Sender<bool>,
    },
    /// Does what a moderator wants.
    Moderate {
        /// The room.
        room: RoomId,
        /// Who wants it; `None` for the server's operator.
        by: Option<MemberId>,
        /// What.
        deed: Deed,
        /// Where the outcome goes.
        reply: oneshot::Sender<Result<Done, DeedRefused>>,
    },
    /// Tells those of a room something, if it is open.
    Announce {
        /// The room.
        room: RoomId,
        /// Whom.
        audience: Audience,
        /// What.
        message: ServerMessage,
    },
    /// The settings of a room are others from now on.
    Settings {
        /// The room.
        room: RoomId,
        /// All of them.
        settings: RoomSettings,
    },
    /// Asks for chat that a room has in memory; `None` if it is not open.
    ChatPage {
        /// Which.
        room: RoomId,
        /// Before which place; `None` is the end.
        before: Option<ChatPlace>,
        /// Most messages.
        limit: usize,
        /// Where they go.
        reply: oneshot::Sender<Option<ChatPage>>,
    },
    /// Asks for the figures of a room; `None` if it is not open.
    RoomStats {
        /// Which.
        room: RoomId,
        /// Where they go.
        reply: oneshot::Sender<Option<RoomStats>>,
    },
    /// Asks for the shard's figures.
    Stats(oneshot::Sender<ShardStats>),
    /// Ends all rooms, tells everybody, and ends the thread.
    Stop,
    /// Panics in a room, to see what becomes of the others.
    #[cfg(test)]
    Fault(RoomId),
}

impl Command {
    /// Whether it is part of letting a member in.
    pub(super) fn admits(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Resume(_) | Self::Member { request: Request::Offer { .. }, .. })
    }
}

/// A wish to enter.
#[derive(Debug)]
pub struct Join {
    /// The room's id.
    pub room: RoomId,
    /// The journal of the room if this join opens it. When the room is open already it is the same one.
    pub journal: Arc<Journal>,
    /// The key that the room is one of, if this join opens it.
    pub opened_by: Option<String>,
    /// As others will see them; checked by the caller.
    pub newcomer: Newcomer,
    /// What the member may do.
    pub grants: Grants,
    /// Where it comes from.
    pub origin: Origin,
    /// How the room is set up, if it is.
    pub settings: Option<RoomSettings>,
    /// Most seats the client wants.
    pub max_seats: u16,
    /// People the room may hold.
    pub max_members: usize,
    /// Talkers heard in it if this join opens it and it has many microphones, and voice slots of each member.
    pub voice_slots: u16,
    /// For how long the place of a member is kept whose socket is lost; zero for not at all.
    pub resume_within: Duration,
    /// The peer connection to go on with.
    pub connection: Option<KeptConnection>,
    /// Where the member's session listens.
    pub outbox: Outbox,
    /// Where the outcome goes. A caller that went away meanwhile is taken out again.
    pub reply: oneshot::Sender<Result<Joined, JoinRefused>>,
}

/// A wish to go on as a member that has lost its socket.
#[derive(Debug)]
pub struct Resume {
    /// The room's id.
    pub room: RoomId,
    /// The life of it that the client knows.
    pub epoch: u64,
    /// Who.
    pub member: MemberId,
    /// What the member was given to prove it.
    pub secret: ResumeSecret,
    /// Where the new session listens.
    pub outbox: Outbox,
    /// Where the outcome goes; `None` if there is no such member.
    pub reply: oneshot::Sender<Option<Returned>>,
}

/// A room as it was put down.
#[derive(Debug)]
pub struct Restore {
    /// The room's id.
    pub room: RoomId,
    /// Its journal, which knows its events but not who is in it.
    pub journal: Arc<Journal>,
    /// The key that it is one of.
    pub opened_by: Option<String>,
    /// Its members, with the SHA-256 of each one's secret.
    pub members: Vec<(MemberRecord, [u8; 32])>,
    /// What was written last, in order.
    pub written: Vec<ChatEntry>,
    /// As in [`Join`].
    pub voice_slots: u16,
    /// As in [`Join`].
    pub resume_within: Duration,
}

/// What a member proves with that it is who it was. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResumeSecret(pub [u8; 16]);

impl std::fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeSecret(..)")
    }
}

/// Somebody is back.
#[derive(Debug, Clone)]
pub struct Returned {
    /// Who they are, as before.
    pub member: MemberInfo,
    /// What they may do.
    pub grants: Grants,
    /// Which of their sessions this is.
    pub session: u64,
    /// What each receiving m-line carries; `None` without a peer connection.
    pub slots: Option<Vec<SlotChange>>,
    /// The journal of the room.
    pub journal: Arc<Journal>,
    /// What was written up to this event is to be read from the journal; later chat comes from the shard.
    pub seq: u64,
}

/// Somebody is in.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Who they are from now on.
    pub member: MemberInfo,
    /// Seats to begin with.
    pub seats: u16,
    /// Audio-only m-lines it is to have beside them.
    pub voice_slots: u16,
    /// Which of its sessions this is.
    pub session: u64,
    /// With what it comes back if its socket is lost.
    pub secret: ResumeSecret,
    /// Whether the peer connection it came with goes on.
    pub media: bool,
    /// The journal of the room; its state includes the member's `joined` …
    pub journal: Arc<Journal>,
    /// … once this event is shown.
    pub seq: u64,
}

/// Why somebody is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// The room holds as many people as it may.
    #[error("the room is full: it holds {0} people")]
    RoomFull(usize),
    /// The journal given is closed: the room ended meanwhile. A retry with a fresh journal succeeds.
    #[error("the room has just ended")]
    JournalClosed,
    /// The shard is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// What a member says.
#[derive(Debug)]
pub enum Request {
    /// An offer, already read. Answered by [`ToMember::Answer`] or an error with the same id.
    Offer {
        /// The client's number for it.
        id: u32,
        /// The offer.
        offer: Box<Offer>,
        /// Whether it is of another peer connection than the offers before.
        fresh: bool,
        /// What its sending m-lines carry.
        tracks: Vec<PublishRequest>,
    },
    /// Ends publications.
    Unpublish(Vec<TrackId>),
    /// Mutes or unmutes.
    Mute {
        /// Which track.
        track: TrackId,
        /// The new state.
        muted: bool,
    },
    /// Changes wishes.
    Subscribe(Vec<SubscribeChange>),
    /// Says how tracks are looked at.
    View(Vec<ViewChange>),
    /// Asks for the member's figures, by the client's number for the question.
    Stats(u32),
    /// Writes; for clients whose chat channel is missing.
    Chat {
        /// The client's number for it.
        nonce: u32,
        /// The text.
        text: String,
    },
    /// Publishes data; for clients whose data channels are missing.
    Data {
        /// What the client says of it.
        header: DataHeader,
        /// The bytes.
        payload: Bytes,
        /// Whether it may be lost.
        lossy: bool,
    },
    /// Follows other topics of data.
    Topics {
        /// Patterns to follow no more.
        unsubscribe: Vec<String>,
        /// Patterns to follow.
        subscribe: Vec<String>,
    },
    /// Asks for what is kept of a document.
    GetDoc {
        /// The client's number for the question.
        id: u32,
        /// The document.
        doc: String,
        /// Only what came after this update.
        after: u64,
    },
    /// Has a snapshot of a document kept.
    PutDoc {
        /// The client's number for it.
        id: u32,
        /// The document.
        doc: String,
        /// The last update in it.
        up_to: u64,
        /// The snapshot.
        snapshot: Bytes,
    },
    /// Writes to a few.
    Whisper {
        /// The client's number for it.
        nonce: u32,
        /// The text.
        text: String,
        /// To whom.
        to: Vec<MemberId>,
    },
    /// Changes a message, or reactions to it.
    ChangeChat {
        /// The client's number for it.
        id: Option<u32>,
        /// Which.
        message: MessageId,
        /// What becomes of it.
        change: Change,
        /// What the store has of it, if there is one.
        known: Option<Box<ChatEntry>>,
    },
    /// Changes what others see of it.
    UpdateMember {
        /// The client's number for it.
        id: Option<u32>,
        /// For which version that is meant.
        expect: Option<u64>,
        /// How.
        change: Box<MemberChange>,
    },
    /// Is writing, or has stopped.
    Typing(bool),
    /// Asks for the chat of before, as after a join.
    History,
    /// Has lost its socket and may come back.
    Away,
    /// Goes. The outbox is dropped without a further word.
    Leave(LeaveReason),
}

/// What a shard tells one member's session.
#[derive(Debug, Clone)]
pub enum ToMember {
    /// A message to pass on as it is.
    Message(ServerMessage),
    /// A message that many get, written already: its JSON.
    Written(Bytes),
    /// The same, for which nobody waits: data that may be lost.
    InPassing(Bytes),
    /// The parts of an answer; the session writes the SDP text.
    Answer {
        /// The offer's id.
        id: u32,
        /// The SDP of the answer.
        sdp: String,
        /// Own tracks by m-line.
        tracks: Vec<PublishedTrack>,
    },
    /// The member is out; the session says goodbye with this and closes.
    Close {
        /// The stable word.
        code: ErrorCode,
        /// A sentence for people.
        message: String,
        /// When coming back makes sense, in milliseconds.
        reconnect_after_ms: Option<u64>,
    },
}

/// The inbox is full: the shard has more to do than it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// As many commands wait as may.
    #[error("the shard is overloaded")]
    Full,
    /// The shard's thread has ended.
    #[error("the shard has stopped")]
    Stopped,
}

/// The sending end of a shard's queue.
#[derive(Clone)]
pub struct Inbox {
    sender: SyncSender<Command>,
    waker: Arc<mio::Waker>,
    load: Load,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl Inbox {
    /// Makes a queue whose senders wake the shard's poll through `waker`.
    #[must_use]
    pub fn new(waker: Arc<mio::Waker>) -> (Self, Receiver<Command>) {
        let (sender, receiver) = sync_channel(INBOX_CAPACITY);
        (Self { sender, waker, load: Load::default() }, receiver)
    }

    /// Wakes the shard, which then looks for what there is to do.
    pub fn wake(&self) {
        // A failed wake-up only delays that to the next one: the shard looks when it was woken for it.
        let _ = self.waker.wake();
    }

    /// How busy the shard is.
    #[must_use]
    pub fn load(&self) -> Load {
        self.load.clone()
    }

    /// Queues a command; never blocks.
    ///
    /// # Errors
    /// [`SendError::Full`] at [`INBOX_CAPACITY`], [`SendError::Stopped`] once the shard has ended.
    pub fn send(&self, command: Command) -> Result<(), SendError> {
        self.sender.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => SendError::Full,
            TrySendError::Disconnected(_) => SendError::Stopped,
        })?;
        self.wake();
        Ok(())
    }
}
