// The own picture before the call, and how loud one is.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { microphone, watchLevel } from "../devices.ts";
import { OwnVideo } from "../stage/Video.tsx";
import { text } from "../text.ts";

export function Preview({ track }: { track: MediaStreamTrack | null }) {
  return (
    <div class="preview">
      {track === null ? <p>{text.previewOff}</p> : <OwnVideo track={track} label={text.preview} mirrored />}
      {microphone.value.track !== null && <Level track={microphone.value.track} />}
    </div>
  );
}

function Level({ track }: { track: MediaStreamTrack }) {
  const level = useSignal(0);
  useEffect(
    () =>
      watchLevel(track, (value) => {
        level.value = value;
      }),
    [track],
  );
  return <meter class="level" aria-label={text.level} min={0} max={1} value={level.value} />;
}
