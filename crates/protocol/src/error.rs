//! The stable words for what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        /// What went wrong, as a word that programs switch on. People read the text beside it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl ErrorCode {
            /// Every code, for documentation and tests.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code of a word, such as one that another crate chose.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }

            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

codes! {
    /// The text is not JSON, or not UTF-8.
    BadJson = "message/bad-json",
    /// The JSON is no message of this protocol: unknown type, missing or ill-typed field.
    BadMessage = "message/unknown",
    /// The message is not allowed now, such as anything but `ping` and `leave` before hello.
    OutOfOrder = "message/out-of-order",
    /// Too many messages a second; the socket is closed.
    MessageRate = "message/rate",
    /// The client speaks another version of the protocol.
    Version = "hello/version",
    /// The name is empty, too long or holds control characters.
    BadName = "hello/name",
    /// The client may not enter: refused by the authorisation hook.
    Forbidden = "hello/forbidden",
    /// Only those may enter who bring a token.
    TokenMissing = "token/missing",
    /// The token is none that a key of this server signed, or says what no token may say.
    TokenInvalid = "token/invalid",
    /// The token's time is over.
    TokenExpired = "token/expired",
    /// The token is for another room, or for none.
    TokenRoom = "token/room",
    /// The token does not allow this request.
    TokenGrant = "token/grant",
    /// The ticket is unknown, used or too old.
    TicketInvalid = "ticket/invalid",
    /// No such invitation.
    InviteUnknown = "invite/unknown",
    /// The invitation's time is over.
    InviteExpired = "invite/expired",
    /// The invitation was used as often as it may be.
    InviteUsed = "invite/used",
    /// The invitation was revoked.
    InviteRevoked = "invite/revoked",
    /// The invitation is to be as none can be.
    BadInvite = "invite/bad",
    /// As many invitations are open as may be.
    TooManyInvites = "invite/too-many",
    /// The server has no key to sign tokens with.
    NoSigningKey = "invite/no-key",
    /// The name or the password is wrong.
    LoginRefused = "login/refused",
    /// Too many wrong passwords; the answer says when the next one is taken.
    LoginRate = "login/rate",
    /// The person may log in, but not for this room.
    LoginRoom = "login/room",
    /// The identity provider cannot be asked, does not vouch for the person, or what it says does not hold.
    LoginProvider = "login/provider",
    /// The login was begun too long ago, in another browser, or has been used.
    LoginStale = "login/stale",
    /// Too many entries from one address.
    EntryRate = "hello/rate",
    /// The room is full of people.
    RoomFull = "room/full",
    /// The server has no place for another room.
    TooManyRooms = "room/too-many",
    /// The key that the token was signed with has as many rooms as it may.
    KeyQuota = "room/key-quota",
    /// No such room.
    RoomUnknown = "room/unknown",
    /// The id breaks the rules of ids.
    BadRoomId = "room/bad-id",
    /// The room takes no newcomers now.
    RoomLocked = "room/locked",
    /// The room opens later.
    NotOpenYet = "room/not-open-yet",
    /// The room's time is over.
    RoomExpired = "room/expired",
    /// There is such a room already.
    RoomExists = "room/exists",
    /// The settings were changed by somebody else meanwhile.
    RoomChanged = "room/changed",
    /// The settings make no sense.
    BadSettings = "room/bad-settings",
    /// A moderator put the member out.
    Kicked = "room/kicked",
    /// A moderator has banned this person from the room.
    Banned = "room/banned",
    /// A moderator sent the member on to another room.
    Moved = "room/moved",
    /// The room was closed.
    RoomClosed = "room/closed",
    /// The SDP could not be read.
    BadSdp = "sdp/malformed",
    /// The SDP is larger than the limits allow.
    SdpTooLarge = "sdp/too-large",
    /// The SDP is well-formed, but not one this server can answer.
    SdpUnsupported = "sdp/unsupported",
    /// An m-line was changed in a way that is not allowed after the first answer.
    SdpChanged = "sdp/changed",
    /// A published track names an m-line that is not there or cannot carry it.
    BadTrack = "track/bad-mid",
    /// The member publishes as many tracks as allowed.
    TooManyTracks = "track/too-many",
    /// No such track, or not one of this member's.
    TrackUnknown = "track/unknown",
    /// The member may not publish.
    PublishForbidden = "track/forbidden",
    /// None of this track's codecs can be decoded by this client.
    CannotDecode = "track/cannot-decode",
    /// The track sent more than its member may, for long: the server muted it.
    OverLimit = "track/over-limit",
    /// A moderator muted the track; only a moderator can lift that.
    MutedByHost = "track/muted-by-host",
    /// Only who moderates the room may do that.
    ModerationForbidden = "moderation/forbidden",
    /// What a moderator wants done is not well-formed, such as a text that is too long.
    BadModeration = "moderation/bad",
    /// Too many actions of a moderator at once; this one was dropped.
    ModerationRate = "moderation/rate",
    /// No such ban.
    BanUnknown = "ban/unknown",
    /// The room has as many bans as it may.
    TooManyBans = "ban/too-many",
    /// Nobody waits with this knock.
    KnockUnknown = "lobby/unknown",
    /// As many wait in the lobby as may.
    LobbyFull = "lobby/full",
    /// A moderator did not let the person in.
    LobbyDenied = "lobby/denied",
    /// Nobody let the person in within the time.
    LobbyTimeout = "lobby/timeout",
    /// The call is not well-formed.
    BadCall = "call/bad",
    /// No such call, or it has ended.
    CallUnknown = "call/unknown",
    /// The call is not this person's to answer or to end.
    CallForbidden = "call/forbidden",
    /// As many calls ring as may.
    TooManyCalls = "call/too-many",
    /// Too many view messages; this one was dropped, and what it said is to be said again.
    ViewRate = "view/rate",
    /// Too many questions for figures; this one was dropped.
    StatsRate = "stats/rate",
    /// The figure is not one that a limit can have.
    BadLimit = "limit/bad",
    /// No such member in this room.
    MemberUnknown = "member/unknown",
    /// The member may not change what others see of it.
    MemberForbidden = "member/forbidden",
    /// Too many changes of what others see of a member; this one was dropped.
    MemberRate = "member/rate",
    /// The metadata is longer than it may be, or the attributes are more or longer.
    MemberTooLarge = "member/too-large",
    /// The key of an attribute is empty or longer than 64 bytes.
    BadAttribute = "member/bad-attribute",
    /// What others see of the member was changed by somebody else meanwhile.
    MemberChanged = "member/changed",
    /// The chat text is longer than 16 KiB.
    ChatTooLong = "chat/too-long",
    /// The chat text is empty.
    ChatEmpty = "chat/empty",
    /// Too many chat messages; this one was dropped.
    ChatRate = "chat/rate",
    /// As much chat is kept as may be, of the room or of all rooms of its key; this one was dropped.
    ChatFull = "chat/full",
    /// The member may not write.
    ChatForbidden = "chat/forbidden",
    /// No such message, or it was deleted.
    ChatUnknown = "chat/unknown",
    /// The message is somebody else's, and the member does not moderate.
    ChatNotOwn = "chat/not-own",
    /// A reaction is empty, longer than 32 bytes or holds control characters.
    ChatBadReaction = "chat/bad-reaction",
    /// The message has as many reactions as it may.
    ChatReactionsFull = "chat/reactions-full",
    /// A private message goes to 1 to 20 people.
    ChatBadRecipients = "chat/bad-recipients",
    /// Too many pages were asked for; this one was not read.
    ChatPageRate = "chat/page-rate",
    /// The server has no data directory, and keeps no chat that could be kept for longer or shorter.
    ChatNotKept = "chat/not-kept",
    /// The member may not publish data to this topic.
    DataForbidden = "data/forbidden",
    /// The data message or the snapshot is larger than it may be; it was dropped.
    DataTooLarge = "data/too-large",
    /// Too many data messages, or bytes of them; this one was dropped.
    DataRate = "data/rate",
    /// Data was published faster than this client reads it: some of it was dropped for this client.
    DataSlow = "data/slow",
    /// The frame, its header or the list of receivers is none.
    BadData = "data/malformed",
    /// The topic or the pattern breaks the rules of topics.
    BadTopic = "data/bad-topic",
    /// More patterns of topics than one member may follow.
    TooManyTopics = "data/too-many-topics",
    /// The room keeps as many documents as it may.
    TooManyDocs = "data/too-many-docs",
    /// The document has as many updates as are kept: put a snapshot, then send the update again.
    DocFull = "data/doc-full",
    /// The snapshot stands for updates that do not exist, or for fewer than one that is there.
    BadSnapshot = "data/bad-snapshot",
    /// The client read too slowly and was closed so that nobody waits for it.
    SlowReader = "client/slow",
    /// Nothing came for too long.
    Silent = "client/silent",
    /// The client has come back over another connection, and this one is not needed any more.
    Replaced = "client/replaced",
    /// ICE never connected.
    IceTimeout = "ice/timeout",
    /// The peer stopped answering for 30 s.
    IceConsent = "ice/consent",
    /// DTLS did not finish in time.
    DtlsTimeout = "dtls/timeout",
    /// The peer's certificate is not the one its SDP names.
    DtlsFingerprint = "dtls/fingerprint",
    /// The peer showed no certificate that we can read.
    DtlsNoCertificate = "dtls/no-certificate",
    /// DTLS failed otherwise.
    DtlsFailed = "dtls/failed",
    /// The data channels failed and the peer connection with them.
    SctpAborted = "sctp/aborted",
    /// The client ended its peer connection.
    PeerClosed = "peer/closed",
    /// The server is stopping.
    Stopping = "server/stopping",
    /// The server cannot take more now.
    Overloaded = "server/overloaded",
    /// A fault of ours.
    Internal = "server/internal",
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// WebSocket close codes, documented in `docs/PROTOCOL.md`.
pub mod close {
    /// The client left, or the room was closed in good order.
    pub const NORMAL: u16 = 1000;
    /// The server is stopping; come back after the time in the goodbye.
    pub const GOING_AWAY: u16 = 1001;
    /// A message was larger than [`crate::limit::MAX_CLIENT_MESSAGE_BYTES`].
    pub const TOO_LARGE: u16 = 1009;
    /// The client speaks garbage: too many messages that are none of this protocol.
    pub const GARBAGE: u16 = 4400;
    /// Refused at hello: forbidden, room full, version; the error before it says which.
    pub const REFUSED: u16 = 4403;
    /// No hello or no sign of life in time.
    pub const SILENT: u16 = 4408;
    /// The client reads too slowly.
    pub const SLOW: u16 = 4413;
    /// The client came back over another socket.
    pub const REPLACED: u16 = 4409;
    /// Too many messages a second.
    pub const FLOOD: u16 = 4429;
    /// A moderator put the member out; the goodbye says whether it may come again (`room/kicked`), not (`room/banned`), or is
    /// to go elsewhere (`room/moved`).
    pub const PUT_OUT: u16 = 4410;
    /// The media connection failed; the goodbye says why.
    pub const MEDIA_FAILED: u16 = 4480;
    /// A fault of ours.
    pub const INTERNAL: u16 = 4500;
}
