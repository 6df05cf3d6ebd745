//! What the parts of one room tell each other when they are on several shards.
//!
//! The *home* of a room has its people, its rules and its journal. A *stage* is the media of those members whose peer
//! connections are on one shard; the home's own shard has one, and a room that outgrows it has one on further shards.
//! The home commands stages, stages report to the home, and a stage that shows tracks of another one (the *origin*)
//! tells that one what it wants. On one shard all of that is function calls; between shards it is letters.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use roundtable_media::allocate::{Class, Hints};
use roundtable_media::{TrackConfig, TrackKey};
use roundtable_protocol::data::{DataHeader, DataStamp};
use roundtable_protocol::event::TrackInfo;
use roundtable_protocol::grant::MemberLimits;
use roundtable_protocol::message::{EncodingWish, PublishRequest, PublishedTrack};
use roundtable_protocol::{ErrorCode, MemberId, RoomId, TrackId};
use roundtable_transport::sdp::Offer;

use super::inbox::ToMember;
use super::negotiate::Seat;
use crate::room::slot::Assignment;
use crate::room::topic::Topics;
use crate::room::{Allowance, PublishError};

/// Something of one room for its part on another shard.
#[derive(Debug)]
pub struct Letter {
    /// Which room, from its first member to its last: a name may be used again, this is not.
    pub life: u64,
    /// What.
    pub body: Body,
}

/// What a letter says.
#[derive(Debug)]
pub enum Body {
    /// From the home to a stage.
    Command(StageCommand),
    /// From a stage to the home.
    Report(Report),
    /// From a stage to the origin of a track it shows.
    Wish(RelayWish),
}

impl Body {
    /// Whether it is data of members, which goes on as quickly as they send it.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        matches!(self, Self::Command(StageCommand::Data(_)) | Self::Report(Report::Data(_) | Report::TellData { .. }))
    }
}

/// What the home of a room wants of a stage.
#[derive(Debug, Clone)]
pub enum StageCommand {
    /// There is a stage for this room from now on.
    Open {
        /// Its name.
        room: RoomId,
        /// Talkers heard while there are many microphones.
        voice_slots: u16,
    },
    /// There is none any more.
    Close,
    /// It goes to another shard, as it is.
    Leave {
        /// Which.
        to: u8,
    },
    /// A member offers. The first offer makes its peer connection.
    Offer(Box<MemberOffer>),
    /// Tracks of a member have ended at its wish: their m-lines are free.
    Unpublish {
        /// Whose.
        member: MemberId,
        /// Which.
        tracks: Vec<TrackId>,
    },
    /// A member is out.
    Remove {
        /// Who.
        member: MemberId,
    },
    /// A member is on its way to another room, and its peer connection is kept for that.
    Park {
        /// Who.
        member: MemberId,
        /// By what it is found.
        number: u64,
    },
    /// A member has come with a peer connection that was kept.
    Adopt(Box<Adoption>),
    /// A slot of a member gets another track, or none.
    Assign {
        /// Whose.
        member: MemberId,
        /// Which and what.
        assignment: Assignment,
        /// How it looks at that track.
        hints: Hints,
    },
    /// A member looks differently at the track on a slot of it.
    Look {
        /// Who.
        member: MemberId,
        /// The m-line.
        mid: String,
        /// How.
        hints: Hints,
    },
    /// What a member may receive and publish.
    Limit {
        /// Who.
        member: MemberId,
        /// All of it.
        limits: MemberLimits,
    },
    /// Whether a member may hear anybody.
    Hear {
        /// Who.
        member: MemberId,
        /// Whether it may.
        hears: bool,
    },
    /// Whether a member wants to hear a track.
    Audible {
        /// Who.
        member: MemberId,
        /// The audio track.
        track: TrackId,
        /// The wish.
        audible: bool,
    },
    /// A message for a member's chat channel, or for its session where that is missing or full.
    Deliver {
        /// To whom.
        member: MemberId,
        /// Its JSON.
        json: Bytes,
    },
    /// The same for all members on the stage.
    Chat(ChatCopies),
    /// Data for those members on the stage whom it is for.
    Data(Arc<DataCopy>),
    /// What a member published is refused: the JSON of that.
    RefuseData {
        /// Whose.
        member: MemberId,
        /// Its JSON.
        json: Bytes,
    },
    /// A member follows other topics of data.
    Topics {
        /// Who.
        member: MemberId,
        /// All of them.
        topics: Arc<Topics>,
    },
    /// A member asks for its figures.
    Stats {
        /// Who.
        member: MemberId,
        /// Its number for the question.
        id: u32,
    },
    /// A track that is published on another stage.
    Relay(Box<Publication>),
    /// A track was muted or unmuted.
    Pause {
        /// Which.
        track: TrackId,
        /// The new state.
        paused: bool,
    },
    /// A track counts as something else.
    Rank {
        /// Which.
        track: TrackId,
        /// As what.
        class: Class,
        /// The later its owner spoke the higher.
        spoke: u64,
    },
    /// A track is gone.
    Drop {
        /// Which.
        track: TrackId,
    },
}

