// What the page shows, as signals that follow the room's events. Views read these and call the functions below.

import { batch, computed, effect, signal } from "@preact/signals";
import {
  type ChatLine,
  type MemberInfo,
  type OutgoingChat,
  type Reachable,
  type RemoteTrackPublication,
  Room,
  type RoundtableErrorCode,
  signalUrl,
  type TrackSource,
  toRoundtableError,
} from "@roundtable/sdk";
import { locate, readOptions, roomLink } from "./address.ts";
import { chosenDevices, handOver, openTracks, reopen, takeBack } from "./devices.ts";
import { tokenFor } from "./entry.ts";
import { recall, remember } from "./kept.ts";
import { anyLogin, beginLogin, canSignIn, identityOf, loginFor, signOut } from "./login.ts";
import { followModeration, notice } from "./moderation.ts";
import { followReceiver, type Receiver, writeTo } from "./receiver.ts";
import { endOwnCalls, followCalls } from "./ring/calls.ts";
import { isReachable, listenAs } from "./ring/reach.ts";
import { announcement, problem } from "./said.ts";
import { deviceProblem, roomProblem, text } from "./text.ts";

/** Something seen: own tracks have no publication to wait for. */
export interface Picture {
  readonly key: string;
  readonly name: string;
  readonly track: MediaStreamTrack;
  readonly publication: RemoteTrackPublication | null;
}

/** One person, as a tile and a line of the list. */
export interface Person {
  readonly id: string;
  readonly name: string;
  readonly isSelf: boolean;
  readonly muted: boolean;
  /** The track of another's microphone. */
  readonly microphone: string | null;
  readonly camera: Picture | null;
  readonly screen: Picture | null;
  readonly sounds: readonly RemoteTrackPublication[];
}

/** Pages of everybody in a room. */
export interface Everybody {
  readonly members: readonly MemberInfo[];
  readonly next: number | null;
}

const place = locate(location.href, document.querySelector("base")?.href ?? null);
export const options = readOptions(location.search);
/** Where the server's pages are. */
export const home = place.home;

export const view = signal<"lobby" | "call" | "left">("lobby");
export const roomId = signal(place.room ?? "");
export const isRoomGiven = place.room !== null;
export const name = signal(recall("name"));
export const joining = signal(false);
/** Whether somebody inside is asked to let one in. */
export const knocking = signal(false);
if (isBadLink()) problem.value = text.badRoom;
// Whoever was invited need not sign in.
if (options.invite === null) void beginLogin(home, roomId.value, location.hash).then(takeName);
export const people = signal<readonly Person[]>([]);
/** Whether one may change one's name here. */
export const mayRename = signal(false);
/** Whether one may write here. */
export const mayChat = signal(false);
/** How many others are here who are not among the people: a large room lists those only who do something. */
export const viewers = signal(0);
/** Everybody in a large room, as far as one has turned the pages; null before the first. */
export const everybody = signal<Everybody | null>(null);
export const speakers = signal<ReadonlySet<string>>(new Set());
export const microphoneOn = signal(false);
export const cameraOn = signal(false);
export const screenOn = signal(false);
export const panel = signal<"chat" | "people" | null>(null);
export const messages = signal<readonly ChatLine[]>([]);
/** Whether there may be messages from before those that are known. */
export const hasEarlier = signal(true);
/** Who writes at this moment, by member. */
export const typists = signal<ReadonlyMap<string, string>>(new Map());
export const outgoing = signal<readonly OutgoingChat[]>([]);
export const unread = signal(0);
/** When the next attempt to come back begins, by `Date.now()`; null while connected. */
export const retryAt = signal<number | null>(null);
/** Whether one has just come back after an absence that was felt. */
export const isBack = signal(false);
/** Sounds the browser will not play before a click. */
export const soundBlocked = signal(false);

export const screens = computed(() =>
  people.value.flatMap(({ screen }) => (screen === null ? [] : [screen])),
);
export const sounds = computed(() => people.value.flatMap((person) => person.sounds));
export const link = computed(() => roomLink(place.home, roomId.value));

