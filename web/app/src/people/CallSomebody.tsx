// Calling somebody into the room, and what becomes of it.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { callPerson, cancelCall } from "../ring/answer.ts";
import { type Dialled, dialled, forgetDialled } from "../ring/calls.ts";
import { text } from "../text.ts";

/** Longest identity, in characters: twice a name. */
const MAX_IDENTITY_CHARS = 128;

export function CallSomebody() {
  const to = useSignal("");
  const isAsking = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (to.value.trim() === "" || isAsking.value) return;
    isAsking.value = true;
    if (await callPerson(to.value.trim())) to.value = "";
    isAsking.value = false;
  };
  return (
    <section class="call-somebody" aria-label={text.callSomebody}>
      <form class="actions" onSubmit={(event) => void submit(event)}>
        <input
          ref={field}
          name="callee"
          required
          maxLength={MAX_IDENTITY_CHARS}
          autoComplete="off"
          aria-label={text.callSomebody}
          placeholder={text.callSomebody}
          title={text.callHint}
          value={to.value}
          onInput={(event) => {
            to.value = event.currentTarget.value;
          }}
        />
        <button type="submit" disabled={isAsking.value}>
          {text.call}
        </button>
      </form>
      {dialled.value.length > 0 && (
        <ul class="dialled">
          {dialled.value.map((one) => (
            <Line key={one.call.id} one={one} onGone={() => field.current?.focus()} />
          ))}
        </ul>
      )}
    </section>
  );
}

/** `onGone` is called when the button that was pressed is there no more. */
function Line({ one: { call, state }, onGone }: { one: Dialled; onGone: () => void }) {
  const isRinging = state === "ringing";
  return (
    <li data-state={state}>
      <span class="name">{text.outcome(call.to, state)}</span>
      <button
        type="button"
        aria-label={isRinging ? text.cancelCall(call.to) : text.dismissCall(call.to)}
        onClick={() => {
          if (isRinging) {
            void cancelCall(call);
            return;
          }
          forgetDialled(call.id);
          onGone();
        }}
      >
        {isRinging ? text.cancel : text.dismiss}
      </button>
    </li>
  );
}