/// A chat message, written once for all who get it.
#[derive(Debug, Clone)]
pub struct ChatCopies {
    /// Who wrote it.
    pub writer: MemberId,
    /// The JSON that the writer gets, …
    pub receipt: Bytes,
    /// … and everybody else.
    pub copy: Bytes,
}

impl ChatCopies {
    /// What a member gets.
    #[must_use]
    pub fn of(&self, member: &MemberId) -> &Bytes {
        if *member == self.writer { &self.receipt } else { &self.copy }
    }
}

/// What a member published, as it came.
#[derive(Debug)]
pub struct DataPost {
    /// Who.
    pub member: MemberId,
    /// What it says of it.
    pub header: DataHeader,
    /// The bytes.
    pub payload: Bytes,
    /// Whether it may be lost.
    pub lossy: bool,
}

/// The same as its receivers get it, written once for all of them.
#[derive(Debug)]
pub struct DataCopy {
    /// What the server says of it.
    pub stamp: DataStamp,
    /// For whom it is, if not for all.
    pub to: Option<Vec<MemberId>>,
    /// Whether it may be lost.
    pub lossy: bool,
    /// The bytes.
    pub payload: Bytes,
    /// The frame for channels, …
    pub frame: Bytes,
    /// … and the JSON for sessions, once somebody needs it.
    pub json: OnceLock<Bytes>,
}

/// An offer with what the home has to say to it.
#[derive(Debug, Clone)]
pub struct MemberOffer {
    /// Whose.
    pub member: MemberId,
    /// Which of its peer connections it is for.
    pub connection: u32,
    /// The client's number for it.
    pub id: u32,
    /// The offer.
    pub offer: Offer,
    /// What its sending m-lines carry.
    pub requests: Vec<PublishRequest>,
    /// What further tracks the member may publish, or why none.
    pub allowance: Result<Allowance, PublishError>,
    /// Ids for them, one for each request.
    pub reserved: Vec<TrackId>,
    /// What the member may receive and publish.
    pub limits: MemberLimits,
    /// Whether it may receive at all.
    pub may_subscribe: bool,
    /// The topics of data that it follows.
    pub topics: Arc<Topics>,
}

/// A member that comes with the peer connection it had in another room.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// Who.
    pub member: MemberId,
    /// Which of its peer connections this is for its home.
    pub connection: u32,
    /// By what it is found.
    pub number: u64,
    /// What the member may receive and publish.
    pub limits: MemberLimits,
    /// Whether it may receive at all.
    pub may_subscribe: bool,
    /// The topics of data that it follows.
    pub topics: Arc<Topics>,
}

/// A track, and where it comes from.
#[derive(Debug, Clone)]
pub struct Publication {
    /// What the room knows of it.
    pub info: TrackInfo,
    /// What the plane is to know.
    pub config: TrackConfig,
    /// The shard with its publisher.
    pub origin: u8,
}

