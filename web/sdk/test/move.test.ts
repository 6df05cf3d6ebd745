// Who is sent to another room, and goes on there with the peer connection that there was.
import { describe, expect, test } from "vitest";
import type { EventBody, ServerMessage, TrackInfo, Welcome } from "../src/protocol.ts";
import { Room } from "../src/room.ts";
import {
  answer,
  at,
  enter,
  FakePlatform,
  type FakeTransceiver,
  fakeTrack,
  GRANTS,
  roomState,
  settle,
  welcome,
} from "./fakes.ts";

const me = { id: "me", name: "Me" };
const you = { id: "you", name: "Me" };
const ann = { id: "ann", name: "Ann" };
const bob = { id: "bob", name: "Bob" };
const resume = { token: "secret", withinS: 60 };
const resumed: ServerMessage = {
  type: "resumed",
  member: you,
  grants: GRANTS,
  iceServers: [],
  media: true,
  slots: [],
};

function camera(id: string, member: string): TrackInfo {
  return { id, member, source: "camera", muted: false, codec: "VP8", layers: 1 };
}

function chat(seq: number, text: string): ServerMessage {
  return { type: "chat", message: { id: `c${seq}`, seq, at: seq, member: "ann", name: "Ann", text } };
}

function event(seq: number, body: EventBody): ServerMessage {
  return { type: "event", event: { seq, at: seq, ...body } };
}

const slot = (mid: string, generation: number, id: string, member: string) => ({
  mid,
  generation,
  track: { id, member, rtpTimestamp: 1 },
});

/** In a room with Ann and her camera, with a microphone and a camera of one's own, which are m-lines 0 and 1. */
async function setUp() {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const log: string[] = [];
  room.on("moved", (to) => log.push(`moved to ${to}`));
  room.on("reconnecting", ({ code }) => log.push(`reconnecting ${code}`));
  room.on("reconnected", () => log.push("reconnected"));
  room.on("disconnected", (code) => log.push(`disconnected ${code}`));
  room.on("participantJoined", (p) => log.push(`+${p.name}`));
  room.on("participantLeft", (p) => log.push(`-${p.name}`));
  room.on("trackSubscribed", (track, p) => log.push(`${p.id} on ${track.id}`));
  room.on("trackUnsubscribed", (_, p) => log.push(`${p.id} off`));
  room.on("publishingEnded", (sources) => log.push(`ended ${sources}`));
  room.on("chatMessage", ({ text }) => log.push(`“${text}”`));
  await room.localParticipant.publishTrack(fakeTrack("audio", "m"), "microphone");
  await room.localParticipant.publishTrack(fakeTrack("video", "c"), "camera");
  void room.connect("ws://test/ws?room=r", { name: "Me", token: "mine" });
  const state = roomState({ seq: 10, members: [me, ann], tracks: [camera("cam", "ann")] });
  await enter(platform, welcome({ state, resume }));
  const { connection } = platform;
  connection.become("connected");
  for (const channel of connection.channels) channel.open();
  platform.socket.receive({ type: "slots", changes: [slot("4", 9, "cam", "ann")] });
  log.length = 0;
  return { platform, room, log, connection };
}

/** Is told to go, over a socket that ends then. */
function send(platform: FakePlatform, to = "next"): void {
  const { socket } = platform;
  socket.receive({ type: "move", room: to, ticket: `move_${to}`, expiresInS: 30, media: true });
  socket.receive({ type: "goodbye", code: "room/moved", message: "on" });
  socket.drop(4410);
}

/** Is let into the next room, as far as the offer. */
async function arrive(platform: FakePlatform, patch: Partial<Welcome> = {}): Promise<void> {
  const state = roomState({ room: "next", epoch: 2, seq: 3, members: [you, bob] });
  platform.socket.open();
  platform.socket.receive(welcome({ room: "next", member: you, state, resume, media: true, ...patch }));
  platform.socket.receive({ type: "chatHistory", messages: [], complete: true });
  await settle();
}

function activeOf(line: FakeTransceiver | undefined): unknown[] {
  return line?.sender.getParameters().encodings.map(({ active }) => active) ?? [];
}