/** That one writes is said again after so long. */
const TYPING_AGAIN_MS = 3_000;
/** So long an absence is felt. */
const FELT_MS = 1_000;
/** So long it is said that one is back. */
const SAID_MS = 4_000;

let room: Room | null = null;

/** The name as it was when one had written it: nobody is to be called by half of it. */
const settledName = signal(name.value);
/** As whom one can be called while one is in no room; null for nobody. */
export const reachAs = computed<Reachable | null>(() => {
  const login = anyLogin();
  const identity = login === null ? settledName.value.trim() : identityOf(login);
  if (identity === null || identity === "") return null;
  return login === null ? { identity } : { identity, token: login.token };
});
effect(() => {
  const isIn = view.value === "call";
  // Whoever was invited is nobody who could be called.
  const isWanted = isReachable.value && options.invite === null && !isIn;
  // It is to ring by this name at the next visit too.
  if (isWanted && reachAs.value !== null && anyLogin() === null) remember("name", settledName.value);
  listenAs(place.home, isWanted ? reachAs.value : null, !isIn);
});

/** One has written one's name. */
export function settleName(): void {
  settledName.value = name.value;
}

/** Whether a message is one's own, from this or an earlier membership. */
export function isOwn({ member }: { member: string }): boolean {
  return member === room?.localParticipant.id || ownMembers.has(member);
}

const ownMembers = new Set<string>();

/** The attempt to enter that is under way, or was last. */
let entering: Promise<void> = Promise.resolve();

/** Enters the room with what the lobby prepared. */
export function join(): Promise<void> {
  if (!joining.value) entering = enter();
  return entering;
}

async function enter(): Promise<void> {
  problem.value = "";
  joining.value = true;
  settleName();
  remember("name", name.value);
  const joined = new Room(options.relay ? { configuration: { iceTransportPolicy: "relay" } } : {});
  room = joined;
  follow(joined);
  followModeration(joined);
  followReceiver(joined);
  followCalls(joined, tellOfCall);
  expose(joined);
  try {
    const local = joined.localParticipant;
    const devices = openTracks();
    if (devices.microphone !== null) await local.publishTrack(devices.microphone, "microphone");
    if (devices.camera !== null) await local.publishTrack(devices.camera, "camera");
    const login = loginFor(roomId.value);
    const token = login?.token ?? (await tokenFor(place.home, inviteTo(roomId.value), name.value.trim()));
    const who = { name: name.value.trim(), ...(token === undefined ? {} : { token }) };
    await joined.connect(signalUrl(place.home, roomId.value), who);
    handOver();
    showAddress();
    view.value = "call";
  } catch (error) {
    const { code } = toRoundtableError(error, "sdk/socket");
    view.value = "lobby";
    // Whoever stopped waiting knows why.
    problem.value = code === "sdk/closed" ? "" : entryProblem(code);
  } finally {
    joining.value = false;
    knocking.value = false;
  }
}

/** The address names the room; what it says of an invitation is of another. */
function showAddress(): void {
  const isOther = roomId.value !== locate(location.href, place.home.href).room;
  if (isOther)
    history.replaceState(null, "", options.invite === null ? `${link.value}${location.search}` : link.value);
}

/** Why one is not let in; who has signed in with what is no good any more does so again. */
function entryProblem(code: RoundtableErrorCode): string {
  if (code.startsWith("token/")) signOut(roomId.value);
  return code.startsWith("token/") && canSignIn() && options.invite === null
    ? text.signInFirst
    : roomProblem(code);
}

/** The invitation that one came with is to one room. */
function inviteTo(room: string): string | null {
  return room === place.room ? options.invite : null;
}

/** Whoever has signed in goes by the name of that. */
function takeName(): void {
  name.value = loginFor(roomId.value)?.name ?? name.value;
  settleName();
}

/** Waits no longer to be let in. */
export function stopWaiting(): void {
  room?.disconnect({ keepDevices: true });
}

/** Leaves for good. */
export function leave(): void {
  if (room !== null) endOwnCalls(room);
  room?.disconnect();
}

/** Whether one is in a room, or on the way from one to another. */
export function isInCall(): boolean {
  return view.value === "call" && room !== null && room.phase !== "disconnected";
}

/** The room that one is in, enters or was in last. */
export function currentRoom(): Room | null {
  return room;
}

