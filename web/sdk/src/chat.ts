// Chat as one ordered list: history, live messages and own ones that are still on their way.
import { Emitter } from "./emitter.ts";
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import {
  CHAT_BURST,
  CHAT_PER_SECOND,
  MAX_CHAT_BYTES,
  MAX_EARLIER_CHAT,
  MAX_KEPT_CHAT,
  MAX_QUEUED_CHAT,
  MAX_UNACKNOWLEDGED_CHAT,
} from "./limits.ts";
import { Pace } from "./pace.ts";
import type { Clock, TimerHandle } from "./platform.ts";
import type {
  ChatEntry,
  ChatMessage,
  ClientMessage,
  Event,
  MemberId,
  MessageId,
  Reaction,
} from "./protocol.ts";

/** After the server found that messages came too fast, nothing is sent for this long. */
export const CHAT_REST_MS = 1_000;

/** Changes of messages that are not here yet are remembered for so many of them; the oldest are forgotten. */
const MAX_EARLY_CHANGES = 100;

/** A message as it is now: `editedAt` if it was edited, without a text when it is `deleted`, and with `reactions`. */
export type ChatLine = Omit<ChatEntry, "epoch">;

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
  readonly message: ChatLine;
}

type Change = (line: ChatLine) => ChatLine;

interface ChatEvents {
  /** A message that was not known before. */
  message: [ChatLine];
  /** Anything changed: {@link Chat.messages} or {@link Chat.outgoing}. */
  changed: [];
}

/**
 * The room's chat. It outlives connections: what was not acknowledged is sent again after coming back, with the number it
 * had, so that the server takes it once. Messages go out in the order they were written, no faster than the server takes them.
 */
export class Chat extends Emitter<ChatEvents> {
  readonly #clock: Clock;
  readonly #pace: Pace;
  readonly #nextNonce: () => number;
  readonly #isOwn: (member: MemberId) => boolean;
  readonly #known = new Set<string>();
  #entries: Entry[] = [];
  #messages: readonly ChatLine[] = [];
  /** What became of messages whose channel is slower than the events. */
  readonly #early = new Map<MessageId, Change[]>();
  #epoch = 0;
  /** Earlier messages that were asked for and are kept beside the newest. */
  #earlier = 0;
  #outgoing: OutgoingChat[] = [];
  #transmit: ChatTransmit | null = null;
  /** Runs while nothing may be sent yet. */
  #rest: TimerHandle = null;

  constructor(clock: Clock, nextNonce: () => number, isOwn: (member: MemberId) => boolean) {
    super();
    this.#clock = clock;
    this.#pace = new Pace(clock, CHAT_PER_SECOND, CHAT_BURST);
    this.#nextNonce = nextNonce;
    this.#isOwn = isOwn;
  }

  /** What the server took, in the room's order; the newest {@link MAX_KEPT_CHAT}, and earlier ones that were asked for. */
  get messages(): readonly ChatLine[] {
    return this.#messages;
  }

  /** The place of the oldest message that is known, `EPOCH-SEQ`; null while there is none. */
  get oldest(): string | null {
    const [oldest] = this.#entries;
    return oldest === undefined ? null : `${oldest.epoch}-${oldest.message.seq}`;
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
    if (transmit === null) this.#endRest();
    this.handleLost();
  }

  /** What was sent may not have arrived: all that is not acknowledged is sent again, in order. */
  handleLost(): void {
    this.#outgoing = this.#outgoing.map((e) => (e.state === "sent" ? { ...e, state: "queued" } : e));
    this.flush();
    this.emit("changed");
  }

