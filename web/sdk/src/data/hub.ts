// Data of a room by topics: what is published waits for its turn, what comes goes to whom it concerns.
import { Emitter } from "../emitter.ts";
import { RoundtableError, type RoundtableErrorCode } from "../errors.ts";
import type { Clock, TimerHandle } from "../platform.ts";
import type { ClientMessage, DataHeader, DataStamp, MemberId, ServerMessage } from "../protocol.ts";
import { topicMatches } from "./topic.ts";

/** Largest payload of one message, in bytes; streams carry more. */
export const MAX_DATA_PAYLOAD_BYTES = 16_000;
/** Messages that may wait for a connection, or for its channel to drain. */
export const MAX_QUEUED_DATA = 1024;
/** How often it is tried again to send what waits, beside the channel's own word. */
const RETRY_MS = 250;
/** What the SDK itself talks about. */
export const OWN_TOPICS = "rt/**";

/** A message that came. */
export interface DataMessage {
  readonly topic: string;
  readonly from: MemberId;
  readonly payload: Uint8Array;
  readonly lossy: boolean;
  /** Of updates of documents: their number. */
  readonly n: number | undefined;
  /** The publisher's number for it. */
  readonly id: number | undefined;
}

/** How data is published. */
export interface PublishDataOptions {
  /** For whom; for everybody else if absent. */
  to?: readonly MemberId[];
  /** Whether it must arrive, in order; true unless said otherwise. */
  reliable?: boolean;
}

/** The way to the server. */
export interface DataTransport {
  /** Sends data; false when it must wait. */
  sendData(header: DataHeader, payload: Uint8Array, lossy: boolean): boolean;
  /** Says something over the socket; false when there is none. */
  send(message: ClientMessage): boolean;
  nextId(): number;
}

interface DataHubEvents {
  data: [DataMessage];
  /** Here as before, or as somebody new: what was on its way may be lost. */
  ready: [];
  left: [MemberId];
  doc: [Extract<ServerMessage, { type: "doc" }>];
  /** What the server refused, by the number of what was sent. */
  refused: [number, RoundtableErrorCode, string];
}

interface Waiting {
  readonly header: DataHeader;
  readonly payload: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: RoundtableError) => void;
}

/** Everything of a room that is data. */
export class DataHub extends Emitter<DataHubEvents> {
  readonly clock: Clock;
  readonly #transport: DataTransport;
  readonly #handlers = new Set<{ pattern: string; handler: (message: DataMessage) => void }>();
  #queue: Waiting[] = [];
  #retry: TimerHandle = null;
  #isOpen = false;
  #own: MemberId | null = null;
  /** Patterns that are wanted besides those of handlers; null for all topics. */
  #followed: readonly string[] | null = null;
  /** What the server was told last. */
  #told: readonly string[] = ["**"];

  constructor(clock: Clock, transport: DataTransport) {
    super();
    this.clock = clock;
    this.#transport = transport;
  }

  /** Who one is; null before the first welcome. */
  get own(): MemberId | null {
    return this.#own;
  }

  /** A number for what is sent. */
  nextId(): number {
    return this.#transport.nextId();
  }

  /**
   * Publishes. Resolves when it is on its way (what may be lost at once, sent or not); a refusal of the server comes as
   * `refused`. Rejects when it is too large or too much waits.
   */
  publish(topic: string, payload: Uint8Array, options: PublishDataOptions = {}, id?: number): Promise<void> {
    const header: DataHeader = { topic };
    if (options.to !== undefined) header.to = [...options.to];
    if (id !== undefined) header.id = id;
    if (payload.length > MAX_DATA_PAYLOAD_BYTES) {
      const message = `A message carries ${MAX_DATA_PAYLOAD_BYTES} bytes, not ${payload.length}.`;
      return Promise.reject(new RoundtableError("data/too-large", message));
    }
    if (options.reliable === false) {
      if (this.#isOpen) this.#transport.sendData(header, payload, true);
      return Promise.resolve();
    }
    if (this.#queue.length >= MAX_QUEUED_DATA) {
      return Promise.reject(new RoundtableError("sdk/data-queue-full", "Too much data waits to be sent."));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ header, payload, resolve, reject });
      this.flush();
    });
  }

  /** Calls `handler` with what comes to topics of a pattern; returns the function that ends it. */
  subscribe(pattern: string, handler: (message: DataMessage) => void): () => void {
    const entry = { pattern, handler };
    this.#handlers.add(entry);
    if (this.#followed !== null) this.#sayFollowed();
    return () => {
      if (this.#handlers.delete(entry) && this.#followed !== null) this.#sayFollowed();
    };
  }

  /**
   * Has the server send what these patterns, and those of {@link subscribe}, name and nothing else; all topics with null, as
   * in the beginning.
   */
  follow(patterns: readonly string[] | null): void {
    this.#followed = patterns;
    this.#sayFollowed();
  }

  /** Says something over the socket; false when there is none. */
  say(message: ClientMessage): boolean {
    return this.#isOpen && this.#transport.send(message);
  }

  /** Sends what waits, as far as it goes. */
  flush(): void {
    this.clock.clear(this.#retry);
    this.#retry = null;
    let next = this.#queue[0];
    while (this.#isOpen && next !== undefined) {
      if (!this.#transport.sendData(next.header, next.payload, false)) break;
      this.#queue.shift();
      next.resolve();
      next = this.#queue[0];
    }
    if (this.#isOpen && next !== undefined) this.#retry = this.clock.set(() => this.flush(), RETRY_MS);
  }

  /** There is a connection, as this member. */
  handleReady(own: MemberId): void {
    this.#own = own;
    this.#isOpen = true;
    if (this.#followed !== null) this.#sayFollowed();
    this.emit("ready");
    this.flush();
  }

  /** There is none. What waits goes on waiting. */
  handleLost(): void {
    this.#isOpen = false;
    this.clock.clear(this.#retry);
  }

  /** The room is left. */
  handleClosed(): void {
    this.handleLost();
    const waiting = this.#queue;
    this.#queue = [];
    for (const { reject } of waiting) reject(new RoundtableError("sdk/closed", "The room was left."));
  }

  /** Data came. */
  handleData({ topic, from, id, n }: DataStamp, payload: Uint8Array, lossy: boolean): void {
    const message: DataMessage = { topic, from, payload, lossy, n, id };
    for (const { pattern, handler } of [...this.#handlers]) {
      if (topicMatches(pattern, topic)) handler(message);
    }
    if (!topicMatches(OWN_TOPICS, topic)) this.emit("data", message);
  }

  handleDoc(message: Extract<ServerMessage, { type: "doc" }>): void {
    this.emit("doc", message);
  }

  handleLeft(member: MemberId): void {
    this.emit("left", member);
  }

  handleRefused(id: number, code: RoundtableErrorCode, message: string): void {
    this.emit("refused", id, code, message);
  }

  /** All of it each time: the server may know it, or may know us as somebody new. */
  #sayFollowed(): void {
    const handled = [...this.#handlers].map(({ pattern }) => pattern).filter((p) => !p.startsWith("rt/"));
    const wanted =
      this.#followed === null ? ["**"] : [...new Set([OWN_TOPICS, ...this.#followed, ...handled])];
    const unsubscribe = [...new Set(["**", ...this.#told])].filter((pattern) => !wanted.includes(pattern));
    this.#told = wanted;
    if (this.#isOpen) this.#transport.send({ type: "topics", unsubscribe, subscribe: wanted });
  }
}
