// One's own name in the list, and where one may, a way to change it.
import { useSignal } from "@preact/signals";
import { MAX_NAME_CHARS } from "@roundtable/sdk";
import { useEffect, useRef } from "preact/hooks";
import { mayRename, rename } from "../state.ts";
import { text } from "../text.ts";

export function OwnName({ name }: { name: string }) {
  const isEdited = useSignal(false);
  const button = useRef<HTMLButtonElement>(null);
  const hasBeenEdited = useRef(false);
  // Whoever is done goes on where they began.
  useEffect(() => {
    if (isEdited.value) hasBeenEdited.current = true;
    else if (hasBeenEdited.current) button.current?.focus();
  }, [isEdited.value]);
  if (isEdited.value && mayRename.value) {
    return (
      <NameEditor
        name={name}
        onDone={() => {
          isEdited.value = false;
        }}
      />
    );
  }
  return (
    <>
      <span class="name">{text.you(name)}</span>
      {mayRename.value && (
        <button
          type="button"
          class="rename"
          ref={button}
          onClick={() => {
            isEdited.value = true;
          }}
        >
          {text.changeName}
        </button>
      )}
    </>
  );
}

function NameEditor({ name, onDone }: { name: string; onDone: () => void }) {
  const draft = useSignal(name);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const wanted = draft.value.trim();
    if (wanted === name || (wanted !== "" && (await rename(wanted)))) onDone();
  };
  return (
    <form
      class="actions"
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Escape") onDone();
      }}
    >
      <input
        ref={field}
        name="own-name"
        required
        maxLength={MAX_NAME_CHARS}
        autoComplete="off"
        aria-label={text.yourName}
        value={draft.value}
        onInput={(event) => {
          draft.value = event.currentTarget.value;
        }}
      />
      <button type="submit">{text.save}</button>
      <button type="button" onClick={onDone}>
        {text.discard}
      </button>
    </form>
  );
}
