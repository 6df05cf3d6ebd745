// What those see besides who moderate: who waits, and what concerns the whole room.
import { useSignal } from "@preact/signals";
import { admit, admitAll, deny, knocks, lock, muteAll, setLobby, settings, tellAll } from "../moderation.ts";
import { text } from "../text.ts";

export function HostPanel() {
  const isLocked = settings.value?.locked ?? false;
  const hasLobby = settings.value?.lobby ?? false;
  return (
    <section class="host" aria-label={text.moderate}>
      <Waiting />
      <div class="actions">
        <button type="button" onClick={() => void muteAll()}>
          {text.muteAll}
        </button>
        <button type="button" aria-pressed={isLocked} onClick={() => void lock(!isLocked)}>
          {text.lockRoom}
        </button>
        <button type="button" aria-pressed={hasLobby} onClick={() => void setLobby(!hasLobby)}>
          {text.useLobby}
        </button>
      </div>
      <Notice />
    </section>
  );
}

function Waiting() {
  if (knocks.value.length === 0) return null;
  return (
    <>
      <h3>{text.waitingCount(knocks.value.length)}</h3>
      <ul class="knocks">
        {knocks.value.map((knock) => (
          <li key={knock.id}>
            <span class="name">{knock.name}</span>
            <button type="button" aria-label={text.admitPerson(knock.name)} onClick={() => void admit(knock)}>
              {text.admit}
            </button>
            <button type="button" aria-label={text.denyPerson(knock.name)} onClick={() => void deny(knock)}>
              {text.deny}
            </button>
          </li>
        ))}
      </ul>
      {knocks.value.length > 1 && (
        <button type="button" onClick={() => void admitAll()}>
          {text.admitAll}
        </button>
      )}
    </>
  );
}

function Notice() {
  const said = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (said.value.trim() !== "" && (await tellAll(said.value.trim()))) said.value = "";
  };
  return (
    <form class="actions" onSubmit={submit}>
      <input
        name="notice"
        maxLength={500}
        autoComplete="off"
        aria-label={text.noticeToAll}
        placeholder={text.noticeToAll}
        value={said.value}
        onInput={(event) => {
          said.value = event.currentTarget.value;
        }}
      />
      <button type="submit">{text.tellAll}</button>
    </form>
  );
}
