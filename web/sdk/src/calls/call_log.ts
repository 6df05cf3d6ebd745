// What became of calls, each step once: whoever comes back is told anew what rings, and not at all what ended meanwhile.
import type { Clock, TimerHandle } from "../platform.ts";
import type { Call, CallEvent } from "../protocol.ts";

/** Whether somebody calls us, or we call somebody. */
export type CallDirection = "incoming" | "outgoing";

/** A call that rings. */
export interface RingingCall {
  readonly call: Call;
  readonly direction: CallDirection;
}

/** What a log tells. */
export interface CallLogHandlers {
  /** It rings, or it ended in this way. */
  onCall(event: CallEvent, direction: CallDirection): void;
  /** It ended while nobody could tell how. */
  onLost(call: Call, direction: CallDirection): void;
}

/** After its own time a call is awaited so much longer. */
export const LATE_MS = 5_000;
/** Whoever comes back is told within this time of what still rings. */
export const RETOLD_WITHIN_MS = 3_000;
/** Most calls that ring at once; of further ones nothing is told before they end. */
export const MAX_RINGING = 100;
/** Calls that ended which are remembered, the latest. */
const MAX_ENDED = 200;

/** Calls from one person and to them, by one way of listening after the other. */
export class CallLog {
  readonly #clock: Clock;
  readonly #handlers: CallLogHandlers;
  readonly #ringing = new Map<string, RingingCall>();
  readonly #timers = new Map<string, TimerHandle>();
  readonly #ended = new Set<string>();

  constructor(clock: Clock, handlers: CallLogHandlers) {
    this.#clock = clock;
    this.#handlers = handlers;
  }

  /** What rings now, by the id of the call. */
  get ringing(): ReadonlyMap<string, RingingCall> {
    return this.#ringing;
  }

  /** The server told a step. Numbers do not tell whether it is news: all that rings is told anew with the same one. */
  handleEvent(event: CallEvent, towards: CallDirection): void {
    const { call, state } = event;
    if (this.#ended.has(call.id)) return;
    const known = this.#ringing.get(call.id);
    const direction = known?.direction ?? towards;
    if (state !== "ringing") {
      this.#end(call.id);
      this.#handlers.onCall(event, direction);
      return;
    }
    if (known === undefined && this.#ringing.size >= MAX_RINGING) return;
    this.#ringing.set(call.id, { call, direction });
    this.#await(call.id, call.timeoutS * 1000 + LATE_MS);
    if (known === undefined) this.#handlers.onCall(event, direction);
  }

  /** Listens again after a while: what is not told anew has ended. */
  handleReturn(): void {
    for (const id of this.#ringing.keys()) this.#await(id, RETOLD_WITHIN_MS);
  }

  /** Listens no more. */
  close(): void {
    for (const timer of this.#timers.values()) this.#clock.clear(timer);
    this.#timers.clear();
    this.#ringing.clear();
  }

  #await(id: string, ms: number): void {
    this.#clock.clear(this.#timers.get(id));
    this.#timers.set(
      id,
      this.#clock.set(() => {
        const lost = this.#ringing.get(id);
        this.#end(id);
        if (lost !== undefined) this.#handlers.onLost(lost.call, lost.direction);
      }, ms),
    );
  }

  #end(id: string): void {
    this.#clock.clear(this.#timers.get(id));
    this.#timers.delete(id);
    this.#ringing.delete(id);
    this.#ended.add(id);
    const [oldest] = this.#ended;
    if (this.#ended.size > MAX_ENDED && oldest !== undefined) this.#ended.delete(oldest);
  }
}
