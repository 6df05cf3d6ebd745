// Elements that show and play tracks.

import type { RemoteTrackPublication } from "@roundtable/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Picture, soundBlocked, sounds, watch } from "../state.ts";

/** One's own camera or screen, silent. */
export function OwnVideo(props: { track: MediaStreamTrack; label: string; mirrored?: boolean }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (element.current !== null) element.current.srcObject = new MediaStream([props.track]);
  }, [props.track]);
  const className = props.mirrored === true ? "video mirrored" : "video";
  return <video ref={element} class={className} aria-label={props.label} autoPlay muted playsInline />;
}

/** Somebody else's camera or screen. Hidden until the first picture is theirs: a slot shows another's before. */
export function RemoteVideo({ publication, label }: { publication: RemoteTrackPublication; label: string }) {
  const element = useRef<HTMLVideoElement>(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (element.current === null) return undefined;
    const controller = new AbortController();
    setShown(false);
    void publication.attach(element.current, controller.signal).then((ready) => {
      if (ready) setShown(true);
    });
    return () => controller.abort();
  }, [publication, publication.track]);
  useEffect(() => {
    if (element.current === null) return undefined;
    return watch(publication, element.current);
  }, [publication]);
  return (
    <video
      ref={element}
      class={shown ? "video" : "video waiting"}
      aria-label={label}
      autoPlay
      muted
      playsInline
    />
  );
}

/** A picture of whomever. */
export function PictureVideo({
  picture,
  label,
  mirrored,
}: {
  picture: Picture;
  label: string;
  mirrored?: boolean;
}) {
  return picture.publication === null ? (
    <OwnVideo track={picture.track} label={label} mirrored={mirrored ?? false} />
  ) : (
    <RemoteVideo publication={picture.publication} label={label} />
  );
}

/** Everything that is heard, apart from what is seen. */
export function Sounds() {
  return (
    <>
      {sounds.value.map((publication) => (
        <Sound key={publication.id} publication={publication} track={publication.track} />
      ))}
    </>
  );
}

function Sound({
  publication,
  track,
}: {
  publication: RemoteTrackPublication;
  track: MediaStreamTrack | null;
}) {
  const element = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const audio = element.current;
    if (audio === null || track === null) return;
    void publication.attach(audio);
    audio.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === "NotAllowedError") soundBlocked.value = true;
    });
  }, [publication, track]);
  // biome-ignore lint/a11y/useMediaCaption: live speech has no caption file.
  return <audio ref={element} autoPlay />;
}

/** After a click the browser lets everything play. */
export function playAll(): void {
  soundBlocked.value = false;
  for (const audio of document.querySelectorAll("audio")) void audio.play();
}
