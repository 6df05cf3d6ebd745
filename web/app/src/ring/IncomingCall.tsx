// Somebody calls: wherever one is in the page, one says whether one comes.
import type { Call } from "@roundtable/sdk";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { view } from "../state.ts";
import { text } from "../text.ts";
import { acceptCall, declineCall } from "./answer.ts";
import { answering, incoming, ringProblem } from "./calls.ts";
import { isToneOn, setTone } from "./reach.ts";
import { startTone } from "./tone.ts";

export function IncomingCall() {
  const [call] = incoming.value;
  return call === undefined ? null : <Ringing key={call.id} call={call} />;
}

function Ringing({ call }: { call: Call }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // Not a button: whoever writes at this moment must not answer by the key they press next.
    element?.focus();
    // Closed before it goes, so that the focus is where it was.
    return () => element?.close();
  }, []);
  useEffect(() => (isToneOn.value ? startTone() : undefined), [isToneOn.value]);
  const others = incoming.value.length - 1;
  return (
    <dialog
      ref={dialog}
      class="incoming"
      role="alertdialog"
      tabIndex={-1}
      aria-labelledby="caller"
      aria-describedby="call-room"
      // One who is called answers, or lets it ring.
      onCancel={(event) => event.preventDefault()}
      // A browser may close it all the same; the call rings on.
      onClose={() => {
        if (dialog.current?.isConnected === true) dialog.current.showModal();
      }}
    >
      <h2 id="caller">{text.calls(call.from ?? text.operator)}</h2>
      <p id="call-room">
        {text.comeTo(call.room, view.value === "call")}
        {others > 0 && ` ${text.moreCall(others)}`}
      </p>
      <div role="alert">{ringProblem.value !== "" && <p class="problem">{ringProblem.value}</p>}</div>
      <div class="actions">
        <button
          type="button"
          class="primary"
          disabled={answering.value}
          onClick={() => void acceptCall(call)}
        >
          {text.accept}
        </button>
        <button type="button" disabled={answering.value} onClick={() => void declineCall(call)}>
          {text.decline}
        </button>
        <button type="button" aria-pressed={isToneOn.value} onClick={() => setTone(!isToneOn.value)}>
          {text.tone}
        </button>
      </div>
    </dialog>
  );
}
