// What the two ends of a stream tell each other: a byte for what, the stream's number, and the rest.

/** Bytes of one chunk. */
export const MAX_CHUNK_BYTES = 15 * 1024;
/** Chunks on their way that the receiver has not taken. */
export const STREAM_WINDOW = 32;

/** What begins a stream. */
export interface StreamInfo {
  readonly topic: string;
  readonly name: string;
  readonly mime: string;
  /** Bytes in all, where that is known. */
  readonly size?: number;
}

/** One message of a stream. */
export type StreamWire =
  | { readonly kind: "open"; readonly id: number; readonly info: StreamInfo }
  | { readonly kind: "chunk"; readonly id: number; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly id: number; readonly at: number; readonly hash: Uint8Array }
  /** Of the receiver: chunks before `at` are taken. */
  | { readonly kind: "taken"; readonly id: number; readonly at: number }
  /** Of the receiver: those from `at` on are missing. */
  | { readonly kind: "missing"; readonly id: number; readonly at: number }
  /** Of the receiver: all has come and the hash is right. */
  | { readonly kind: "done"; readonly id: number }
  /** Of either end. */
  | { readonly kind: "cancel"; readonly id: number; readonly reason: string; readonly bySender: boolean };

const KINDS = ["open", "chunk", "end", "taken", "missing", "done", "cancel"] as const;
const HEAD_BYTES = 10;

/** Writes a message: kind, flag, stream, number, rest. */
export function writeWire(wire: StreamWire): Uint8Array {
  const rest = restOf(wire);
  const bytes = new Uint8Array(HEAD_BYTES + rest.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, KINDS.indexOf(wire.kind));
  view.setUint8(1, Number(wire.kind === "cancel" && wire.bySender));
  view.setUint32(2, wire.id);
  view.setUint32(6, "at" in wire ? wire.at : 0);
  bytes.set(rest, HEAD_BYTES);
  return bytes;
}

function restOf(wire: StreamWire): Uint8Array {
  switch (wire.kind) {
    case "open":
      return new TextEncoder().encode(JSON.stringify(wire.info));
    case "chunk":
      return wire.bytes;
    case "end":
      return wire.hash;
    case "cancel":
      return new TextEncoder().encode(wire.reason);
    default:
      return new Uint8Array();
  }
}

/** Reads a message; null if it is none. */
export function readWire(bytes: Uint8Array): StreamWire | null {
  if (bytes.length < HEAD_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = KINDS[view.getUint8(0)];
  const flag = view.getUint8(1) === 1;
  const [id, at, rest] = [view.getUint32(2), view.getUint32(6), bytes.subarray(HEAD_BYTES)];
  switch (kind) {
    case "open": {
      const info = readInfo(rest);
      return info && { kind, id, info };
    }
    case "chunk":
      return { kind, id, at, bytes: rest };
    case "end":
      return { kind, id, at, hash: rest };
    case "taken":
    case "missing":
      return { kind, id, at };
    case "done":
      return { kind, id };
    case "cancel":
      return { kind, id, reason: new TextDecoder().decode(rest), bySender: flag };
    default:
      return null;
  }
}

function readInfo(rest: Uint8Array): StreamInfo | null {
  try {
    const { topic, name, mime, size } = JSON.parse(new TextDecoder().decode(rest)) as Partial<StreamInfo>;
    if (typeof topic !== "string" || typeof name !== "string" || typeof mime !== "string") return null;
    return typeof size === "number" ? { topic, name, mime, size } : { topic, name, mime };
  } catch {
    return null;
  }
}
