// The public face of the SDK.
export type { CallDirection, RingingCall } from "./calls/call_log.ts";
export { answerCall, type CallHandlers, listenForCalls, type Reachable } from "./calls/listen.ts";
export { Chat, type OutgoingChat, type SendChatOptions } from "./chat.ts";
export type { ChatLine, PrivateLine, PublicLine } from "./chat_log.ts";
export { DocProvider, type SharedDoc } from "./data/doc.ts";
export {
  type DataHub,
  type DataMessage,
  MAX_DATA_PAYLOAD_BYTES,
  type PublishDataOptions,
} from "./data/hub.ts";
export type { IncomingStream } from "./data/incoming.ts";
export type { OutgoingStream } from "./data/outgoing.ts";
export type { Presence } from "./data/presence.ts";
export type { RoomData } from "./data/room_data.ts";
export type { RpcHandler, RpcInvocation, RpcRequest } from "./data/rpc.ts";
export type { StreamInfo } from "./data/stream_wire.ts";
export type { StreamOptions } from "./data/streams.ts";
export { deviceError, type OpenedDevices, openCamera, openDevices, openMicrophone } from "./devices.ts";
export {
  type LocalErrorCode,
  RoundtableError,
  type RoundtableErrorCode,
  toRoundtableError,
} from "./errors.ts";
export { followInvite, type Invitation } from "./invite.ts";
export { isRoomId, MAX_CHAT_BYTES, MAX_NAME_CHARS, MAX_PRIVATE_TO, MAX_SEATS } from "./limits.ts";
export { type Attributes, LocalParticipant } from "./local.ts";
export { type Login, type LoginWays, logIn, loginWays, providerUrl, redeemLogin } from "./login.ts";
export type { PageWish } from "./members.ts";
export type { Place } from "./place.ts";
export {
  browserPlatform,
  type Clock,
  type NetworkChange,
  type Platform,
  type SocketLike,
  type StreamLike,
} from "./platform.ts";
export type {
  Call,
  CallAnswer,
  CallEvent,
  CallState,
  ChatMessage,
  ClientMessage,
  ErrorCode,
  Grants,
  GrantsChange,
  Knock,
  MediaKind,
  MemberChange,
  MemberId,
  MemberInfo,
  MemberStats,
  ModerationAction,
  ModerationOutcome,
  PrivateMessage,
  Role,
  RoomSettings,
  RosterPage,
  TrackId,
  TrackSource,
} from "./protocol.ts";
export { LocalTrackPublication } from "./publication.ts";
export { Backoff, type ReconnectPolicy } from "./reconnect.ts";
export { RemoteParticipant, RemoteTrackPublication } from "./remote.ts";
export { Room, type RoomOptions, type RoomPhase, signalUrl } from "./room.ts";
export { RoomEvent, type RoomEvents } from "./room_events.ts";
export type { Transport } from "./signal/transports.ts";
export type { ConnectionStats, ReceivedStats, SentStats } from "./stats.ts";
export type { ViewWish } from "./views.ts";
