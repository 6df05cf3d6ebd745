// The two data channels of a peer connection, with their flow control.
import {
  DATA_CHANNEL_LABEL,
  type DataHeader,
  type DataStamp,
  LOSSY_CHANNEL_LABEL,
  type ServerMessage,
} from "../protocol.ts";
import { readFrame, writeFrame } from "./frame.ts";

/** Bytes that may wait in the browser before the reliable channel takes no more. */
export const DATA_HIGH_WATER_BYTES = 256 * 1024;
/** Bytes at which it takes more again. */
export const DATA_LOW_WATER_BYTES = 64 * 1024;
/** Bytes that may wait on the lossy channel: what is older than a moment is of no use. */
export const LOSSY_HIGH_WATER_BYTES = 64 * 1024;

/** What comes over them. */
export interface DataHandlers {
  onData(stamp: DataStamp, payload: Uint8Array, lossy: boolean): void;
  /** A refusal. */
  onMessage(message: ServerMessage): void;
  /** The reliable one opened or drained. */
  onWritable(): void;
}

/** Makes both channels on a connection, before its first offer. */
export class DataWays {
  readonly #reliable: RTCDataChannel;
  readonly #lossy: RTCDataChannel;

  constructor(connection: RTCPeerConnection, handlers: DataHandlers) {
    this.#reliable = connection.createDataChannel(DATA_CHANNEL_LABEL, { ordered: true });
    this.#lossy = connection.createDataChannel(LOSSY_CHANNEL_LABEL, { ordered: false, maxRetransmits: 0 });
    this.#reliable.bufferedAmountLowThreshold = DATA_LOW_WATER_BYTES;
    this.#reliable.onopen = () => handlers.onWritable();
    this.#reliable.onbufferedamountlow = () => handlers.onWritable();
    for (const [channel, lossy] of [
      [this.#reliable, false],
      [this.#lossy, true],
    ] as const) {
      channel.binaryType = "arraybuffer";
      channel.onmessage = ({ data }) => read(data, lossy, handlers);
    }
  }

  /** Whether data can go this way at all. */
  isOpen(lossy: boolean): boolean {
    return (lossy ? this.#lossy : this.#reliable).readyState === "open";
  }

  /** Sends; false when the channel is closed or full. */
  send(header: DataHeader, payload: Uint8Array, lossy: boolean): boolean {
    const channel = lossy ? this.#lossy : this.#reliable;
    const most = lossy ? LOSSY_HIGH_WATER_BYTES : DATA_HIGH_WATER_BYTES;
    if (channel.readyState !== "open" || channel.bufferedAmount > most) return false;
    try {
      channel.send(writeFrame(header, payload));
      return true;
    } catch {
      return false;
    }
  }

  /** Ends both. */
  close(): void {
    for (const channel of [this.#reliable, this.#lossy]) {
      channel.onopen = channel.onmessage = channel.onbufferedamountlow = null;
      channel.close();
    }
  }
}

function read(data: unknown, lossy: boolean, handlers: DataHandlers): void {
  if (data instanceof ArrayBuffer) {
    const frame = readFrame(new Uint8Array(data));
    if (frame !== null) handlers.onData(frame.stamp, frame.payload, lossy);
    return;
  }
  if (typeof data !== "string") return;
  try {
    handlers.onMessage(JSON.parse(data) as ServerMessage);
  } catch {
    // No message of ours.
  }
}
