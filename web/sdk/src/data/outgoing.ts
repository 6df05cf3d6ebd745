// A stream on its way out: chunks as fast as the slowest receiver takes them, and again what was lost.
import { RoundtableError } from "../errors.ts";
import { Pace } from "../pace.ts";
import type { TimerHandle } from "../platform.ts";
import type { MemberId } from "../protocol.ts";
import type { DataHub } from "./hub.ts";
import { Sha256 } from "./sha256.ts";
import { STREAM_WINDOW, type StreamInfo, type StreamWire, writeWire } from "./stream_wire.ts";

/** The topic of all streams. */
export const STREAM_TOPIC = "rt/stream";
/** Chunks a second: 1.5 MB, below what the server takes of one member. */
export const CHUNKS_PER_SECOND = 100;
/** Without a word of a receiver for so long, what it has not taken is sent again … */
export const REPEAT_AFTER_MS = 4_000;
/** … and after so many times it is given up. */
export const MAX_REPEATS = 8;

interface Settle {
  resolve(): void;
  reject(error: RoundtableError): void;
}

/** Sends one stream to some members. */
export class OutgoingStream {
  readonly id: number;
  /** Resolves when every receiver has it and found its hash right; rejects with a coded error. */
  readonly done: Promise<void>;
  readonly #hub: DataHub;
  readonly #info: StreamInfo;
  /** Chunks each receiver has taken. */
  readonly #taken = new Map<MemberId, number>();
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #pace: Pace;
  readonly #hash = new Sha256();
  readonly #onProgress: (bytes: number) => void;
  readonly #settle: Settle;
  /** Chunks that somebody has not taken; the first is number {@link #first}. */
  #kept: Uint8Array[] = [];
  #first = 0;
  #bytesTaken = 0;
  #next = 0;
  #end: Uint8Array | null = null;
  #repeats = 0;
  #isOver = false;
  #timer: TimerHandle = null;
  #wake: () => void = () => {};

  constructor(
    hub: DataHub,
    to: readonly MemberId[],
    info: StreamInfo,
    source: AsyncIterable<Uint8Array>,
    onProgress: (bytes: number) => void,
  ) {
    this.#hub = hub;
    this.id = hub.nextId();
    this.#info = info;
    this.#source = source[Symbol.asyncIterator]();
    this.#pace = new Pace(hub.clock, CHUNKS_PER_SECOND, STREAM_WINDOW);
    this.#onProgress = onProgress;
    for (const member of to) this.#taken.set(member, 0);
    let settle: Settle = { resolve: () => {}, reject: () => {} };
    this.done = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#settle = settle;
    // Whoever does not wait for it is not to be told by the browser.
    this.done.catch(() => {});
  }

