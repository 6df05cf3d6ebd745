//! What happens in a room, numbered: the one schema that WebSocket, SSE and HTTP readers share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::error::ErrorCode;
use crate::id::{MemberId, MessageId, TrackId};
use crate::role::Role;
use crate::settings::RoomSettings;
pub use crate::source::{MediaKind, TrackSource};

/// One entry of a room's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Position in the room's journal, from 1, without gaps.
    #[ts(type = "number")]
    pub seq: u64,
    /// When it happened, in milliseconds since 1970 UTC by the server's clock.
    #[ts(type = "number")]
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened. `type` is also the SSE event name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum EventBody {
    /// Somebody entered, and is listed.
    Joined {
        /// Who.
        member: MemberInfo,
    },
    /// Somebody who was listed is gone.
    Left {
        /// Who.
        member: MemberId,
        /// Why.
        reason: LeaveReason,
    },
    /// A room of many people: most of them are counted, not listed. Of those who change between the two, and of how many
    /// are counted, the journal tells from time to time, so that a room costs each reader the same however many come.
    #[ts(optional_fields)]
    Audience {
        /// How many are in the room and not listed, after this event.
        viewers: u32,
        /// Who was counted and is listed from now on. They did not enter just now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<_>")]
        listed: Vec<MemberInfo>,
        /// Who was listed and is counted from now on. They did not leave.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<_>")]
        counted: Vec<MemberId>,
    },
    /// A track can be received from now on; its owner is listed.
    Published {
        /// The track and its owner.
        track: TrackInfo,
    },
    /// A track is gone.
    Unpublished {
        /// Which.
        track: TrackId,
        /// Whose it was.
        member: MemberId,
    },
    /// A track was muted or unmuted, by its owner or by the server; the server forwards nothing of a muted track.
    #[ts(optional_fields)]
    Muted {
        /// Which.
        track: TrackId,
        /// Whose.
        member: MemberId,
        /// The new state.
        muted: bool,
        /// Why the server muted it; absent when its owner did it. The owner can unmute it again, but for
        /// `track/muted-by-host`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
    },
    /// Somebody began or stopped speaking.
    Speaking {
        /// Who.
        member: MemberId,
        /// The new state.
        speaking: bool,
    },
    /// Another one leads the conversation: whom a view of one speaker shows.
    DominantSpeaker {
        /// Who; null while nobody does, because who did is muted or gone.
        member: Option<MemberId>,
    },
    /// Somebody wrote.
    Chat {
        /// The message.
        message: ChatMessage,
    },
    /// A message has another text from now on. Readers of the past find the present text here, or none if the message
    /// was deleted since.
    ChatEdited {
        /// Which.
        message: MessageId,
        /// Who edited it.
        member: MemberId,
        /// The text; never markup.
        text: String,
    },
    /// A message was deleted: its text is kept nowhere any more.
    ChatDeleted {
        /// Which.
        message: MessageId,
        /// Who deleted it.
        member: MemberId,
    },
    /// Somebody reacted to a message, or took that back.
    Reaction {
        /// Which.
        message: MessageId,
        /// Who.
        member: MemberId,
        /// The reaction; text, never markup.
        reaction: String,
        /// Whether it is there from now on.
        on: bool,
    },
    /// The server was started anew. Whoever is in the room keeps their place for a while; nobody speaks, and no track
    /// carries anything until its owner is back. It says who and what is there, and replaces what was known of that.
    Restarted {
        /// Everybody who is listed.
        members: Vec<MemberInfo>,
        /// How many are in the room besides.
        viewers: u32,
        /// Every published track.
        tracks: Vec<TrackInfo>,
    },
    /// What somebody may do has changed. What exactly is told to them alone.
    PermissionsChanged {
        /// Who.
        member: MemberId,
        /// What they are now.
        role: Role,
    },
    /// What others see of somebody who is listed is this from now on, all of it. Who they are stays.
    #[ts(optional_fields)]
    MemberUpdated {
        /// Who.
        member: MemberId,
        /// Their name.
        name: String,
        /// Their metadata; absent if they have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<String>,
        /// All their attributes.
        attributes: BTreeMap<String, String>,
        /// See [`MemberInfo::version`].
        #[ts(type = "number")]
        version: u64,
    },
    /// The settings of the room are others from now on.
    RoomUpdated {
        /// All of them.
        settings: Box<RoomSettings>,
    },
    /// The room is over; no event follows.
    RoomClosed {
        /// Why.
        reason: RoomCloseReason,
    },
}

