// Whether it rings here while one is in no room, and as whom.
import { signal } from "@preact/signals";
import { listenForCalls, type Reachable } from "@roundtable/sdk";
import { recall, remember } from "../kept.ts";
import { reachProblemOf } from "../text.ts";
import { handleCall, handleLost, incoming } from "./calls.ts";

/** Whether one has chosen that it rings here. */
export const isReachable = signal(recall("reachable") === "yes");
/** Whether it would ring at this moment. */
export const isListening = signal(false);
/** Why it does not ring here. */
export const reachProblem = signal("");
/** Whether there is something to hear when it rings. */
export const isToneOn = signal(recall("tone") !== "off");

let listener: { who: Reachable; stop: () => void } | null = null;

/** Chooses whether it rings here, from now on and at the next visit. */
export function setReachable(wanted: boolean): void {
  reachProblem.value = "";
  isReachable.value = wanted;
  remember("reachable", wanted ? "yes" : "");
}

export function setTone(on: boolean): void {
  isToneOn.value = on;
  remember("tone", on ? "" : "off");
}

/** Listens for calls to somebody, or to nobody. `ended` says that what rings is not told by anything else. */
export function listenAs(home: URL, who: Reachable | null, ended: boolean): void {
  if (listener?.who.identity === who?.identity && listener?.who.token === who?.token) return;
  listener?.stop();
  isListening.value = false;
  if (listener !== null && ended) incoming.value = [];
  listener = who === null ? null : { who, stop: listen(home, who) };
}

function listen(home: URL, who: Reachable): () => void {
  return listenForCalls(home, who, {
    onCall: (event, direction) => handleCall(event, direction),
    onLost: (call, direction) => handleLost(call, direction),
    onListening() {
      isListening.value = true;
      reachProblem.value = "";
    },
    onInterrupted(code) {
      isListening.value = false;
      reachProblem.value = reachProblemOf(code);
    },
    onRefused({ code }) {
      // It would be refused at the next visit too; the choice can be made again.
      setReachable(false);
      reachProblem.value = reachProblemOf(code);
    },
  });
}
