// What moderators do and see, and what everybody sees of it, as signals that follow the room's events.
import { signal } from "@preact/signals";
import {
  type Knock,
  type ModerationAction,
  type ModerationOutcome,
  type Role,
  type Room,
  type RoomSettings,
  toRoundtableError,
} from "@roundtable/sdk";
import { announcement, problem } from "./said.ts";
import { roomProblem, text } from "./text.ts";

/** Whether one moderates. */
export const isHost = signal(false);
/** Who waits to be let in. */
export const knocks = signal<readonly Knock[]>([]);
/** How the room is set up; null if nobody ever did. */
export const settings = signal<RoomSettings | null>(null);
/** Roles that changed while one was here, by member. */
export const roles = signal<ReadonlyMap<string, Role>>(new Map());
/** What a moderator said last, until one closes it. */
export const notice = signal("");

let room: Room | null = null;

/** Follows a room. */
export function followModeration(joined: Room): void {
  room = joined;
  isHost.value = false;
  knocks.value = [];
  settings.value = null;
  roles.value = new Map();
  notice.value = "";
  const refresh = () => {
    knocks.value = [...joined.knocks.values()];
    roles.value = new Map(joined.roles);
  };
  joined.on("grantsChanged", ({ admin }) => {
    isHost.value = admin;
    refresh();
  });
  joined.on("knock", ({ name }) => {
    refresh();
    announcement.value = text.knocks(name);
  });
  joined.on("knockEnded", refresh);
  joined.on("roleChanged", (member, role) => {
    refresh();
    if (member === joined.localParticipant.id) notice.value = text.yourRole(role);
  });
  joined.on("roomUpdated", (updated) => {
    const was = settings.value;
    settings.value = updated;
    if ((was?.locked ?? false) !== updated.locked) {
      announcement.value = updated.locked ? text.roomLocked : text.roomUnlocked;
    }
  });
  joined.on("notice", ({ from, text: said }) => {
    const name = from === undefined ? undefined : joined.remoteParticipants.get(from)?.name;
    const isOwn = from !== undefined && from === joined.localParticipant.id;
    notice.value = isOwn ? said : text.notice(name ?? text.moderator, said);
  });
}

export const admit = ({ id, name }: Knock) =>
  moderate({ type: "admit", knock: id }, () => text.admitted(name));
export const deny = ({ id, name }: Knock) => moderate({ type: "deny", knock: id }, () => text.denied(name));
export const admitAll = () => moderate({ type: "admitAll" }, ({ count }) => text.admittedMany(count ?? 0));
export const mute = (track: string, name: string) =>
  moderate({ type: "mute", track, muted: true, hold: false }, () => text.mutedPerson(name));
export const muteAll = () =>
  moderate({ type: "muteAll", source: "microphone", muted: true, hold: false }, ({ count }) =>
    text.mutedMany(count ?? 0),
  );
export const setRole = (member: string, role: Role, name: string) =>
  moderate({ type: "setPermissions", member, changes: { role } }, () => text.hasRole(name, role));
export const kick = (member: string, name: string) =>
  moderate({ type: "kick", member }, () => text.kicked(name));
export const ban = (member: string, name: string) =>
  moderate({ type: "ban", member }, () => text.banned(name));
export const lock = (locked: boolean) =>
  moderate({ type: "lock", locked }, () => (locked ? text.roomLocked : text.roomUnlocked));
export const setLobby = (lobby: boolean) =>
  moderate({ type: "setSettings", changes: { lobby } }, () => (lobby ? text.lobbyOn : text.lobbyOff));
export const tellAll = (said: string) => moderate({ type: "message", text: said }, () => text.toldAll);

/** Does it; says that it is done to those who listen, or why it is not to everybody. */
async function moderate(
  action: ModerationAction,
  done: (outcome: ModerationOutcome) => string,
): Promise<boolean> {
  if (room === null) return false;
  try {
    const outcome = await room.moderate(action);
    announcement.value = done(outcome);
    return true;
  } catch (error) {
    problem.value = roomProblem(toRoundtableError(error, "sdk/closed").code);
    return false;
  }
}
