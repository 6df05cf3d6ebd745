// Before the call: name, room, and a look in the mirror.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { randomRoomId, suggestRoomId } from "../address.ts";
import { camera, microphone, opening, prepare, release } from "../devices.ts";
import { loginFor } from "../login.ts";
import { MissedCalls } from "../ring/MissedCalls.tsx";
import { ReachChoice } from "../ring/ReachChoice.tsx";
import { problem } from "../said.ts";
import {
  isRoomGiven,
  join,
  joining,
  knocking,
  name,
  options,
  roomId,
  settleName,
  stopWaiting,
} from "../state.ts";
import { text } from "../text.ts";
import { DeviceControls } from "./DeviceControls.tsx";
import { Preview } from "./Preview.tsx";
import { SignIn } from "./SignIn.tsx";

const JOIN_BUTTON = "join";

export function Lobby() {
  const typedRoom = useSignal(roomId.value || randomRoomId());
  useEffect(() => {
    // Whoever comes from a call may have brought them.
    const isOpen = [camera, microphone].some((device) => device.value.track?.readyState === "live");
    if (!joining.value && !isOpen) void prepare();
    return release;
  }, []);
  useEffect(() => {
    if (roomId.value !== "") typedRoom.value = roomId.value;
  }, [roomId.value]);

  const id = isRoomGiven ? roomId.value : suggestRoomId(typedRoom.value);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (id === "" || name.value.trim() === "") return;
    roomId.value = id;
    void join();
  };
  const hasDevice = camera.value.track !== null || microphone.value.track !== null;
  const sentences = new Set([camera.value.problem, microphone.value.problem].filter((p) => p !== ""));

  if (knocking.value) return <Waiting />;
  return (
    <main class="lobby">
      <h1>{isRoomGiven ? roomId.value : text.title}</h1>
      <MissedCalls />
      {options.invite === null && <SignIn room={id} joinButton={JOIN_BUTTON} />}
      <form class="lobby-form" onSubmit={submit}>
        <Preview track={camera.value.track} />
        <DeviceControls />
        <div class="problems" role="alert">
          {[...sentences].map((sentence) => (
            <p class="problem" key={sentence}>
              {sentence}
            </p>
          ))}
          {problem.value !== "" && <p class="problem">{problem.value}</p>}
        </div>
        {sentences.size > 0 && (
          <button type="button" disabled={opening.value} onClick={() => void prepare()}>
            {text.retryDevices}
          </button>
        )}
        {loginFor(id) === null && (
          <label>
            <span>{text.yourName}</span>
            <input
              name="name"
              required
              maxLength={64}
              autoComplete="name"
              value={name.value}
              onInput={(event) => {
                name.value = event.currentTarget.value;
              }}
              onChange={settleName}
            />
          </label>
        )}
        {!isRoomGiven && (
          <label>
            <span>{text.roomName}</span>
            <input
              name="room"
              required
              maxLength={64}
              autoComplete="off"
              aria-describedby="room-hint"
              value={typedRoom.value}
              onInput={(event) => {
                typedRoom.value = event.currentTarget.value;
              }}
            />
            <small id="room-hint">{text.roomHint}</small>
          </label>
        )}
        <button id={JOIN_BUTTON} type="submit" class="primary" disabled={joining.value}>
          {joining.value ? text.joining : hasDevice || opening.value ? text.join : text.joinWithout}
        </button>
      </form>
      {options.invite === null && <ReachChoice />}
    </main>
  );
}

/** While somebody inside is asked. */
function Waiting() {
  return (
    <main class="lobby">
      <h1>{text.waitingFor(roomId.value)}</h1>
      <div class="lobby-form">
        <Preview track={camera.value.track} />
        <p role="status">{text.knocking}</p>
        <button type="button" onClick={stopWaiting}>
          {text.stopWaiting}
        </button>
      </div>
    </main>
  );
}
