// What is said by requests: numbered, in order, and again when nobody knows whether it arrived.
import type { Requests } from "./requests.ts";

/** Most messages in one request. */
export const MAX_BATCH = 64;
/** Most text in one request, in UTF-16 units; the server takes a little more than 256 KiB. A longer message goes alone. */
const MAX_BATCH_LENGTH = 80_000;
/** Messages that may wait; with more the conversation is given up, and the session comes back. */
export const MAX_OUTBOX = 1_024;
/** From a request to its answer. */
const POST_WITHIN_MS = 7_000;

/** What one conversation has to say. */
export class Outbox {
  readonly #requests: Requests;
  readonly #url: string;
  readonly #onFailed: () => void;
  /** Messages that the server may not have; the first of them has the number `#first`. */
  readonly #waiting: string[] = [];
  #first = 1;
  #isPosting = false;

  constructor(requests: Requests, url: string, onFailed: () => void) {
    this.#requests = requests;
    this.#url = url;
    this.#onFailed = onFailed;
  }

  /** Says something. */
  push(text: string): void {
    if (this.#waiting.length >= MAX_OUTBOX) {
      this.#onFailed();
      return;
    }
    this.#waiting.push(text);
    if (this.#isPosting) return;
    this.#isPosting = true;
    // What is said in one breath goes in one request.
    queueMicrotask(() => void this.#post());
  }

  /** What is still to be said, as a last request that outlives the page; null when there is nothing. */
  last(): { url: string; init: RequestInit } | null {
    const count = this.#batch();
    return count === 0 ? null : { url: this.#address(), init: { ...this.#body(count), keepalive: true } };
  }

  async #post(): Promise<void> {
    for (let count = this.#batch(); count > 0; count = this.#batch()) {
      const reply = await this.#requests.repeat(this.#address(), this.#body(count), POST_WITHIN_MS);
      if (reply?.status !== 204) {
        // Nothing else goes out by this conversation.
        this.#onFailed();
        return;
      }
      this.#waiting.splice(0, count);
      this.#first += count;
    }
    this.#isPosting = false;
  }

  /** How many of the messages go in one request. */
  #batch(): number {
    let length = 0;
    const end = this.#waiting.slice(0, MAX_BATCH).findIndex((text, index) => {
      length += text.length;
      return index > 0 && length > MAX_BATCH_LENGTH;
    });
    return end === -1 ? Math.min(this.#waiting.length, MAX_BATCH) : end;
  }

  #address(): string {
    return `${this.#url}?first=${this.#first}`;
  }

  #body(count: number): RequestInit {
    const body = `[${this.#waiting.slice(0, count).join(",")}]`;
    return { method: "POST", headers: { "content-type": "application/json" }, body };
  }
}