/** Enters a room from wherever one is; from outside by another name, unless one has signed in. */
export async function goTo(to: string, as: string): Promise<void> {
  const wasIn = isInCall();
  if (joining.value) {
    room?.disconnect({ keepDevices: true });
    await entering;
  }
  if (isInCall()) leaveBehind();
  else if (view.value === "left") await reopen();
  if (!wasIn && anyLogin() === null) name.value = as;
  roomId.value = to;
  await join();
}

/** Leaves for another room. Devices that are on stay open; what is muted stays off there, too. */
function leaveBehind(): void {
  const left = room;
  if (left === null) return;
  endOwnCalls(left);
  // What it still tells is of no interest.
  room = null;
  const { publications, isCameraEnabled, isMicrophoneEnabled } = left.localParticipant;
  const camera = isCameraEnabled ? (publications.get("camera")?.track ?? null) : null;
  const microphone = isMicrophoneEnabled ? (publications.get("microphone")?.track ?? null) : null;
  for (const { track } of publications.values()) {
    if (track !== camera && track !== microphone) track?.stop();
  }
  left.disconnect({ keepDevices: true });
  batch(() => {
    takeBack({ camera, microphone });
    for (const list of [messages, outgoing, people]) list.value = [];
    everybody.value = null;
    unread.value = 0;
    viewers.value = 0;
    typists.value = new Map();
    screenOn.value = false;
  });
}

/** What became of a call stands in the list of people, if one looks at that. */
function tellOfCall(sentence: string): void {
  if (panel.value === "people") announcement.value = sentence;
  else notice.value = sentence;
}

/** Back to the lobby, devices and all. */
export function rejoin(): void {
  batch(() => {
    problem.value = "";
    panel.value = null;
    view.value = "lobby";
  });
}

/** The front page, where another room can be named. */
export function frontPage(): string {
  return place.home.href;
}

export const toggleMicrophone = exclusive(async ({ localParticipant: local }) => {
  const constraints =
    local.publications.get("microphone") === undefined ? chosenDevices().microphone : undefined;
  await local.setMicrophoneEnabled(!local.isMicrophoneEnabled, constraints);
}, "microphone");

export const toggleCamera = exclusive(async ({ localParticipant: local }) => {
  await local.setCameraEnabled(
    !local.isCameraEnabled,
    local.isCameraEnabled ? undefined : chosenDevices().camera,
  );
}, "camera");

export const toggleScreen = exclusive(async ({ localParticipant: local }) => {
  await local.setScreenShareEnabled(!local.isScreenShareEnabled);
}, "screen");

/** Opens one side panel, or closes it. */
export function togglePanel(which: "chat" | "people"): void {
  batch(() => {
    panel.value = panel.value === which ? null : which;
    everybody.value = null;
    if (panel.value === "chat") unread.value = 0;
  });
}

/** Opens the chat to write to one person alone. */
export function writePrivately(chosen: Receiver): void {
  writeTo(chosen);
  if (panel.value !== "chat") togglePanel("chat");
}

/** Tells the server how a picture is shown, until what is returned is called. */
export function watch(publication: RemoteTrackPublication, element: Element): () => void {
  return room?.watch(publication, element) ?? (() => {});
}

/** Turns the next page of everybody in the room. */
export async function turnPage(): Promise<void> {
  const before = everybody.value;
  if (room === null || before?.next === null) return;
  try {
    const page = await room.listMembers(before === null ? {} : { after: before.next });
    // Whoever turned twice gets the page once.
    if (everybody.value !== before) return;
    everybody.value = { members: [...(before?.members ?? []), ...page.members], next: page.next };
  } catch (error) {
    problem.value = roomProblem(toRoundtableError(error, "sdk/socket").code);
  }
}

/** Takes another name; says so to those who listen, or why it cannot be to everybody. */
export async function rename(wanted: string): Promise<boolean> {
  if (room === null) return false;
  try {
    await room.localParticipant.setName(wanted);
    name.value = wanted;
    remember("name", wanted);
    announcement.value = text.renamed(wanted);
    return true;
  } catch (error) {
    problem.value = roomProblem(toRoundtableError(error, "sdk/socket").code);
    return false;
  }
}

