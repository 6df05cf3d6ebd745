// What was written, and what is on its way.

import { useSignal } from "@preact/signals";
import type { OutgoingChat, PrivateLine, PublicLine } from "@roundtable/sdk";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { isHost } from "../moderation.ts";
import {
  deleteMessage,
  discardMessage,
  editMessage,
  hasEarlier,
  isOwn,
  messages,
  outgoing,
  react,
  retryAt,
  retryMessage,
  showEarlier,
  togglePanel,
  typists,
} from "../state.ts";
import { chatProblem, text } from "../text.ts";
import { Composer } from "./Composer.tsx";

/** So many messages come to whoever enters; with fewer there are no earlier ones. */
const FIRST_MESSAGES = 50;

/** What one reacts with by one press. */
const THUMB = "👍";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export function ChatPanel() {
  const list = useRef<HTMLDivElement>(null);
  const height = useRef(0);
  const count = messages.value.length + outgoing.value.length;
  const [first, last] = [messages.value[0], messages.value.at(-1)];
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [last?.id, outgoing.value.length]);
  // What one reads stays where it is when something comes on top of it.
  useLayoutEffect(() => {
    if (list.current !== null) list.current.scrollTop += list.current.scrollHeight - height.current;
  }, [first?.id]);
  useLayoutEffect(() => {
    height.current = list.current?.scrollHeight ?? 0;
  });
  return (
    <aside class="panel" aria-label={text.chat}>
      <header>
        <h2>{text.chat}</h2>
        <button type="button" onClick={() => togglePanel("chat")}>
          {text.close}
        </button>
      </header>
      <div class="messages" role="log" aria-label={text.chat} ref={list}>
        {hasEarlier.value && messages.value.length >= FIRST_MESSAGES && (
          <button type="button" class="earlier" onClick={showEarlier}>
            {text.showEarlier}
          </button>
        )}
        <ol>
          {count === 0 && <li class="quiet">{text.noMessages}</li>}
          {messages.value.map((message) =>
            message.to === undefined ? (
              <Message key={`${message.at} ${message.id}`} message={message} />
            ) : (
              <PrivateMessage key={`${message.at} ${message.id}`} message={message} />
            ),
          )}
          {outgoing.value.map((entry) => (
            <Outgoing key={entry.nonce} entry={entry} />
          ))}
        </ol>
      </div>
      <p class="typing quiet" role="status">
        {typists.value.size > 0 && text.typing([...typists.value.values()])}
      </p>
      <Composer />
    </aside>
  );
}

function Message({ message }: { message: PublicLine }) {
  const isEdited = useSignal(false);
  const own = isOwn(message);
  const { id, name, at, seq, deleted, editedAt } = message;
  const kind = own ? "message own" : "message";
  if (deleted === true) {
    return (
      <li class={kind} data-seq={seq}>
        <span class="author">{name}</span> <time>{time.format(at)}</time>
        <p class="quiet">{text.deleted}</p>
      </li>
    );
  }
  return (
    <li class={kind} data-seq={seq}>
      <span class="author">{name}</span> <time>{time.format(at)}</time>{" "}
      {editedAt !== undefined && <span class="quiet">{text.edited}</span>}
      {isEdited.value ? (
        <Editor
          message={message}
          onDone={() => {
            isEdited.value = false;
          }}
        />
      ) : (
        <p class="text">{message.text}</p>
      )}
      <div class="message-actions">
        <Reactions message={message} />
        {own && !isEdited.value && (
          <button
            type="button"
            aria-label={text.editMessage(message.text)}
            onClick={() => {
              isEdited.value = true;
            }}
          >
            {text.edit}
          </button>
        )}
        {(own || isHost.value) && (
          <button
            type="button"
            aria-label={text.deleteMessage(message.text)}
            onClick={() => deleteMessage(id)}
          >
            {text.delete}
          </button>
        )}
      </div>
    </li>
  );
}

/** A message to a few: nobody edits, deletes or answers it by a sign. */
function PrivateMessage({ message }: { message: PrivateLine }) {
  const { name, at, to, toNames } = message;
  const own = isOwn(message);
  const others = to.flatMap((member, index) => (isOwn({ member }) ? [] : [toNames[index] ?? text.somebody]));
  return (
    <li class={own ? "message private own" : "message private"}>
      <span class="author">{own ? text.privatelyTo(others) : text.privatelyFrom(name, others)}</span>{" "}
      <time>{time.format(at)}</time>
      <p class="text">{message.text}</p>
    </li>
  );
}

function Reactions({ message: { id, text: said, reactions = [] } }: { message: PublicLine }) {
  const known = reactions.some(({ reaction }) => reaction === THUMB);
  const shown = known ? reactions : [...reactions, { reaction: THUMB, members: [] }];
  return (
    <>
      {shown.map(({ reaction, members }) => {
        const hasOwn = members.some((member) => isOwn({ member }));
        return (
          <button
            type="button"
            key={reaction}
            aria-pressed={hasOwn}
            aria-label={text.reaction(reaction, members.length, said)}
            onClick={() => react(id, reaction, !hasOwn)}
          >
            {reaction} {members.length > 0 && members.length}
          </button>
        );
      })}
    </>
  );
}

function Editor({ message, onDone }: { message: PublicLine; onDone: () => void }) {
  const edited = useSignal(message.text);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <form
      class="editor"
      onSubmit={(event) => {
        event.preventDefault();
        const said = edited.value.trim();
        if (said !== "" && said !== message.text) editMessage(message.id, said);
        onDone();
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onDone();
      }}
    >
      <textarea
        ref={field}
        rows={2}
        aria-label={text.editMessage(message.text)}
        value={edited.value}
        onInput={(event) => {
          edited.value = event.currentTarget.value;
        }}
      />
      <button type="submit">{text.save}</button>{" "}
      <button type="button" onClick={onDone}>
        {text.discard}
      </button>
    </form>
  );
}

function Outgoing({ entry }: { entry: OutgoingChat }) {
  const isPrivate = entry.to !== undefined;
  // Who left does not come back under the same id.
  const mayRetry = !isPrivate || entry.code !== "member/unknown";
  const names = (entry.toNames ?? []).map((name) => name ?? text.somebody);
  return (
    <li class={`message own ${entry.state} ${isPrivate ? "private" : ""}`}>
      {isPrivate && <span class="author">{text.privatelyTo(names)}</span>}
      <p class="text">{entry.text}</p>
      {entry.state === "failed" ? (
        <p class="problem">
          {chatProblem(entry.code)}{" "}
          {mayRetry && (
            <button type="button" onClick={() => retryMessage(entry.nonce)}>
              {text.retry}
            </button>
          )}{" "}
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
