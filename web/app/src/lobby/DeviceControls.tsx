// On, off, and which one: for camera and microphone.
import { camera, choose, type Device, type DeviceKind, microphone, opening, setWanted } from "../devices.ts";
import { text } from "../text.ts";

export function DeviceControls() {
  return (
    <div class="devices">
      <DeviceRow kind="microphone" device={microphone.value} />
      <DeviceRow kind="camera" device={camera.value} />
    </div>
  );
}

function DeviceRow({ kind, device }: { kind: DeviceKind; device: Device }) {
  const label = text[kind];
  return (
    <fieldset class="device" disabled={opening.value}>
      <label class="switch">
        <input
          type="checkbox"
          checked={device.wanted && device.problem === ""}
          onChange={(event) => void setWanted(kind, event.currentTarget.checked)}
        />
        <span>{label}</span>
      </label>
      {device.choices.length > 0 && (
        <select
          aria-label={label}
          value={device.chosen}
          onChange={(event) => void choose(kind, event.currentTarget.value)}
        >
          {device.choices.map((choice, index) => (
            <option key={choice.deviceId} value={choice.deviceId}>
              {choice.label || text.nameless(label, index + 1)}
            </option>
          ))}
        </select>
      )}
    </fieldset>
  );
}
