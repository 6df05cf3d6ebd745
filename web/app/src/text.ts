// Every sentence the page shows.
import type { CallState, Role, RoundtableErrorCode } from "@roundtable/sdk";

const ROLE: Record<Role, string> = {
  host: "host",
  speaker: "speaker",
  listener: "listener",
  "message-only": "chat only",
  none: "onlooker",
};

export const text = {
  title: "Roundtable",
  yourName: "Your name",
  roomName: "Room",
  roomHint: "Letters, digits and - _ . ~ make up the link to share.",
  join: "Join",
  joinWithout: "Join without camera and microphone",
  joining: "Joining…",
  signIn: "Sign in",
  signingIn: "Signing in…",
  signInWith: (provider: string) => `Sign in with ${provider}`,
  signInFirst: "Sign in to enter this room, or open the link of an invitation that you were sent.",
  signedInAs: (name: string) => `Signed in as ${name}.`,
  signOut: "Sign out",
  userName: "User name",
  password: "Password",
  knocking: "Somebody inside is asked to let you in.",
  retryDevices: "Try devices again",
  camera: "Camera",
  microphone: "Microphone",
  level: "Microphone level",
  preview: "Your picture",
  previewOff: "Your camera is off",
  nameless: (kind: string, index: number) => `${kind} ${index}`,
  you: (name: string) => `${name} (you)`,
  changeName: "Change name",
  renamed: (name: string) => `You are ${name} now`,
  muteOn: "Mute microphone",
  muteOff: "Unmute microphone",
  cameraOn: "Turn camera off",
  cameraOff: "Turn camera on",
  screenOn: "Stop sharing",
  screenOff: "Share screen",
  screenOf: (name: string) => `${name}’s screen`,
  chat: "Chat",
  unread: (count: number) => `Chat, ${count} unread`,
  people: "People",
  peopleCount: (count: number): string => `People, ${count} here`,
  viewers: (count: number) => (count === 1 ? "1 more watches." : `${count} more watch.`),
  showAll: "Show everybody",
  showMore: "Show more",
  showEarlier: "Show earlier messages",
  copyLink: "Copy link",
  copied: "Link copied. Send it to those who shall come.",
  copyFailed: (link: string) => `The link is ${link}`,
  leave: "Leave",
  muted: "muted",
  speaking: "speaking",
  alone: "Nobody else is here yet. Copy the link and send it to somebody.",
  write: "Write to everybody",
  writePrivately: "Write privately",
  writePrivatelyTo: (name: string) => `Write privately to ${name}`,
  to: "To",
  everybody: "everybody",
  privatelyTo: (names: readonly string[]) => `Privately to ${listed(names)}`,
  privatelyFrom: (name: string, others: readonly string[]) =>
    `${name}, privately to ${listed(["you", ...others])}`,
  somebody: "somebody",
  receiverLeft: (name: string) => `${name} is not here any more. Choose who shall have what you write.`,
  notSentReceiverLeft: (name: string) =>
    `Not sent: ${name} is not here any more. Choose who shall have it, or write to everybody.`,
  writeToEverybody: "To everybody",
  send: "Send",
  sending: "sending…",
  waiting: "waiting for the connection…",
  retry: "Send again",
  discard: "Discard",
  typing: (names: readonly string[]) =>
    names.length === 1
      ? `${names[0]} is writing…`
      : names.length < 4
        ? `${names.join(", ")} are writing…`
        : "Several people are writing…",
  deleted: "This message was deleted.",
  edited: "edited",
  edit: "Edit",
  editMessage: (said: string) => `Edit: ${excerpt(said)}`,
  delete: "Delete",
  deleteMessage: (said: string) => `Delete: ${excerpt(said)}`,
  reaction: (reaction: string, count: number, said: string) => `${reaction} ${count}: ${excerpt(said)}`,
  save: "Save",
  noMessages: "No messages yet.",
  close: "Close",
  joined: (name: string) => `${name} joined`,
  leftRoom: (name: string) => `${name} left`,
  playBlocked: "The browser holds the sound back.",
  play: "Play sound",
  reconnecting: (seconds: number) =>
    seconds > 0 ? `Connection lost. Trying again in ${seconds} s…` : "Connection lost. Trying again…",
  back: "You are back.",
  left: "You left the room.",
  rejoin: "Rejoin",
  otherRoom: "Another room",
  waitingFor: (room: string) => `Waiting for ${room}`,
  stopWaiting: "Stop waiting",
  moderate: "Moderate",
  moderator: "A moderator",
  knocks: (name: string) => `${name} asks to be let in`,
  peopleAndWaiting: (count: number, waiting: number) =>
    waiting === 0 ? text.peopleCount(count) : `${text.peopleCount(count)}, ${text.waitingCount(waiting)}`,
  waitingCount: (count: number): string => (count === 1 ? "1 waits" : `${count} wait`),
  admit: "Let in",
  admitPerson: (name: string) => `Let in ${name}`,
  admitAll: "Let all in",
  admitted: (name: string) => `${name} was let in`,
  admittedMany: (count: number) => (count === 1 ? "1 was let in" : `${count} were let in`),
  deny: "Refuse",
  denyPerson: (name: string) => `Refuse ${name}`,
  denied: (name: string) => `${name} was refused`,
  muteAll: "Mute all",
  mutedMany: (count: number) => (count === 1 ? "1 was muted" : `${count} were muted`),
  lockRoom: "Lock room",
  roomLocked: "The room is locked",
  roomUnlocked: "The room is open",
  useLobby: "Lobby",
  lobbyOn: "Newcomers wait to be let in",
  lobbyOff: "Newcomers enter at once",
  noticeToAll: "Notice to everybody",
  tellAll: "Tell all",
  toldAll: "Everybody was told",
  notice: (name: string, said: string) => `${name}: ${said}`,
  actions: "Moderate",
  actionsFor: (name: string) => `Moderate ${name}`,
  mute: "Mute",
  mutePerson: (name: string) => `Mute ${name}`,
  mutedPerson: (name: string) => `${name} was muted`,
  make: (role: Role) => `Make ${ROLE[role]}`,
  makePerson: (name: string, role: Role) => `Make ${ROLE[role]}: ${name}`,
  hasRole: (name: string, role: Role) => `${name} is ${ROLE[role]} now`,
  yourRole: (role: Role) => `A moderator changed what you may do: ${ROLE[role]}.`,
  publishingEnded: "You may not be heard or seen any more.",
  kick: "Put out",
  kickPerson: (name: string) => `Put out ${name}`,
  kicked: (name: string) => `${name} was put out`,
  ban: "Ban",
  banPerson: (name: string) => `Ban ${name}`,
  banned: (name: string) => `${name} was banned`,
  moved: (room: string) => `A moderator sent you to ${room}.`,
  badRoom: "The link names no valid room.",
  callSomebody: "Call somebody…",
  callHint: "Their name here; where people sign in, their user name.",
  call: "Call",
  cancel: "Cancel",
  cancelCall: (to: string) => `Cancel the call to ${to}`,
  dismiss: "Dismiss",
  dismissCall: (to: string) => `Dismiss the call to ${to}`,
  dismissMissed: "Dismiss missed calls",
  outcome: (to: string, state: CallState | "lost") => OUTCOME[state](to),
  calls: (from: string) => `${from} calls`,
  ringingTitle: (from: string) => `☎ ${from} calls`,
  operator: "The operator",
  comeTo: (room: string, isElsewhere: boolean) =>
    isElsewhere ? `Into the room ${room}. To accept takes you there.` : `Into the room ${room}.`,
  moreCall: (count: number) => (count === 1 ? "1 more calls." : `${count} more call.`),
  accept: "Accept",
  decline: "Decline",
  tone: "Ring tone",
  missedCalls: "Missed calls",
  missed: (from: string, at: string) => `${from} called, ${at}`,
  reach: "Ring here when somebody calls",
  reachNeedsName: "Say your name, so that you can be called by it.",
  reachedAs: (identity: string) => `You can be called as ${identity} while this page is open.`,
  reaching: "Connecting…",
  notDeclined: (from: string) =>
    `${from} is not told that you do not come: on this server one declines within a room only.`,
} as const;

