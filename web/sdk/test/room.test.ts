import { describe, expect, test } from "vitest";
import { ICE_RESTART_AFTER_MS } from "../src/media.ts";
import type { EventBody, ServerMessage, TrackInfo } from "../src/protocol.ts";
import { Room, signalUrl } from "../src/room.ts";
import { CLOSE_TO_RETURN } from "../src/signal.ts";
import { GATHER_MS } from "../src/views.ts";
import {
  answer,
  at,
  enter,
  FakeChannel,
  FakePlatform,
  fakeTrack,
  GRANTS,
  roomState,
  settle,
  welcome,
} from "./fakes.ts";

const me = { id: "me", name: "Me" };
const ann = { id: "ann", name: "Ann" };

function info(id: string, patch: Partial<TrackInfo> = {}): TrackInfo {
  return { id, member: "ann", source: "camera", muted: false, codec: "VP8", layers: 1, ...patch };
}

function event(seq: number, body: EventBody): ServerMessage {
  return { type: "event", event: { seq, at: seq, ...body } };
}

function setUp() {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const log: string[] = [];
  room.on("connected", () => log.push("connected"));
  room.on("reconnecting", ({ attempt, delayMs, code }) =>
    log.push(`reconnecting ${attempt} ${delayMs} ${code}`),
  );
  room.on("reconnected", () => log.push("reconnected"));
  room.on("disconnected", (code) => log.push(`disconnected ${code}`));
  room.on("participantJoined", (p) => log.push(`+${p.name}`));
  room.on("participantLeft", (p) => log.push(`-${p.name}`));
  room.on("trackPublished", (p) => log.push(`published ${p.id}`));
  room.on("trackUnpublished", (p) => log.push(`unpublished ${p.id}`));
  room.on("trackSubscribed", (track, p) => log.push(`${p.id} on ${track.id}`));
  room.on("trackUnsubscribed", (_, p) => log.push(`${p.id} off`));
  return { platform, room, log };
}

