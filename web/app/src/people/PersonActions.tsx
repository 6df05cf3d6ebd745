// What a moderator can do about one person.
import { ban, kick, mute, roles, setRole } from "../moderation.ts";
import type { Person } from "../state.ts";
import { text } from "../text.ts";

export function PersonActions({ person }: { person: Person }) {
  const { id, name, microphone, muted } = person;
  const isListener = roles.value.get(id) === "listener";
  const role = isListener ? "speaker" : "listener";
  return (
    <details class="person-actions">
      <summary aria-label={text.actionsFor(name)}>{text.actions}</summary>
      <div class="actions">
        {microphone !== null && !muted && (
          <button
            type="button"
            aria-label={text.mutePerson(name)}
            onClick={() => void mute(microphone, name)}
          >
            {text.mute}
          </button>
        )}
        <button
          type="button"
          aria-label={text.makePerson(name, role)}
          onClick={() => void setRole(id, role, name)}
        >
          {text.make(role)}
        </button>
        <button type="button" aria-label={text.kickPerson(name)} onClick={() => void kick(id, name)}>
          {text.kick}
        </button>
        <button type="button" aria-label={text.banPerson(name)} onClick={() => void ban(id, name)}>
          {text.ban}
        </button>
      </div>
    </details>
  );
}
