// All that can be done with data in a room, put together.

import type { RoundtableErrorCode } from "../errors.ts";
import type { Clock } from "../platform.ts";
import type { DataStamp, MemberId, ServerMessage } from "../protocol.ts";
import { DataHub, type DataTransport } from "./hub.ts";
import { Presence } from "./presence.ts";
import { Rpc } from "./rpc.ts";
import { Streams } from "./streams.ts";

/** Messages, questions, streams and presence of a room. */
export class RoomData {
  readonly hub: DataHub;
  readonly rpc: Rpc;
  readonly streams: Streams;
  readonly presence: Presence;

  constructor(clock: Clock, transport: DataTransport) {
    this.hub = new DataHub(clock, transport);
    this.rpc = new Rpc(this.hub);
    this.streams = new Streams(this.hub);
    this.presence = new Presence(this.hub);
  }

  /** Data came over a channel. */
  handleData(stamp: DataStamp, payload: Uint8Array, lossy: boolean): void {
    this.hub.handleData(stamp, payload, lossy);
  }

  /** The server answered about a document. */
  handleDoc(message: Extract<ServerMessage, { type: "doc" }>): void {
    this.hub.handleDoc(message);
  }

  /** Something that was sent was refused. */
  handleRefused(id: number, code: RoundtableErrorCode, message: string): void {
    this.hub.handleRefused(id, code, message);
  }

  /** Somebody has come, who does not know what one shows. */
  handleJoined(): void {
    this.presence.announce();
  }

  handleLeft(member: MemberId): void {
    this.hub.handleLeft(member);
  }

  /** The room is left. */
  handleClosed(): void {
    this.streams.handleClosed();
    this.hub.handleClosed();
  }
}