describe("going to another room", () => {
  test("the same peer connection goes on, with one offer that names all tracks", async () => {
    const { platform, room, log, connection } = await setUp();
    const [offers, lines] = [connection.offers.length, connection.lines.length];
    send(platform);
    expect(platform.socket.url).toBe("ws://test/ws?room=next");
    platform.socket.open();
    expect(at(platform.socket.of("hello"), 0)).toMatchObject({ token: "move_next", media: true });
    expect(at(platform.socket.of("hello"), 0).resume).toBeUndefined();
    await arrive(platform);
    expect(room.phase).toBe("reconnecting");
    expect(platform.socket.of("offer")).toHaveLength(1);
    expect(at(platform.socket.of("offer"), 0)).toMatchObject({
      tracks: [
        { mid: "0", source: "microphone", muted: false },
        { mid: "1", source: "camera", muted: false },
      ],
    });
    expect(at(platform.socket.of("offer"), 0).fresh).toBeUndefined();
    expect(at(platform.socket.of("offer"), 0).tracks.map(({ track }) => track)).toEqual([
      undefined,
      undefined,
    ]);
    await answer(platform);
    expect(room.phase).toBe("connected");
    expect(log).toEqual(["cam off", "moved to next", "-Ann", "+Bob", "reconnected"]);
    expect(platform.connections).toEqual([connection]);
    expect([connection.closed, room.peerConnection]).toEqual([false, connection]);
    expect([connection.offers.length, connection.lines.length]).toEqual([offers + 1, lines]);
    expect(room.localParticipant.publications.get("camera")?.id).toBe("t1");
  });

  test("channels are made anew, and nothing of the room before is heard or said on the old ones", async () => {
    const { platform, room, log, connection } = await setUp();
    const before = [...connection.channels];
    const [oldChat, oldData] = [at(before, 0), at(before, 1)];
    const heard = [...before].map(({ onmessage }) => onmessage);
    const sent = oldChat.sent.length;
    const data: string[] = [];
    room.on("data", ({ topic }) => data.push(topic));
    platform.socket.receive({ type: "move", room: "next", ticket: "t", expiresInS: 30, media: true });
    // Before the socket ends, at once.
    expect(before.map(({ readyState }) => readyState)).toEqual(["closed", "closed", "closed"]);
    expect(before.map(({ onmessage }) => onmessage)).toEqual([null, null, null]);
    expect(heard).not.toContain(null);
    oldChat.receive(chat(99, "of the room before"));
    platform.socket.receive({ type: "goodbye", code: "room/moved", message: "on" });
    platform.socket.drop(4410);
    const nonce = room.sendChatMessage("for the next room");
    const published = room.publishData("topic", new Uint8Array([1]));
    await arrive(platform);
    const after = connection.channels.slice(before.length);
    expect(after.map(({ label }) => label)).toEqual(before.map(({ label }) => label));
    for (const channel of after) channel.open();
    expect(after.flatMap((channel) => channel.sent)).toEqual([]);
    const packed: unknown[] = [];
    // What waited for the history does not wait for the channel.
    expect(platform.socket.of("chat")).toEqual([{ type: "chat", nonce, text: "for the next room" }]);
    platform.socket.receive({ ...chat(4, "for the next room"), nonce } as ServerMessage);
    at(after, 1).send = (frame: unknown) => void packed.push(frame);
    await answer(platform);
    await published;
    room.sendChatMessage("by the channel");
    expect(at(after, 0).sent).toMatchObject([{ type: "chat", text: "by the channel" }]);
    expect(packed).toHaveLength(1);
    oldChat.receive(chat(98, "of the room before"));
    oldData.onmessage?.({ data: new ArrayBuffer(8) });
    at(after, 0).receive(chat(5, "of this room"));
    expect(log.filter((line) => line.startsWith("“"))).toEqual(["“for the next room”", "“of this room”"]);
    expect([oldChat.sent.length, data]).toEqual([sent, []]);
  });

  test("what the former room switched off is sent again before the next one gets an offer", async () => {
    const { platform, connection } = await setUp();
    const line = connection.transceivers[1];
    if (line === undefined) throw new Error("the camera has a line");
    const encodings = ["q", "h", "f"].map((rid) => ({ rid, active: rid === "q" }));
    platform.socket.receive({ type: "layers", track: "t1", encodings });
    await settle();
    expect(activeOf(line)).toEqual([true, false, false]);
    const set = line.sender.setParameters;
    let apply: () => void = () => {};
    line.sender.setParameters = async (parameters) => {
      await new Promise<void>((resolve) => {
        apply = resolve;
      });
      await set(parameters);
    };
    send(platform);
    expect(activeOf(line)).toEqual([true, false, false]);
    await arrive(platform);
    expect(platform.socket.of("offer")).toEqual([]);
    apply();
    await settle();
    expect(activeOf(line)).toEqual([true, true, true]);
    expect(platform.socket.of("offer")).toHaveLength(1);
    await answer(platform);
  });

  test("m-lines number their changes anew, and those that come with the welcome count", async () => {
    const { platform, log } = await setUp();
    send(platform);
    platform.socket.open();
    const state = roomState({ epoch: 2, members: [you, bob], tracks: [camera("cam2", "bob")] });
    platform.socket.receive(welcome({ member: you, state, media: true }));
    platform.socket.receive({ type: "slots", changes: [slot("4", 1, "cam2", "bob")] });
    expect(log.at(-1)).toBe("cam2 on remote-4");
    await settle();
    await answer(platform);
    platform.socket.receive({ type: "slots", changes: [{ mid: "4", generation: 2, track: null }] });
    expect(log.at(-1)).toBe("cam2 off");
  });

  test("what may not be published in the next room is not sent there", async () => {
    const { platform, room, log, connection } = await setUp();
    send(platform);
    await arrive(platform, { grants: { ...GRANTS, sources: ["microphone"] } });
    await answer(platform);
    expect(at(platform.socket.of("offer"), 0).tracks.map(({ source }) => source)).toEqual(["microphone"]);
    expect(connection.transceivers[1]?.sender.track).toBeNull();
    expect(log).toContain("ended camera");
    expect([...room.localParticipant.publications.keys()]).toEqual(["microphone"]);
  });

  test("what changes on the way is sent as it is on arrival", async () => {
    const { platform, room, connection } = await setUp();
    const local = room.localParticipant;
    await local.setMicrophoneEnabled(false);
    send(platform);
    await local.setCameraEnabled(false);
    await local.publishTrack(fakeTrack("video", "s"), "screen");
    await arrive(platform);
    await answer(platform);
    expect(at(platform.socket.of("offer"), 0).tracks).toEqual([
      { mid: "0", source: "microphone", muted: true },
      { mid: "1", source: "camera", muted: true },
      { mid: expect.any(String), source: "screen", muted: false },
    ]);
    expect(connection.transceivers[1]?.sender.track).toBeNull();
    expect(at(connection.transceivers, -1).sender.track?.id).toBe("s");
    await local.publishTrack(fakeTrack("video", "again"), "camera");
    expect(connection.transceivers[1]?.sender.track?.id).toBe("again");
    expect(at(platform.socket.of("mute"), -1)).toEqual({ type: "mute", track: "t1", muted: false });
  });

  test("what ended on the way is not published, and its m-line is free", async () => {
    const { platform, room, connection } = await setUp();
    const lines = connection.lines.length;
    send(platform);
    await room.localParticipant.unpublishTrack("camera");
    await arrive(platform);
    await answer(platform);
    expect(at(platform.socket.of("offer"), 0).tracks.map(({ mid }) => mid)).toEqual(["0"]);
    expect(connection.transceivers[1]?.sender.track).toBeNull();
    void room.localParticipant.publishTrack(fakeTrack("video", "next"), "camera");
    await settle();
    await answer(platform);
    expect(at(platform.socket.of("offer"), -1).tracks.map(({ mid }) => mid)).toEqual(["0", "1"]);
    expect(connection.lines).toHaveLength(lines);
  });

  test("more seats and voices come with the same offer, and fewer change nothing", async () => {
    const { platform, connection } = await setUp();
    const lines = connection.lines.length;
    send(platform);
    await arrive(platform, { seats: 4, voiceSlots: 3 });
    expect(connection.lines).toHaveLength(lines + 2 * 2 + 3);
    expect(at(platform.socket.of("offer"), 0).sdp.match(/^m=/gm)).toHaveLength(lines + 7);
    await answer(platform);
    expect(platform.socket.of("offer")).toHaveLength(1);
    send(platform, "third");
    await arrive(platform, { seats: 1, voiceSlots: 0 });
    expect(connection.lines).toHaveLength(lines + 7);
    await answer(platform);
  });

  test("a publication that is under way at that moment is made in the next room", async () => {
    const { platform, room, connection } = await setUp();
    const { socket } = platform;
    let isPublished = false;
    void room.localParticipant.publishTrack(fakeTrack("video", "s"), "screen").then(() => {
      isPublished = true;
    });
    await settle();
    expect(at(socket.of("offer"), -1).tracks).toHaveLength(3);
    const offer = at(socket.of("offer"), -1);
    socket.receive({ type: "move", room: "next", ticket: "t", expiresInS: 30, media: true });
    socket.receive({ type: "error", id: offer.id, code: "offer/bad", message: "", fatal: false } as never);
    socket.receive({ type: "goodbye", code: "room/moved", message: "on" });
    socket.drop(4410);
    await arrive(platform);
    expect(at(platform.socket.of("offer"), 0)).toMatchObject({ sdp: offer.sdp });
    await answer(platform);
    expect(isPublished).toBe(true);
    await answer(platform);
    expect([room.phase, platform.connections.length]).toEqual(["connected", 1]);
    expect(connection.rollbacks).toBe(0);
    expect(room.localParticipant.publications.get("screen")?.id).toMatch(/^t/);
  });

  test("a connection that was not kept is closed, and another one made", async () => {
    const { platform, room, log, connection } = await setUp();
    send(platform);
    await arrive(platform, { media: false });
    expect([connection.closed, platform.connections.length]).toEqual([true, 2]);
    const offer = at(platform.socket.of("offer"), 0);
    expect([offer.fresh, offer.tracks.length]).toEqual([undefined, 2]);
    await answer(platform);
    expect([room.phase, log.at(-1)]).toEqual(["connected", "reconnected"]);
  });

  test("a connection that breaks before the hello is not spoken of", async () => {
    const { platform, room, connection } = await setUp();
    platform.socket.receive({ type: "move", room: "next", ticket: "t", expiresInS: 30, media: true });
    connection.become("failed");
    platform.socket.drop(4410);
    await arrive(platform, { media: false });
    expect(at(platform.socket.of("hello"), 0).media).toBeUndefined();
    await answer(platform);
    expect([room.phase, connection.closed, platform.connections.length]).toEqual(["connected", true, 2]);
    expect(at(platform.socket.of("offer"), 0).fresh).toBeUndefined();
  });

  test("one that breaks between hello and welcome is replaced", async () => {
    const { platform, room, connection } = await setUp();
    send(platform);
    platform.socket.open();
    expect(at(platform.socket.of("hello"), 0).media).toBe(true);
    connection.become("failed");
    await arrive(platform);
    expect(platform.connections).toHaveLength(2);
    // To close it now would tell the server something.
    expect(connection.closed).toBe(false);
    expect(at(platform.socket.of("offer"), 0).fresh).toBe(true);
    await answer(platform);
    expect([room.phase, connection.closed]).toEqual(["connected", true]);
  });

  test("one that the server finds lost is replaced, as any", async () => {
    const { platform, room, log, connection } = await setUp();
    send(platform);
    await arrive(platform);
    platform.socket.receive({ type: "mediaLost", code: "ice/consent", message: "silence" });
    expect(log.at(-1)).toBe("reconnecting ice/consent");
    await platform.clock.advance(1_000);
    platform.socket.open();
    platform.socket.receive({ ...resumed, media: false } as ServerMessage);
    await settle();
    expect(platform.connections).toHaveLength(2);
    expect(at(platform.socket.of("offer"), 0).fresh).toBe(true);
    await answer(platform);
    expect([room.phase, connection.closed]).toEqual(["connected", true]);
  });

  test("a path that breaks on the way is looked for anew with the first offer", async () => {
    const { platform, room, connection } = await setUp();
    const offers = connection.offers.length;
    send(platform);
    connection.become("disconnected");
    await platform.clock.advance(3_000);
    expect(connection.offers).toHaveLength(offers);
    await arrive(platform);
    expect(connection.offers.slice(offers)).toEqual([{ iceRestart: true }]);
    await answer(platform);
    expect([room.phase, connection.offers.length]).toEqual(["connected", offers + 1]);
  });

  test("a hello without an answer is said again, with the same ticket and the same connection", async () => {
    const { platform, room, log, connection } = await setUp();
    send(platform);
    platform.socket.open();
    platform.socket.drop();
    expect(log.at(-1)).toBe("reconnecting sdk/socket");
    await platform.clock.advance(1_000);
    await arrive(platform);
    expect(at(platform.socket.of("hello"), 0)).toMatchObject({ token: "move_next", media: true });
    await answer(platform);
    expect([room.phase, connection.closed, platform.connections.length]).toEqual(["connected", false, 1]);
    // What is said later is said as the member that one is now.
    platform.socket.drop();
    await platform.clock.advance(1_000);
    platform.socket.open();
    expect(at(platform.socket.of("hello"), 0)).toMatchObject({ resume: { token: "secret", epoch: 2 } });
    expect(at(platform.socket.of("hello"), 0).media).toBeUndefined();
  });

  test("a refused ticket ends it all", async () => {
    const { platform, room, log, connection } = await setUp();
    send(platform);
    platform.socket.open();
    platform.socket.receive({ type: "error", code: "hello/forbidden", message: "used", fatal: true });
    platform.socket.drop(4403);
    expect([room.phase, connection.closed]).toEqual(["disconnected", true]);
    expect(log.at(-1)).toBe("disconnected hello/forbidden");
    await platform.clock.advance(60_000);
    expect([platform.sockets.length, platform.clock.pending]).toEqual([2, 0]);
  });

  test("a socket that is lost before the first answer does not count as arrived", async () => {
    const { platform, room, connection } = await setUp();
    send(platform);
    await arrive(platform);
    const first = at(platform.socket.of("offer"), 0);
    platform.socket.drop();
    await platform.clock.advance(1_000);
    platform.socket.open();
    platform.socket.receive(resumed);
    await settle();
    expect(room.phase).toBe("reconnecting");
    expect({ ...at(platform.socket.of("offer"), 0), id: 0 }).toEqual({ ...first, id: 0 });
    await answer(platform);
    expect([room.phase, platform.connections.length, connection.closed]).toEqual(["connected", 1, false]);
  });

  test("the goodbye may be lost", async () => {
    const { platform, room, connection } = await setUp();
    platform.socket.receive({ type: "move", room: "next", ticket: "t", expiresInS: 30, media: true });
    platform.socket.drop();
    expect(platform.socket.url).toBe("ws://test/ws?room=next");
    await arrive(platform);
    await answer(platform);
    expect([room.phase, connection.closed]).toEqual(["connected", false]);
  });

  test("who is sent on, and back again, still has the same connection", async () => {
    const { platform, room, log, connection } = await setUp();
    send(platform);
    await arrive(platform);
    await answer(platform);
    for (const channel of connection.channels.slice(3)) channel.open();
    send(platform, "r");
    await arrive(platform);
    await answer(platform);
    expect(platform.connections).toEqual([connection]);
    expect([room.phase, connection.closed]).toEqual(["connected", false]);
    expect(log.filter((line) => line.startsWith("moved") || line.startsWith("re"))).toEqual([
      "moved to next",
      "reconnected",
      "moved to r",
      "reconnected",
    ]);
    expect(connection.channels.map(({ readyState }) => readyState)).toEqual([
      ...Array.from({ length: 6 }, () => "closed"),
      ...Array.from({ length: 3 }, () => "connecting"),
    ]);
  });

  test("who is sent on before the room has answered arrives all the same", async () => {
    const { platform, room, connection } = await setUp();
    send(platform);
    await arrive(platform);
    send(platform, "third");
    await arrive(platform);
    expect(room.phase).toBe("reconnecting");
    await answer(platform);
    await answer(platform);
    expect(room.phase).toBe("connected");
    expect(platform.connections).toEqual([connection]);
    // And who is sent on before its offer is made.
    send(platform, "fourth");
    platform.socket.open();
    platform.socket.receive(welcome({ member: you, resume, media: true }));
    send(platform, "fifth");
    await arrive(platform);
    await answer(platform);
    expect(room.phase).toBe("connected");
    expect(connection.channels.filter(({ readyState }) => readyState === "connecting")).toHaveLength(3);
    platform.socket.receive(event(4, { type: "joined", member: ann }));
    expect([...room.remoteParticipants.keys()]).toEqual(["bob", "ann"]);
  });

  test("a connection that was never answered does not go along", async () => {
    const platform = new FakePlatform();
    const room = new Room({ platform });
    void room.connect("ws://test/ws?room=r", { name: "Me" });
    platform.socket.open();
    platform.socket.receive(welcome());
    await settle();
    const { connection } = platform;
    send(platform);
    expect(connection.closed).toBe(true);
    await arrive(platform, { media: false });
    expect(at(platform.socket.of("hello"), 0).media).toBeUndefined();
    await answer(platform);
    expect([room.phase, platform.connections.length]).toEqual(["connected", 2]);
  });

  test("leaving on the way ends everything", async () => {
    const { platform, room, connection } = await setUp();
    send(platform);
    platform.socket.open();
    expect(connection.closed).toBe(false);
    room.disconnect();
    expect([connection.closed, at(connection.channels, 0).readyState]).toEqual([true, "closed"]);
    await platform.clock.advance(60_000);
    expect([platform.sockets.length, platform.clock.pending]).toEqual([2, 0]);
  });
});
