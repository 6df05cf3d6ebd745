// What was written, what is on its way, and a place to write.

import { useSignal } from "@preact/signals";
import type { ChatMessage, OutgoingChat } from "@roundtable/sdk";
import { useEffect, useRef } from "preact/hooks";
import {
  discardMessage,
  isOwn,
  messages,
  outgoing,
  retryAt,
  retryMessage,
  togglePanel,
  write,
} from "../state.ts";
import { chatProblem, text } from "../text.ts";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export function ChatPanel() {
  const list = useRef<HTMLDivElement>(null);
  const count = messages.value.length + outgoing.value.length;
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [count]);
  return (
    <aside class="panel" aria-label={text.chat}>
      <header>
        <h2>{text.chat}</h2>
        <button type="button" onClick={() => togglePanel("chat")}>
          {text.close}
        </button>
      </header>
      <div class="messages" role="log" aria-label={text.chat} ref={list}>
        <ol>
          {count === 0 && <li class="quiet">{text.noMessages}</li>}
          {messages.value.map((message) => (
            <Message key={`${message.at} ${message.id}`} message={message} />
          ))}
          {outgoing.value.map((entry) => (
            <Outgoing key={entry.nonce} entry={entry} />
          ))}
        </ol>
      </div>
      <Composer />
    </aside>
  );
}

function Message({ message }: { message: ChatMessage }) {
  return (
    <li class={isOwn(message) ? "message own" : "message"} data-seq={message.seq}>
      <span class="author">{message.name}</span> <time>{time.format(message.at)}</time>
      <p class="text">{message.text}</p>
    </li>
  );
}

function Outgoing({ entry }: { entry: OutgoingChat }) {
  return (
    <li class={`message own ${entry.state}`}>
      <p class="text">{entry.text}</p>
      {entry.state === "failed" ? (
        <p class="problem">
          {chatProblem(entry.code)}{" "}
          <button type="button" onClick={() => retryMessage(entry.nonce)}>
            {text.retry}
          </button>{" "}
          <button type="button" onClick={() => discardMessage(entry.nonce)}>
            {text.discard}
          </button>
        </p>
      ) : (
        <p class="quiet">{retryAt.value === null ? text.sending : text.waiting}</p>
      )}
    </li>
  );
}

function Composer() {
  const draft = useSignal("");
  const refused = useSignal("");
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  const send = () => {
    if (draft.value.trim() === "") return;
    const code = write(draft.value);
    refused.value = code === null ? "" : chatProblem(code);
    if (code === null) draft.value = "";
  };
  return (
    <form
      class="composer"
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
      <textarea
        ref={field}
        rows={2}
        aria-label={text.write}
        placeholder={text.write}
        value={draft.value}
        onInput={(event) => {
          draft.value = event.currentTarget.value;
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
