// How fast something may be said: a bucket of turns that fills again with time.
import type { Clock } from "./platform.ts";

/** Gives turns: `burst` at once, and then so many a second. */
export class Pace {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #burst: number;
  #turns: number;
  #filledAt: number;

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#turns = burst;
    this.#filledAt = clock.now();
  }

  /** Milliseconds until there is a turn; 0 when there is one now. */
  wait(): number {
    const now = this.#clock.now();
    this.#turns = Math.min(this.#burst, this.#turns + (now - this.#filledAt) * this.#perMs);
    this.#filledAt = now;
    return this.#turns >= 1 ? 0 : Math.ceil((1 - this.#turns) / this.#perMs);
  }

  /** Takes the turn that {@link wait} said is there. */
  take(): void {
    this.#turns -= 1;
  }
}
