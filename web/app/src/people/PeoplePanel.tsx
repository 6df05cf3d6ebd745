// Everybody as a list; in a large room those who do something, and the others on demand.
import { Icon } from "../icons.tsx";
import { isHost } from "../moderation.ts";
import {
  everybody,
  mayChat,
  people,
  speakers,
  togglePanel,
  turnPage,
  viewers,
  writePrivately,
} from "../state.ts";
import { text } from "../text.ts";
import { CallSomebody } from "./CallSomebody.tsx";
import { HostPanel } from "./HostPanel.tsx";
import { OwnName } from "./OwnName.tsx";
import { PersonActions } from "./PersonActions.tsx";

export function PeoplePanel() {
  return (
    <aside class="panel" aria-label={text.people}>
      <header>
        <h2>{text.peopleCount(people.value.length + viewers.value)}</h2>
        <button type="button" onClick={() => togglePanel("people")}>
          {text.close}
        </button>
      </header>
      {isHost.value && <HostPanel />}
      <CallSomebody />
      <ul class="people">
        {people.value.map((person) => (
          <li key={person.id}>
            <Icon name={person.muted ? "microphoneOff" : "microphone"} />
            {person.isSelf ? <OwnName name={person.name} /> : <span class="name">{person.name}</span>}
            {person.muted && <span class="hidden">, {text.muted}</span>}
            {speakers.value.has(person.id) && <span class="quiet">{text.speaking}</span>}
            {mayChat.value && !person.isSelf && (
              <button
                type="button"
                class="write"
                aria-label={text.writePrivatelyTo(person.name)}
                onClick={() => writePrivately({ id: person.id, name: person.name })}
              >
                {text.writePrivately}
              </button>
            )}
            {isHost.value && !person.isSelf && <PersonActions person={person} />}
          </li>
        ))}
        <Viewers />
      </ul>
    </aside>
  );
}

function Viewers() {
  if (viewers.value === 0) return null;
  const listed = new Set(people.value.map((person) => person.id));
  const pages = everybody.value;
  const others = (pages?.members ?? []).filter((member) => !listed.has(member.id));
  return (
    <>
      <li class="quiet">{text.viewers(viewers.value)}</li>
      {others.map((member) => (
        <li key={member.id}>
          <span class="name">{member.name}</span>
        </li>
      ))}
      {pages?.next !== null && (
        <li>
          <button type="button" onClick={turnPage}>
            {pages === null ? text.showAll : text.showMore}
          </button>
        </li>
      )}
    </>
  );
}
