//! Bounds of what may be said, the same for server, clients and documentation.

/// Longest WebSocket message a client may send, in bytes; a longer one closes the socket.
pub const MAX_CLIENT_MESSAGE_BYTES: usize = 256 * 1024;
/// Longest SDP of an offer, in bytes.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// Longest chat text, in UTF-8 bytes.
pub const MAX_CHAT_BYTES: usize = 16 * 1024;
/// Chat messages that somebody who joins late gets at once; those before are asked for in pages.
pub const CHAT_HISTORY: usize = 50;
/// Chat messages a room holds in memory; without a data directory nobody can page further back.
pub const CHAT_MEMORY: usize = 1_000;
/// Bytes of them that a room holds; the oldest go until the rest fits.
pub const CHAT_MEMORY_BYTES: usize = 4 * 1024 * 1024;
/// Most messages on a page of chat.
pub const MAX_CHAT_PAGE: usize = 100;
/// Text on a page of chat, in bytes; the page ends before it is more, but holds one message at least.
pub const MAX_CHAT_PAGE_BYTES: usize = 128 * 1024;
/// Sustained `getChat` messages a second of one member; more are refused with `chat/page-rate`.
pub const CHAT_PAGES_PER_SECOND: u32 = 5;
/// `getChat` messages that may come at once before the rate counts.
pub const CHAT_PAGES_BURST: u32 = 20;
/// Longest reaction, in bytes.
pub const MAX_REACTION_BYTES: usize = 32;
/// Different reactions to one message.
pub const MAX_REACTION_KINDS: usize = 50;
/// Reactions to one message in all.
pub const MAX_REACTIONS: usize = 500;
/// Most people a private message goes to.
pub const MAX_PRIVATE_TO: usize = 20;
/// Private messages that are kept for one member whose connection is lost; the oldest go.
pub const PRIVATE_WAITING: usize = 100;
/// Bytes of them; the oldest go.
pub const PRIVATE_WAITING_BYTES: usize = 256 * 1024;
/// Of one member the others are told at most this often that it writes, in milliseconds.
pub const TYPING_EVERY_MS: u64 = 1_000;
/// After this time nobody writes any more who has not said so again, in milliseconds.
pub const TYPING_ENDS_MS: u64 = 6_000;
/// Longest room id, in bytes.
pub const MAX_ROOM_ID_BYTES: usize = 64;
/// Longest name a person may carry, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Longest identity of a member, in bytes.
pub const MAX_IDENTITY_BYTES: usize = 128;
/// Longest metadata of a member, in bytes.
pub const MAX_METADATA_BYTES: usize = 4 * 1024;
/// Most attributes of a member.
pub const MAX_ATTRIBUTES: usize = 64;
/// Longest key of an attribute, in bytes.
pub const MAX_ATTRIBUTE_KEY_BYTES: usize = 64;
/// All attributes of a member together, keys and values, in bytes.
pub const MAX_ATTRIBUTES_BYTES: usize = 4 * 1024;
/// Sustained `updateMember` messages a second of one member; more are refused with `member/rate`.
pub const MEMBER_UPDATES_PER_SECOND: u32 = 1;
/// `updateMember` messages that may come at once before the rate counts.
pub const MEMBER_UPDATES_BURST: u32 = 10;
/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// Most patterns of topics in one member's grants.
pub const MAX_TOPIC_GRANTS: usize = 64;
/// Longest such pattern, in bytes.
pub const MAX_TOPIC_GRANT_BYTES: usize = 128;
/// Longest m-line identification tag (MID), in bytes; RFC 8843 leaves it open, browsers use 1–3.
pub const MAX_MID_BYTES: usize = 16;
/// Most seats (pairs of an audio and a video slot) one client can have: Firefox bundles at most 128 m-lines.
pub const MAX_SEATS: u16 = 48;
/// Most voice slots (audio slots beside the seats) one client is asked to have.
pub const MAX_VOICE_SLOTS: u16 = 6;
/// Most tracks one member may publish.
pub const MAX_TRACKS_PER_MEMBER: usize = 8;
/// People in a room up to whom everybody is listed; in a larger one most are counted.
pub const LIST_UP_TO: usize = 200;
/// A room that counts lists everybody again once it holds fewer than this: not at the same number, so that it does not go
/// to and fro.
pub const LIST_AGAIN_BELOW: usize = 150;
/// Most people listed in a room that counts besides those who publish: who did something last.
pub const MAX_LISTED_RECENT: usize = 50;
/// Most people on one page of the roster over HTTP.
pub const MAX_ROSTER_PAGE: usize = 500;
/// Longest metadata of a room, in bytes.
pub const MAX_ROOM_METADATA_BYTES: usize = 4 * 1024;
/// Longest time that a room stays open without anybody, in seconds.
pub const MAX_EMPTY_TIMEOUT_S: u32 = 24 * 60 * 60;
/// Longest sentence a moderator may give for what it does, in characters.
pub const MAX_REASON_CHARS: usize = 500;
/// People who may wait in one lobby; one more is refused with `lobby/full`.
pub const MAX_KNOCKS: usize = 200;
/// Bans of one room; one more is refused with `ban/too-many`.
pub const MAX_BANS: usize = 1_000;
/// Longest a call rings, in seconds.
pub const MAX_CALL_S: u32 = 120;
/// How long a call rings unless told otherwise, in seconds.
pub const DEFAULT_CALL_S: u32 = 30;
/// Calls that may ring at once; one more is refused with `call/too-many`.
pub const MAX_CALLS: usize = 1_000;
/// Of these, calls of one caller.
pub const MAX_CALLS_OF_ONE: usize = 5;
/// Sustained client messages a second.
pub const CLIENT_MESSAGES_PER_SECOND: u32 = 50;
/// Client messages that may come at once before the rate counts.
pub const CLIENT_MESSAGES_BURST: u32 = 200;
/// Most changes in one `view` message.
pub const MAX_VIEW_CHANGES: usize = 128;
/// Sustained `view` messages a second of one member; more are refused with `view/rate`.
pub const VIEWS_PER_SECOND: u32 = 10;
/// `view` messages that may come at once before the rate counts.
pub const VIEWS_BURST: u32 = 40;
/// Sustained `getStats` messages a second of one member; more are refused with `stats/rate`.
pub const STATS_PER_SECOND: u32 = 2;
/// `getStats` messages that may come at once before the rate counts.
pub const STATS_BURST: u32 = 10;
/// Sustained chat messages a second of one member.
pub const CHAT_PER_SECOND: u32 = 10;
/// Chat messages that may come at once before the rate counts.
pub const CHAT_BURST: u32 = 30;
/// Own numbers of chat messages of one member that the server remembers, so that what is sent again after a lost
/// connection is not taken twice. A client has at most so many messages without an acknowledgement.
pub const CHAT_NONCES: usize = 256;
/// Longest resumption token a client may send, in bytes.
pub const MAX_RESUME_TOKEN_BYTES: usize = 128;
/// Largest payload of a data message, in bytes: with what the server puts before it a frame stays within 16 KiB.
pub const MAX_DATA_PAYLOAD_BYTES: usize = 16_000;
/// Longest header of a data frame, in bytes.
pub const MAX_DATA_HEADER_BYTES: usize = 8 * 1024;
/// Longest topic of data, and longest pattern of topics, in bytes.
pub const MAX_TOPIC_BYTES: usize = 128;
/// Most members that a data message names as its receivers.
pub const MAX_DATA_RECEIVERS: usize = 100;
/// Most patterns of topics that one member follows.
pub const MAX_TOPIC_PATTERNS: usize = 64;
/// Sustained data messages a second of one member; more are refused with `data/rate`.
pub const DATA_PER_SECOND: u32 = 300;
/// Data messages that may come at once before the rate counts.
pub const DATA_BURST: u32 = 600;
/// Sustained bytes of data messages a second of one member; more are refused with `data/rate`.
pub const DATA_BYTES_PER_SECOND: u32 = 2 * 1024 * 1024;
/// Bytes of data messages that may come at once before the rate counts.
pub const DATA_BYTES_BURST: u32 = 2 * 1024 * 1024;
/// Documents that a room keeps.
pub const MAX_DOCS: usize = 16;
/// Updates of a document that are kept until a snapshot stands for them.
pub const MAX_DOC_UPDATES: usize = 512;
/// Bytes of these updates.
pub const MAX_DOC_UPDATE_BYTES: usize = 1024 * 1024;
/// Largest snapshot of a document, in bytes: as base64 it fits a message.
pub const MAX_DOC_SNAPSHOT_BYTES: usize = 180_000;
/// Sustained `getDoc` and `putDoc` messages a second of one member; more are refused with `data/rate`.
pub const DOC_REQUESTS_PER_SECOND: u32 = 2;
/// `getDoc` and `putDoc` messages that may come at once before the rate counts.
pub const DOC_REQUESTS_BURST: u32 = 16;