  /** Sends what waits, in order, as far as it goes. */
  flush(): void {
    const transmit = this.#transmit;
    if (transmit === null || this.#rest !== null) return;
    let underWay = this.#outgoing.filter((entry) => entry.state === "sent").length;
    for (const [index, entry] of this.#outgoing.entries()) {
      if (entry.state !== "queued") continue;
      if (underWay >= MAX_UNACKNOWLEDGED_CHAT) return;
      const wait = this.#pace.wait();
      if (wait > 0) {
        this.#restFor(wait);
        return;
      }
      if (!transmit({ type: "chat", nonce: entry.nonce, text: entry.text })) return;
      this.#pace.take();
      this.#outgoing[index] = { ...entry, state: "sent" };
      underWay += 1;
    }
  }

  /** Which life of the room the following messages belong to; each numbers its messages anew. */
  handleEpoch(epoch: number): void {
    this.#epoch = epoch;
  }

  /** A message of the room. An own one acknowledges what was sent, also when it was missed and comes again. */
  handleMessage(message: ChatMessage, nonce?: number): void {
    this.#acknowledge(message, nonce);
    const isNew = this.#insert(message);
    this.flush();
    this.emit("changed");
    if (isNew) this.emit("message", message);
  }

  /** Messages from before we came, or from while we were away. */
  handleHistory(messages: readonly (ChatLine & { epoch?: number })[]): void {
    for (const { epoch, ...message } of messages) {
      this.#acknowledge(message);
      // What is known may have been edited or deleted while one was away for long.
      if (!this.#insert(message, epoch)) this.#change(message.id, () => message);
    }
    this.emit("changed");
  }

  /** Messages from before those that are known. They are kept although they are old. */
  handlePage(messages: readonly ChatEntry[]): void {
    this.#earlier = Math.min(MAX_EARLIER_CHAT, this.#earlier + messages.length);
    this.handleHistory(messages);
  }

  /**
   * One is in another room from now on: nothing of the room before is shown there, nor said: what was on its way there may
   * be sent again by {@link Chat.retry}.
   */
  handleMoved(): void {
    this.#entries = [];
    this.#messages = [];
    this.#known.clear();
    this.#early.clear();
    this.#earlier = 0;
    this.#outgoing = this.#outgoing.map((e) => ({ ...e, state: "failed", code: e.code ?? "sdk/closed" }));
    this.emit("changed");
  }

  /** Somebody edited or deleted a message, or reacted to it. */
  handleEvent(event: Event): void {
    switch (event.type) {
      case "chatEdited":
        this.#change(event.message, (line) => ({ ...line, text: event.text, editedAt: event.at }));
        break;
      case "chatDeleted":
        this.#change(event.message, ({ reactions: _, ...line }) => ({ ...line, text: "", deleted: true }));
        break;
      case "reaction":
        this.#change(event.message, (line) => ({ ...line, reactions: reacted(line.reactions ?? [], event) }));
        break;
    }
  }

  /** An own message was refused; false when none has that nonce. One that came too fast is sent again after a rest. */
  handleError(nonce: number, code: RoundtableErrorCode): boolean {
    const index = this.#outgoing.findIndex((entry) => entry.nonce === nonce);
    const entry = this.#outgoing[index];
    if (entry === undefined) return false;
    if (code === "chat/rate" || code === "server/overloaded") {
      this.#outgoing[index] = { ...entry, state: "queued" };
      this.#restFor(CHAT_REST_MS);
    } else {
      this.#outgoing[index] = { ...entry, state: "failed", code };
      this.flush();
    }
    this.emit("changed");
    return true;
  }

  #restFor(ms: number): void {
    this.#endRest();
    this.#rest = this.#clock.set(() => {
      this.#rest = null;
      this.flush();
      this.emit("changed");
    }, ms);
  }

  #endRest(): void {
    this.#clock.clear(this.#rest);
    this.#rest = null;
  }

  #change(id: MessageId, change: Change): void {
    const index = this.#entries.findLastIndex(({ message }) => message.id === id);
    const entry = this.#entries[index];
    if (entry === undefined) {
      const changes = this.#early.get(id) ?? [];
      this.#early.delete(id);
      this.#early.set(id, [...changes, change].slice(-MAX_EARLY_CHANGES));
      const [oldest] = this.#early.keys();
      if (this.#early.size > MAX_EARLY_CHANGES && oldest !== undefined) this.#early.delete(oldest);
      return;
    }
    this.#entries[index] = { ...entry, message: change(entry.message) };
    this.#messages = this.#entries.map(({ message }) => message);
    this.emit("changed");
  }

  #insert(line: ChatLine, epoch = this.#epoch): boolean {
    const changes = this.#early.get(line.id) ?? [];
    this.#early.delete(line.id);
    const message = changes.reduce((changed, change) => change(changed), line);
    const entry = { epoch, message };
    if (this.#known.has(keyOf(entry))) return false;
    this.#known.add(keyOf(entry));
    const index = this.#entries.findLastIndex((other) => !isAfter(other, entry)) + 1;
    this.#entries.splice(index, 0, entry);
    for (const oldest of this.#entries.splice(
      0,
      Math.max(0, this.#entries.length - MAX_KEPT_CHAT - this.#earlier),
    )) {
      this.#known.delete(keyOf(oldest));
    }
    this.#messages = this.#entries.map(({ message: kept }) => kept);
    return true;
  }

  #acknowledge(message: ChatMessage, nonce?: number): void {
    const own = nonce ?? (this.#isOwn(message.member) ? message.nonce : undefined);
    if (own !== undefined) this.#take(own);
  }

  #take(nonce: number): OutgoingChat | undefined {
    const entry = this.#outgoing.find((candidate) => candidate.nonce === nonce);
    if (entry !== undefined) this.#outgoing = this.#outgoing.filter((candidate) => candidate !== entry);
    return entry;
  }
}

/** What reactions become by one more, or one less; what is so already stays. */
function reacted(
  reactions: readonly Reaction[],
  { member, reaction, on }: Extract<Event, { type: "reaction" }>,
): Reaction[] {
  const known = reactions.find((other) => other.reaction === reaction);
  if (known === undefined) return on ? [...reactions, { reaction, members: [member] }] : [...reactions];
  const others = known.members.filter((other) => other !== member);
  const members = on ? [...others, member] : others;
  return reactions.flatMap((other) => {
    if (other !== known) return [other];
    return members.length === 0 ? [] : [{ reaction, members }];
  });
}

function keyOf({ epoch, message }: Entry): string {
  return `${epoch} ${message.id}`;
}

function isAfter(a: Entry, b: Entry): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.message.seq > b.message.seq);
}
