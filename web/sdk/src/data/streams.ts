// Streams of bytes and text between members: files, and whatever is too long for a message.
import { RoundtableError, type RoundtableErrorCode } from "../errors.ts";
import type { MemberId } from "../protocol.ts";
import type { DataHub, DataMessage } from "./hub.ts";
import { IncomingStream } from "./incoming.ts";
import { OutgoingStream, STREAM_TOPIC } from "./outgoing.ts";
import { MAX_CHUNK_BYTES, readWire, type StreamInfo, type StreamWire, writeWire } from "./stream_wire.ts";
import { topicMatches } from "./topic.ts";

/** Streams that one member may send us at once; more are refused. */
export const MAX_INCOMING_STREAMS = 16;
/** Streams of which it is remembered that they are complete. */
const MAX_REMEMBERED = 256;

/** How a stream is sent. */
export interface StreamOptions {
  readonly to: readonly MemberId[];
  /** By it receivers choose which streams they take. */
  readonly topic: string;
  readonly name?: string;
  readonly mime?: string;
  readonly size?: number;
  /** Bytes that every receiver has taken. */
  readonly onProgress?: (bytes: number) => void;
}

/** Sends and receives streams. */
export class Streams {
  readonly #hub: DataHub;
  readonly #outgoing = new Map<number, OutgoingStream>();
  readonly #incoming = new Map<string, IncomingStream>();
  readonly #complete = new Set<string>();
  readonly #handlers = new Set<{ pattern: string; handler: (stream: IncomingStream) => void }>();

  constructor(hub: DataHub) {
    this.#hub = hub;
    hub.subscribe(STREAM_TOPIC, (message) => this.#handle(message));
    hub.on("left", (member) => this.#handleLeft(member));
    hub.on("refused", (id, code, message) => {
      const gone = code === "member/unknown";
      this.#outgoing.get(id)?.handleRefused(new RoundtableError(gone ? "stream/gone" : code, message));
    });
  }

  /** Takes streams of a pattern of topics from now on; others are refused. Returns the function that ends it. */
  onStream(pattern: string, handler: (stream: IncomingStream) => void): () => void {
    const entry = { pattern, handler };
    this.#handlers.add(entry);
    return () => this.#handlers.delete(entry);
  }

  /** Sends bytes or text, all at once or piece by piece, at the pace at which they are taken. */
  send(source: string | Uint8Array | AsyncIterable<Uint8Array>, options: StreamOptions): OutgoingStream {
    const { to, topic, name = "", mime, size, onProgress = () => {} } = options;
    const whole = typeof source === "string" ? new TextEncoder().encode(source) : source;
    const known = size ?? (whole instanceof Uint8Array ? whole.length : undefined);
    const info: StreamInfo = {
      topic,
      name,
      mime: mime ?? (typeof source === "string" ? "text/plain" : "application/octet-stream"),
      ...(known === undefined ? {} : { size: known }),
    };
    const stream = new OutgoingStream(this.#hub, to, info, chunks(whole), onProgress);
    this.#outgoing.set(stream.id, stream);
    const forget = () => this.#outgoing.delete(stream.id);
    stream.done.then(forget, forget);
    stream.start();
    return stream;
  }

  /** Sends a file. */
  sendFile(file: Blob & { readonly name?: string }, options: StreamOptions): OutgoingStream {
    const { name = "", type: mime, size } = file;
    return this.send(slices(file), { name, size, ...(mime === "" ? {} : { mime }), ...options });
  }

  /** The room is left. */
  handleClosed(): void {
    for (const stream of [...this.#incoming.values()]) stream.handleGone(closed());
    for (const stream of [...this.#outgoing.values()]) stream.cancel();
  }

  #handle({ from, payload }: DataMessage): void {
    const wire = readWire(payload);
    if (wire === null) return;
    const key = `${from} ${wire.id}`;
    switch (wire.kind) {
      case "open":
        if (!this.#incoming.has(key) && !this.#complete.has(key)) this.#begin(from, key, wire.id, wire.info);
        break;
      case "chunk":
        this.#incoming.get(key)?.handleChunk(wire.at, wire.bytes);
        break;
      case "end":
        // That it is complete was said, and lost.
        if (this.#complete.has(key)) this.#say(from, { kind: "done", id: wire.id });
        this.#incoming.get(key)?.handleEnd(wire.at, wire.hash);
        break;
      case "taken":
        this.#outgoing.get(wire.id)?.handleTaken(from, wire.at);
        break;
      case "missing":
        this.#outgoing.get(wire.id)?.handleMissing(from, wire.at);
        break;
      case "done":
        this.#outgoing.get(wire.id)?.handleDone(from);
        break;
      case "cancel":
        if (wire.bySender) this.#incoming.get(key)?.handleGone(reasonOf(wire.reason));
        else this.#outgoing.get(wire.id)?.handleGone(from, reasonOf(wire.reason));
        break;
    }
  }

  #begin(from: MemberId, key: string, id: number, info: StreamInfo): void {
    const { handler } = [...this.#handlers].find(({ pattern }) => topicMatches(pattern, info.topic)) ?? {};
    const open = [...this.#incoming.values()].filter((stream) => stream.from === from).length;
    if (handler === undefined || open >= MAX_INCOMING_STREAMS) {
      this.#say(from, { kind: "cancel", id, reason: "stream/refused", bySender: false });
      return;
    }
    const over = () => {
      this.#incoming.delete(key);
      this.#complete.add(key);
      for (const oldest of [...this.#complete].slice(0, -MAX_REMEMBERED)) this.#complete.delete(oldest);
    };
    const stream = new IncomingStream(from, id, info, (wire) => this.#say(from, wire), over);
    this.#incoming.set(key, stream);
    handler(stream);
  }

  #say(to: MemberId, wire: StreamWire): void {
    // What does not get through is asked for again by the other end.
    this.#hub.publish(STREAM_TOPIC, writeWire(wire), { to: [to] }).catch(() => {});
  }

  #handleLeft(member: MemberId): void {
    const gone = new RoundtableError("stream/gone", "The other one has left.");
    for (const stream of [...this.#incoming.values()]) if (stream.from === member) stream.handleGone(gone);
    for (const stream of [...this.#outgoing.values()]) stream.handleGone(member, gone);
  }
}

async function* chunks(source: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (source instanceof Uint8Array) {
    for (let at = 0; at < source.length; at += MAX_CHUNK_BYTES)
      yield source.subarray(at, at + MAX_CHUNK_BYTES);
  } else {
    for await (const piece of source) yield* chunks(piece);
  }
}

async function* slices(file: Blob): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; at += MAX_CHUNK_BYTES) {
    yield new Uint8Array(await file.slice(at, at + MAX_CHUNK_BYTES).arrayBuffer());
  }
}

const REASONS: readonly RoundtableErrorCode[] = [
  "stream/cancelled",
  "stream/refused",
  "stream/corrupt",
  "stream/timeout",
];

function reasonOf(reason: string): RoundtableError {
  const code = REASONS.find((known) => known === reason) ?? "stream/failed";
  return new RoundtableError(code, "The other end gave the stream up.");
}

function closed(): RoundtableError {
  return new RoundtableError("sdk/closed", "The room was left.");
}