  /** Begins. */
  start(): void {
    this.#say({ kind: "open", id: this.id, info: this.#info });
    this.#watch();
    this.#run().catch((error: unknown) => {
      this.#say({ kind: "cancel", id: this.id, reason: "stream/cancelled", bySender: true });
      const message = error instanceof Error ? error.message : String(error);
      this.#finish(new RoundtableError("stream/cancelled", message));
    });
  }

  /** Ends it for everybody. */
  cancel(): void {
    if (this.#isOver) return;
    this.#say({ kind: "cancel", id: this.id, reason: "stream/cancelled", bySender: true });
    this.#finish(new RoundtableError("stream/cancelled", "The stream was cancelled."));
  }

  /** A receiver has taken chunks. */
  handleTaken(from: MemberId, at: number): void {
    const before = this.#taken.get(from);
    if (before === undefined || at < before || at > this.#first + this.#kept.length) return;
    if (at > before) this.#repeats = 0;
    this.#taken.set(from, at);
    this.#release();
    this.#watch();
    this.#wake();
  }

  /** A receiver misses chunks. */
  handleMissing(from: MemberId, at: number): void {
    if (!this.#taken.has(from) || at < this.#first || at >= this.#next) return;
    this.#next = at;
    this.#wake();
  }

  /** A receiver has all of it. */
  handleDone(from: MemberId): void {
    if (this.#taken.delete(from) && this.#taken.size === 0) {
      this.#release();
      this.#finish(null);
    } else {
      this.#release();
      this.#wake();
    }
  }

  /** A receiver does not want it any more, or is gone. */
  handleGone(from: MemberId, error: RoundtableError): void {
    if (!this.#taken.delete(from)) return;
    if (this.#taken.size === 0) this.#finish(error);
    this.#wake();
  }

  /** The server refused something of it. */
  handleRefused(error: RoundtableError): void {
    // What was dropped for want of a turn is found missing by the receiver.
    if (error.code !== "data/rate") this.#finish(error);
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const lowest = Math.min(...this.#taken.values());
      if (this.#next < lowest) this.#next = lowest;
      const wait = this.#pace.wait();
      if (this.#next >= lowest + STREAM_WINDOW || (this.#isAtEnd && this.#next > this.#total))
        await this.#pause();
      else if (wait > 0) await this.#pause(wait);
      else await this.#sendNext();
    }
  }

  get #isAtEnd(): boolean {
    return this.#end !== null;
  }

  get #total(): number {
    return this.#first + this.#kept.length;
  }

  async #sendNext(): Promise<void> {
    this.#pace.take();
    if (this.#next === this.#total && this.#end === null) {
      const { value, done } = await this.#source.next();
      if (this.#isOver) return;
      if (done === true) {
        this.#end = this.#hash.digest();
      } else {
        this.#hash.update(value);
        this.#kept.push(value);
      }
    }
    const at = this.#next;
    this.#next += 1;
    const bytes = this.#kept[at - this.#first];
    if (bytes !== undefined) await this.#say({ kind: "chunk", id: this.id, at, bytes });
    else if (this.#end !== null) await this.#say({ kind: "end", id: this.id, at, hash: this.#end });
  }

  /** Forgets what everybody has. */
  #release(): void {
    const lowest = this.#taken.size === 0 ? this.#total : Math.min(...this.#taken.values());
    const gone = this.#kept.splice(0, Math.max(0, lowest - this.#first));
    this.#first += gone.length;
    this.#bytesTaken += gone.reduce((sum, chunk) => sum + chunk.length, 0);
    if (gone.length > 0) this.#onProgress(this.#bytesTaken);
  }

  #watch(): void {
    const { clock } = this.#hub;
    clock.clear(this.#timer);
    if (this.#isOver) return;
    this.#timer = clock.set(() => {
      this.#repeats += 1;
      if (this.#repeats > MAX_REPEATS) {
        this.#say({ kind: "cancel", id: this.id, reason: "stream/timeout", bySender: true });
        this.#finish(new RoundtableError("stream/timeout", "A receiver does not answer."));
        return;
      }
      this.#next = Math.min(this.#next, ...this.#taken.values());
      if (this.#next === 0) this.#say({ kind: "open", id: this.id, info: this.#info });
      this.#watch();
      this.#wake();
    }, REPEAT_AFTER_MS);
  }

  #pause(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (ms !== undefined) this.#hub.clock.set(resolve, ms);
    });
  }

  async #say(wire: StreamWire): Promise<void> {
    const to = [...this.#taken.keys()];
    if (to.length === 0) return;
    try {
      await this.#hub.publish(STREAM_TOPIC, writeWire(wire), { to }, this.id);
    } catch (error) {
      this.#finish(
        error instanceof RoundtableError ? error : new RoundtableError("stream/failed", String(error)),
      );
    }
  }

  #finish(error: RoundtableError | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#hub.clock.clear(this.#timer);
    this.#kept = [];
    void this.#source.return?.();
    if (error === null) this.#settle.resolve();
    else this.#settle.reject(error);
    this.#wake();
  }
}