/** Writes to everybody, or to one person alone; gives the reason when the text cannot be sent. */
export function write(message: string, to: Receiver | null): RoundtableErrorCode | null {
  try {
    room?.sendChatMessage(message, to === null ? {} : { to: [to.id] });
    return null;
  } catch (error) {
    return toRoundtableError(error, "chat/empty").code;
  }
}

/** Puts a page of what was written before on top of what is shown. */
export async function showEarlier(): Promise<void> {
  try {
    hasEarlier.value = (await room?.loadEarlierChat()) ?? false;
  } catch (error) {
    problem.value = roomProblem(toRoundtableError(error, "sdk/socket").code);
  }
}

/** Says otherwise what one wrote. */
export function editMessage(message: string, said: string): void {
  room?.editChatMessage(message, said);
}

export function deleteMessage(message: string): void {
  room?.deleteChatMessage(message);
}

export function react(message: string, reaction: string, on: boolean): void {
  room?.reactToChatMessage(message, reaction, on);
}

let typedAt = 0;

/** Lets others know that one writes, as often as needs be, or that one does so no more. */
export function noteTyping(typing: boolean): void {
  const now = Date.now();
  if (typing ? now - typedAt < TYPING_AGAIN_MS : typedAt === 0) return;
  typedAt = typing ? now : 0;
  room?.setTyping(typing);
}

export function retryMessage(nonce: number): void {
  room?.chat.retry(nonce);
}

export function discardMessage(nonce: number): void {
  room?.chat.discard(nonce);
}

/** Puts the link into the clipboard, or shows it where that is not allowed. */
export async function copyLink(): Promise<void> {
  try {
    await navigator.clipboard.writeText(link.value);
    announcement.value = text.copied;
  } catch {
    problem.value = text.copyFailed(link.value);
  }
}

type Busy = "microphone" | "camera" | "screen";
/** Controls whose change is under way. */
export const busy = signal<ReadonlySet<Busy>>(new Set());

/** One change at a time; what goes wrong is shown. */
function exclusive(change: (room: Room) => Promise<void>, which: Busy): () => Promise<void> {
  return async () => {
    if (room === null || busy.value.has(which)) return;
    busy.value = new Set([...busy.value, which]);
    problem.value = "";
    try {
      await change(room);
    } catch (error) {
      const { code } = toRoundtableError(error, "device/failed");
      // Closing the browser's own picker is not a fault.
      if (which !== "screen" || code !== "device/denied") problem.value = problemOf(which, code);
    } finally {
      busy.value = new Set([...busy.value].filter((other) => other !== which));
    }
  };
}

function problemOf(which: Busy, code: RoundtableErrorCode): string {
  if (!code.startsWith("device/")) return roomProblem(code);
  return deviceProblem(which === "microphone" ? "microphone" : "camera", code);
}

