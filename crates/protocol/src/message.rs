//! What client and server say to each other.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::call::{Call, CallAnswer, CallEvent};
use crate::chat::{ChatEntry, ChatPlace, PrivateMessage};
use crate::data::{DataHeader, DataStamp};
use crate::error::ErrorCode;
use crate::event::{ChatMessage, Event, MemberInfo, TrackSource};
use crate::grant::Grants;
use crate::id::{MemberId, MessageId, RoomId, TrackId};
use crate::member::text_or_null;
use crate::moderation::{Knock, KnockEnd, ModerationAction, ModerationOutcome};
use crate::state::RoomState;
use crate::stats::MemberStats;

/// What a client says. Over the WebSocket each text frame is one of these; over the chat data
/// channel only [`ClientMessage::Chat`] is understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(optional_fields)]
pub enum ClientMessage {
    /// The first message of a connection: who I am. Answered by `welcome` or a fatal `error`.
    Hello {
        /// The protocol version the client speaks.
        version: u32,
        /// The name others see, 1–64 characters.
        name: String,
        /// A token that says who one is and what one may, where the server wants one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// Most seats this client wants to have, 0–48; absent means 48.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_seats: Option<u16>,
        /// What this client had before its connection was lost. If that is still there it is answered by `resumed`, else
        /// as if this had not been said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
        /// Ways in which messages may come besides one in a text frame, such as `batch` and `deflate` (`Packing`). What the
        /// server does not know it passes over; which of them it uses it says in its answer, and that may come so already.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<Vec<String>>")]
        accept: Vec<String>,
        /// Whether this client still has the peer connection that `move.media` said is kept, and wants to go on with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(optional, as = "Option<bool>")]
        media: bool,
    },
    /// An SDP offer: to connect, to publish, to grow seats, to restart ICE. Answered by `answer` or `error` with the same id.
    Offer {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// The offer.
        sdp: String,
        /// Whether this is the first offer of another peer connection: what the one before carried has ended.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(optional, as = "Option<bool>")]
        fresh: bool,
        /// What the sending m-lines carry. A track already known by its mid keeps its id. A sending
        /// m-line that is not named here is not published.
        #[serde(default)]
        tracks: Vec<PublishRequest>,
    },
    /// Ends the publication of own tracks. The m-lines stay and can carry others later.
    Unpublish {
        /// Which.
        tracks: Vec<TrackId>,
    },
    /// Mutes or unmutes an own track. The server forwards nothing of a muted track.
    Mute {
        /// Which.
        track: TrackId,
        /// The new state.
        muted: bool,
    },
    /// Says which tracks of others are wanted. Tracks never named are wanted.
    Subscribe {
        /// Changes to earlier wishes.
        changes: Vec<SubscribeChange>,
    },
    /// Says how tracks of others are looked at, so that no more of them is sent than can be seen. A track
    /// never named counts as visible.
    View {
        /// What has changed; each replaces what was said of its track before.
        changes: Vec<ViewChange>,
    },
    /// Asks how one's own media does. Answered by `stats` or `error` with the same id.
    GetStats {
        /// Chosen by the client; the answer repeats it.
        id: u32,
    },
    /// Writes into the room's chat.
    Chat {
        /// Chosen by the client; comes back in the acknowledgement, so that nothing is shown twice.
        nonce: u32,
        /// The text, at most 16 KiB.
        text: String,
        /// To whom alone, 1 to 20 people; absent for everybody. Answered by `privateChat`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Vec<MemberId>>,
    },
    /// Gives a message another text. The event `chatEdited` says that it was done, an `error` with the same id that not.
    EditChat {
        /// Chosen by the client.
        id: u32,
        /// Which: an own one, or any for who moderates.
        message: MessageId,
        /// The text, at most 16 KiB.
        text: String,
    },
    /// Deletes a message. The event `chatDeleted` says that it was done, an `error` with the same id that not.
    DeleteChat {
        /// Chosen by the client.
        id: u32,
        /// Which: an own one, or any for who moderates.
        message: MessageId,
    },
    /// Reacts to a message, or takes that back. The event `reaction` says that it was done; what is so already makes none.
    React {
        /// Chosen by the client; an `error` repeats it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// To which.
        message: MessageId,
        /// 1–32 bytes without control characters, mostly one emoji.
        reaction: String,
        /// Whether it is to be there.
        on: bool,
    },
    /// Asks for what was written before a place. Answered by `chatPage` or `error` with the same id.
    GetChat {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// The place, such as that of the oldest message that the client has; absent for the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<ChatPlace>,
        /// Most messages, 1–100; absent means 50.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u16>,
    },
    /// Says that one is writing, again every few seconds while that is so, or that one has stopped.
    Typing {
        /// The new state.
        typing: bool,
    },
    /// Changes what others see of oneself; what is absent stays. Answered by `updated` or `error` with the same id.
    UpdateMember {
        /// Chosen by the client; the answer repeats it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// The name, 1–64 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The metadata, at most 4 KiB; null or an empty text takes it away.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_null")]
        #[ts(type = "string | null")]
        metadata: Option<String>,
        /// Attributes by key. Those not named stay; null or an empty text takes one away.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[ts(optional, as = "Option<BTreeMap<String, Option<String>>>")]
        attributes: BTreeMap<String, Option<String>>,
        /// For which version of oneself this is meant; absent for whichever there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number")]
        version: Option<u64>,
    },
    /// Moderates. Answered by `moderated` or `error` with the same id.
    Moderate {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// What is to be done.
        action: ModerationAction,
    },
    /// Calls somebody into this room. Answered by `called` or `error` with the same id.
    Call {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// The identity of who is called.
        to: String,
        /// For how many seconds it rings at most, 1–120; absent means 30.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_s: Option<u32>,
    },
    /// Answers a call, or ends an own one. Answered by `called` or `error` with the same id.
    AnswerCall {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// Which.
        call: String,
        /// What is done about it.
        answer: CallAnswer,
    },
    /// Publishes data; for clients whose data channels are missing. A refusal repeats its `id`.
    Data {
        /// What it is about, for whom it is, and the client's number for it.
        #[serde(flatten)]
        header: DataHeader,
        /// The bytes, as base64 with padding.
        payload: String,
        /// Whether it may be lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(optional, as = "Option<bool>")]
        lossy: bool,
    },
    /// Says which topics of data are wanted. Until then all are, by the pattern `**`.
    Topics {
        /// Patterns to follow no more; taken out first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<Vec<String>>")]
        unsubscribe: Vec<String>,
        /// Patterns to follow.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<Vec<String>>")]
        subscribe: Vec<String>,
    },
    /// Asks for what is kept of a document. Answered by `doc` or `error` with the same id.
    GetDoc {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// The document's name: its updates are published to `doc/NAME`.
        doc: String,
        /// Only what came after the update with this number.
        #[serde(default)]
        #[ts(type = "number")]
        after: u64,
    },
    /// Has a snapshot of a document stand for its updates up to a number. Answered by `doc`, without updates, or `error` with
    /// the same id.
    PutDoc {
        /// Chosen by the client; the answer repeats it.
        id: u32,
        /// The document's name.
        doc: String,
        /// The last update that is part of the snapshot.
        #[ts(type = "number")]
        up_to: u64,
        /// The snapshot, as base64 with padding.
        snapshot: String,
    },
    /// Asks for a `pong`.
    Ping {
        /// Comes back in the pong.
        nonce: u32,
    },
    /// Goes. Answered by `goodbye` and the end of the connection.
    Leave {},
}

