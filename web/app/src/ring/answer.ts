// Calling somebody, and answering who calls, from wherever one is in the page.
import { answerCall, type Call, type CallAnswer, toRoundtableError } from "@roundtable/sdk";
import { announcement, problem } from "../said.ts";
import { currentRoom, goTo, home, isInCall, reachAs, roomId } from "../state.ts";
import { callProblem, text } from "../text.ts";
import { answering, endIncoming, noteDialled, ringProblem } from "./calls.ts";

/** Calls somebody into this room; whether it rings. */
export async function callPerson(to: string): Promise<boolean> {
  const room = currentRoom();
  if (room === null) return false;
  try {
    noteDialled(await room.call(to), "ringing");
    announcement.value = text.outcome(to, "ringing");
    return true;
  } catch (error) {
    problem.value = callProblem(toRoundtableError(error, "sdk/socket").code);
    return false;
  }
}

/** Calls no longer. */
export async function cancelCall({ id }: Call): Promise<void> {
  try {
    await currentRoom()?.answerCall(id, "cancel");
  } catch (error) {
    problem.value = callProblem(toRoundtableError(error, "sdk/socket").code);
  }
}

/** Comes: leaves the room that one is in, and enters the caller's with the same devices. */
export async function acceptCall(call: Call): Promise<void> {
  const isTold = await answer(call, "accept");
  if (isTold === null) return;
  endIncoming(call.id);
  if (isInCall() && roomId.value === call.room) return;
  await goTo(call.room, call.to);
  if (isTold || !isInCall()) return;
  // Whoever else rings for this person stops only now.
  await currentRoom()
    ?.answerCall(call.id, "accept")
    .catch(() => {});
}

/** Does not come. */
export async function declineCall(call: Call): Promise<void> {
  const isTold = await answer(call, "decline");
  if (isTold === null) return;
  endIncoming(call.id);
  if (!isTold) problem.value = text.notDeclined(call.from ?? text.operator);
}

/**
 * Tells the server; false where only who is in a room may tell it, null when it did not go through, of which one then reads.
 */
async function answer(call: Call, what: CallAnswer): Promise<boolean | null> {
  if (answering.value) return null;
  answering.value = true;
  ringProblem.value = "";
  try {
    const by = { ...reachAs.value, identity: call.to };
    const room = isInCall() ? currentRoom() : null;
    if (room?.phase === "connected") await room.answerCall(call.id, what);
    else await answerCall(home, call.id, what, by);
    return true;
  } catch (error) {
    const { code } = toRoundtableError(error, "sdk/socket");
    if (code.startsWith("token/")) return false;
    if (code === "call/unknown") {
      endIncoming(call.id);
      problem.value = callProblem(code);
    } else {
      ringProblem.value = callProblem(code);
    }
    return null;
  } finally {
    answering.value = false;
  }
}
