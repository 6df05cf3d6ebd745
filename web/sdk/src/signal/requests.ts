// Requests that end: each in its time, and all of them with the conversation they belong to.
import type { Platform } from "../platform.ts";

/** How often a request is made at most, the first time included. */
export const ATTEMPTS = 5;
/** Before the second attempt; doubled before each further one. */
export const RETRY_MS = 250;

/** What came back, read to its end. */
export interface Reply {
  readonly status: number;
  readonly text: string;
}

/** The requests of one conversation. */
export class Requests {
  readonly #platform: Platform;
  readonly #all = new AbortController();

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Makes a request once; null when nothing came back in time. */
  async once(url: string, init: RequestInit, withinMs: number): Promise<Reply | null> {
    const { clock } = this.#platform;
    const abort = new AbortController();
    const stop = () => abort.abort();
    const timer = clock.set(stop, withinMs);
    this.#all.signal.addEventListener("abort", stop);
    try {
      const response = await this.#platform.fetch(url, { cache: "no-store", ...init, signal: abort.signal });
      return { status: response.status, text: await response.text() };
    } catch {
      return null;
    } finally {
      clock.clear(timer);
      this.#all.signal.removeEventListener("abort", stop);
    }
  }

  /** Makes a request again while nothing comes back, or the trouble of a server or a proxy; null in the end. */
  async repeat(url: string, init: RequestInit, withinMs: number): Promise<Reply | null> {
    for (let attempt = 1; ; attempt += 1) {
      const reply = await this.once(url, init, withinMs);
      if (this.#all.signal.aborted) return null;
      if (reply !== null && reply.status < 500) return reply;
      if (attempt === ATTEMPTS) return null;
      await this.pause(RETRY_MS * 2 ** (attempt - 1));
    }
  }

  /** Waits, but not beyond the end. */
  pause(ms: number): Promise<void> {
    const { clock } = this.#platform;
    const { signal } = this.#all;
    return new Promise((resolve) => {
      const done = () => {
        clock.clear(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = clock.set(done, ms);
      signal.addEventListener("abort", done);
    });
  }

  /** Ends all of them. */
  close(): void {
    this.#all.abort();
  }
}