/// A way in which messages go in frames, besides one in a text frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Packing {
    /// From the server: several messages in one frame, as a JSON array of them in their order.
    Batch,
    /// In both directions: a binary frame is what would else be a text frame, as raw DEFLATE (RFC 1951). Each frame stands
    /// for itself.
    Deflate,
}

impl Packing {
    /// What a word of `hello.accept` stands for; `None` for one that is not known.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "batch" => Some(Self::Batch),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }
}

/// What a client that comes back had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct Resume {
    /// The token of its `welcome`.
    pub token: String,
    /// The life of the room that it knows.
    #[ts(type = "number")]
    pub epoch: u64,
    /// The last event it has: what came after is sent.
    #[ts(type = "number")]
    pub seq: u64,
}

/// One m-line that is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct PublishRequest {
    /// The m-line of the offer.
    pub mid: String,
    /// What it carries; its kind must be the m-line's.
    pub source: TrackSource,
    /// Whether it begins muted.
    #[serde(default)]
    pub muted: bool,
    /// The own track that goes on with this line, after the peer connection that it was on was lost: it keeps its id, and
    /// nobody has to subscribe anew. What is not such a track becomes a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub track: Option<TrackId>,
}

/// One changed wish about a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct SubscribeChange {
    /// Which.
    pub track: TrackId,
    /// Whether it is wanted at all.
    pub wanted: bool,
}

