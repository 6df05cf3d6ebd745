// When to try again, and when not to.
import type { RoundtableErrorCode } from "./errors.ts";

/** Reasons for which trying again is of no use. */
const FATAL: ReadonlySet<RoundtableErrorCode> = new Set<RoundtableErrorCode>([
  "hello/version",
  "hello/name",
  "hello/forbidden",
  "token/missing",
  "token/invalid",
  "token/expired",
  "token/room",
  "token/grant",
  "ticket/invalid",
  "room/bad-id",
  "room/closed",
  "room/expired",
  "room/kicked",
  "room/banned",
  "room/moved",
  "lobby/denied",
  "lobby/timeout",
  "client/replaced",
  "message/bad-json",
  "message/unknown",
  "message/out-of-order",
  "sdp/malformed",
  "sdp/too-large",
  "sdp/unsupported",
  "sdp/changed",
  "sdk/unsupported",
]);

/** Reasons for which trying again at once makes it worse, or is too early. */
const NOT_AT_ONCE: ReadonlySet<RoundtableErrorCode> = new Set<RoundtableErrorCode>([
  "message/rate",
  "client/slow",
  "room/full",
  "room/too-many",
  "room/key-quota",
  "room/locked",
  "room/not-open-yet",
  "lobby/full",
  "hello/rate",
  "server/stopping",
  "server/overloaded",
  "server/internal",
]);

/** Decides about attempts to come back; give another one to `new Room` to decide otherwise. */
export interface ReconnectPolicy {
  /** Milliseconds until attempt number `attempt` (from 1), or null to give up. */
  delay(attempt: number, reason: RoundtableErrorCode, random: number): number | null;
}

/** Once at once, then exponential backoff with jitter; gives up only for a reason that will not go away. */
export class Backoff implements ReconnectPolicy {
  readonly #least: number;
  readonly #most: number;

  constructor(leastMs = 300, mostMs = 10_000) {
    this.#least = leastMs;
    this.#most = mostMs;
  }

  delay(attempt: number, reason: RoundtableErrorCode, random: number): number | null {
    if (FATAL.has(reason)) return null;
    const doublings = attempt - (NOT_AT_ONCE.has(reason) ? 1 : 2);
    if (doublings < 0) return 0;
    const full = Math.min(this.#most, this.#least * 2 ** Math.min(doublings, 16));
    // Half fixed, half chance: a server that comes back is not met by everybody at once.
    return full / 2 + (full / 2) * random;
  }
}
