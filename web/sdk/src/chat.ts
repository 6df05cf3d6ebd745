// Chat as one ordered list: history, live messages and own ones that are still on their way.
import { type ChatLine, ChatLog, type PrivateLine, type PublicLine } from "./chat_log.ts";
import { Emitter } from "./emitter.ts";
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import {
  CHAT_BURST,
  CHAT_PER_SECOND,
  isMemberId,
  MAX_CHAT_BYTES,
  MAX_PRIVATE_TO,
  MAX_QUEUED_CHAT,
  MAX_UNACKNOWLEDGED_CHAT,
} from "./limits.ts";
import { Pace } from "./pace.ts";
import type { Clock, TimerHandle } from "./platform.ts";
import type { ChatEntry, ChatMessage, ClientMessage, Event, MemberId, PrivateMessage } from "./protocol.ts";

/** After the server found that messages came too fast, nothing is sent for this long. */
export const CHAT_REST_MS = 1_000;

/** How to write. */
export interface SendChatOptions {
  /** To whom alone, at most {@link MAX_PRIVATE_TO} people who are in the room; to everybody if there is no such list. */
  readonly to?: readonly MemberId[];
}

/** An own message on its way. */
export interface OutgoingChat {
  readonly nonce: number;
  readonly text: string;
  /** To whom alone, each once; absent for everybody. */
  readonly to?: readonly MemberId[];
  /** The names of {@link OutgoingChat.to} when it was written; null where one was not known. */
  readonly toNames?: readonly (string | null)[];
  /** `queued`: not sent yet; `sent`: no acknowledgement yet; `failed`: refused with `code`. */
  readonly state: "queued" | "sent" | "failed";
  readonly code?: RoundtableErrorCode;
}

/** Sends a message now; false when it must wait. */
export type ChatTransmit = (message: Extract<ClientMessage, { type: "chat" }>) => boolean;

/** What the chat asks its room about members. */
export interface ChatMembers {
  /** Whether this is, or once was, the id of this client. */
  isOwn(member: MemberId): boolean;
  /** What somebody who is here is called; null where that is not known. */
  nameOf(member: MemberId): string | null;
}

/** An own message, and what only the chat needs to know of it. */
interface Pending extends OutgoingChat {
  /** In which life of the room it was written: another may give the same ids to others. */
  readonly epoch: number;
  /** Whether the server may have it. */
  readonly isTried: boolean;
}

interface ChatEvents {
  /** A message to everybody that was not known before. */
  message: [PublicLine];
  /** A message to a few that was not known before. */
  privateMessage: [PrivateLine];
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
  readonly #members: ChatMembers;
  readonly #log = new ChatLog();
  #epoch = 0;
  #outgoing: Pending[] = [];
  #transmit: ChatTransmit | null = null;
  /** Runs while nothing may be sent yet. */
  #rest: TimerHandle = null;

  constructor(clock: Clock, nextNonce: () => number, members: ChatMembers) {
    super();
    this.#clock = clock;
    this.#pace = new Pace(clock, CHAT_PER_SECOND, CHAT_BURST);
    this.#nextNonce = nextNonce;
    this.#members = members;
  }

  /**
   * What the server took, in the room's order, those to a few (with `to`) between the others as they came; the newest
   * {@link MAX_KEPT_CHAT}, and earlier ones that were asked for.
   */
  get messages(): readonly ChatLine[] {
    return this.#log.lines;
  }

  /** The place of the oldest message to everybody that is known, `EPOCH-SEQ`; null while there is none. */
  get oldest(): string | null {
    return this.#log.oldest;
  }

  /** Own messages that the server has not taken yet, oldest first. */
  get outgoing(): readonly OutgoingChat[] {
    return this.#outgoing;
  }

  /** Writes to everybody or to a few, now or when the connection is back. Throws when the text cannot be sent at all. */
  send(text: string, options: SendChatOptions = {}): number {
    if (text.trim() === "") throw new RoundtableError("chat/empty", "The message is empty.");
    if (new TextEncoder().encode(text).length > MAX_CHAT_BYTES) {
      throw new RoundtableError("chat/too-long", "The message is longer than 16 KiB.");
    }
    const to = receivers(options);
    if (to === undefined) return this.#queue({ text });
    return this.#queue({ text, to, toNames: to.map((member) => this.#members.nameOf(member)) });
  }