const OUTCOME: Record<CallState | "lost", (to: string) => string> = {
  ringing: (to) => `Calling ${to}…`,
  accepted: (to) => `${to} comes`,
  declined: (to) => `${to} declined`,
  cancelled: (to) => `The call to ${to} was cancelled`,
  timedOut: (to) => `${to} did not answer`,
  lost: (to) => `The call to ${to} ended while the connection was lost`,
};

/** Names as they are spoken: “Ann, Bob and Cy”. */
function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** The beginning of a message, to tell one button from another. */
function excerpt(said: string): string {
  return said.length > 60 ? `${said.slice(0, 60)}…` : said;
}

const DEVICE = {
  camera: { missing: "No camera was found.", busy: "The camera is in use by another program." },
  microphone: { missing: "No microphone was found.", busy: "The microphone is in use by another program." },
} as const;

/** Why a device is not there, and what to do about it. */
export function deviceProblem(device: "camera" | "microphone", code: RoundtableErrorCode): string {
  switch (code) {
    case "device/insecure":
      return "This page is not secure, so the browser hides camera and microphone. Open it with https://, or on localhost.";
    case "device/denied":
      return "Access to camera and microphone was refused. Allow it beside the address bar, then try again.";
    case "device/missing":
      return `${DEVICE[device].missing} Plug one in and try again, or join without.`;
    case "device/busy":
      return `${DEVICE[device].busy} Close it and try again, or join without.`;
    default:
      return `The ${device} could not be used. Try again, or join without.`;
  }
}

