// Everybody as a list.
import { Icon } from "../icons.tsx";
import { people, speakers, togglePanel } from "../state.ts";
import { text } from "../text.ts";

export function PeoplePanel() {
  return (
    <aside class="panel" aria-label={text.people}>
      <header>
        <h2>{text.peopleCount(people.value.length)}</h2>
        <button type="button" onClick={() => togglePanel("people")}>
          {text.close}
        </button>
      </header>
      <ul class="people">
        {people.value.map((person) => (
          <li key={person.id}>
            <Icon name={person.muted ? "microphoneOff" : "microphone"} />
            <span class="name">{person.isSelf ? text.you(person.name) : person.name}</span>
            {person.muted && <span class="hidden">, {text.muted}</span>}
            {speakers.value.has(person.id) && <span class="quiet">{text.speaking}</span>}
          </li>
        ))}
      </ul>
    </aside>
  );
}