  /** Sends a failed message again, as the newest; one to a few only while their ids mean the same people. */
  retry(nonce: number): void {
    const entry = this.#outgoing.find((candidate) => candidate.nonce === nonce);
    if (entry === undefined || (entry.to !== undefined && entry.epoch !== this.#epoch)) return;
    this.#take(nonce);
    const { text, to, toNames } = entry;
    this.#queue({ text, ...(to === undefined ? {} : { to, toNames: toNames ?? [] }) });
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
      const { nonce, text, to } = entry;
      if (!transmit({ type: "chat", nonce, text, ...(to === undefined ? {} : { to: [...to] }) })) return;
      this.#pace.take();
      this.#outgoing[index] = { ...entry, state: "sent", isTried: true };
      underWay += 1;
    }
  }

  /**
   * Which life of the room the following messages belong to; each numbers its messages anew, and may give the ids of members
   * to others: what was to go to a few of the life before goes to nobody.
   */
  handleEpoch(epoch: number): void {
    this.#epoch = epoch;
    this.#failPrivate((entry) => entry.epoch !== epoch, "member/unknown");
  }

  /**
   * One is somebody new in the room. No history tells whether the server took what was sent to a few before, so that
   * their writer decides whether it is sent again.
   */
  handleWelcome(epoch: number): void {
    this.handleEpoch(epoch);
    this.#failPrivate((entry) => entry.isTried, "sdk/chat-unconfirmed");
  }

  /** A message of the room. An own one acknowledges what was sent, also when it was missed and comes again. */
  handleMessage(message: ChatMessage, nonce?: number): void {
    this.#acknowledge(message, nonce);
    const isNew = this.#log.add(this.#epoch, message);
    this.flush();
    this.emit("changed");
    if (isNew) this.emit("message", message);
  }

  /** A message to a few. With a nonce it is an own one, and acknowledges what was sent; it may come again after an absence. */
  handlePrivate(message: PrivateMessage, nonce?: number): void {
    const sent = nonce === undefined ? undefined : this.#take(nonce);
    const known = new Map(sent?.to?.map((member, index) => [member, sent.toNames?.[index]]));
    const toNames = message.to.map((member) => known.get(member) ?? this.#members.nameOf(member));
    const line = { ...message, toNames };
    const isNew = this.#log.addPrivate(this.#epoch, line);
    this.flush();
    this.emit("changed");
    if (isNew) this.emit("privateMessage", line);
  }

  /** Messages from before we came, or from while we were away. */
  handleHistory(messages: readonly (PublicLine & { epoch?: number })[]): void {
    for (const { epoch = this.#epoch, ...message } of messages) {
      this.#acknowledge(message);
      // What is known may have been edited or deleted while one was away for long.
      if (!this.#log.add(epoch, message)) this.#log.replace(message);
    }
    this.emit("changed");
  }

  /** Messages from before those that are known. They are kept although they are old. */
  handlePage(messages: readonly ChatEntry[]): void {
    this.#log.keepEarlier(messages.length);
    this.handleHistory(messages);
  }

  /**
   * One is in another room from now on: nothing of the room before is shown there, nor said: what was on its way to
   * everybody there may be sent again by {@link Chat.retry}, what was on its way to a few is gone.
   */
  handleMoved(): void {
    this.#log.clear();
    this.#forgetPrivate();
    this.#outgoing = this.#outgoing.map((e) => ({ ...e, state: "failed", code: e.code ?? "sdk/closed" }));
    this.emit("changed");
  }

  /** One has left: what was said to a few, or was to be, is not kept. */
  handleLeft(): void {
    this.#log.forgetPrivate();
    this.#forgetPrivate();
    this.emit("changed");
  }

  /** Somebody edited or deleted a message, or reacted to it. */
  handleEvent(event: Event): void {
    if (this.#log.handleEvent(event)) this.emit("changed");
  }

  /** An own message was refused; false when none has that nonce. One that came too fast is sent again after a rest. */
  handleError(nonce: number, code: RoundtableErrorCode): boolean {
    const index = this.#outgoing.findIndex((entry) => entry.nonce === nonce);
    const entry = this.#outgoing[index];
    if (entry === undefined) return false;
    if (code === "chat/rate" || code === "server/overloaded") {
      this.#outgoing[index] = { ...entry, state: "queued", isTried: false };
      this.#restFor(CHAT_REST_MS);
    } else {
      this.#outgoing[index] = { ...entry, state: "failed", code };
      this.flush();
    }
    this.emit("changed");
    return true;
  }

  #queue(written: Pick<OutgoingChat, "text" | "to" | "toNames">): number {
    if (this.#outgoing.filter((entry) => entry.state !== "failed").length >= MAX_QUEUED_CHAT) {
      throw new RoundtableError("sdk/chat-queue-full", "Too many messages wait to be sent.");
    }
    const nonce = this.#nextNonce();
    this.#outgoing.push({ ...written, nonce, state: "queued", epoch: this.#epoch, isTried: false });
    this.flush();
    this.emit("changed");
    return nonce;
  }

  #failPrivate(which: (entry: Pending) => boolean, code: RoundtableErrorCode): void {
    const isMeant = (entry: Pending) => entry.to !== undefined && entry.state !== "failed" && which(entry);
    if (!this.#outgoing.some(isMeant)) return;
    this.#outgoing = this.#outgoing.map((e) => (isMeant(e) ? { ...e, state: "failed", code } : e));
    this.emit("changed");
  }

  /** What is written to a few before one is in another room, or another life of this, is for nobody there. */
  #forgetPrivate(): void {
    this.#epoch = 0;
    this.#outgoing = this.#outgoing.filter((entry) => entry.to === undefined);
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

  #acknowledge(message: ChatMessage, nonce?: number): void {
    const own = nonce ?? (this.#members.isOwn(message.member) ? message.nonce : undefined);
    if (own !== undefined) this.#take(own);
  }

  #take(nonce: number): OutgoingChat | undefined {
    const entry = this.#outgoing.find((candidate) => candidate.nonce === nonce);
    if (entry !== undefined) this.#outgoing = this.#outgoing.filter((candidate) => candidate !== entry);
    return entry;
  }
}

/** To whom a message goes, each once; undefined for everybody. A list that is there but is none is not for everybody. */
function receivers(options: SendChatOptions): MemberId[] | undefined {
  if (!("to" in options)) return undefined;
  const to = [...new Set(options.to)];
  if (to.length === 0 || to.length > MAX_PRIVATE_TO || !to.every(isMemberId)) {
    throw new RoundtableError(
      "chat/bad-recipients",
      `A private message goes to 1 to ${MAX_PRIVATE_TO} people.`,
    );
  }
  return to;
}
