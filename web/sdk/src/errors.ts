// What went wrong, as stable words: the server's own codes and those that only a client can know.
import type { ErrorCode } from "./protocol.ts";

/** Codes that the SDK itself gives. */
export type LocalErrorCode =
  /** The browser lacks WebRTC. */
  | "sdk/unsupported"
  /** The signalling socket could not be opened, or broke. */
  | "sdk/socket"
  /** An answer did not come in time. */
  | "sdk/timeout"
  /** The room is not connected, or was left meanwhile. */
  | "sdk/closed"
  /** The peer connection failed. */
  | "sdk/media-failed"
  /** The browser refused the offer or the server's answer. */
  | "sdk/negotiation"
  /** More chat messages wait than may. */
  | "sdk/chat-queue-full"
  /** The place in the room was lost before the server said whether it took a private message. */
  | "sdk/chat-unconfirmed"
  /** More data waits than may. */
  | "sdk/data-queue-full"
  /** The other member has no such method. */
  | "rpc/unknown-method"
  /** The method failed. */
  | "rpc/failed"
  /** The answer did not come in time. */
  | "rpc/timeout"
  /** The other member is not here, or has left meanwhile. */
  | "rpc/gone"
  /** The question or the answer is too long. */
  | "rpc/too-large"
  /** Too many questions are open. */
  | "rpc/busy"
  /** One of the ends did not want to go on. */
  | "stream/cancelled"
  /** Nobody takes streams of this topic. */
  | "stream/refused"
  /** What came is not what was sent. */
  | "stream/corrupt"
  /** A receiver did not answer for too long. */
  | "stream/timeout"
  /** The other member is not here, or has left meanwhile. */
  | "stream/gone"
  /** It failed otherwise. */
  | "stream/failed"
  /** The page is not secure, so the browser hides cameras and microphones. */
  | "device/insecure"
  /** The person, or the system, refused access. */
  | "device/denied"
  /** There is no such device. */
  | "device/missing"
  /** Another program uses the device. */
  | "device/busy"
  /** The device could not be used for another reason. */
  | "device/failed";

/** Every code a {@link RoundtableError} may carry. */
export type RoundtableErrorCode = ErrorCode | LocalErrorCode;

/** The one error class of the SDK. Switch on {@link RoundtableError.code}; the message is for people. */
export class RoundtableError extends Error {
  override readonly name = "RoundtableError";
  /** The stable word. */
  readonly code: RoundtableErrorCode;
  /** When the server said to come back, in milliseconds. */
  readonly reconnectAfterMs: number | undefined;

  constructor(
    code: RoundtableErrorCode,
    message: string,
    options: { cause?: unknown; reconnectAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reconnectAfterMs = options.reconnectAfterMs;
  }
}

/** Gives any thrown thing a code; a {@link RoundtableError} stays what it is. */
export function toRoundtableError(error: unknown, code: RoundtableErrorCode): RoundtableError {
  if (error instanceof RoundtableError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new RoundtableError(code, message, { cause: error });
}
