// To whom one writes: everybody, or one person alone, as signals that follow the room's events.
import { batch, signal } from "@preact/signals";
import type { Room } from "@roundtable/sdk";

/** Somebody to whom one writes alone. */
export interface Receiver {
  readonly id: string;
  readonly name: string;
}

/** What is written and not sent yet; it stays when the panel is closed. */
export const draft = signal("");
/** To whom it goes; null for everybody. */
export const receiver = signal<Receiver | null>(null);
/** The name of who left while it was to go to them: until one says who shall have it instead, nothing is sent. */
export const lostReceiver = signal<string | null>(null);

/** Follows a room. */
export function followReceiver(joined: Pick<Room, "on">): void {
  draft.value = "";
  writeTo(null);
  joined.on("participantLeft", ({ id }) => {
    if (receiver.value?.id === id) loseReceiver();
  });
  joined.on("participantUpdated", ({ id, name }) => {
    if (id !== null && receiver.value?.id === id) receiver.value = { id, name };
  });
  joined.on("moved", loseReceiver);
}

/** Chooses who shall have what one writes; null for everybody. */
export function writeTo(chosen: Receiver | null): void {
  batch(() => {
    receiver.value = chosen;
    lostReceiver.value = null;
  });
}

/** What was for one person alone must not go to everybody because that person left just then. */
function loseReceiver(): void {
  batch(() => {
    lostReceiver.value = receiver.value?.name ?? lostReceiver.value;
    receiver.value = null;
  });
}
