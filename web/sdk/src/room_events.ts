// What a room tells.
import type { CallDirection } from "./calls/call_log.ts";
import type { PrivateLine, PublicLine } from "./chat_log.ts";
import type { DataMessage } from "./data/hub.ts";
import type { RoundtableError, RoundtableErrorCode } from "./errors.ts";
import type { LocalParticipant } from "./local.ts";
import type {
  Call,
  CallEvent,
  Grants,
  Knock,
  MemberId,
  Role,
  RoomId,
  RoomSettings,
  TrackSource,
} from "./protocol.ts";
import type { RemoteParticipant, RemoteTrackPublication } from "./remote.ts";

/** What a room tells; see `Room.on`. */
export interface RoomEvents {
  /** The room has a lobby: somebody inside is asked to let one in. */
  waiting: [];
  connected: [];
  /** The connection was lost; the next attempt begins after `delayMs`. */
  reconnecting: [info: { attempt: number; delayMs: number; code: RoundtableErrorCode }];
  /** Back with the same tracks: as the same member if the server still kept the place (`Room.localParticipant.id` tells). */
  reconnected: [];
  /** Over: without a code by `disconnect`, else for a reason that trying again does not cure. */
  disconnected: [code: RoundtableErrorCode | undefined];
  participantJoined: [RemoteParticipant];
  participantLeft: [RemoteParticipant];
  /** Somebody who was here already is among the participants from now on: a large room lists those who do something. */
  participantListed: [RemoteParticipant];
  /** Somebody is not among the participants any more, without having left. */
  participantUnlisted: [RemoteParticipant];
  /** Name, metadata or attributes of somebody changed, perhaps one's own. */
  participantUpdated: [RemoteParticipant | LocalParticipant];
  /** How many others are here who are not among the participants; see `Room.viewers`. */
  audienceChanged: [viewers: number];
  trackPublished: [RemoteTrackPublication, RemoteParticipant];
  trackUnpublished: [RemoteTrackPublication, RemoteParticipant];
  /** Muted or unmuted by its owner. */
  trackMuted: [RemoteTrackPublication, RemoteParticipant];
  /** The server sends it: `publication.attach(element)` shows it. */
  trackSubscribed: [MediaStreamTrack, RemoteTrackPublication, RemoteParticipant | undefined];
  /** The server sends it no more: hide the element. */
  trackUnsubscribed: [MediaStreamTrack, RemoteTrackPublication];
  /** Who speaks, oneself included. */
  activeSpeakers: [readonly MemberId[]];
  /** Another one leads the conversation, perhaps oneself; null while nobody does. */
  dominantSpeakerChanged: [MemberId | null];
  /** Somebody wrote to everybody, or a message of one's own was taken. */
  chatMessage: [PublicLine];
  /** Somebody wrote to oneself and perhaps a few others, or a message of one's own to a few was taken. */
  privateChatMessage: [PrivateLine];
  /** Somebody writes, or does not any more. */
  typing: [member: MemberId, typing: boolean];
  /** The list of messages, or the state of own ones, changed; see `Room.chat`. */
  chatChanged: [];
  /** Somebody published data, to whichever topic. */
  data: [DataMessage];
  /** Own tracks changed. */
  localTracksChanged: [];
  /** Own tracks that one may not publish any more: their devices are stopped. */
  publishingEnded: [sources: readonly TrackSource[]];
  /** What one may do changed; see `Room.grants`. */
  grantsChanged: [Grants];
  /** Somebody has another role now, perhaps oneself. */
  roleChanged: [MemberId, Role];
  /** For moderators: somebody asks to be let in; see `Room.knocks`. */
  knock: [Knock];
  /** Somebody does not wait any more. */
  knockEnded: [Knock];
  /** The room is set up otherwise; see `Room.settings`. */
  roomUpdated: [RoomSettings];
  /** A moderator, or without `from` the server's operator, says something that is no part of the chat. */
  notice: [notice: { readonly from?: MemberId; readonly text: string }];
  /** A moderator sends one to another room, which is entered by itself: `reconnected` follows. */
  moved: [room: RoomId];
  /**
   * Somebody calls one into another room or is called by one, or a call ended: each step once, on all of both sides' devices.
   * See `Room.call` and `Room.answerCall`.
   */
  call: [event: CallEvent, direction: CallDirection];
  /** A call ended while the connection was away, and nobody knows how. */
  callLost: [call: Call, direction: CallDirection];
  /** The server refused something that no promise waits for. */
  warning: [RoundtableError];
}

/** Names of {@link RoomEvents} for those who like constants. */
export const RoomEvent = {
  Waiting: "waiting",
  Connected: "connected",
  Reconnecting: "reconnecting",
  Reconnected: "reconnected",
  Disconnected: "disconnected",
  ParticipantJoined: "participantJoined",
  ParticipantLeft: "participantLeft",
  ParticipantListed: "participantListed",
  ParticipantUnlisted: "participantUnlisted",
  ParticipantUpdated: "participantUpdated",
  AudienceChanged: "audienceChanged",
  TrackPublished: "trackPublished",
  TrackUnpublished: "trackUnpublished",
  TrackMuted: "trackMuted",
  TrackSubscribed: "trackSubscribed",
  TrackUnsubscribed: "trackUnsubscribed",
  ActiveSpeakers: "activeSpeakers",
  DominantSpeakerChanged: "dominantSpeakerChanged",
  ChatMessage: "chatMessage",
  PrivateChatMessage: "privateChatMessage",
  Typing: "typing",
  ChatChanged: "chatChanged",
  Data: "data",
  LocalTracksChanged: "localTracksChanged",
  PublishingEnded: "publishingEnded",
  GrantsChanged: "grantsChanged",
  RoleChanged: "roleChanged",
  Knock: "knock",
  KnockEnded: "knockEnded",
  RoomUpdated: "roomUpdated",
  Notice: "notice",
  Moved: "moved",
  Call: "call",
  CallLost: "callLost",
  Warning: "warning",
} as const satisfies Record<string, keyof RoomEvents>;
