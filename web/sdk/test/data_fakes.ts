// A server for data without a server: it stamps, finds receivers and keeps documents as the real one does.
import { fromBase64, toBase64 } from "../src/data/frame.ts";
import { RoomData } from "../src/data/room_data.ts";
import type { ClientMessage, DataHeader, DataStamp, MemberId } from "../src/protocol.ts";
import type { FakeClock } from "./fakes.ts";

export class FakeDataServer {
  readonly members = new Map<MemberId, RoomData>();
  /** Everything that was sent, lossy or not. */
  readonly sent: { from: MemberId; header: DataHeader; bytes: number; lossy: boolean }[] = [];
  readonly said: ClientMessage[] = [];
  /** Loses what it says yes to. */
  loses: (from: MemberId, header: DataHeader, payload: Uint8Array) => boolean = () => false;
  /** Whether channels take anything. */
  isFull = false;
  readonly updates: { n: number; from: MemberId; payload: string }[] = [];
  snapshot: { upTo: number; payload: string } | undefined;
  #id = 0;
  #last = 0;

  constructor(readonly clock: FakeClock) {}

  join(member: MemberId): RoomData {
    const data: RoomData = new RoomData(this.clock, {
      sendData: (header, payload, lossy) => {
        if (!lossy && this.isFull) return false;
        queueMicrotask(() => this.#take(member, header, payload.slice(), lossy));
        return true;
      },
      send: (message) => {
        queueMicrotask(() => this.#hear(member, message));
        return true;
      },
      nextId: () => {
        this.#id += 1;
        return this.#id;
      },
    });
    for (const other of this.members.values()) other.handleJoined();
    this.members.set(member, data);
    data.hub.handleReady(member);
    return data;
  }

  leave(member: MemberId): void {
    this.members.delete(member);
    for (const other of this.members.values()) other.handleLeft(member);
  }

  #take(from: MemberId, header: DataHeader, payload: Uint8Array, lossy: boolean): void {
    this.sent.push({ from, header, bytes: payload.length, lossy });
    if (this.loses(from, header, payload)) return;
    const { topic, to, id } = header;
    if (to !== undefined && !to.some((member) => this.members.has(member))) {
      this.members.get(from)?.handleRefused(id ?? 0, "member/unknown", "nobody");
      return;
    }
    const stamp: DataStamp = { topic, from };
    if (id !== undefined) stamp.id = id;
    if (topic.startsWith("doc/") && !lossy) {
      this.#last += 1;
      stamp.n = this.#last;
      this.updates.push({ n: this.#last, from, payload: toBase64(payload) });
    }
    for (const [member, data] of this.members) {
      const isFor = (member !== from || stamp.n !== undefined) && (to?.includes(member) ?? true);
      if (isFor) data.handleData(stamp, payload, lossy);
    }
  }

  #hear(from: MemberId, message: ClientMessage): void {
    this.said.push(message);
    if (message.type === "putDoc") {
      const { upTo, snapshot } = message;
      this.snapshot = { upTo, payload: toBase64(fromBase64(snapshot)) };
      while (this.updates[0] !== undefined && this.updates[0].n <= upTo) this.updates.shift();
    }
    if (message.type !== "getDoc") return;
    const { id, doc, after } = message;
    const snapshot =
      this.snapshot !== undefined && this.snapshot.upTo > after ? { snapshot: this.snapshot } : {};
    const updates = this.updates.filter(({ n }) => n > after);
    this.members
      .get(from)
      ?.handleDoc({ type: "doc", id, doc, ...snapshot, updates, last: this.#last, complete: true });
  }
}

/** Bytes that look random and are the same each time. */
export function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