impl EventBody {
    /// The word in `type`, which is the SSE event name too.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "joined",
            Self::Left { .. } => "left",
            Self::Audience { .. } => "audience",
            Self::Published { .. } => "published",
            Self::Unpublished { .. } => "unpublished",
            Self::Muted { .. } => "muted",
            Self::Speaking { .. } => "speaking",
            Self::DominantSpeaker { .. } => "dominantSpeaker",
            Self::Chat { .. } => "chat",
            Self::ChatEdited { .. } => "chatEdited",
            Self::ChatDeleted { .. } => "chatDeleted",
            Self::Reaction { .. } => "reaction",
            Self::Restarted { .. } => "restarted",
            Self::PermissionsChanged { .. } => "permissionsChanged",
            Self::MemberUpdated { .. } => "memberUpdated",
            Self::RoomUpdated { .. } => "roomUpdated",
            Self::RoomClosed { .. } => "roomClosed",
        }
    }
}

/// A member as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct MemberInfo {
    /// Who.
    pub id: MemberId,
    /// Their name; text, never markup.
    pub name: String,
    /// Who they are to whoever let them in, at most 128 bytes. The same person can be in a room more than once. Absent
    /// for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What whoever let them in says of them, at most 4 KiB; the server does not look into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The same as texts by key, at most 64 and 4 KiB in all. None of them is empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(optional, as = "Option<BTreeMap<String, String>>")]
    pub attributes: BTreeMap<String, String>,
    /// How often name, metadata or attributes were changed since they came; absent for never. Over HTTP the `ETag`.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[ts(optional, as = "Option<u32>")]
    pub version: u64,
}

impl MemberInfo {
    /// Somebody of whom nothing is known but a name.
    #[must_use]
    pub fn guest(id: MemberId, name: String) -> Self {
        Self { id, name, identity: None, metadata: None, attributes: BTreeMap::new(), version: 0 }
    }

    /// The event that tells others what they see of this member from now on.
    #[must_use]
    pub fn updated(&self) -> EventBody {
        let Self { id, name, metadata, attributes, version, .. } = self.clone();
        EventBody::MemberUpdated { member: id, name, metadata, attributes, version }
    }

    /// Folds such an event in. One of somebody else, or of before, changes nothing.
    pub fn follow(&mut self, body: &EventBody) {
        let EventBody::MemberUpdated { member, name, metadata, attributes, version } = body else { return };
        if *member == self.id && *version > self.version {
            self.name.clone_from(name);
            self.metadata.clone_from(metadata);
            self.attributes.clone_from(attributes);
            self.version = *version;
        }
    }

    /// Bytes of text in it that people chose.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.name.len() + len(&self.identity) + len(&self.metadata) + attribute_bytes(&self.attributes)
    }
}

/// Bytes of all attributes, keys and values.
#[must_use]
pub fn attribute_bytes(attributes: &BTreeMap<String, String>) -> usize {
    attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn is_zero(version: &u64) -> bool {
    *version == 0
}

/// A published track as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrackInfo {
    /// Which.
    pub id: TrackId,
    /// Whose.
    pub member: MemberId,
    /// Where it comes from; the kind of media follows from it.
    pub source: TrackSource,
    /// Whether its owner muted it.
    pub muted: bool,
    /// Codec the publisher sends, as in RTP maps (`VP8`, `opus`); empty until the answer is made.
    pub codec: String,
    /// Encodings of a simulcast publisher, 1 without simulcast.
    pub layers: u8,
}

/// A chat message as everybody gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage {
    /// Which.
    pub id: MessageId,
    /// Position in the room's journal; the order of chat.
    #[ts(type = "number")]
    pub seq: u64,
    /// When the server took it, in milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at: u64,
    /// Who wrote it, stamped by the server.
    pub member: MemberId,
    /// The writer's name at that time.
    pub name: String,
    /// The text; never markup.
    pub text: String,
    /// The writer's own number for it, by which a writer who lost the connection knows it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub nonce: Option<u32>,
}

/// Why somebody is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum LeaveReason {
    /// They said leave.
    Left,
    /// Their signalling socket closed without a leave.
    Disconnected,
    /// Their media connection was lost.
    ConnectionLost,
    /// They broke the rules of the protocol (flood, garbage, reading too slowly).
    Removed,
    /// A moderator put them out.
    Kicked,
    /// A moderator sent them on to another room.
    Moved,
    /// The room was closed.
    RoomClosed,
    /// The server is stopping.
    ServerStopping,
}

/// Why a room is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum RoomCloseReason {
    /// The last member left.
    Empty,
    /// The operator, or the program that embeds the server, closed it.
    Closed,
    /// The server is stopping.
    ServerStopping,
    /// Something in the room failed; its members may come back to a fresh one.
    Failed,
}

/// An error that belongs to an event or an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ErrorInfo {
    /// The stable word.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}
