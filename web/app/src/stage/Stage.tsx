// Everybody, and a shared screen in large.
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "../icons.tsx";
import { type Person, people, screens, speakers, viewers } from "../state.ts";
import { text } from "../text.ts";
import { PictureVideo } from "./Video.tsx";

export function Stage() {
  const grid = useRef<HTMLUListElement>(null);
  const count = people.value.length;
  const isSharing = screens.value.length > 0;
  useEffect(() => {
    grid.current?.style.setProperty("--columns", String(Math.ceil(Math.sqrt(count))));
  }, [count]);
  return (
    <div class={isSharing ? "stage sharing" : "stage"}>
      {screens.value.map((picture) => (
        <figure class="screen" key={picture.key}>
          <PictureVideo picture={picture} label={text.screenOf(picture.name)} />
          <figcaption>{text.screenOf(picture.name)}</figcaption>
        </figure>
      ))}
      <ul class="grid" ref={grid} aria-label={text.people}>
        {people.value.map((person) => (
          <Tile key={person.id} person={person} />
        ))}
      </ul>
      {count === 1 && viewers.value === 0 && <p class="alone">{text.alone}</p>}
    </div>
  );
}

function Tile({ person }: { person: Person }) {
  const isSpeaking = speakers.value.has(person.id);
  const shownName = person.isSelf ? text.you(person.name) : person.name;
  return (
    <li class={isSpeaking ? "tile speaking" : "tile"} data-member={person.id}>
      {person.camera === null ? (
        <span class="avatar" aria-hidden="true">
          {[...person.name.trim()][0]?.toLocaleUpperCase() ?? "?"}
        </span>
      ) : (
        <PictureVideo
          key={person.camera.key}
          picture={person.camera}
          label={shownName}
          mirrored={person.isSelf}
        />
      )}
      <span class="tile-name">
        {person.muted && <Icon name="microphoneOff" />}
        <span class="name">{shownName}</span>
        {person.muted && <span class="hidden">, {text.muted}</span>}
        {isSpeaking && <span class="hidden">, {text.speaking}</span>}
      </span>
    </li>
  );
}
