// Every sentence the page shows.
import type { RoundtableErrorCode } from "@roundtable/sdk";

export const text = {
  title: "Roundtable",
  yourName: "Your name",
  roomName: "Room",
  roomHint: "Letters, digits and - _ . ~ make up the link to share.",
  join: "Join",
  joinWithout: "Join without camera and microphone",
  joining: "Joining…",
  knocking: "Somebody inside is asked to let you in.",
  retryDevices: "Try devices again",
  camera: "Camera",
  microphone: "Microphone",
  level: "Microphone level",
  preview: "Your picture",
  previewOff: "Your camera is off",
  nameless: (kind: string, index: number) => `${kind} ${index}`,
  you: (name: string) => `${name} (you)`,
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
  peopleCount: (count: number) => `People, ${count} here`,
  viewers: (count: number) => (count === 1 ? "1 more watches." : `${count} more watch.`),
  showAll: "Show everybody",
  showMore: "Show more",
  copyLink: "Copy link",
  copied: "Link copied. Send it to those who shall come.",
  copyFailed: (link: string) => `The link is ${link}`,
  leave: "Leave",
  muted: "muted",
  speaking: "speaking",
  alone: "Nobody else is here yet. Copy the link and send it to somebody.",
  write: "Write to everybody",
  send: "Send",
  sending: "sending…",
  waiting: "waiting for the connection…",
  retry: "Send again",
  discard: "Discard",
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
  badRoom: "The link names no valid room.",
} as const;

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

/** Why a message was not sent. */
export function chatProblem(code: RoundtableErrorCode | undefined): string {
  switch (code) {
    case "chat/too-long":
      return "Too long: at most 16 KiB.";
    case "chat/rate":
      return "Not sent: too many messages at once.";
    case "chat/forbidden":
      return "You may not write here.";
    case "sdk/chat-queue-full":
      return "Too many messages wait already.";
    default:
      return "Not sent.";
  }
}
