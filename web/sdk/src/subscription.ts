// Brings tracks to publications: which slot carries what, and what that means for each publication.
import type { SlotChange, SlotOwner } from "./protocol.ts";
import type { RemoteTrackPublication } from "./remote.ts";
import type { Roster } from "./roster.ts";
import { SlotTable } from "./slot.ts";

/** What a change means. */
export interface SubscriptionHandlers {
  onSubscribed(track: MediaStreamTrack, publication: RemoteTrackPublication): void;
  onUnsubscribed(track: MediaStreamTrack, publication: RemoteTrackPublication): void;
}

/** Slots and publications are told of by different ways, so either may come first. */
export class Subscriptions {
  readonly #roster: Roster;
  readonly #handlers: SubscriptionHandlers;
  #slots = new SlotTable();
  #trackOf: (mid: string) => MediaStreamTrack | undefined = () => undefined;

  constructor(roster: Roster, handlers: SubscriptionHandlers) {
    this.#roster = roster;
    this.#handlers = handlers;
  }

  /** Whose each slot is. */
  get owners(): ReadonlyMap<string, SlotOwner> {
    return this.#slots.owners();
  }

  /** Another connection, whose slots know nothing of the former's. `trackOf` gives the track of an m-line. */
  reset(trackOf: (mid: string) => MediaStreamTrack | undefined): void {
    this.releaseAll();
    this.#slots = new SlotTable();
    this.#trackOf = trackOf;
  }

  /** The server's word about slots. All are freed before any is taken, so that tracks may change places. */
  handleChanges(changes: readonly SlotChange[]): void {
    const switches = this.#slots.handleChanges(changes);
    for (const { mid, released } of switches) {
      const publication = released === null ? undefined : this.#roster.publication(released.id);
      if (publication?.mid === mid) this.release(publication);
    }
    for (const { taken } of switches) {
      const publication = taken === null ? undefined : this.#roster.publication(taken.id);
      if (publication !== undefined) this.seat(publication);
    }
  }

  /** Gives a publication the track of its slot, if it has one. */
  seat(publication: RemoteTrackPublication): void {
    const slot = this.#slots.find(publication.id);
    const track = slot === undefined ? undefined : this.#trackOf(slot.mid);
    if (slot === undefined || track === undefined) return;
    this.release(publication);
    publication.handleSeat(slot.mid, slot.owner, track);
    this.#handlers.onSubscribed(track, publication);
  }

  /** Takes a publication's track away, if it has one. */
  release(publication: RemoteTrackPublication): void {
    const track = publication.release();
    if (track !== null) this.#handlers.onUnsubscribed(track, publication);
  }

  releaseAll(): void {
    for (const publication of this.#roster.publications()) this.release(publication);
  }
}