function follow(joined: Room): void {
  const refresh = () => {
    people.value = snapshot(joined);
  };
  joined.on("participantJoined", (participant) => {
    refresh();
    if (view.value === "call") announcement.value = text.joined(participant.name);
  });
  joined.on("participantLeft", (participant) => {
    typists.value = new Map([...typists.value].filter(([member]) => member !== participant.id));
    refresh();
    announcement.value = text.leftRoom(participant.name);
  });
  joined.on("participantListed", refresh);
  joined.on("participantUpdated", refresh);
  joined.on("grantsChanged", ({ updateOwnMetadata, chat }) => {
    mayRename.value = updateOwnMetadata;
    mayChat.value = chat;
  });
  joined.on("participantUnlisted", refresh);
  joined.on("audienceChanged", (count) => {
    viewers.value = count;
  });
  for (const event of ["trackPublished", "trackUnpublished", "trackMuted", "trackSubscribed"] as const) {
    joined.on(event, refresh);
  }
  joined.on("trackUnsubscribed", refresh);
  joined.on("localTracksChanged", () => {
    const local = joined.localParticipant;
    batch(() => {
      microphoneOn.value = local.isMicrophoneEnabled;
      cameraOn.value = local.isCameraEnabled;
      screenOn.value = local.isScreenShareEnabled;
      refresh();
    });
  });
  joined.on("activeSpeakers", (ids) => {
    speakers.value = new Set(ids);
  });
  joined.on("chatChanged", () => {
    batch(() => {
      messages.value = joined.chat.messages;
      outgoing.value = [...joined.chat.outgoing];
    });
  });
  hasEarlier.value = true;
  joined.on("moved", () => {
    hasEarlier.value = true;
  });
  for (const event of ["chatMessage", "privateChatMessage"] as const) {
    joined.on(event, () => {
      if (panel.value !== "chat") unread.value += 1;
    });
  }
  joined.on("typing", (member, typing) => {
    const name = joined.remoteParticipants.get(member)?.name;
    const others = [...typists.value].filter(([other]) => other !== member);
    typists.value = new Map(typing && name !== undefined ? [...others, [member, name]] : others);
  });
  joined.on("waiting", () => {
    knocking.value = true;
    view.value = "lobby";
  });
  joined.on("publishingEnded", () => {
    notice.value = text.publishingEnded;
  });
  joined.on("moved", (to) => {
    roomId.value = to;
    history.replaceState(null, "", link.value);
    notice.value = text.moved(to);
  });
  let lostAt: number | null = null;
  const welcomed = () => {
    if (joined.localParticipant.id !== null) ownMembers.add(joined.localParticipant.id);
    retryAt.value = null;
    refresh();
  };
  joined.on("connected", welcomed);
  joined.on("reconnected", () => {
    welcomed();
    if (lostAt !== null && Date.now() - lostAt >= FELT_MS) sayBack();
    lostAt = null;
  });
  joined.on("reconnecting", ({ delayMs }) => {
    typists.value = new Map();
    lostAt ??= Date.now();
    batch(() => {
      retryAt.value = Date.now() + delayMs;
      isBack.value = false;
    });
  });
  joined.on("warning", (warning) => {
    problem.value = roomProblem(warning.code);
  });
  joined.on("disconnected", (code) => {
    if (view.value !== "call" || joined !== room || joining.value) return;
    batch(() => {
      view.value = "left";
      retryAt.value = null;
      isBack.value = false;
      problem.value = code === undefined ? "" : roomProblem(code);
    });
  });
}

let backTimer = 0;

function sayBack(): void {
  isBack.value = true;
  clearTimeout(backTimer);
  backTimer = window.setTimeout(() => {
    isBack.value = false;
  }, SAID_MS);
}

function snapshot(joined: Room): Person[] {
  const local = joined.localParticipant;
  const own = (source: TrackSource): Picture | null => {
    const publication = local.publications.get(source);
    const track = publication?.track;
    if (!track || publication.muted) return null;
    return { key: `own ${track.id}`, name: local.name, track, publication: null };
  };
  const self: Person = {
    id: local.id ?? "",
    name: local.name,
    isSelf: true,
    muted: !local.isMicrophoneEnabled,
    microphone: null,
    camera: own("camera"),
    screen: own("screen"),
    sounds: [],
  };
  const others = [...joined.remoteParticipants.values()].map((participant): Person => {
    const seen = (source: TrackSource): Picture | null => {
      const publication = participant.publication(source);
      if (publication === undefined || publication.track === null || publication.muted) return null;
      return { key: publication.id, name: participant.name, track: publication.track, publication };
    };
    const heard = (["microphone", "screenAudio"] as const).flatMap((source) => {
      const publication = participant.publication(source);
      return publication === undefined || publication.track === null ? [] : [publication];
    });
    return {
      id: participant.id,
      name: participant.name,
      isSelf: false,
      muted: participant.publication("microphone")?.muted ?? true,
      microphone: participant.publication("microphone")?.id ?? null,
      camera: seen("camera"),
      screen: seen("screen"),
      sounds: heard,
    };
  });
  return [self, ...others];
}

/** For tests, and for curious people with a console. */
function expose(joined: Room): void {
  Object.assign(window, { roundtable: { room: joined, stats: () => joined.stats() } });
}

function isBadLink(): boolean {
  return place.room === null && /\/r\/[^/]+\/?$/.test(location.pathname);
}

addEventListener("pagehide", leave);
