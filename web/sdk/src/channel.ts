// The chat data channel with its flow control: it takes no more than it can hold.
import type { ClientMessage, ServerMessage } from "./protocol.ts";

/** Bytes that may wait in the browser before the channel refuses more. */
export const HIGH_WATER_BYTES = 256 * 1024;
/** Bytes at which it takes more again. */
export const LOW_WATER_BYTES = 64 * 1024;

/** Sends and receives protocol messages over one `RTCDataChannel`. */
export class MessageChannel {
  readonly #channel: RTCDataChannel;

  /** `onMessage` for each message; `onWritable` when it opened or drained. */
  constructor(
    channel: RTCDataChannel,
    handlers: { onMessage(message: ServerMessage): void; onWritable(): void },
  ) {
    this.#channel = channel;
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES;
    channel.onopen = () => handlers.onWritable();
    channel.onbufferedamountlow = () => handlers.onWritable();
    channel.onmessage = ({ data }) => {
      if (typeof data !== "string") return;
      let message: ServerMessage;
      try {
        message = JSON.parse(data) as ServerMessage;
      } catch {
        return;
      }
      handlers.onMessage(message);
    };
  }

  /** Whether messages can go this way at all. */
  get isOpen(): boolean {
    return this.#channel.readyState === "open";
  }

  /** Sends; false when it is closed or full. */
  send(message: ClientMessage): boolean {
    if (!this.isOpen || this.#channel.bufferedAmount > HIGH_WATER_BYTES) return false;
    try {
      this.#channel.send(JSON.stringify(message));
      return true;
    } catch {
      return false;
    }
  }

  /** Ends it. */
  close(): void {
    const channel = this.#channel;
    channel.onopen = channel.onmessage = channel.onbufferedamountlow = null;
    channel.close();
  }
}