/** Why one is not in the room, and what to do about it. */
export function roomProblem(code: RoundtableErrorCode): string {
  switch (code) {
    case "room/full":
      return "This room is full. Try again when somebody has left.";
    case "room/too-many":
      return "The server has no place for another room. Try again later.";
    case "room/key-quota":
      return "As many rooms are open as may be. Try again when one has ended.";
    case "room/bad-id":
      return text.badRoom;
    case "hello/version":
      return "This page is older or newer than the server. Reload it.";
    case "hello/name":
      return "This name cannot be used: 1 to 64 characters, please.";
    case "hello/forbidden":
      return "You may not enter this room.";
    case "room/closed":
      return "The room was closed.";
    case "room/locked":
      return "The room is locked: nobody can enter now.";
    case "room/not-open-yet":
      return "The room is not open yet. Try again later.";
    case "room/expired":
      return "The room’s time is over.";
    case "room/kicked":
      return "You were taken out of the room.";
    case "room/banned":
      return "You were banned from this room.";
    case "room/moved":
      return "You were sent to another room.";
    case "lobby/denied":
      return "You were not let in.";
    case "lobby/timeout":
    case "lobby/full":
      return "Nobody could let you in. Try again later.";
    case "hello/rate":
      return "Too many came from your network at once. Try again in a minute.";
    case "moderation/forbidden":
    case "member/forbidden":
      return "You may not do that here.";
    case "member/rate":
      return "Too often at once. Try again in a few seconds.";
    case "moderation/rate":
      return "Too much at once. Try again in a moment.";
    case "lobby/unknown":
      return "They do not wait any more.";
    case "member/unknown":
      return "They are not here any more.";
    case "track/forbidden":
      return "You may not be heard or seen in this room.";
    case "track/muted-by-host":
      return "A moderator muted you.";
    case "client/replaced":
      return "You went on with this call in another window.";
    case "token/missing":
      return "This room is by invitation: open the link that you were sent.";
    case "token/invalid":
    case "token/room":
    case "token/grant":
      return "This link does not open this room. Ask for another one.";
    case "token/expired":
    case "invite/expired":
      return "This invitation has expired. Ask for another one.";
    case "invite/used":
      return "This invitation has been used as often as it may be. Ask for another one.";
    case "invite/revoked":
    case "invite/unknown":
      return "This invitation is not good any more. Ask for another one.";
    case "server/stopping":
    case "server/overloaded":
      return "The server cannot take you now. Try again in a minute.";
    case "track/over-limit":
      return "You sent more than this room allows, so the server turned it off. You can turn it on again.";
    case "sdk/unsupported":
      return "This browser lacks WebRTC, or it is turned off. Use a current Chrome, Edge, Firefox or Safari.";
    case "sdk/socket":
    case "sdk/timeout":
      return "The server cannot be reached. Check your connection and try again.";
    default:
      return `Something went wrong (${code}). Try again.`;
  }
}

/** Why somebody is not called, or a call not answered. */
export function callProblem(code: RoundtableErrorCode): string {
  switch (code) {
    case "call/unknown":
      return "The call is over.";
    case "call/too-many":
      return "As many calls ring as may. Wait until one has ended.";
    case "call/bad":
      return "This is nobody who can be called, or yourself.";
    case "call/forbidden":
      return "This call is not yours to answer.";
    default:
      return roomProblem(code);
  }
}

/** Why it does not ring here. */
export function reachProblemOf(code: RoundtableErrorCode): string {
  switch (code) {
    case "token/missing":
      return "On this server only those can be called who have signed in.";
    case "token/expired":
    case "token/invalid":
      return "Sign in again, so that you can be called.";
    case "token/grant":
    case "token/room":
    case "call/bad":
      return "On this server you cannot be called.";
    default:
      return "The server cannot be reached: nobody can call you now.";
  }
}

/** Why one is not signed in, and what to do about it. */
export function loginProblem(code: string, waitMs?: number): string {
  switch (code) {
    case "login/refused":
      return "The name or the password is wrong.";
    case "login/rate":
      return `Too many wrong passwords. Try again in ${Math.max(1, Math.ceil((waitMs ?? 0) / 1000))} s.`;
    case "login/room":
      return "You may not enter this room. Ask whoever runs it.";
    case "login/provider":
      return "The identity provider did not let you in, or cannot be reached. Try again.";
    case "login/stale":
      return "This took too long, or was begun in another window. Sign in again.";
    default:
      return roomProblem(code as RoundtableErrorCode);
  }
}

/** Why a message was not sent. */
export function chatProblem(code: RoundtableErrorCode | undefined): string {
  switch (code) {
    case "chat/too-long":
      return "Too long: at most 16 KiB.";
    case "chat/rate":
      return "Not sent: too many messages at once.";
    case "chat/forbidden":
      return "You may not write here.";
    case "chat/bad-recipients":
      return "Not sent: it cannot go to so many, or to nobody.";
    case "member/unknown":
      return "Not sent: they are not here any more, and nobody else got it.";
    case "sdk/chat-queue-full":
      return "Too many messages wait already.";
    case "sdk/chat-unconfirmed":
      return "The connection was lost: perhaps it arrived, perhaps not.";
    default:
      return "Not sent.";
  }
}
