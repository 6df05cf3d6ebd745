// What was written, as one ordered list: the room's messages by their numbers, those to a few where they came between them.
import { MAX_EARLIER_CHAT, MAX_KEPT_CHAT } from "./limits.ts";
import type { ChatEntry, Event, MessageId, PrivateMessage, Reaction } from "./protocol.ts";

/** Changes of messages that are not here yet are remembered for so many of them; the oldest are forgotten. */
const MAX_EARLY_CHANGES = 100;

/** A message to everybody as it is now: `editedAt` if it was edited, without a text when it is `deleted`, and with `reactions`. */
export type PublicLine = Omit<ChatEntry, "epoch"> & { readonly to?: undefined };

/** A message to a few, its writer's own or somebody's to this client. It has no number, and nobody changes it. */
export type PrivateLine = PrivateMessage & {
  /** The names of {@link PrivateMessage.to} when it was written or came; null where one is not known. */
  readonly toNames: readonly (string | null)[];
  readonly seq?: undefined;
  readonly editedAt?: undefined;
  readonly deleted?: undefined;
  readonly reactions?: undefined;
};

/** A message: to a few if it has a `to`, otherwise to everybody. */
export type ChatLine = PublicLine | PrivateLine;

interface Entry<Line extends ChatLine = ChatLine> {
  readonly epoch: number;
  readonly message: Line;
}

type Change = (line: PublicLine) => PublicLine;

/** The newest {@link MAX_KEPT_CHAT} messages, and earlier ones that were asked for. */
export class ChatLog {
  readonly #known = new Set<string>();
  /** What became of messages whose channel is slower than the events. */
  readonly #early = new Map<MessageId, Change[]>();
  #entries: Entry[] = [];
  #lines: readonly ChatLine[] = [];
  /** Earlier messages that were asked for and are kept beside the newest. */
  #earlier = 0;

  /** All of them, in order. */
  get lines(): readonly ChatLine[] {
    return this.#lines;
  }

  /** The place of the oldest of the room's messages, `EPOCH-SEQ`; null while there is none. */
  get oldest(): string | null {
    const oldest = this.#entries.find(isPublic);
    return oldest === undefined ? null : `${oldest.epoch}-${oldest.message.seq}`;
  }

  /** Adds a message of the room; false when it is known, or older than what is kept. */
  add(epoch: number, line: PublicLine): boolean {
    const changes = this.#early.get(line.id) ?? [];
    this.#early.delete(line.id);
    const entry = { epoch, message: changes.reduce((changed, change) => change(changed), line) };
    return this.#insert(entry, () => this.#placeOf(entry));
  }

  /** Adds a message to a few by the time at which the server took it; false when it is known, or older than what is kept. */
  addPrivate(epoch: number, message: PrivateLine): boolean {
    const isBefore = (other: Entry) => other.message.at <= message.at;
    return this.#insert({ epoch, message }, () => this.#entries.findLastIndex(isBefore) + 1);
  }

  /** Keeps so many more, although they are old. */
  keepEarlier(count: number): void {
    this.#earlier = Math.min(MAX_EARLIER_CHAT, this.#earlier + count);
  }

  /** Puts what a message is now in the place of what it was. */
  replace(line: PublicLine): void {
    this.#change(line.id, () => line);
  }

  /** Somebody edited or deleted a message, or reacted to it; says whether that is seen. */
  handleEvent(event: Event): boolean {
    switch (event.type) {
      case "chatEdited":
        return this.#change(event.message, (line) => ({ ...line, text: event.text, editedAt: event.at }));
      case "chatDeleted":
        return this.#change(event.message, ({ reactions: _, ...line }) => ({
          ...line,
          text: "",
          deleted: true,
        }));
      case "reaction":
        return this.#change(event.message, (line) => ({
          ...line,
          reactions: reacted(line.reactions ?? [], event),
        }));
      default:
        return false;
    }
  }

  /** Forgets what was said to a few. */
  forgetPrivate(): void {
    for (const entry of this.#entries) if (!isPublic(entry)) this.#known.delete(keyOf(entry));
    this.#entries = this.#entries.filter(isPublic);
    this.#show();
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries = [];
    this.#known.clear();
    this.#early.clear();
    this.#earlier = 0;
    this.#show();
  }

  /** Behind the room's messages before it, and behind those to a few that came earlier than it. */
  #placeOf(entry: Entry<PublicLine>): number {
    let place = this.#entries.findLastIndex((other) => isPublic(other) && !isAfter(other, entry)) + 1;
    for (;;) {
      const other = this.#entries[place];
      if (other === undefined || isPublic(other) || other.message.at > entry.message.at) return place;
      place += 1;
    }
  }

  #insert(entry: Entry, place: () => number): boolean {
    if (this.#known.has(keyOf(entry))) return false;
    this.#known.add(keyOf(entry));
    this.#entries.splice(place(), 0, entry);
    const surplus = Math.max(0, this.#entries.length - MAX_KEPT_CHAT - this.#earlier);
    for (const oldest of this.#entries.splice(0, surplus)) this.#known.delete(keyOf(oldest));
    this.#show();
    return this.#known.has(keyOf(entry));
  }

  #change(id: MessageId, change: Change): boolean {
    const index = this.#entries.findLastIndex((entry) => isPublic(entry) && entry.message.id === id);
    const entry = this.#entries[index];
    if (entry === undefined || !isPublic(entry)) {
      const changes = this.#early.get(id) ?? [];
      this.#early.delete(id);
      this.#early.set(id, [...changes, change].slice(-MAX_EARLY_CHANGES));
      const [oldest] = this.#early.keys();
      if (this.#early.size > MAX_EARLY_CHANGES && oldest !== undefined) this.#early.delete(oldest);
      return false;
    }
    this.#entries[index] = { ...entry, message: change(entry.message) };
    this.#show();
    return true;
  }

  #show(): void {
    this.#lines = this.#entries.map(({ message }) => message);
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

function isPublic(entry: Entry): entry is Entry<PublicLine> {
  return entry.message.to === undefined;
}

function keyOf({ epoch, message }: Entry): string {
  return `${epoch} ${message.id}`;
}

function isAfter(a: Entry<PublicLine>, b: Entry<PublicLine>): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.message.seq > b.message.seq);
}
