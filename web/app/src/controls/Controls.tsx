// The bar at the foot of the call.
import { Icon, type IconName } from "../icons.tsx";
import { knocks } from "../moderation.ts";
import {
  busy,
  cameraOn,
  copyLink,
  leave,
  microphoneOn,
  panel,
  people,
  screenOn,
  toggleCamera,
  toggleMicrophone,
  togglePanel,
  toggleScreen,
  unread,
} from "../state.ts";
import { text } from "../text.ts";

interface ControlProps {
  icon: IconName;
  label: string;
  onClick: () => unknown;
  kind?: "off" | "on" | "danger";
  expanded?: boolean;
  disabled?: boolean;
  badge?: number;
}

function Control({ icon, label, onClick, kind, expanded, disabled, badge }: ControlProps) {
  return (
    <button
      type="button"
      class={kind === undefined ? "control" : `control ${kind}`}
      aria-label={label}
      title={label}
      aria-expanded={expanded}
      disabled={disabled ?? false}
      onClick={onClick}
    >
      <Icon name={icon} />
      {badge !== undefined && badge > 0 && (
        <span class="badge" aria-hidden="true">
          {badge > 99 ? "99+" : badge}
        </span>
      )}
    </button>
  );
}

export function Controls() {
  const canShare = typeof navigator.mediaDevices?.getDisplayMedia === "function";
  return (
    <div class="controls" role="toolbar" aria-label={text.title}>
      <Control
        icon={microphoneOn.value ? "microphone" : "microphoneOff"}
        label={microphoneOn.value ? text.muteOn : text.muteOff}
        kind={microphoneOn.value ? "on" : "off"}
        disabled={busy.value.has("microphone")}
        onClick={toggleMicrophone}
      />
      <Control
        icon={cameraOn.value ? "camera" : "cameraOff"}
        label={cameraOn.value ? text.cameraOn : text.cameraOff}
        kind={cameraOn.value ? "on" : "off"}
        disabled={busy.value.has("camera")}
        onClick={toggleCamera}
      />
      {canShare && (
        <Control
          icon="screen"
          label={screenOn.value ? text.screenOn : text.screenOff}
          {...(screenOn.value ? { kind: "on" as const } : {})}
          disabled={busy.value.has("screen")}
          onClick={toggleScreen}
        />
      )}
      <Control
        icon="people"
        label={text.peopleAndWaiting(people.value.length, knocks.value.length)}
        expanded={panel.value === "people"}
        badge={knocks.value.length}
        onClick={() => togglePanel("people")}
      />
      <Control
        icon="chat"
        label={unread.value > 0 ? text.unread(unread.value) : text.chat}
        expanded={panel.value === "chat"}
        badge={unread.value}
        onClick={() => togglePanel("chat")}
      />
      <Control icon="link" label={text.copyLink} onClick={copyLink} />
      <Control icon="leave" label={text.leave} kind="danger" onClick={leave} />
    </div>
  );
}
