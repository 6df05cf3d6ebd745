// What each receiving m-line carries, by the server's word alone.
import type { SlotChange, SlotOwner, TrackId } from "./protocol.ts";

/** One slot got another owner, or none. */
export interface SlotSwitch {
  readonly mid: string;
  readonly released: SlotOwner | null;
  readonly taken: SlotOwner | null;
}

interface Slot {
  generation: number;
  owner: SlotOwner | null;
}

/** The mapping of tracks onto slots. Pure; stale changes are ignored by their generation. */
export class SlotTable {
  /** In the order of their last changes. */
  readonly #slots = new Map<string, Slot>();

  /** Takes the server's changes, gives those that matter. */
  handleChanges(changes: readonly SlotChange[]): SlotSwitch[] {
    return changes.flatMap((change) => {
      const slot = this.#slots.get(change.mid) ?? { generation: -1, owner: null };
      if (change.generation <= slot.generation) return [];
      const released = slot.owner;
      this.#slots.delete(change.mid);
      this.#slots.set(change.mid, { generation: change.generation, owner: change.track });
      return [{ mid: change.mid, released, taken: change.track }];
    });
  }

  /** Where a track is now: on the slot that got it last. Its slot may be known before the track is: the two come by different ways. */
  find(track: TrackId): { mid: string; owner: SlotOwner } | undefined {
    let found: { mid: string; owner: SlotOwner } | undefined;
    for (const [mid, { owner }] of this.#slots) if (owner?.id === track) found = { mid, owner };
    return found;
  }

  /** Everything that is shown, by m-line. */
  owners(): Map<string, SlotOwner> {
    const owners = new Map<string, SlotOwner>();
    for (const [mid, { owner }] of this.#slots) if (owner !== null) owners.set(mid, owner);
    return owners;
  }
}