/// How one track is looked at. What is left out is as if never said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct ViewChange {
    /// Which.
    pub track: TrackId,
    /// Whether it is on the screen. What is not is not sent.
    pub visible: bool,
    /// Columns of the place it is shown in, in pixels of the device; no larger picture is sent than that needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Rows of that place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// More pictures a second are not wanted, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u8>,
    /// Whether it is held on stage: it gets its bandwidth first, and its place among the last-N.
    #[serde(default)]
    pub pinned: bool,
    /// Orders what is otherwise equal, the greater first; absent means 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// What the server says. Over the WebSocket each frame is one of these, or with `batch` an array of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(optional_fields)]
pub enum ServerMessage {
    /// Answers hello: you are in.
    Welcome(Box<Welcome>),
    /// Answers a hello with `resume`: you are the same member as before.
    Resumed(Box<Resumed>),
    /// The peer connection has ended, and with it what it carried. You are still in the room: make another one and offer.
    /// Own tracks that you publish again within the time of a resumption keep their ids (`PublishRequest.track`).
    MediaLost {
        /// The stable word for how.
        code: ErrorCode,
        /// A sentence for people.
        message: String,
    },
    /// Answers an offer.
    Answer {
        /// The offer's id.
        id: u32,
        /// The answer.
        sdp: String,
        /// The published tracks of this member by m-line.
        tracks: Vec<PublishedTrack>,
    },
    /// The mapping of tracks onto receiving m-lines changed. The one truth about what a slot shows.
    Slots {
        /// Each changed slot.
        changes: Vec<SlotChange>,
    },
    /// More seats would be of use: add that many pairs of recvonly audio and video in all, and offer.
    GrowSeats {
        /// Pairs the client should have, a power of two or the cap, never more than it said in hello.
        seats: u16,
    },
    /// To a publisher: which encodings of its track somebody wants. It may stop the others, which saves it their
    /// computing and bandwidth; one that is active here must be sent.
    Layers {
        /// Which.
        track: TrackId,
        /// All encodings, in the order of the offer.
        encodings: Vec<EncodingWish>,
    },
    /// Answers `getStats`.
    Stats {
        /// The number of the question.
        id: u32,
        /// The figures.
        stats: Box<MemberStats>,
    },
    /// Something happened in the room. Chat does not come this way but as `chat`.
    Event {
        /// The journal's entry.
        event: Event,
    },
    /// A chat message, or the acknowledgement of one's own. Comes over the chat data channel when
    /// that is open, else over the WebSocket; each message exactly once.
    Chat {
        /// The message.
        message: ChatMessage,
        /// The nonce of the sender's own message; absent for others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nonce: Option<u32>,
    },
    /// Data that somebody published, for clients whose data channels are missing.
    Data {
        /// What it is about, and who published it.
        #[serde(flatten)]
        stamp: DataStamp,
        /// The bytes, as base64 with padding.
        payload: String,
        /// Whether it came as data that may be lost.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(optional, as = "Option<bool>")]
        lossy: bool,
    },
    /// What is kept of a document, in pieces: the snapshot first, then the updates behind it in order.
    Doc {
        /// The number of the question.
        id: u32,
        /// The document's name.
        doc: String,
        /// What stands for all updates up to `up_to`; absent if the client had them, or in later pieces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<DocSnapshot>,
        /// Updates, without gaps.
        updates: Vec<DocUpdate>,
        /// The number of the document's last update so far.
        #[ts(type = "number")]
        last: u64,
        /// Whether this is the last piece.
        complete: bool,
    },
    /// A private message to this member, or the acknowledgement of one's own. It may come again after a lost connection,
    /// with the same id.
    PrivateChat {
        /// The message.
        message: PrivateMessage,
        /// The nonce of the sender's own message; absent for others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nonce: Option<u32>,
    },
    /// Answers `getChat`.
    ChatPage {
        /// The number of the question.
        id: u32,
        /// The messages, oldest first.
        messages: Vec<ChatEntry>,
        /// What to ask for next; null if nothing is kept from before.
        #[ts(type = "string | null")]
        before: Option<ChatPlace>,
    },
    /// Somebody else writes, or has stopped. Not in the journal; in a room that counts its people it is not told.
    Typing {
        /// Who.
        member: MemberId,
        /// The new state.
        typing: bool,
    },
    /// The last of the chat from before the member joined, oldest first, in pieces; sent once after `welcome`.
    ChatHistory {
        /// The messages of this piece.
        messages: Vec<ChatEntry>,
        /// Whether this was the last piece.
        complete: bool,
    },
    /// Answers hello where there is a lobby: wait. Nothing else comes before `welcome` or `error`.
    Waiting {
        /// As in `welcome`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<Vec<Packing>>")]
        accepted: Vec<Packing>,
    },
    /// What you may do has changed; all of it.
    Grants {
        /// What you may do from now on.
        grants: Grants,
    },
    /// What others see of you is this from now on: answers `updateMember`, and comes as well when the server's operator
    /// changed it.
    Updated {
        /// The number of the request, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// You.
        member: MemberInfo,
    },
    /// To those who moderate: somebody waits to be let in.
    Knock {
        /// Who.
        knock: Knock,
    },
    /// To those who moderate: somebody does not wait any more.
    KnockEnded {
        /// Whose knock.
        knock: String,
        /// How it ended.
        end: KnockEnd,
    },
    /// Answers `moderate`: it is done.
    Moderated {
        /// The number of the request.
        id: u32,
        /// What came of it.
        outcome: ModerationOutcome,
    },
    /// A moderator, or the server's operator, tells you something.
    Notice {
        /// Who, if it is a member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<MemberId>,
        /// What.
        text: String,
    },
    /// You are to go on to another room: join it with the ticket as `hello.token`, under the same name. A `goodbye` with
    /// `room/moved` follows.
    Move {
        /// Where to.
        room: RoomId,
        /// Lets you in there once.
        ticket: String,
        /// For how many seconds.
        expires_in_s: u32,
        /// Whether the peer connection is kept for as long: the client that still has it says so in `hello.media`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(optional, as = "Option<bool>")]
        media: bool,
    },
    /// Answers `call` and `answerCall`.
    Called {
        /// The number of the request.
        id: u32,
        /// The call.
        call: Call,
    },
    /// Something became of a call of yours, or to you.
    CallEvent {
        /// What.
        event: CallEvent,
    },
    /// Answers ping.
    Pong {
        /// The ping's nonce.
        nonce: u32,
    },
    /// Something the client said or tried was refused.
    Error {
        /// The id of the offer or question, or the nonce of the chat message, that it answers, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// The stable word.
        code: ErrorCode,
        /// A sentence for people.
        message: String,
        /// Whether the connection ends with it.
        fatal: bool,
        /// When it can be of use to try again, in milliseconds, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number")]
        retry_after_ms: Option<u64>,
    },
    /// The server will end, and takes no new rooms. Whoever goes on elsewhere, or has nothing left to do, may leave.
    Draining {
        /// When it ends at the latest, in milliseconds from now.
        #[ts(type = "number")]
        within_ms: u64,
    },
    /// The connection ends in good order; a close frame follows.
    Goodbye {
        /// The stable word for why, absent when the client asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
        /// A sentence for people.
        message: String,
        /// When to come back, in milliseconds; absent when that is of no use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number")]
        reconnect_after_ms: Option<u64>,
    },
}