describe("a room", () => {
  test("offers own tracks first, then the chat channel, then seats", async () => {
    const { platform, room, log } = setUp();
    await room.localParticipant.publishTrack(fakeTrack("audio"), "microphone");
    await room.localParticipant.publishTrack(fakeTrack("video"), "camera", { muted: true });
    const connected = room.connect("ws://test/ws?room=r", { name: "Me" });
    await enter(platform);
    await connected;
    expect(log).toEqual(["connected"]);
    const { connection } = platform;
    const shape = connection.lines.map((l) =>
      l instanceof FakeChannel ? l.label : `${l.kind} ${l.init.direction}`,
    );
    expect(shape).toEqual([
      "audio sendonly",
      "video sendonly",
      "roundtable.chat",
      ...["audio recvonly", "video recvonly", "audio recvonly", "video recvonly"],
    ]);
    expect(connection.configuration.bundlePolicy).toBe("max-bundle");
    expect(at(platform.socket.of("offer"), 0).tracks).toEqual([
      { mid: "0", source: "microphone", muted: false },
      { mid: "1", source: "camera", muted: true },
    ]);
    expect(room.localParticipant.publications.get("camera")?.id).toBe("t1");
    const encodings = connection.transceivers[1]?.init.sendEncodings ?? [];
    expect(encodings.map((e) => `${e.rid} ${e.scaleResolutionDownBy}`)).toEqual(["q 4", "h 2", "f 1"]);
  });

  test("publishes simulcast without temporal layers where the browser refuses them", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    platform.connection.refuse = (init) => JSON.stringify(init).includes("scalabilityMode");
    void room.localParticipant.publishTrack(fakeTrack("video"), "camera");
    await settle();
    const encodings = at(platform.connection.transceivers, -1).init.sendEncodings ?? [];
    expect(encodings.map((e) => e.rid)).toEqual(["q", "h", "f"]);
  });

  test("sends only the encodings that are wanted, and all of the next track on that line", async () => {
    const { platform, room } = setUp();
    await room.localParticipant.publishTrack(fakeTrack("video"), "camera");
    void room.connect("ws://test", { name: "Me" });
    platform.socket.open();
    platform.socket.receive(welcome());
    await settle();
    const active = () =>
      at(platform.connection.transceivers, 0)
        .sender.getParameters()
        .encodings.map((e) => e.active);
    const encodings = ["q", "h", "f"].map((rid) => ({ rid, active: rid === "q" }));
    // The server may speak of a track while its answer is still being taken in.
    const offer = at(platform.socket.of("offer"), -1);
    platform.socket.receive({ type: "answer", id: offer.id, sdp: "", tracks: [{ mid: "0", track: "t0" }] });
    platform.socket.receive({ type: "layers", track: "t0", encodings });
    await settle();
    expect(active()).toEqual([true, false, false]);
    await room.localParticipant.unpublishTrack("camera");
    void room.localParticipant.publishTrack(fakeTrack("video"), "camera");
    await settle();
    expect(active()).toEqual([true, true, true]);
  });

  test("a track that the server muted is off, and can be turned on again", async () => {
    const { platform, room } = setUp();
    const track = fakeTrack("video");
    await room.localParticipant.publishTrack(track, "camera");
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    platform.socket.receive(
      event(1, { type: "muted", track: "t0", member: "me", muted: true, code: "track/over-limit" }),
    );
    expect(room.localParticipant.isCameraEnabled).toBe(false);
    expect(track.enabled).toBe(false);
    await room.localParticipant.publishTrack(track, "camera");
    expect(at(platform.socket.of("mute"), -1)).toMatchObject({ track: "t0", muted: false });
  });

  test("tells how a track is shown, also to the next connection", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    const state = roomState({ members: [me, ann], tracks: [info("cam")] });
    await enter(platform, welcome({ state }));
    const element = {} as Element;
    const publication = room.remoteParticipants.get("ann")?.publication("camera");
    if (publication === undefined) throw new Error("Ann publishes");
    const stop = room.watch(publication, element);
    platform.watched.get(element)?.({ visible: true, width: 640, height: 360 });
    await platform.clock.advance(GATHER_MS);
    const view = { track: "cam", visible: true, pinned: false, width: 640, height: 360 };
    expect(platform.socket.of("view")).toEqual([{ type: "view", changes: [view] }]);
    platform.socket.drop();
    await platform.clock.advance(300);
    await enter(platform, welcome({ state }));
    await platform.clock.advance(GATHER_MS);
    expect(platform.socket.of("view")).toEqual([{ type: "view", changes: [view] }]);
    stop();
    await platform.clock.advance(GATHER_MS);
    expect(at(platform.socket.of("view"), -1).changes).toEqual([
      { track: "cam", visible: true, pinned: false },
    ]);
    expect(platform.watched.size).toBe(0);
  });

  test("asks the server for its figures", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    const asked = room.serverStats();
    const stats = {
      member: "me",
      at: 1,
      limits: { receive: {}, publish: {} },
      path: null,
      slots: [],
      tracks: [],
    };
    platform.socket.receive({ type: "stats", id: at(platform.socket.of("getStats"), 0).id, stats });
    expect(await asked).toEqual(stats);
    const refused = room.serverStats();
    const id = at(platform.socket.of("getStats"), 1).id;
    platform.socket.receive({ type: "error", id, code: "stats/rate", message: "", fatal: false });
    await expect(refused).rejects.toMatchObject({ code: "stats/rate" });
  });

  test("grows seats once for many wishes", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    platform.socket.receive({ type: "growSeats", seats: 4 });
    platform.socket.receive({ type: "growSeats", seats: 8 });
    platform.socket.receive({ type: "growSeats", seats: 4 });
    await settle();
    await answer(platform);
    expect(platform.connection.transceivers).toHaveLength(16);
    expect(platform.socket.of("offer").length).toBeLessThanOrEqual(3);
    platform.socket.receive({ type: "growSeats", seats: 8 });
    await settle();
    const offers = platform.socket.of("offer").length;
    await answer(platform);
    expect(platform.socket.of("offer")).toHaveLength(offers);
  });

  test("a slot may be told before its track and after it", async () => {
    const { platform, room, log } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    const { socket } = platform;
    const owner = (id: string) => ({ id, member: "ann", rtpTimestamp: 1 });
    log.length = 0;
    socket.receive(event(1, { type: "joined", member: ann }));
    socket.receive({ type: "slots", changes: [{ mid: "2", generation: 1, track: owner("cam") }] });
    socket.receive(event(2, { type: "published", track: info("cam") }));
    socket.receive(event(3, { type: "published", track: info("screen", { source: "screen" }) }));
    socket.receive({ type: "slots", changes: [{ mid: "2", generation: 2, track: owner("screen") }] });
    socket.receive({ type: "slots", changes: [{ mid: "2", generation: 3, track: null }] });
    expect(log).toEqual([
      "+Ann",
      "published cam",
      "cam on remote-2",
      "published screen",
      "cam off",
      "screen on remote-2",
      "screen off",
    ]);
  });

  test("two tracks may change places in one message", async () => {
    const { platform, room, log } = setUp();
    void room.connect("ws://test", { name: "Me" });
    const state = roomState({ members: [me, ann], tracks: [info("a"), info("b", { source: "screen" })] });
    await enter(platform, welcome({ state }));
    const change = (mid: string, generation: number, id: string) => ({
      mid,
      generation,
      track: { id, member: "ann", rtpTimestamp: 1 },
    });
    platform.socket.receive({ type: "slots", changes: [change("2", 1, "a"), change("4", 1, "b")] });
    log.length = 0;
    platform.socket.receive({ type: "slots", changes: [change("2", 2, "b"), change("4", 2, "a")] });
    expect(log).toEqual(["a off", "b off", "b on remote-2", "a on remote-4"]);
  });

  test("a track that moved stays, though its former slot is freed later", async () => {
    const { platform, room, log } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform, welcome({ state: roomState({ members: [me, ann], tracks: [info("a")] }) }));
    const track = { id: "a", member: "ann", rtpTimestamp: 1 };
    platform.socket.receive({ type: "slots", changes: [{ mid: "2", generation: 1, track }] });
    platform.socket.receive({ type: "slots", changes: [{ mid: "4", generation: 1, track }] });
    log.length = 0;
    platform.socket.receive({ type: "slots", changes: [{ mid: "2", generation: 2, track: null }] });
    expect(log).toEqual([]);
  });

  test("who leaves is gone with their tracks", async () => {
    const { platform, room, log } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform, welcome({ state: roomState({ seq: 4, members: [me, ann], tracks: [info("a")] }) }));
    platform.socket.receive(event(4, { type: "left", member: "ann", reason: "left" }));
    expect(room.remoteParticipants.size).toBe(1);
    log.length = 0;
    platform.socket.receive(event(5, { type: "left", member: "ann", reason: "left" }));
    expect(log).toEqual(["unpublished a", "-Ann"]);
    expect(room.remoteParticipants.size).toBe(0);
  });

  test("where no place is kept it comes back as a new member with the same tracks", async () => {
    const { platform, room, log } = setUp();
    await room.localParticipant.publishTrack(fakeTrack("audio", "mic"), "microphone");
    void room.connect("ws://test", { name: "Me" });
    await enter(platform, welcome({ state: roomState({ members: [me, ann], tracks: [info("a")] }) }));
    platform.socket.receive({
      type: "slots",
      changes: [{ mid: "3", generation: 1, track: { id: "a", member: "ann", rtpTimestamp: 1 } }],
    });
    log.length = 0;
    const before = platform.connection;
    platform.socket.drop();
    expect(before.closed).toBe(true);
    expect(room.phase).toBe("reconnecting");
    await platform.clock.advance(300);
    expect(platform.sockets).toHaveLength(2);
    platform.socket.drop();
    await platform.clock.advance(600);
    // The former self is still listed until the server misses it.
    const members = [me, ann, { id: "me2", name: "Me" }];
    const state = roomState({ members, tracks: [info("a"), info("mine", { member: "me" })] });
    await enter(platform, welcome({ member: { id: "me2", name: "Me" }, state }));
    expect(log).toEqual([
      "a off",
      "reconnecting 1 0 sdk/socket",
      "reconnecting 2 300 sdk/socket",
      "reconnected",
    ]);
    expect([...room.remoteParticipants.keys()]).toEqual(["ann"]);
    expect(platform.connection.transceivers[0]?.sender.track?.id).toBe("mic");
    expect(at(platform.socket.of("offer"), 0).tracks[0]?.source).toBe("microphone");
  });

  test("a failed peer connection is replaced, a shaky one restarts ICE", async () => {
    const { platform, room, log } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    platform.connection.become("disconnected");
    await platform.clock.advance(ICE_RESTART_AFTER_MS);
    expect(platform.connection.offers.at(-1)).toEqual({ iceRestart: true });
    await answer(platform);
    platform.connection.become("connected");
    platform.changeNetwork("changed");
    await settle();
    expect(platform.connection.offers).toHaveLength(3);
    platform.connection.become("failed");
    expect(log.at(-1)).toBe("reconnecting 1 0 sdk/media-failed");
    expect(at(platform.sockets, 0).closedWith).toBe(CLOSE_TO_RETURN);
  });

  test("the server's wish when to come back is honoured", async () => {
    const { platform, room, log } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    platform.socket.receive({
      type: "goodbye",
      code: "server/stopping",
      message: "",
      reconnectAfterMs: 4000,
    });
    platform.socket.drop(1001);
    expect(log.at(-1)).toBe("reconnecting 1 4000 server/stopping");
  });

  test("refusals reject connect; fatal ones end the room for good", async () => {
    const { platform, room, log } = setUp();
    const connected = room.connect("ws://test", { name: "Me" });
    platform.socket.open();
    platform.socket.receive({ type: "error", code: "room/full", message: "full", fatal: true });
    platform.socket.drop(4403);
    await expect(connected).rejects.toMatchObject({ code: "room/full" });
    expect(room.phase).toBe("disconnected");

    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    platform.socket.drop();
    await platform.clock.advance(300);
    platform.socket.open();
    platform.socket.receive({ type: "error", code: "hello/forbidden", message: "no", fatal: true });
    platform.socket.drop(4403);
    expect(log.at(-1)).toBe("disconnected hello/forbidden");
    await platform.clock.advance(60_000);
    expect(platform.sockets).toHaveLength(3);
  });

  test("leaving says so, stops devices and tells no more", async () => {
    const { platform, room, log } = setUp();
    const track = fakeTrack("audio");
    await room.localParticipant.publishTrack(track, "microphone");
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    room.disconnect();
    expect(platform.socket.of("leave")).toHaveLength(1);
    expect(platform.socket.closedWith).toBe(1000);
    expect(platform.connection.closed).toBe(true);
    expect(track.readyState).toBe("ended");
    expect(log.at(-1)).toBe("disconnected undefined");
    await platform.clock.advance(60_000);
    expect(platform.sockets).toHaveLength(1);
    expect(platform.clock.pending).toBe(0);
  });

  test("chat goes over the socket until the channel is open", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    room.sendChatMessage("by socket");
    const channel = at(platform.connection.channels, 0);
    channel.open();
    room.sendChatMessage("still by socket, for the order");
    const [first, second] = platform.socket.of("chat");
    for (const [index, sent] of [first, second].entries()) {
      const message = {
        id: `c${index}`,
        seq: index + 1,
        at: 1,
        member: "me",
        name: "Me",
        text: sent?.text ?? "",
      };
      platform.socket.receive({ type: "chat", nonce: sent?.nonce ?? 0, message });
    }
    const nonce = room.sendChatMessage("by channel");
    expect(platform.socket.of("chat").map((m) => m.text)).toEqual([
      "by socket",
      "still by socket, for the order",
    ]);
    expect(channel.sent).toEqual([{ type: "chat", nonce, text: "by channel" }]);
    channel.receive({ type: "error", id: nonce, code: "chat/forbidden", message: "no", fatal: false });
    expect(room.chat.outgoing.map((entry) => entry.state)).toEqual(["failed"]);
  });

  test("muting before the answer is told after it; a stopped screen is taken back", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    void room.localParticipant.publishTrack(fakeTrack("audio"), "microphone");
    void room.localParticipant.publishTrack(fakeTrack("video"), "screen");
    await settle();
    await room.localParticipant.setMicrophoneEnabled(false);
    await room.localParticipant.setScreenShareEnabled(false);
    expect(platform.socket.of("mute")).toEqual([]);
    await answer(platform);
    await answer(platform);
    const offered = at(platform.socket.of("offer"), 1).tracks;
    const mic = offered.find((t) => t.source === "microphone");
    expect(platform.socket.of("mute")).toEqual([{ type: "mute", track: `t${mic?.mid}`, muted: true }]);
    const screen = platform.socket
      .of("offer")
      .flatMap((o) => o.tracks)
      .find((t) => t.source === "screen");
    const taken = platform.socket.of("unpublish").flatMap((m) => m.tracks);
    expect(taken).toEqual(screen === undefined ? [] : [`t${screen.mid}`]);
  });

  test("a refused track is taken back; one caught by a broken connection is published by the next", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    const refused = room.localParticipant.publishTrack(fakeTrack("video"), "screen");
    await settle();
    const { id } = at(platform.socket.of("offer"), -1);
    platform.socket.receive({ type: "error", id, code: "track/too-many", message: "no", fatal: false });
    await expect(refused).rejects.toMatchObject({ code: "track/too-many" });
    expect(room.localParticipant.publications.has("screen")).toBe(false);

    const caught = room.localParticipant.publishTrack(fakeTrack("audio"), "microphone");
    await settle();
    expect(at(platform.socket.of("offer"), -1).tracks.map((t) => t.source)).toEqual(["microphone"]);
    platform.socket.drop();
    await caught;
    await platform.clock.advance(300);
    await enter(platform);
    expect(at(platform.socket.of("offer"), 0).tracks.map((t) => t.source)).toEqual(["microphone"]);
  });

  test("without the grant nothing is published, and the room is entered all the same", async () => {
    const { platform, room } = setUp();
    await room.localParticipant.publishTrack(fakeTrack("audio"), "microphone");
    const connected = room.connect("ws://test", { name: "Me" });
    await enter(
      platform,
      welcome({
        grants: { ...GRANTS, publish: false },
      }),
    );
    await connected;
    expect(at(platform.socket.of("offer"), 0).tracks).toEqual([]);
    const refused = room.localParticipant.publishTrack(fakeTrack("video"), "camera");
    await expect(refused).rejects.toMatchObject({ code: "track/forbidden" });
  });

  test("of several sources only those that are granted are published", async () => {
    const { platform, room } = setUp();
    await room.localParticipant.publishTrack(fakeTrack("audio"), "microphone");
    await room.localParticipant.publishTrack(fakeTrack("video"), "camera");
    void room.connect("ws://test", { name: "Me" });
    await enter(platform, welcome({ grants: { ...GRANTS, sources: ["microphone"] } }));
    expect(at(platform.socket.of("offer"), 0).tracks.map((t) => t.source)).toEqual(["microphone"]);
  });

  test("a screen shared again uses the same m-line", async () => {
    const { platform, room } = setUp();
    void room.connect("ws://test", { name: "Me" });
    await enter(platform);
    for (let i = 0; i < 3; i += 1) {
      void room.localParticipant.publishTrack(fakeTrack("video"), "screen");
      await settle();
      await answer(platform);
      await room.localParticipant.setScreenShareEnabled(false);
      await settle();
    }
    expect(platform.connection.transceivers.filter((t) => t.init.direction === "sendonly")).toHaveLength(1);
    expect(platform.socket.of("unpublish")).toHaveLength(3);
  });
});

test("the signalling URL keeps a path prefix", () => {
  expect(signalUrl("https://example.org/meet/", "a~b")).toBe("wss://example.org/meet/ws?room=a%7Eb");
  expect(signalUrl("http://127.0.0.1:7880/", "r")).toBe("ws://127.0.0.1:7880/ws?room=r");
});
