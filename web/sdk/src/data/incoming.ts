// A stream that comes: chunks in order, taken as fast as the application reads them.
import { RoundtableError } from "../errors.ts";
import type { MemberId } from "../protocol.ts";
import { Sha256 } from "./sha256.ts";
import { STREAM_WINDOW, type StreamInfo, type StreamWire } from "./stream_wire.ts";

/** Chunks after which the sender is told that they were taken. */
const TELL_EVERY = STREAM_WINDOW / 4;

/** A stream that somebody sends. Read it with `for await`, or whole. */
export class IncomingStream implements AsyncIterable<Uint8Array> {
  readonly from: MemberId;
  readonly info: StreamInfo;
  readonly #id: number;
  readonly #say: (wire: StreamWire) => void;
  readonly #onOver: () => void;
  readonly #hash = new Sha256();
  /** Chunks that came and were not read: at most {@link STREAM_WINDOW}. */
  #waiting: Uint8Array[] = [];
  #expected = 0;
  #read = 0;
  #told = 0;
  #bytes = 0;
  /** Whether it was said that something is missing, and it has not come. */
  #asked = false;
  #outcome: "done" | RoundtableError | null = null;
  #wake: () => void = () => {};

  constructor(
    from: MemberId,
    id: number,
    info: StreamInfo,
    say: (wire: StreamWire) => void,
    onOver: () => void,
  ) {
    this.from = from;
    this.info = info;
    this.#id = id;
    this.#say = say;
    this.#onOver = onOver;
  }

  /** Bytes that have come. */
  get received(): number {
    return this.#bytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#waiting.shift();
        if (chunk !== undefined) {
          this.#read += 1;
          if (this.#read - this.#told >= TELL_EVERY) this.#tell();
          yield chunk;
        } else if (this.#outcome === "done") {
          return;
        } else if (this.#outcome !== null) {
          throw this.#outcome;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.cancel();
    }
  }

  /** All of it. Rejects when it ends before its end. */
  async bytes(): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this) chunks.push(chunk);
    const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  /** All of it as text. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** Wants no more of it. */
  cancel(reason = "stream/cancelled"): void {
    if (this.#outcome !== null) return;
    this.#say({ kind: "cancel", id: this.#id, reason, bySender: false });
    this.#end(new RoundtableError("stream/cancelled", "The stream was cancelled."));
  }

  /** A chunk came; one that is not the next has been here before, or something before it is missing. */
  handleChunk(at: number, bytes: Uint8Array): void {
    if (this.#outcome !== null) return;
    if (at !== this.#expected || this.#waiting.length >= STREAM_WINDOW) {
      this.#miss(at);
      return;
    }
    this.#asked = false;
    this.#expected += 1;
    this.#bytes += bytes.length;
    this.#hash.update(bytes);
    this.#waiting.push(bytes);
    this.#wake();
  }

  /** The sender has sent all of it. */
  handleEnd(at: number, hash: Uint8Array): void {
    if (this.#outcome !== null) return;
    if (at !== this.#expected) {
      this.#miss(at);
      return;
    }
    const own = this.#hash.digest();
    if (own.length !== hash.length || own.some((byte, i) => byte !== hash[i])) {
      this.#say({ kind: "cancel", id: this.#id, reason: "stream/corrupt", bySender: false });
      this.#end(new RoundtableError("stream/corrupt", "What came is not what was sent."));
      return;
    }
    this.#say({ kind: "done", id: this.#id });
    this.#end("done");
  }

  /** The sender gave it up, or is gone. */
  handleGone(error: RoundtableError): void {
    this.#end(error);
  }

  #miss(at: number): void {
    if (at < this.#expected) {
      // It was sent again because what was said of it got lost.
      this.#tell();
    } else if (!this.#asked) {
      this.#asked = true;
      this.#say({ kind: "missing", id: this.#id, at: this.#expected });
    }
  }

  #tell(): void {
    this.#told = this.#read;
    this.#say({ kind: "taken", id: this.#id, at: this.#told });
  }

  #end(outcome: "done" | RoundtableError): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    if (outcome !== "done") this.#waiting = [];
    this.#onOver();
    this.#wake();
  }
}