/// The answer to hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The protocol version spoken from now on.
    pub version: u32,
    /// The room's id.
    pub room: RoomId,
    /// Who the client is.
    pub member: MemberInfo,
    /// What the client may do.
    pub grants: Grants,
    /// Everything in the room, the client included; events follow from `state.seq + 1`. In a room of many people the
    /// client is one of those counted, not listed, until it does something.
    pub state: RoomState,
    /// STUN and TURN servers for `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
    /// Seats to begin with.
    pub seats: u16,
    /// Audio-only m-lines to offer beside the seats, on which whoever speaks without a seat is heard; 0 for none.
    #[serde(default)]
    pub voice_slots: u16,
    /// Seconds of silence after which the server gives up a socket; ping more often than that.
    pub silence_timeout_s: u32,
    /// With what to come back when the socket is lost; absent where the server keeps nobody's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub resume: Option<ResumeTicket>,
    /// What of `hello.accept` is used, from this message on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<Packing>>")]
    pub accepted: Vec<Packing>,
    /// Whether the peer connection that the client had in the room before goes on in this one: nothing is published on it
    /// and its receiving m-lines carry nothing yet, but they are the client's, as they are. What is to be published is said
    /// by an offer, which is not `fresh`. If not, make another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub media: bool,
}

/// The answer to a hello with `resume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Resumed {
    /// Who the client is: as before.
    pub member: MemberInfo,
    /// What the client may do.
    pub grants: Grants,
    /// STUN and TURN servers, with fresh credentials.
    pub ice_servers: Vec<IceServer>,
    /// Whether the peer connection is still there. If not, make another one.
    pub media: bool,
    /// What every receiving m-line carries; empty without a peer connection.
    pub slots: Vec<SlotChange>,
    /// The room, if what the client missed is not kept any more: it replaces what the client knows, and events follow from
    /// `state.seq + 1`. Without it events follow from the client's `seq + 1`, chat among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RoomState>,
    /// As in `welcome`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<Packing>>")]
    pub accepted: Vec<Packing>,
}

