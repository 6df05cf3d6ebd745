// Chat as one ordered list: history, live messages and own ones that are still on their way.
import { Emitter } from "./emitter.ts";
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import { MAX_CHAT_BYTES, MAX_KEPT_CHAT, MAX_QUEUED_CHAT } from "./limits.ts";
import type { ChatMessage, ClientMessage, MemberId } from "./protocol.ts";

/** An own message on its way. */
export interface OutgoingChat {
  readonly nonce: number;
  readonly text: string;
  /** `queued`: not sent yet; `sent`: no acknowledgement yet; `failed`: refused with `code`. */
  readonly state: "queued" | "sent" | "failed";
  readonly code?: RoundtableErrorCode;
}

/** Sends a message now; false when it must wait. */
export type ChatTransmit = (message: Extract<ClientMessage, { type: "chat" }>) => boolean;

interface Entry {
  readonly epoch: number;
  readonly message: ChatMessage;
}

interface ChatEvents {
  /** A message that was not known before. */
  message: [ChatMessage];
  /** Anything changed: {@link Chat.messages} or {@link Chat.outgoing}. */
  changed: [];
}

/** The room's chat. It outlives connections: what was not acknowledged is sent again after coming back. */
export class Chat extends Emitter<ChatEvents> {
  readonly #nextNonce: () => number;
  readonly #isOwn: (member: MemberId) => boolean;
  readonly #known = new Set<string>();
  #entries: Entry[] = [];
  #messages: readonly ChatMessage[] = [];
  #epoch = 0;
  #outgoing: OutgoingChat[] = [];
  #transmit: ChatTransmit | null = null;

  constructor(nextNonce: () => number, isOwn: (member: MemberId) => boolean) {
    super();
    this.#nextNonce = nextNonce;
    this.#isOwn = isOwn;
  }

  /** What the server took, in the room's order; the newest {@link MAX_KEPT_CHAT}. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Own messages that the server has not taken yet, oldest first. */
  get outgoing(): readonly OutgoingChat[] {
    return this.#outgoing;
  }

  /** Writes to everybody, now or when the connection is back. Throws when the text cannot be sent at all. */
  send(text: string): number {
    if (text.trim() === "") throw new RoundtableError("chat/empty", "The message is empty.");
    if (new TextEncoder().encode(text).length > MAX_CHAT_BYTES) {
      throw new RoundtableError("chat/too-long", "The message is longer than 16 KiB.");
    }
    if (this.#outgoing.filter((entry) => entry.state !== "failed").length >= MAX_QUEUED_CHAT) {
      throw new RoundtableError("sdk/chat-queue-full", "Too many messages wait to be sent.");
    }
    const nonce = this.#nextNonce();
    this.#outgoing.push({ nonce, text, state: "queued" });
    this.flush();
    this.emit("changed");
    return nonce;
  }

  /** Sends a failed message again, as the newest. */
  retry(nonce: number): void {
    const entry = this.#take(nonce);
    if (entry !== undefined) this.send(entry.text);
  }

  /** Forgets a failed message. */
  discard(nonce: number): void {
    if (this.#take(nonce) !== undefined) this.emit("changed");
  }

  /** A connection is there (and its history was read), or is not. */
  setTransmit(transmit: ChatTransmit | null): void {
    this.#transmit = transmit;
    if (transmit === null) {
      // An acknowledgement that did not come may have been lost with the connection.
      this.#outgoing = this.#outgoing.map((e) => (e.state === "sent" ? { ...e, state: "queued" } : e));
    } else {
      this.flush();
    }
    this.emit("changed");
  }

  /** Sends what waits, in order, as far as it goes. */
  flush(): void {
    const transmit = this.#transmit;
    if (transmit === null) return;
    for (const [index, entry] of this.#outgoing.entries()) {
      if (entry.state !== "queued") continue;
      if (!transmit({ type: "chat", nonce: entry.nonce, text: entry.text })) return;
      this.#outgoing[index] = { ...entry, state: "sent" };
    }
  }

  /** Which life of the room the following messages belong to; each numbers its messages anew. */
  handleEpoch(epoch: number): void {
    this.#epoch = epoch;
  }

  /** A message of the room; with `nonce` it acknowledges an own one. */
  handleMessage(message: ChatMessage, nonce?: number): void {
    if (nonce !== undefined) this.#take(nonce);
    const isNew = this.#insert(message);
    this.emit("changed");
    if (isNew) this.emit("message", message);
  }

  /** Messages from before we came, or from while we were away. */
  handleHistory(messages: readonly ChatMessage[]): void {
    for (const message of messages) {
      const isNew = this.#insert(message);
      if (isNew && this.#isOwn(message.member)) this.#acknowledgeByText(message.text);
    }
    this.emit("changed");
  }

  /** An own message was refused; false when none has that nonce. */
  handleError(nonce: number, code: RoundtableErrorCode): boolean {
    const index = this.#outgoing.findIndex((entry) => entry.nonce === nonce);
    const entry = this.#outgoing[index];
    if (entry === undefined) return false;
    this.#outgoing[index] = { ...entry, state: "failed", code };
    this.emit("changed");
    return true;
  }

  #insert(message: ChatMessage): boolean {
    const entry = { epoch: this.#epoch, message };
    if (this.#known.has(keyOf(entry))) return false;
    this.#known.add(keyOf(entry));
    const index = this.#entries.findLastIndex((other) => !isAfter(other, entry)) + 1;
    this.#entries.splice(index, 0, entry);
    for (const oldest of this.#entries.splice(0, Math.max(0, this.#entries.length - MAX_KEPT_CHAT))) {
      this.#known.delete(keyOf(oldest));
    }
    this.#messages = this.#entries.map(({ message: kept }) => kept);
    return true;
  }

  #acknowledgeByText(text: string): void {
    const lost = this.#outgoing.find((entry) => entry.state === "queued" && entry.text === text);
    if (lost !== undefined) this.#take(lost.nonce);
  }

  #take(nonce: number): OutgoingChat | undefined {
    const entry = this.#outgoing.find((candidate) => candidate.nonce === nonce);
    if (entry !== undefined) this.#outgoing = this.#outgoing.filter((candidate) => candidate !== entry);
    return entry;
  }
}

function keyOf({ epoch, message }: Entry): string {
  return `${epoch} ${message.id}`;
}

function isAfter(a: Entry, b: Entry): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.message.seq > b.message.seq);
}
