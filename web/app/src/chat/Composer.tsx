// A place to write, to everybody or to one person alone.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { draft, lostReceiver, type Receiver, receiver, writeTo } from "../receiver.ts";
import { noteTyping, people, write } from "../state.ts";
import { chatProblem, text } from "../text.ts";

export function Composer() {
  const refused = useSignal("");
  /** Whether one tried to send what has no receiver any more. */
  const hasTried = useSignal(false);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  const send = () => {
    if (draft.value.trim() === "") return;
    if (lostReceiver.value !== null) {
      hasTried.value = true;
      return;
    }
    const code = write(draft.value, receiver.value);
    refused.value = code === null ? "" : chatProblem(code);
    if (code !== null) return;
    draft.value = "";
    noteTyping(false);
  };
  const choose = (chosen: Receiver | null) => {
    refused.value = "";
    hasTried.value = false;
    writeTo(chosen);
    // What goes to one person alone is nobody else's business.
    noteTyping(chosen === null && draft.value !== "");
  };
  const label = receiver.value === null ? text.write : text.writePrivatelyTo(receiver.value.name);
  return (
    <form
      class={receiver.value === null ? "composer" : "composer private"}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {refused.value !== "" && (
        <p class="problem" role="alert">
          {refused.value}
        </p>
      )}
      {lostReceiver.value !== null && (
        <p class="problem" role="alert">
          {hasTried.value
            ? text.notSentReceiverLeft(lostReceiver.value)
            : text.receiverLeft(lostReceiver.value)}{" "}
          <button
            type="button"
            onClick={() => {
              choose(null);
              field.current?.focus();
            }}
          >
            {text.writeToEverybody}
          </button>
        </p>
      )}
      <ReceiverChoice onChoose={choose} />
      <textarea
        ref={field}
        rows={2}
        aria-label={label}
        placeholder={label}
        value={draft.value}
        onInput={(event) => {
          draft.value = event.currentTarget.value;
          noteTyping(draft.value !== "" && receiver.value === null && lostReceiver.value === null);
        }}
        onKeyDown={(event) => {
          // While an input method composes a word, Enter belongs to it.
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      <button type="submit" class="primary">
        {text.send}
      </button>
    </form>
  );
}

/** To whom one writes. */
function ReceiverChoice({ onChoose }: { onChoose: (chosen: Receiver | null) => void }) {
  const list = useRef<HTMLSelectElement>(null);
  const chosen = receiver.value;
  const others = people.value.filter(({ isSelf }) => !isSelf);
  // In a large room somebody who does nothing is not listed, and still here.
  const isListed = chosen === null || others.some(({ id }) => id === chosen.id);
  const choices = isListed ? others : [...others, chosen];
  // Browsers choose for themselves when choices come and go; what is shown must be what holds.
  useLayoutEffect(() => {
    if (list.current !== null) list.current.value = chosen?.id ?? "";
  });
  return (
    <label class="receiver">
      <span>{text.to}</span>
      <select
        ref={list}
        onChange={({ currentTarget: { value: id, selectedOptions } }) =>
          onChoose(id === "" ? null : { id, name: selectedOptions[0]?.text ?? text.somebody })
        }
      >
        <option value="">{text.everybody}</option>
        {choices.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
