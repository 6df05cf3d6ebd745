// What was said of own tracks and is not seen in the room's events yet: it may be lost with the socket.
import type { ClientMessage, Event, TrackId } from "./protocol.ts";

type Word = { type: "unpublish" } | { type: "mute"; muted: boolean };

/** The last word about each own track, until the room knows it. There are never more than tracks that were published. */
export class Unconfirmed {
  readonly #words = new Map<TrackId, Word>();

  /** A track is to end. */
  unpublish(track: TrackId): void {
    this.#words.set(track, { type: "unpublish" });
  }

  /** A track is to be muted or unmuted. */
  mute(track: TrackId, muted: boolean): void {
    this.#words.set(track, { type: "mute", muted });
  }

  /** Tracks whose owner unmuted them, as far as the room does not know it yet. */
  unmuted(): TrackId[] {
    return [...this.#words].flatMap(([track, word]) => (word.type === "mute" && !word.muted ? [track] : []));
  }

  /** Whether the room does not know yet what was said of a track. */
  has(track: TrackId): boolean {
    return this.#words.has(track);
  }

  /** Takes back what was said of a track. */
  forget(track: TrackId): void {
    this.#words.delete(track);
  }

  /** What the room knows need not be said again; what the server muted is muted. */
  handleEvent(event: Event): void {
    if (event.type === "unpublished") this.#words.delete(event.track);
    if (event.type !== "muted") return;
    const word = this.#words.get(event.track);
    if (word?.type !== "mute") return;
    if (word.muted === event.muted || event.code !== undefined) this.#words.delete(event.track);
  }

  /** Another membership has other tracks. */
  clear(): void {
    this.#words.clear();
  }

  /** What is to be said again over another socket. */
  messages(): ClientMessage[] {
    return [...this.#words].map(([track, word]) =>
      word.type === "unpublish"
        ? { type: "unpublish", tracks: [track] }
        : { type: "mute", track, muted: word.muted },
    );
  }
}