/// A peer connection that has ended by itself.
#[derive(Debug)]
pub(super) struct MediaEnd {
    pub(super) member: MemberId,
    /// The shard it was on, and its number there.
    pub(super) shard: u8,
    pub(super) connection: u32,
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

/// What a stage tells the home.
#[derive(Debug)]
pub enum Report {
    /// Its shard has more to do than others; it would be better on another one.
    Crowded {
        /// Which.
        to: u8,
    },
    /// It has come from another shard.
    Arrived,
    /// A fault has ended it. What became of each member is told besides.
    Failed,
    /// An offer is answered.
    Answered(Box<Answered>),
    /// A member goes on with the peer connection it had in another room.
    Adopted {
        /// Who.
        member: MemberId,
        /// The seats that are on it: mids of audio and video.
        seats: Vec<Seat>,
    },
    /// The peer connection that a member came with is there no more.
    NotAdopted {
        /// Who.
        member: MemberId,
        /// Which of its peer connections that is.
        connection: u32,
    },
    /// For a member's session.
    Tell {
        /// Whose.
        member: MemberId,
        /// What.
        message: ToMember,
    },
    /// A member's media connection has ended.
    Ended {
        /// Whose.
        member: MemberId,
        /// Which of its peer connections.
        connection: u32,
        /// The stable word.
        code: ErrorCode,
        /// A sentence.
        message: String,
    },
    /// A member has written on its channel.
    Chat {
        /// Who.
        member: MemberId,
        /// Its number for it.
        nonce: u32,
        /// What.
        text: String,
        /// To whom; `None` for everybody.
        to: Option<Vec<MemberId>>,
    },
    /// A member has published data on its channel.
    Data(Box<DataPost>),
    /// Data for a member whose channel is missing.
    TellData {
        /// Whose session.
        member: MemberId,
        /// The message.
        message: ToMember,
    },
    /// The first packet of a slot's new owner has left.
    SlotLive {
        /// Whose slot.
        member: MemberId,
        /// The m-line.
        mid: String,
        /// Of the assignment.
        generation: u32,
        /// Of that packet.
        rtp_timestamp: u32,
    },
    /// A voice slot carries another talker, or none.
    Voice {
        /// Whose slot.
        member: MemberId,
        /// The m-line.
        mid: String,
        /// The talker's track and its CSRC on that slot.
        track: Option<(TrackId, u32)>,
        /// Rises with each change.
        generation: u32,
        /// Of the first packet.
        rtp_timestamp: u32,
    },
    /// Somebody began or ceased to speak.
    Speaking {
        /// On which track.
        track: TrackId,
        /// Which of both.
        speaking: bool,
    },
    /// Another one leads the conversation, or nobody.
    Dominant {
        /// The track.
        track: Option<TrackId>,
    },
    /// Which encodings of a track are wanted.
    Encodings {
        /// The track.
        track: TrackId,
        /// All of them.
        encodings: Vec<EncodingWish>,
    },
    /// A track was sent with more than its publisher may, for long.
    OverLimit {
        /// The track.
        track: TrackId,
    },
    /// A member cannot decode what a track is sent in.
    CannotDecode {
        /// Who.
        member: MemberId,
        /// The track, if it is still there.
        track: Option<TrackId>,
    },
}

/// The answer to an offer, and what came of it.
#[derive(Debug)]
pub struct Answered {
    /// Whose.
    pub member: MemberId,
    /// Which of its peer connections it is of.
    pub connection: u32,
    /// The offer's number.
    pub id: u32,
    /// The SDP of the answer.
    pub sdp: String,
    /// Own tracks by m-line.
    pub tracks: Vec<PublishedTrack>,
    /// Tracks that have begun.
    pub begun: Vec<(TrackInfo, TrackConfig)>,
    /// Tracks that have ended.
    pub ended: Vec<TrackId>,
    /// New seats.
    pub seats: Vec<Seat>,
}

/// What a stage wants of the origin of a track.
#[derive(Debug)]
pub enum RelayWish {
    /// These encodings of it, bit by bit; none any more if 0.
    Encodings {
        /// The track.
        track: TrackId,
        /// Where its packets go on the stage that wants them.
        destination: Destination,
        /// The encodings.
        layers: u8,
    },
    /// A keyframe.
    Keyframe {
        /// The track.
        track: TrackId,
        /// Of which encoding.
        layer: u8,
    },
}

/// Where on another shard packets of a track go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The shard's key of the room, which another one may have later, …
    pub room: usize,
    /// … so that this must be the stage's number, too.
    pub stage: u64,
    /// The track in the plane there.
    pub track: TrackKey,
}
