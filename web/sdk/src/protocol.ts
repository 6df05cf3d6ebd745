// Generated from crates/protocol by `cargo xtask protocol`; a test fails when it is stale. Do not edit.

export const PROTOCOL_VERSION = 1;
export const CHAT_CHANNEL_LABEL = "roundtable.chat";
export const DATA_CHANNEL_LABEL = "roundtable.data";
export const LOSSY_CHANNEL_LABEL = "roundtable.lossy";

export type RoomId = string;
export type MemberId = string;
export type TrackId = string;
export type MessageId = string;
export type ErrorCode = "message/bad-json" | "message/unknown" | "message/out-of-order" | "message/rate" | "hello/version" | "hello/name" | "hello/forbidden" | "token/missing" | "token/invalid" | "token/expired" | "token/room" | "token/grant" | "ticket/invalid" | "invite/unknown" | "invite/expired" | "invite/used" | "invite/revoked" | "invite/bad" | "invite/too-many" | "invite/no-key" | "login/refused" | "login/rate" | "login/room" | "login/provider" | "login/stale" | "hello/rate" | "room/full" | "room/too-many" | "room/key-quota" | "room/unknown" | "room/bad-id" | "room/locked" | "room/not-open-yet" | "room/expired" | "room/exists" | "room/changed" | "room/bad-settings" | "room/kicked" | "room/banned" | "room/moved" | "room/closed" | "sdp/malformed" | "sdp/too-large" | "sdp/unsupported" | "sdp/changed" | "track/bad-mid" | "track/too-many" | "track/unknown" | "track/forbidden" | "track/cannot-decode" | "track/over-limit" | "track/muted-by-host" | "moderation/forbidden" | "moderation/bad" | "moderation/rate" | "ban/unknown" | "ban/too-many" | "lobby/unknown" | "lobby/full" | "lobby/denied" | "lobby/timeout" | "call/bad" | "call/unknown" | "call/forbidden" | "call/too-many" | "view/rate" | "stats/rate" | "limit/bad" | "member/unknown" | "member/forbidden" | "member/rate" | "member/too-large" | "member/bad-attribute" | "member/changed" | "chat/too-long" | "chat/empty" | "chat/rate" | "chat/full" | "chat/forbidden" | "chat/unknown" | "chat/not-own" | "chat/bad-reaction" | "chat/reactions-full" | "chat/bad-recipients" | "chat/page-rate" | "chat/not-kept" | "data/forbidden" | "data/too-large" | "data/rate" | "data/slow" | "data/malformed" | "data/bad-topic" | "data/too-many-topics" | "data/too-many-docs" | "data/doc-full" | "data/bad-snapshot" | "client/slow" | "client/silent" | "client/replaced" | "ice/timeout" | "ice/consent" | "dtls/timeout" | "dtls/fingerprint" | "dtls/no-certificate" | "dtls/failed" | "sctp/aborted" | "peer/closed" | "server/stopping" | "server/overloaded" | "server/internal";
export type MediaKind = "audio" | "video";
export type TrackSource = "microphone" | "camera" | "screen" | "screenAudio";
export type LeaveReason = "left" | "disconnected" | "connectionLost" | "removed" | "kicked" | "moved" | "roomClosed" | "serverStopping";
export type RoomCloseReason = "empty" | "closed" | "serverStopping" | "failed";
export type QualityLimits = { 
/**
 * All media together, in bits a second.
 */
maxBitrateBps?: number, 
/**
 * Rows of a picture held upright, the smaller of its sides.
 */
maxHeight?: number, 
/**
 * Pictures a second.
 */
maxFps?: number, };
export type MemberLimits = { 
/**
 * Towards the member.
 */
receive: QualityLimits, 
/**
 * From the member.
 */
publish: QualityLimits, 
/**
 * Most pictures of others sent to the member at once; 0 for none.
 */
lastN?: number, };
export type Role = "host" | "speaker" | "listener" | "message-only" | "none";
export type Sources = Array<TrackSource>;
export type Grants = { 
/**
 * May publish audio and video.
 */
publish: boolean, 
/**
 * From which sources it may publish; absent means from all of them.
 */
sources?: Sources, 
/**
 * May receive what others publish.
 */
subscribe: boolean, 
/**
 * May write chat messages.
 */
chat: boolean, 
/**
 * May publish data.
 */
data: boolean, 
/**
 * The topics it may publish data to, as patterns of [`topic_matches`]; absent means all of them.
 */
topics?: Array<string>, 
/**
 * May moderate: change what others may, mute them, put them out, let in who waits, set up the room.
 */
admin: boolean, 
/**
 * Is not shown to others. Whoever is hidden publishes nothing.
 */
hidden: boolean, 
/**
 * Is a program that records, and may be shown as that.
 */
recorder: boolean, 
/**
 * May change what others see of it.
 */
updateOwnMetadata: boolean, 
/**
 * How much and how good; nothing more is sent or taken, whatever is asked for.
 */
limits: MemberLimits, };
export type GrantsChange = { 
/**
 * Everything a role may do, and nothing else.
 */
role?: Role, 
/**
 * May publish.
 */
publish?: boolean, 
/**
 * May receive.
 */
subscribe?: boolean, 
/**
 * May write.
 */
chat?: boolean, 
/**
 * May publish data.
 */
data?: boolean, 
/**
 * May moderate.
 */
admin?: boolean, 
/**
 * May change what others see of it.
 */
updateOwnMetadata?: boolean, 
/**
 * All limits from now on.
 */
limits?: MemberLimits, };
export type RoomSettings = { 
/**
 * Rises with every change of any room of this server, so that no two settings of a room have the same; 0 for a
 * room that was never set up. Over HTTP the `ETag`.
 */
version: number, 
/**
 * Whether newcomers are refused with `room/locked`, unless they moderate.
 */
locked: boolean, 
/**
 * Whether whoever does not moderate waits until a moderator lets them in.
 */
lobby?: boolean, 
/**
 * People the room holds at most, within what the server allows.
 */
maxMembers?: number, 
/**
 * Text of the application's own, at most 4 KiB. Everybody in the room reads it.
 */
metadata?: string, 
/**
 * Seconds for which the room stays open when the last one has left.
 */
emptyTimeoutS?: number, 
/**
 * What somebody may do who comes without a word about it from a token or the server's hook.
 */
defaultRole?: Role, 
/**
 * Before this nobody enters, in milliseconds since 1970 UTC.
 */
notBefore?: number, 
/**
 * From then on nobody enters, in milliseconds since 1970 UTC. Who is in stays.
 */
expiresAt?: number, };
export type SettingsChange = { 
/**
 * See [`RoomSettings::locked`].
 */
locked?: boolean, 
/**
 * See [`RoomSettings::lobby`].
 */
lobby?: boolean | null, 
/**
 * See [`RoomSettings::max_members`].
 */
maxMembers?: number | null, 
/**
 * See [`RoomSettings::metadata`].
 */
metadata?: string, 
/**
 * See [`RoomSettings::empty_timeout_s`].
 */
emptyTimeoutS?: number | null, 
/**
 * See [`RoomSettings::default_role`].
 */
defaultRole?: Role | null, 
/**
 * See [`RoomSettings::not_before`].
 */
notBefore?: number | null, 
/**
 * See [`RoomSettings::expires_at`].
 */
expiresAt?: number | null, };
export type Ban = { 
/**
 * Which.
 */
id: string, 
/**
 * The name they had when they were banned.
 */
name: string, 
/**
 * By what they are recognised.
 */
by: BanKey, 
/**
 * When it was made, in milliseconds since 1970 UTC.
 */
at: number, 
/**
 * When it ends by itself, if it does.
 */
until?: number, };
export type BanKey = "identity" | "address" | "name";
export type Knock = { 
/**
 * Which.
 */
id: string, 
/**
 * The name they give.
 */
name: string, 
/**
 * Since when they wait, in milliseconds since 1970 UTC.
 */
at: number, };
export type KnockEnd = "admitted" | "denied" | "withdrawn" | "timedOut";
export type ModerationAction = { "type": "setPermissions", 
/**
 * Whose.
 */
member: MemberId, 
/**
 * What changes.
 */
changes: GrantsChange, } | { "type": "mute", 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whether it is to be silent. False lifts what a moderator muted; whoever muted themselves stays muted.
 */
muted: boolean, 
/**
 * Whether the owner cannot unmute it, nor get around that by publishing again. Otherwise it is a request.
 */
hold: boolean, } | { "type": "muteAll", 
/**
 * Tracks of this source.
 */
source: TrackSource, 
/**
 * As with `mute`.
 */
muted: boolean, 
/**
 * As with `mute`.
 */
hold: boolean, } | { "type": "kick", 
/**
 * Whom.
 */
member: MemberId, 
/**
 * A sentence for them.
 */
message?: string, } | { "type": "ban", 
/**
 * Whom.
 */
member: MemberId, 
/**
 * For so many seconds; without it until it is lifted.
 */
seconds?: number, 
/**
 * A sentence for them.
 */
message?: string, } | { "type": "unban", 
/**
 * Which.
 */
ban: string, } | { "type": "listBans", } | { "type": "lock", 
/**
 * The new state.
 */
locked: boolean, } | { "type": "setSettings", 
/**
 * What changes.
 */
changes: SettingsChange, 
/**
 * The version that the changes are meant for; `room/changed` if it is another one by now.
 */
version?: number, } | { "type": "close", 
/**
 * A sentence for everybody.
 */
message?: string, } | { "type": "move", 
/**
 * Whom.
 */
member: MemberId, 
/**
 * Where to.
 */
room: RoomId, } | { "type": "message", 
/**
 * Whom; absent means everybody.
 */
member?: MemberId, 
/**
 * The text, at most 16 KiB.
 */
text: string, } | { "type": "listKnocks", } | { "type": "admit", 
/**
 * Whose knock.
 */
knock: string, } | { "type": "admitAll", } | { "type": "deny", 
/**
 * Whose knock.
 */
knock: string, 
/**
 * A sentence for them.
 */
message?: string, };
export type ModerationOutcome = { 
/**
 * What the member may do now.
 */
grants?: Grants, 
/**
 * The ban that was made, or all of them.
 */
bans?: Array<Ban>, 
/**
 * Everybody who waits.
 */
knocks?: Array<Knock>, 
/**
 * How many it concerned: tracks muted, people let in.
 */
count?: number, };
export type Call = { 
/**
 * Which; cannot be guessed.
 */
id: string, 
/**
 * The identity of who calls; absent when the server's operator does.
 */
from?: string, 
/**
 * The identity of who is called.
 */
to: string, 
/**
 * Where they are to meet.
 */
room: RoomId, 
/**
 * When it began, in milliseconds since 1970 UTC.
 */
at: number, 
/**
 * For how many seconds it rings at most.
 */
timeoutS: number, };
export type CallState = "ringing" | "accepted" | "declined" | "cancelled" | "timedOut";
export type CallAnswer = "accept" | "decline" | "cancel";
export type CallEvent = { 
/**
 * Position among the call events of this server, from 1.
 */
seq: number, 
/**
 * When, in milliseconds since 1970 UTC.
 */
at: number, 
/**
 * What.
 */
state: CallState, 
/**
 * Of which call.
 */
call: Call, };
export type MemberInfo = { 
/**
 * Who.
 */
id: MemberId, 
/**
 * Their name; text, never markup.
 */
name: string, 
/**
 * Who they are to whoever let them in, at most 128 bytes. The same person can be in a room more than once. Absent
 * for guests.
 */
identity?: string, 
/**
 * What whoever let them in says of them, at most 4 KiB; the server does not look into it.
 */
metadata?: string, 
/**
 * The same as texts by key, at most 64 and 4 KiB in all. None of them is empty.
 */
attributes?: { [key in string]: string }, 
/**
 * How often name, metadata or attributes were changed since they came; absent for never. Over HTTP the `ETag`.
 */
version?: number, };
export type MemberChange = { 
/**
 * The name, 1–64 characters.
 */
name?: string, 
/**
 * The metadata, at most 4 KiB; null or an empty text takes it away.
 */
metadata?: string | null, 
/**
 * Attributes by key. Those not named stay; null or an empty text takes one away.
 */
attributes?: { [key in string]: string | null }, };
export type TrackInfo = { 
/**
 * Which.
 */
id: TrackId, 
/**
 * Whose.
 */
member: MemberId, 
/**
 * Where it comes from; the kind of media follows from it.
 */
source: TrackSource, 
/**
 * Whether its owner muted it.
 */
muted: boolean, 
/**
 * Codec the publisher sends, as in RTP maps (`VP8`, `opus`); empty until the answer is made.
 */
codec: string, 
/**
 * Encodings of a simulcast publisher, 1 without simulcast.
 */
layers: number, };
export type ChatMessage = { 
/**
 * Which.
 */
id: MessageId, 
/**
 * Position in the room's journal; the order of chat.
 */
seq: number, 
/**
 * When the server took it, in milliseconds since 1970 UTC.
 */
at: number, 
/**
 * Who wrote it, stamped by the server.
 */
member: MemberId, 
/**
 * The writer's name at that time.
 */
name: string, 
/**
 * The text; never markup.
 */
text: string, 
/**
 * The writer's own number for it, by which a writer who lost the connection knows it again.
 */
nonce?: number, };
export type ChatPlace = string;
export type Reaction = { 
/**
 * A few characters, mostly one emoji; text, never markup.
 */
reaction: string, 
/**
 * Who reacted so, in order; never empty.
 */
members: Array<MemberId>, };
export type ChatEntry = { 
/**
 * The life of the room in which it was written: `seq` counts within that.
 */
epoch: number, 
/**
 * When it was last edited, in milliseconds since 1970 UTC; absent if it never was.
 */
editedAt?: number, 
/**
 * Whether it was deleted.
 */
deleted?: boolean, 
/**
 * What others made of it, in the order in which each came first.
 */
reactions?: Array<Reaction>, 
/**
 * Which.
 */
id: MessageId, 
/**
 * Position in the room's journal; the order of chat.
 */
seq: number, 
/**
 * When the server took it, in milliseconds since 1970 UTC.
 */
at: number, 
/**
 * Who wrote it, stamped by the server.
 */
member: MemberId, 
/**
 * The writer's name at that time.
 */
name: string, 
/**
 * The text; never markup.
 */
text: string, 
/**
 * The writer's own number for it, by which a writer who lost the connection knows it again.
 */
nonce?: number, };
export type ChatPage = { 
/**
 * The messages, oldest first.
 */
messages: Array<ChatEntry>, 
/**
 * Before which place the next page ends; null if there is nothing before.
 */
before: ChatPlace | null, };
export type PrivateMessage = { 
/**
 * Which; what comes again after a lost connection is known by it.
 */
id: MessageId, 
/**
 * When the server took it, in milliseconds since 1970 UTC.
 */
at: number, 
/**
 * Who wrote it, stamped by the server.
 */
member: MemberId, 
/**
 * The writer's name at that time.
 */
name: string, 
/**
 * To whom, each once.
 */
to: Array<MemberId>, 
/**
 * The text; never markup.
 */
text: string, };
export type ErrorInfo = { 
/**
 * The stable word.
 */
code: ErrorCode, 
/**
 * A sentence for people.
 */
message: string, };
export type EventBody = { "type": "joined", 
/**
 * Who.
 */
member: MemberInfo, } | { "type": "left", 
/**
 * Who.
 */
member: MemberId, 
/**
 * Why.
 */
reason: LeaveReason, } | { "type": "audience", 
/**
 * How many are in the room and not listed, after this event.
 */
viewers: number, 
/**
 * Who was counted and is listed from now on. They did not enter just now.
 */
listed?: Array<MemberInfo>, 
/**
 * Who was listed and is counted from now on. They did not leave.
 */
counted?: Array<MemberId>, } | { "type": "published", 
/**
 * The track and its owner.
 */
track: TrackInfo, } | { "type": "unpublished", 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whose it was.
 */
member: MemberId, } | { "type": "muted", 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whose.
 */
member: MemberId, 
/**
 * The new state.
 */
muted: boolean, 
/**
 * Why the server muted it; absent when its owner did it. The owner can unmute it again, but for
 * `track/muted-by-host`.
 */
code?: ErrorCode, } | { "type": "speaking", 
/**
 * Who.
 */
member: MemberId, 
/**
 * The new state.
 */
speaking: boolean, } | { "type": "dominantSpeaker", 
/**
 * Who; null while nobody does, because who did is muted or gone.
 */
member: MemberId | null, } | { "type": "chat", 
/**
 * The message.
 */
message: ChatMessage, } | { "type": "chatEdited", 
/**
 * Which.
 */
message: MessageId, 
/**
 * Who edited it.
 */
member: MemberId, 
/**
 * The text; never markup.
 */
text: string, } | { "type": "chatDeleted", 
/**
 * Which.
 */
message: MessageId, 
/**
 * Who deleted it.
 */
member: MemberId, } | { "type": "reaction", 
/**
 * Which.
 */
message: MessageId, 
/**
 * Who.
 */
member: MemberId, 
/**
 * The reaction; text, never markup.
 */
reaction: string, 
/**
 * Whether it is there from now on.
 */
on: boolean, } | { "type": "restarted", 
/**
 * Everybody who is listed.
 */
members: Array<MemberInfo>, 
/**
 * How many are in the room besides.
 */
viewers: number, 
/**
 * Every published track.
 */
tracks: Array<TrackInfo>, } | { "type": "permissionsChanged", 
/**
 * Who.
 */
member: MemberId, 
/**
 * What they are now.
 */
role: Role, } | { "type": "memberUpdated", 
/**
 * Who.
 */
member: MemberId, 
/**
 * Their name.
 */
name: string, 
/**
 * Their metadata; absent if they have none.
 */
metadata?: string, 
/**
 * All their attributes.
 */
attributes: { [key in string]: string }, 
/**
 * See [`MemberInfo::version`].
 */
version: number, } | { "type": "roomUpdated", 
/**
 * All of them.
 */
settings: RoomSettings, } | { "type": "roomClosed", 
/**
 * Why.
 */
reason: RoomCloseReason, };
export type Event = { 
/**
 * Position in the room's journal, from 1, without gaps.
 */
seq: number, 
/**
 * When it happened, in milliseconds since 1970 UTC by the server's clock.
 */
at: number, } & ({ "type": "joined", 
/**
 * Who.
 */
member: MemberInfo, } | { "type": "left", 
/**
 * Who.
 */
member: MemberId, 
/**
 * Why.
 */
reason: LeaveReason, } | { "type": "audience", 
/**
 * How many are in the room and not listed, after this event.
 */
viewers: number, 
/**
 * Who was counted and is listed from now on. They did not enter just now.
 */
listed?: Array<MemberInfo>, 
/**
 * Who was listed and is counted from now on. They did not leave.
 */
counted?: Array<MemberId>, } | { "type": "published", 
/**
 * The track and its owner.
 */
track: TrackInfo, } | { "type": "unpublished", 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whose it was.
 */
member: MemberId, } | { "type": "muted", 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whose.
 */
member: MemberId, 
/**
 * The new state.
 */
muted: boolean, 
/**
 * Why the server muted it; absent when its owner did it. The owner can unmute it again, but for
 * `track/muted-by-host`.
 */
code?: ErrorCode, } | { "type": "speaking", 
/**
 * Who.
 */
member: MemberId, 
/**
 * The new state.
 */
speaking: boolean, } | { "type": "dominantSpeaker", 
/**
 * Who; null while nobody does, because who did is muted or gone.
 */
member: MemberId | null, } | { "type": "chat", 
/**
 * The message.
 */
message: ChatMessage, } | { "type": "chatEdited", 
/**
 * Which.
 */
message: MessageId, 
/**
 * Who edited it.
 */
member: MemberId, 
/**
 * The text; never markup.
 */
text: string, } | { "type": "chatDeleted", 
/**
 * Which.
 */
message: MessageId, 
/**
 * Who deleted it.
 */
member: MemberId, } | { "type": "reaction", 
/**
 * Which.
 */
message: MessageId, 
/**
 * Who.
 */
member: MemberId, 
/**
 * The reaction; text, never markup.
 */
reaction: string, 
/**
 * Whether it is there from now on.
 */
on: boolean, } | { "type": "restarted", 
/**
 * Everybody who is listed.
 */
members: Array<MemberInfo>, 
/**
 * How many are in the room besides.
 */
viewers: number, 
/**
 * Every published track.
 */
tracks: Array<TrackInfo>, } | { "type": "permissionsChanged", 
/**
 * Who.
 */
member: MemberId, 
/**
 * What they are now.
 */
role: Role, } | { "type": "memberUpdated", 
/**
 * Who.
 */
member: MemberId, 
/**
 * Their name.
 */
name: string, 
/**
 * Their metadata; absent if they have none.
 */
metadata?: string, 
/**
 * All their attributes.
 */
attributes: { [key in string]: string }, 
/**
 * See [`MemberInfo::version`].
 */
version: number, } | { "type": "roomUpdated", 
/**
 * All of them.
 */
settings: RoomSettings, } | { "type": "roomClosed", 
/**
 * Why.
 */
reason: RoomCloseReason, });
export type RoomState = { 
/**
 * The room's id.
 */
room: RoomId, 
/**
 * Which life of the room this is: when it opened, in milliseconds since 1970 UTC. Sequence
 * numbers of another epoch mean nothing here.
 */
epoch: number, 
/**
 * The last event that this state includes; 0 before the first.
 */
seq: number, 
/**
 * Everybody who is listed, in order of joining or of being listed: all people of a room of up to 200, and of a
 * larger one those who publish or did something lately.
 */
members: Array<MemberInfo>, 
/**
 * How many are in the room besides, as last told: they are counted, not listed.
 */
viewers: number, 
/**
 * Every published track, in order of publishing.
 */
tracks: Array<TrackInfo>, 
/**
 * Who speaks now.
 */
speaking: Array<MemberId>, 
/**
 * Who leads the conversation; null before anybody has spoken.
 */
dominantSpeaker: MemberId | null, 
/**
 * How the room is set up, if anybody ever did.
 */
settings?: RoomSettings, 
/**
 * Whether the room is over.
 */
closed: boolean, };
export type RosterPage = { 
/**
 * The room's id.
 */
room: RoomId, 
/**
 * Which life of the room this is, as in its state.
 */
epoch: number, 
/**
 * People in the room at this moment.
 */
total: number, 
/**
 * Those of this page.
 */
members: Array<MemberInfo>, 
/**
 * Where the next page begins: to be given as `after`. Null on the last page. People who come while one turns the
 * pages are at the end; nobody who stays is left out or comes twice.
 */
next: number | null, };
export type EventPage = { 
/**
 * The room's id.
 */
room: RoomId, 
/**
 * Which life of the room this is.
 */
epoch: number, 
/**
 * The room as it is now, when what the reader lacks is not kept any more or it named no event: start again from this.
 */
reset?: RoomState, 
/**
 * The events behind the one that was named, in order and without a gap; empty when nothing came in time.
 */
events: Array<Event>, 
/**
 * `EPOCH-SEQ` of the last event the reader has now: the `after` of its next poll.
 */
next: string, 
/**
 * Whether the room is over and the reader has everything: no further poll makes sense.
 */
closed: boolean, };
export type ServerEvent = { 
/**
 * Position in the server's own sequence, from 1. A reader that filters sees gaps.
 */
number: number, 
/**
 * In which room it happened.
 */
room: RoomId, 
/**
 * In which life of the room.
 */
epoch: number, 
/**
 * What happened; `seq` is the number in the room's own stream.
 */
event: Event, };
export type ServerState = { 
/**
 * Which start of the server this is, in milliseconds since 1970 UTC.
 */
boot: number, 
/**
 * Entries with greater numbers follow. One whose `seq` is not above its room's here is in this state already.
 */
number: number, 
/**
 * The open rooms, ordered by id.
 */
rooms: Array<RoomState>, 
/**
 * Whether these are all rooms asked for; otherwise the rest is to be had one by one.
 */
complete: boolean, };
export type ServerEventPage = { 
/**
 * Which start of the server this is.
 */
boot: number, 
/**
 * All rooms as they are now, when the entry that was named is too old, of another start, or none was named.
 */
reset?: ServerState, 
/**
 * The entries behind the one that was named, in order; empty when nothing came in time.
 */
events: Array<ServerEvent>, 
/**
 * `BOOT-NUMBER` of the last entry that was looked at: the `after` of the next poll.
 */
next: string, };
export type WebhookData = { 
/**
 * In which room.
 */
room: RoomId, 
/**
 * In which life of the room.
 */
epoch: number, 
/**
 * What.
 */
event: Event, };
export type WebhookBody = { 
/**
 * The type of the event.
 */
type: string, 
/**
 * When it happened, in RFC 3339 with milliseconds.
 */
timestamp: string, 
/**
 * What happened.
 */
data: WebhookData, };
export type Resume = { 
/**
 * The token of its `welcome`.
 */
token: string, 
/**
 * The life of the room that it knows.
 */
epoch: number, 
/**
 * The last event it has: what came after is sent.
 */
seq: number, };
export type PublishRequest = { 
/**
 * The m-line of the offer.
 */
mid: string, 
/**
 * What it carries; its kind must be the m-line's.
 */
source: TrackSource, 
/**
 * Whether it begins muted.
 */
muted: boolean, 
/**
 * The own track that goes on with this line, after the peer connection that it was on was lost: it keeps its id, and
 * nobody has to subscribe anew. What is not such a track becomes a new one.
 */
track?: TrackId, };
export type SubscribeChange = { 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whether it is wanted at all.
 */
wanted: boolean, };
export type ViewChange = { 
/**
 * Which.
 */
track: TrackId, 
/**
 * Whether it is on the screen. What is not is not sent.
 */
visible: boolean, 
/**
 * Columns of the place it is shown in, in pixels of the device; no larger picture is sent than that needs.
 */
width?: number, 
/**
 * Rows of that place.
 */
height?: number, 
/**
 * More pictures a second are not wanted, at least 1.
 */
maxFps?: number, 
/**
 * Whether it is held on stage: it gets its bandwidth first, and its place among the last-N.
 */
pinned: boolean, 
/**
 * Orders what is otherwise equal, the greater first; absent means 128.
 */
priority?: number, };
export type EncodingWish = { 
/**
 * The encoding; empty where a track has one only and no rid.
 */
rid: string, 
/**
 * Whether somebody wants it.
 */
active: boolean, };
export type PathFigures = { 
/**
 * What may be sent, by estimate and limit; 0 before there is an estimate.
 */
targetBps: number, 
/**
 * What is chosen to be sent costs this much.
 */
usedBps: number, 
/**
 * Everything that the member could make use of would cost this much.
 */
desiredBps: number, 
/**
 * How long what waits in the server takes to leave, in milliseconds.
 */
queueMs: number, 
/**
 * The round-trip time, in milliseconds.
 */
rttMs: number, };
export type SlotFigures = { 
/**
 * The m-line.
 */
mid: string, 
/**
 * The track it carries now.
 */
track?: TrackId, 
/**
 * The track that takes over once it can.
 */
next?: TrackId, 
/**
 * Packets sent, retransmissions aside; modulo 2³².
 */
packets: number, 
/**
 * Payload bytes of those; modulo 2³².
 */
bytes: number, 
/**
 * What the member last said of its loss, 0 to 1.
 */
fractionLost: number, 
/**
 * What was chosen for it; absent for sound, and while the picture is paused or the slot idle.
 */
chosen?: LayerFigures, 
/**
 * What is being sent; another one than chosen until a frame comes with which that can begin.
 */
current?: LayerFigures, 
/**
 * Why that was chosen: `kept`, `room` (more fits), `squeezed` (less fits), `wish` (the member's view or a limit) or
 * `gone` (the publisher stopped sending it).
 */
cause: ChoiceCause, };
export type LayerFigures = { 
/**
 * The encoding, counted in the order of the publisher's offer.
 */
encoding: number, 
/**
 * The highest spatial layer within it.
 */
spatial: number, 
/**
 * The highest temporal layer.
 */
temporal: number, };
export type ChoiceCause = "kept" | "room" | "squeezed" | "wish" | "gone";
export type EncodingFigures = { 
/**
 * Which; empty where a track has one only and no rid.
 */
rid: string, 
/**
 * Whether it is being received.
 */
live: boolean, 
/**
 * Payload bits a second.
 */
bitrateBps: number, 
/**
 * Packets received, retransmissions aside.
 */
packets: number, 
/**
 * Packets lost on the way to the server, also those that came again; negative if duplicates outnumber them.
 */
lost: number, };
export type TrackFigures = { 
/**
 * Which.
 */
track: TrackId, 
/**
 * Each encoding, in the order of the offer.
 */
encodings: Array<EncodingFigures>, };
export type MemberStats = { 
/**
 * Who.
 */
member: MemberId, 
/**
 * When these figures were true, in milliseconds since 1970 UTC by the server's clock.
 */
at: number, 
/**
 * What the member may receive and publish.
 */
limits: MemberLimits, 
/**
 * The path towards the member; null before its first offer.
 */
path: PathFigures | null, 
/**
 * What it is sent, slot by slot, ordered by m-line.
 */
slots: Array<SlotFigures>, 
/**
 * What it publishes.
 */
tracks: Array<TrackFigures>, };
export type IceServer = { 
/**
 * `stun:`, `turn:` or `turns:` URLs.
 */
urls: Array<string>, 
/**
 * For TURN: with a shared secret, `expiry:member`.
 */
username?: string, 
/**
 * For TURN: the password.
 */
credential?: string, };
export type PublishedTrack = { 
/**
 * The m-line.
 */
mid: string, 
/**
 * The id others know it by.
 */
track: TrackId, };
export type SlotOwner = { 
/**
 * The track.
 */
id: TrackId, 
/**
 * Whose it is.
 */
member: MemberId, 
/**
 * RTP timestamp of the first packet of this owner in the slot; the picture belongs to it from
 * the first frame at or after this timestamp (modulo 2³²).
 */
rtpTimestamp: number, 
/**
 * On voice slots: the contributing source that RTP packets of this owner name (RFC 3550 §5.1).
 */
csrc?: number, };
export type SlotChange = { 
/**
 * The receiving m-line.
 */
mid: string, 
/**
 * Rises with each change of this slot.
 */
generation: number, 
/**
 * What it carries now; null when it is idle. Never infer that from the track's `mute`.
 */
track: SlotOwner | null, };
export type ResumeTicket = { 
/**
 * For `hello.resume.token`. Keep it to yourself: who has it is you.
 */
token: string, 
/**
 * For so many seconds after a lost socket the place is kept.
 */
withinS: number, };
export type Packing = "batch" | "deflate";
export type DataHeader = { 
/**
 * What it is about: 1–128 bytes, words with `/` between.
 */
topic: string, 
/**
 * For whom it is, at most 100 members; absent for everybody else.
 */
to?: Array<MemberId>, 
/**
 * Chosen by the client: refusals repeat it.
 */
id?: number, };
export type DataStamp = { 
/**
 * What it is about.
 */
topic: string, 
/**
 * Who published it; nobody can say they are somebody else.
 */
from: MemberId, 
/**
 * The publisher's number for it.
 */
id?: number, 
/**
 * Of an update of a document (`doc/NAME`): its number there, from 1 and without gaps.
 */
n?: number, };
export type DocSnapshot = { 
/**
 * The last update that is part of it.
 */
upTo: number, 
/**
 * The bytes, as base64 with padding.
 */
payload: string, };
export type DocUpdate = { 
/**
 * Its number, from 1 and without gaps.
 */
n: number, 
/**
 * Who published it.
 */
from: MemberId, 
/**
 * The bytes, as base64 with padding.
 */
payload: string, };
export type Welcome = { 
/**
 * The protocol version spoken from now on.
 */
version: number, 
/**
 * The room's id.
 */
room: RoomId, 
/**
 * Who the client is.
 */
member: MemberInfo, 
/**
 * What the client may do.
 */
grants: Grants, 
/**
 * Everything in the room, the client included; events follow from `state.seq + 1`. In a room of many people the
 * client is one of those counted, not listed, until it does something.
 */
state: RoomState, 
/**
 * STUN and TURN servers for `RTCPeerConnection`.
 */
iceServers: Array<IceServer>, 
/**
 * Seats to begin with.
 */
seats: number, 
/**
 * Audio-only m-lines to offer beside the seats, on which whoever speaks without a seat is heard; 0 for none.
 */
voiceSlots: number, 
/**
 * Seconds of silence after which the server gives up a socket; ping more often than that.
 */
silenceTimeoutS: number, 
/**
 * With what to come back when the socket is lost; absent where the server keeps nobody's place.
 */
resume?: ResumeTicket, 
/**
 * What of `hello.accept` is used, from this message on.
 */
accepted?: Array<Packing>, 
/**
 * Whether the peer connection that the client had in the room before goes on in this one: nothing is published on it
 * and its receiving m-lines carry nothing yet, but they are the client's, as they are. What is to be published is said
 * by an offer, which is not `fresh`. If not, make another one.
 */
media?: boolean, };
export type Resumed = { 
/**
 * Who the client is: as before.
 */
member: MemberInfo, 
/**
 * What the client may do.
 */
grants: Grants, 
/**
 * STUN and TURN servers, with fresh credentials.
 */
iceServers: Array<IceServer>, 
/**
 * Whether the peer connection is still there. If not, make another one.
 */
media: boolean, 
/**
 * What every receiving m-line carries; empty without a peer connection.
 */
slots: Array<SlotChange>, 
/**
 * The room, if what the client missed is not kept any more: it replaces what the client knows, and events follow from
 * `state.seq + 1`. Without it events follow from the client's `seq + 1`, chat among them.
 */
state?: RoomState, 
/**
 * As in `welcome`.
 */
accepted?: Array<Packing>, };
export type ClientMessage = { "type": "hello", 
/**
 * The protocol version the client speaks.
 */
version: number, 
/**
 * The name others see, 1–64 characters.
 */
name: string, 
/**
 * A token that says who one is and what one may, where the server wants one.
 */
token?: string, 
/**
 * Most seats this client wants to have, 0–48; absent means 48.
 */
maxSeats?: number, 
/**
 * What this client had before its connection was lost. If that is still there it is answered by `resumed`, else
 * as if this had not been said.
 */
resume?: Resume, 
/**
 * Ways in which messages may come besides one in a text frame, such as `batch` and `deflate` (`Packing`). What the
 * server does not know it passes over; which of them it uses it says in its answer, and that may come so already.
 */
accept?: Array<string>, 
/**
 * Whether this client still has the peer connection that `move.media` said is kept, and wants to go on with it.
 */
media?: boolean, } | { "type": "offer", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * The offer.
 */
sdp: string, 
/**
 * Whether this is the first offer of another peer connection: what the one before carried has ended.
 */
fresh?: boolean, 
/**
 * What the sending m-lines carry. A track already known by its mid keeps its id. A sending
 * m-line that is not named here is not published.
 */
tracks: Array<PublishRequest>, } | { "type": "unpublish", 
/**
 * Which.
 */
tracks: Array<TrackId>, } | { "type": "mute", 
/**
 * Which.
 */
track: TrackId, 
/**
 * The new state.
 */
muted: boolean, } | { "type": "subscribe", 
/**
 * Changes to earlier wishes.
 */
changes: Array<SubscribeChange>, } | { "type": "view", 
/**
 * What has changed; each replaces what was said of its track before.
 */
changes: Array<ViewChange>, } | { "type": "getStats", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, } | { "type": "chat", 
/**
 * Chosen by the client; comes back in the acknowledgement, so that nothing is shown twice.
 */
nonce: number, 
/**
 * The text, at most 16 KiB.
 */
text: string, 
/**
 * To whom alone, 1 to 20 people; absent for everybody. Answered by `privateChat`.
 */
to?: Array<MemberId>, } | { "type": "editChat", 
/**
 * Chosen by the client.
 */
id: number, 
/**
 * Which: an own one, or any for who moderates.
 */
message: MessageId, 
/**
 * The text, at most 16 KiB.
 */
text: string, } | { "type": "deleteChat", 
/**
 * Chosen by the client.
 */
id: number, 
/**
 * Which: an own one, or any for who moderates.
 */
message: MessageId, } | { "type": "react", 
/**
 * Chosen by the client; an `error` repeats it.
 */
id?: number, 
/**
 * To which.
 */
message: MessageId, 
/**
 * 1–32 bytes without control characters, mostly one emoji.
 */
reaction: string, 
/**
 * Whether it is to be there.
 */
on: boolean, } | { "type": "getChat", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * The place, such as that of the oldest message that the client has; absent for the end.
 */
before?: ChatPlace, 
/**
 * Most messages, 1–100; absent means 50.
 */
limit?: number, } | { "type": "typing", 
/**
 * The new state.
 */
typing: boolean, } | { "type": "updateMember", 
/**
 * Chosen by the client; the answer repeats it.
 */
id?: number, 
/**
 * The name, 1–64 characters.
 */
name?: string, 
/**
 * The metadata, at most 4 KiB; null or an empty text takes it away.
 */
metadata?: string | null, 
/**
 * Attributes by key. Those not named stay; null or an empty text takes one away.
 */
attributes?: { [key in string]: string | null }, 
/**
 * For which version of oneself this is meant; absent for whichever there is.
 */
version?: number, } | { "type": "moderate", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * What is to be done.
 */
action: ModerationAction, } | { "type": "call", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * The identity of who is called.
 */
to: string, 
/**
 * For how many seconds it rings at most, 1–120; absent means 30.
 */
timeoutS?: number, } | { "type": "answerCall", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * Which.
 */
call: string, 
/**
 * What is done about it.
 */
answer: CallAnswer, } | { "type": "data", 
/**
 * The bytes, as base64 with padding.
 */
payload: string, 
/**
 * Whether it may be lost.
 */
lossy?: boolean, 
/**
 * What it is about: 1–128 bytes, words with `/` between.
 */
topic: string, 
/**
 * For whom it is, at most 100 members; absent for everybody else.
 */
to?: Array<MemberId>, 
/**
 * Chosen by the client: refusals repeat it.
 */
id?: number, } | { "type": "topics", 
/**
 * Patterns to follow no more; taken out first.
 */
unsubscribe?: Array<string>, 
/**
 * Patterns to follow.
 */
subscribe?: Array<string>, } | { "type": "getDoc", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * The document's name: its updates are published to `doc/NAME`.
 */
doc: string, 
/**
 * Only what came after the update with this number.
 */
after: number, } | { "type": "putDoc", 
/**
 * Chosen by the client; the answer repeats it.
 */
id: number, 
/**
 * The document's name.
 */
doc: string, 
/**
 * The last update that is part of the snapshot.
 */
upTo: number, 
/**
 * The snapshot, as base64 with padding.
 */
snapshot: string, } | { "type": "ping", 
/**
 * Comes back in the pong.
 */
nonce: number, } | { "type": "leave", };
export type ServerMessage = { "type": "welcome" } & Welcome | { "type": "resumed" } & Resumed | { "type": "mediaLost", 
/**
 * The stable word for how.
 */
code: ErrorCode, 
/**
 * A sentence for people.
 */
message: string, } | { "type": "answer", 
/**
 * The offer's id.
 */
id: number, 
/**
 * The answer.
 */
sdp: string, 
/**
 * The published tracks of this member by m-line.
 */
tracks: Array<PublishedTrack>, } | { "type": "slots", 
/**
 * Each changed slot.
 */
changes: Array<SlotChange>, } | { "type": "growSeats", 
/**
 * Pairs the client should have, a power of two or the cap, never more than it said in hello.
 */
seats: number, } | { "type": "layers", 
/**
 * Which.
 */
track: TrackId, 
/**
 * All encodings, in the order of the offer.
 */
encodings: Array<EncodingWish>, } | { "type": "stats", 
/**
 * The number of the question.
 */
id: number, 
/**
 * The figures.
 */
stats: MemberStats, } | { "type": "event", 
/**
 * The journal's entry.
 */
event: Event, } | { "type": "chat", 
/**
 * The message.
 */
message: ChatMessage, 
/**
 * The nonce of the sender's own message; absent for others.
 */
nonce?: number, } | { "type": "data", 
/**
 * The bytes, as base64 with padding.
 */
payload: string, 
/**
 * Whether it came as data that may be lost.
 */
lossy?: boolean, 
/**
 * What it is about.
 */
topic: string, 
/**
 * Who published it; nobody can say they are somebody else.
 */
from: MemberId, 
/**
 * The publisher's number for it.
 */
id?: number, 
/**
 * Of an update of a document (`doc/NAME`): its number there, from 1 and without gaps.
 */
n?: number, } | { "type": "doc", 
/**
 * The number of the question.
 */
id: number, 
/**
 * The document's name.
 */
doc: string, 
/**
 * What stands for all updates up to `up_to`; absent if the client had them, or in later pieces.
 */
snapshot?: DocSnapshot, 
/**
 * Updates, without gaps.
 */
updates: Array<DocUpdate>, 
/**
 * The number of the document's last update so far.
 */
last: number, 
/**
 * Whether this is the last piece.
 */
complete: boolean, } | { "type": "privateChat", 
/**
 * The message.
 */
message: PrivateMessage, 
/**
 * The nonce of the sender's own message; absent for others.
 */
nonce?: number, } | { "type": "chatPage", 
/**
 * The number of the question.
 */
id: number, 
/**
 * The messages, oldest first.
 */
messages: Array<ChatEntry>, 
/**
 * What to ask for next; null if nothing is kept from before.
 */
before: string | null, } | { "type": "typing", 
/**
 * Who.
 */
member: MemberId, 
/**
 * The new state.
 */
typing: boolean, } | { "type": "chatHistory", 
/**
 * The messages of this piece.
 */
messages: Array<ChatEntry>, 
/**
 * Whether this was the last piece.
 */
complete: boolean, } | { "type": "waiting", 
/**
 * As in `welcome`.
 */
accepted?: Array<Packing>, } | { "type": "grants", 
/**
 * What you may do from now on.
 */
grants: Grants, } | { "type": "updated", 
/**
 * The number of the request, if there was one.
 */
id?: number, 
/**
 * You.
 */
member: MemberInfo, } | { "type": "knock", 
/**
 * Who.
 */
knock: Knock, } | { "type": "knockEnded", 
/**
 * Whose knock.
 */
knock: string, 
/**
 * How it ended.
 */
end: KnockEnd, } | { "type": "moderated", 
/**
 * The number of the request.
 */
id: number, 
/**
 * What came of it.
 */
outcome: ModerationOutcome, } | { "type": "notice", 
/**
 * Who, if it is a member.
 */
from?: MemberId, 
/**
 * What.
 */
text: string, } | { "type": "move", 
/**
 * Where to.
 */
room: RoomId, 
/**
 * Lets you in there once.
 */
ticket: string, 
/**
 * For how many seconds.
 */
expiresInS: number, 
/**
 * Whether the peer connection is kept for as long: the client that still has it says so in `hello.media`.
 */
media?: boolean, } | { "type": "called", 
/**
 * The number of the request.
 */
id: number, 
/**
 * The call.
 */
call: Call, } | { "type": "callEvent", 
/**
 * What.
 */
event: CallEvent, } | { "type": "pong", 
/**
 * The ping's nonce.
 */
nonce: number, } | { "type": "error", 
/**
 * The id of the offer or question, or the nonce of the chat message, that it answers, if any.
 */
id?: number, 
/**
 * The stable word.
 */
code: ErrorCode, 
/**
 * A sentence for people.
 */
message: string, 
/**
 * Whether the connection ends with it.
 */
fatal: boolean, 
/**
 * When it can be of use to try again, in milliseconds, if that is known.
 */
retryAfterMs?: number, } | { "type": "draining", 
/**
 * When it ends at the latest, in milliseconds from now.
 */
withinMs: number, } | { "type": "goodbye", 
/**
 * The stable word for why, absent when the client asked for it.
 */
code?: ErrorCode, 
/**
 * A sentence for people.
 */
message: string, 
/**
 * When to come back, in milliseconds; absent when that is of no use.
 */
reconnectAfterMs?: number, };