/// With what a client comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ResumeTicket {
    /// For `hello.resume.token`. Keep it to yourself: who has it is you.
    pub token: String,
    /// For so many seconds after a lost socket the place is kept.
    pub within_s: u32,
}

/// A STUN or TURN server, shaped like `RTCIceServer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// For TURN: with a shared secret, `expiry:member`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN: the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// What stands for updates of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct DocSnapshot {
    /// The last update that is part of it.
    #[ts(type = "number")]
    pub up_to: u64,
    /// The bytes, as base64 with padding.
    pub payload: String,
}

/// One update of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct DocUpdate {
    /// Its number, from 1 and without gaps.
    #[ts(type = "number")]
    pub n: u64,
    /// Who published it.
    pub from: MemberId,
    /// The bytes, as base64 with padding.
    pub payload: String,
}

/// An own track and its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct PublishedTrack {
    /// The m-line.
    pub mid: String,
    /// The id others know it by.
    pub track: TrackId,
}

/// Whether an encoding of an own track is to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct EncodingWish {
    /// The encoding; empty where a track has one only and no rid.
    pub rid: String,
    /// Whether somebody wants it.
    pub active: bool,
}

/// What one receiving m-line carries from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct SlotChange {
    /// The receiving m-line.
    pub mid: String,
    /// Rises with each change of this slot.
    pub generation: u32,
    /// What it carries now; null when it is idle. Never infer that from the track's `mute`.
    pub track: Option<SlotOwner>,
}

/// The owner of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct SlotOwner {
    /// The track.
    pub id: TrackId,
    /// Whose it is.
    pub member: MemberId,
    /// RTP timestamp of the first packet of this owner in the slot; the picture belongs to it from
    /// the first frame at or after this timestamp (modulo 2³²).
    pub rtp_timestamp: u32,
    /// On voice slots: the contributing source that RTP packets of this owner name (RFC 3550 §5.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrc: Option<u32>,
}
