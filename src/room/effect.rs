//! What a room wants done outside itself.

use roundtable_media::allocate::Class;
use roundtable_protocol::chat::PrivateMessage;
use roundtable_protocol::event::{ChatMessage, Event, MemberInfo};
use roundtable_protocol::{Grants, MemberId, TrackId};

use super::slot::Assignment;

/// What the room wants done outside itself.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// To the journal.
    Event(Event),
    /// Somebody has entered who is counted, not listed.
    Enter {
        /// Who.
        member: MemberInfo,
    },
    /// Somebody is gone who was counted, not listed.
    Exit {
        /// Who.
        member: MemberId,
    },
    /// What others see of somebody is this from now on, who is counted, not listed.
    Update {
        /// Who.
        member: MemberInfo,
    },
    /// A member is to be told what others see of it from now on.
    Updated {
        /// The member's number for the request, if it was its own and had one.
        id: Option<u32>,
        /// Who, and what is seen.
        member: MemberInfo,
    },
    /// A slot of a member gets another track, or none.
    Assign {
        /// Whose slot.
        member: MemberId,
        /// Which and what.
        assignment: Assignment,
    },
    /// A member looks differently at the track on one of its slots; see [`Room::view_of`].
    Look {
        /// Whose slot.
        member: MemberId,
        /// The m-line.
        mid: String,
        /// What it carries.
        track: TrackId,
    },
    /// What a member may receive and publish changed; see [`Room::limits`].
    Limit {
        /// Who.
        member: MemberId,
    },
    /// A member may do other things from now on, and is to be told.
    Grants {
        /// Who.
        member: MemberId,
        /// All of it.
        grants: Grants,
    },
    /// A member may receive from now on, or not.
    Hear {
        /// Who.
        member: MemberId,
        /// Whether it may.
        hears: bool,
    },
    /// The room itself ended a track: its m-line is free.
    FreeLine {
        /// Whose.
        member: MemberId,
        /// Which.
        track: TrackId,
    },
    /// A member is asked to have more seats.
    Grow {
        /// Who.
        member: MemberId,
        /// How many in all.
        seats: u16,
    },
    /// A track was muted or unmuted.
    Pause {
        /// Which.
        track: TrackId,
        /// The new state.
        paused: bool,
    },
    /// A track is gone.
    Drop {
        /// Which.
        track: TrackId,
    },
    /// A track counts as something else: that decides whose picture goes first.
    Rank {
        /// Which.
        track: TrackId,
        /// What it counts as.
        class: Class,
        /// The later its owner spoke the higher.
        spoke: u64,
    },
    /// A member wants to hear a track, or not.
    Audible {
        /// Who.
        member: MemberId,
        /// The audio track.
        track: TrackId,
        /// The new wish.
        audible: bool,
    },
    /// A member has been away for too long: it is to be taken out.
    Expire {
        /// Who.
        member: MemberId,
    },
    /// A message that its writer sent again had been taken: the writer alone is told so.
    Acknowledge {
        /// The message.
        message: ChatMessage,
    },
    /// A chat message for everybody, its writer included.
    Deliver {
        /// The message.
        message: ChatMessage,
    },
    /// A message for a few, and its writer.
    Whisper {
        /// The message.
        message: PrivateMessage,
        /// The writer's number for it.
        nonce: u32,
        /// Whether it had been taken before: the writer alone is told so.
        again: bool,
    },
    /// The others are to know that somebody is writing, or has stopped.
    Typing {
        /// Who.
        member: MemberId,
        /// The new state.
        typing: bool,
    },
}
