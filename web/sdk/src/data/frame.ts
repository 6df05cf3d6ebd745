// The frame of the data channels: a version, the length of the header, the header as JSON, the payload.
import type { DataHeader, DataStamp } from "../protocol.ts";

const FRAME_VERSION = 1;
const HEAD_BYTES = 3;

/** Writes what the server is sent. */
export function writeFrame(header: DataHeader, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const frame = new Uint8Array(HEAD_BYTES + json.length + payload.length);
  frame.set([FRAME_VERSION, json.length >> 8, json.length & 0xff]);
  frame.set(json, HEAD_BYTES);
  frame.set(payload, HEAD_BYTES + json.length);
  return frame;
}

/** Reads what the server sent; null if that is none. */
export function readFrame(frame: Uint8Array): { stamp: DataStamp; payload: Uint8Array } | null {
  const [version, high, low] = frame;
  if (version !== FRAME_VERSION || high === undefined || low === undefined) return null;
  const end = HEAD_BYTES + (high << 8) + low;
  if (frame.length < end) return null;
  try {
    const stamp = JSON.parse(new TextDecoder().decode(frame.subarray(HEAD_BYTES, end))) as DataStamp;
    return { stamp, payload: frame.subarray(end) };
  } catch {
    return null;
  }
}

/** Bytes as base64, for the WebSocket. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
  }
  return btoa(text);
}

/** The bytes of a base64 text of the server. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
