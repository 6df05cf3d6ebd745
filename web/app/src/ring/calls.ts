// Who calls and is called, as signals: they follow the events of a room, or of a stream while one is in none.
import { signal } from "@preact/signals";
import type { Call, CallDirection, CallEvent, CallState, Room } from "@roundtable/sdk";
import { recall, remember } from "../kept.ts";
import { text } from "../text.ts";

/** A call of one's own, and what became of it. */
export interface Dialled {
  readonly call: Call;
  /** `lost` if it ended while the connection was away. */
  readonly state: CallState | "lost";
}

/** A call that one did not take. */
export interface Missed {
  readonly id: string;
  /** Empty if it was the server's operator. */
  readonly from: string;
  /** In milliseconds since 1970 UTC. */
  readonly at: number;
}

/** Who calls at this moment. */
export const incoming = signal<readonly Call[]>([]);
/** Whom one calls or called from this room, the latest last. */
export const dialled = signal<readonly Dialled[]>([]);
/** Until one says that one knows, the latest first. */
export const missed = signal<readonly Missed[]>(recallMissed());
/** Whether an answer is under way. */
export const answering = signal(false);
/** Why an answer did not go through. */
export const ringProblem = signal("");

/** Most own calls that are shown; the oldest goes. */
const MAX_DIALLED = 10;
/** Most missed calls that are kept; the oldest goes. */
const MAX_MISSED = 50;

/** Follows a room. `tell` says a sentence to whoever sits before the page. */
export function followCalls(joined: Pick<Room, "on" | "calls">, tell: (sentence: string) => void): void {
  dialled.value = [];
  let wasIn = false;
  joined.on("call", (event, direction) => handleCall(event, direction, tell));
  joined.on("callLost", (call, direction) => handleLost(call, direction, tell));
  joined.on("connected", () => {
    wasIn = true;
    // What the stream told that one listened to before is the room's to tell from now on.
    const ringing = [...joined.calls.values()].filter(({ direction }) => direction === "incoming");
    incoming.value = ringing.map(({ call }) => call);
  });
  joined.on("disconnected", () => {
    // Whoever listens outside is told anew what rings.
    if (wasIn) incoming.value = [];
  });
}

/** It rings, or it ended. Two ways of listening may both tell it. */
export function handleCall(
  { call, state }: CallEvent,
  direction: CallDirection,
  tell: (sentence: string) => void = () => {},
): void {
  if (direction === "outgoing") {
    noteDialled(call, state);
    if (state !== "ringing") tell(text.outcome(call.to, state));
  } else if (state === "ringing") {
    if (!incoming.value.some(({ id }) => id === call.id)) incoming.value = [...incoming.value, call];
  } else {
    endIncoming(call.id);
    if (state === "timedOut" || state === "cancelled") noteMissed(call);
  }
}

/** It ended, and nobody knows how. */
export function handleLost(
  call: Call,
  direction: CallDirection,
  tell: (sentence: string) => void = () => {},
): void {
  if (direction === "incoming") {
    endIncoming(call.id);
    noteMissed(call);
  } else {
    noteDialled(call, "lost");
    tell(text.outcome(call.to, "lost"));
  }
}

/** It is not to be answered any more, here. */
export function endIncoming(id: string): void {
  incoming.value = incoming.value.filter((call) => call.id !== id);
  ringProblem.value = "";
}

/** Shows a call of one's own. What is known of its end stays. */
export function noteDialled(call: Call, state: Dialled["state"]): void {
  const known = dialled.value.find((other) => other.call.id === call.id);
  if (known === undefined) dialled.value = [...dialled.value, { call, state }].slice(-MAX_DIALLED);
  else if (known.state === "ringing") {
    dialled.value = dialled.value.map((other) => (other === known ? { call, state } : other));
  }
}

/** Whoever is called into a room that one leaves is not to find it empty. */
export function endOwnCalls(left: Pick<Room, "answerCall">): void {
  for (const { call, state } of dialled.value) {
    if (state === "ringing") left.answerCall(call.id, "cancel").catch(() => {});
  }
}

/** One knows what became of it. */
export function forgetDialled(id: string): void {
  dialled.value = dialled.value.filter(({ call }) => call.id !== id);
}

/** One knows of the missed calls. */
export function dismissMissed(): void {
  missed.value = [];
  remember("missed", "[]");
}

function noteMissed({ id, from, at }: Call): void {
  if (missed.value.some((other) => other.id === id)) return;
  missed.value = [{ id, from: from ?? "", at }, ...missed.value].slice(0, MAX_MISSED);
  remember("missed", JSON.stringify(missed.value));
}

function recallMissed(): readonly Missed[] {
  try {
    const kept: unknown = JSON.parse(recall("missed"));
    return Array.isArray(kept) ? (kept as Missed[]) : [];
  } catch {
    return [];
  }
}
