// Who loses the socket, the peer connection or both, and comes back as the same member.
import { describe, expect, test } from "vitest";
import type { EventBody, Resumed, ServerMessage, TrackInfo } from "../src/protocol.ts";
import { Room, STEADY_MS } from "../src/room.ts";
import { CLOSE_TO_RETURN, PROBE_TIMEOUT_MS } from "../src/signal.ts";
import { GATHER_MS } from "../src/views.ts";
import { answer, at, enter, FakePlatform, fakeTrack, GRANTS, roomState, settle, welcome } from "./fakes.ts";

const me = { id: "me", name: "Me" };
const ann = { id: "ann", name: "Ann" };
const camera: TrackInfo = {
  id: "cam",
  member: "ann",
  source: "camera",
  muted: false,
  codec: "VP8",
  layers: 1,
};
const ticket = { token: "secret", withinS: 60 };

function event(seq: number, body: EventBody): ServerMessage {
  return { type: "event", event: { seq, at: seq, ...body } };
}

function chat(seq: number, text: string, member = "ann", nonce?: number): ServerMessage {
  const own = nonce === undefined ? {} : { nonce };
  return { type: "chat", message: { id: `c${seq}`, seq, at: seq, member, name: member, text, ...own } };
}

function resumed(patch: Partial<Resumed> = {}): ServerMessage {
  return { type: "resumed", member: me, grants: GRANTS, iceServers: [], media: true, slots: [], ...patch };
}

const slot = (mid: string, generation: number, id: string | null) => ({
  mid,
  generation,
  track: id === null ? null : { id, member: "ann", rtpTimestamp: 1 },
});

/** In a room with Ann and her camera, with a microphone of one's own. */
async function setUp() {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const log: string[] = [];
  room.on("reconnecting", ({ attempt, delayMs, code }) =>
    log.push(`reconnecting ${attempt} ${delayMs} ${code}`),
  );
  room.on("reconnected", () => log.push("reconnected"));
  room.on("disconnected", (code) => log.push(`disconnected ${code}`));
  room.on("participantJoined", (p) => log.push(`+${p.name}`));
  room.on("participantLeft", (p) => log.push(`-${p.name}`));
  room.on("trackSubscribed", (track, p) => log.push(`${p.id} on ${track.id}`));
  room.on("trackUnsubscribed", (_, p) => log.push(`${p.id} off`));
  room.on("warning", ({ code }) => log.push(`warning ${code}`));
  room.on("chatMessage", ({ text }) => log.push(`“${text}”`));
  const microphone = fakeTrack("audio", "mic");
  await room.localParticipant.publishTrack(microphone, "microphone");
  void room.connect("ws://test", { name: "Me" });
  const state = roomState({ seq: 10, members: [me, ann], tracks: [camera] });
  await enter(platform, welcome({ state, resume: ticket }));
  at(platform.connection.channels, 0).open();
  platform.socket.receive({ type: "slots", changes: [slot("3", 1, "cam")] });
  log.length = 0;
  return { platform, room, log, microphone, channel: at(platform.connection.channels, 0) };
}

/** The next socket opens and is taken for the same member's. */
async function comeBack(platform: FakePlatform, patch: Partial<Resumed> = {}): Promise<void> {
  await platform.clock.advance(0);
  platform.socket.open();
  platform.socket.receive(resumed(patch));
  await settle();
}

describe("coming back", () => {
  test("a lost socket costs nothing but the socket", async () => {
    const { platform, room, log, channel } = await setUp();
    platform.socket.receive(event(11, { type: "speaking", member: "ann", speaking: true }));
    platform.socket.drop();
    expect(room.phase).toBe("reconnecting");
    // The channel goes on in both directions meanwhile; number 12 was an event, and is missed.
    channel.receive(chat(13, "still here?"));
    const nonce = room.sendChatMessage("yes");
    expect(channel.sent).toEqual([{ type: "chat", nonce, text: "yes" }]);

    await platform.clock.advance(0);
    platform.socket.open();
    expect(at(platform.socket.of("hello"), 0).resume).toEqual({ token: "secret", epoch: 1, seq: 11 });
    platform.socket.receive(resumed({ slots: [slot("3", 1, "cam")] }));
    expect(room.phase).toBe("connected");
    platform.socket.receive(event(12, { type: "joined", member: { id: "bob", name: "Bob" } }));
    platform.socket.receive(chat(13, "still here?"));
    expect(log).toEqual(["reconnecting 1 0 sdk/socket", "“still here?”", "reconnected", "+Bob"]);
    expect(platform.connections).toHaveLength(1);
    expect(platform.connection.closed).toBe(false);
    expect(platform.connection.offers).toHaveLength(1);
    expect(room.localParticipant.id).toBe("me");
    expect([...room.remoteParticipants.keys()]).toEqual(["ann", "bob"]);
  });

  test("slots that changed meanwhile are as the server says", async () => {
    const { platform, log } = await setUp();
    platform.socket.drop();
    await comeBack(platform, { slots: [slot("3", 2, null), slot("5", 4, "cam")] });
    expect(log.slice(1)).toEqual(["cam off", "cam on remote-5", "reconnected"]);
  });

  test("what is too long ago comes as a whole state", async () => {
    const { platform, room, log } = await setUp();
    platform.socket.drop();
    const state = roomState({ epoch: 1, seq: 5000, members: [me, { id: "bob", name: "Bob" }] });
    await comeBack(platform, { state });
    expect(log.slice(1)).toEqual(["cam off", "-Ann", "+Bob", "reconnected"]);
    platform.socket.receive(event(4000, { type: "left", member: "bob", reason: "left" }));
    expect(room.remoteParticipants.has("bob")).toBe(true);
    platform.socket.receive(event(5001, { type: "joined", member: ann }));
    platform.socket.drop();
    await platform.clock.advance(300);
    platform.socket.open();
    expect(at(platform.socket.of("hello"), 0).resume?.seq).toBe(5001);
  });

  test("an offer whose answer is lost is made again, and the track that waits for it is published", async () => {
    const { platform, room } = await setUp();
    let isPublished = false;
    void room.localParticipant.publishTrack(fakeTrack("video"), "camera").then(() => {
      isPublished = true;
    });
    await settle();
    const first = at(platform.socket.of("offer"), -1);
    platform.socket.drop();
    await comeBack(platform);
    const again = at(platform.socket.of("offer"), -1);
    expect({ ...again, id: 0 }).toEqual({ ...first, id: 0 });
    expect(again.id).not.toBe(first.id);
    expect(isPublished).toBe(false);
    await answer(platform);
    expect(isPublished).toBe(true);
    expect(platform.connections).toHaveLength(1);
  });

  test("what went into a channel that the server had lost is written again", async () => {
    const { platform, room, channel } = await setUp();
    platform.socket.drop();
    const nonce = room.sendChatMessage("into the void");
    expect(channel.sent).toHaveLength(1);
    await comeBack(platform, { media: false });
    expect(platform.socket.of("chat")).toEqual([{ type: "chat", nonce, text: "into the void" }]);
    await answer(platform);
    platform.socket.receive(chat(11, "into the void", "me", nonce));
    expect(room.chat.outgoing).toEqual([]);
    expect(room.chat.messages).toHaveLength(1);
  });

  test("without a peer connection at the server another one goes on with the same tracks", async () => {
    const { platform, room, log, microphone } = await setUp();
    const before = platform.connection;
    platform.socket.drop();
    await comeBack(platform, { media: false });
    expect(platform.connections).toHaveLength(2);
    // To close it now would tell the server something.
    expect(before.closed).toBe(false);
    const offer = at(platform.socket.of("offer"), 0);
    expect(offer.fresh).toBe(true);
    expect(offer.tracks).toEqual([{ mid: "0", source: "microphone", muted: false, track: "t0" }]);
    expect(platform.connection.transceivers[0]?.sender.track).toBe(microphone);
    expect(microphone.readyState).toBe("live");
    expect(room.phase).toBe("reconnecting");
    await answer(platform);
    expect(room.phase).toBe("connected");
    expect(before.closed).toBe(true);
    expect(log).toEqual(["reconnecting 1 0 sdk/socket", "cam off", "reconnected"]);
    // Nothing could have gone into the broken one: one socket is enough.
    expect(platform.sockets).toHaveLength(2);
    // Later offers are those of a connection that is known.
    void room.localParticipant.publishTrack(fakeTrack("video"), "camera");
    await settle();
    const later = at(platform.socket.of("offer"), -1);
    expect(later.fresh).toBeUndefined();
    expect(later.tracks.map((track) => track.track)).toEqual([undefined, undefined]);
  });

  test("a broken peer connection is replaced, and what was sent into it is asked for again", async () => {
    const { platform, room, log } = await setUp();
    const [before, socket] = [platform.connection, platform.socket];
    before.become("failed");
    expect(socket.closedWith).toBe(CLOSE_TO_RETURN);
    expect(log).toEqual(["reconnecting 1 0 sdk/media-failed"]);
    await comeBack(platform, { media: true });
    expect(at(platform.socket.of("offer"), 0).fresh).toBe(true);
    await answer(platform);
    // The server wrote into the broken channel until it got the offer.
    expect(platform.sockets).toHaveLength(3);
    expect(room.phase).toBe("reconnecting");
    await comeBack(platform, { media: true });
    platform.socket.receive(chat(11, "into the void"));
    expect(log.slice(1)).toEqual(["cam off", "reconnected", "“into the void”"]);
    expect(platform.connections).toHaveLength(2);
    expect(before.closed).toBe(true);
  });

  test("the server's word that media is lost counts, but not for a connection that it has not answered", async () => {
    const { platform, room, log } = await setUp();
    const lost: ServerMessage = { type: "mediaLost", code: "ice/consent", message: "silence" };
    platform.socket.receive(lost);
    expect(log).toEqual(["reconnecting 1 0 ice/consent"]);
    await comeBack(platform, { media: false });
    platform.socket.receive(lost);
    expect(platform.connections).toHaveLength(2);
    await answer(platform);
    expect(room.phase).toBe("connected");
  });

  test("a peer connection that breaks while the socket is gone is replaced on coming back", async () => {
    const { platform, room, log } = await setUp();
    platform.socket.drop();
    platform.connection.become("failed");
    expect(log).toEqual(["reconnecting 1 0 sdk/socket"]);
    await comeBack(platform, { media: false });
    await answer(platform);
    expect(room.phase).toBe("connected");
    expect(log.filter((line) => line.startsWith("reconnecting"))).toHaveLength(1);
  });

  test("who is not known any more joins anew", async () => {
    const { platform, room, log } = await setUp();
    const before = platform.connection;
    const nonce = room.sendChatMessage("sent, never acknowledged");
    platform.socket.drop();
    await platform.clock.advance(0);
    const state = roomState({ seq: 90, members: [{ id: "me2", name: "Me" }, ann], tracks: [camera] });
    platform.socket.open();
    platform.socket.receive(welcome({ member: { id: "me2", name: "Me" }, state }));
    expect(before.closed).toBe(true);
    const sent = chat(50, "sent, never acknowledged", "me", nonce);
    const messages = sent.type === "chat" ? [{ ...sent.message, epoch: 1 }] : [];
    platform.socket.receive({ type: "chatHistory", messages, complete: true });
    await settle();
    const offer = at(platform.socket.of("offer"), 0);
    expect(offer.fresh).toBeUndefined();
    expect(offer.tracks).toEqual([{ mid: "0", source: "microphone", muted: false }]);
    await answer(platform);
    expect(room.localParticipant.id).toBe("me2");
    expect(room.chat.outgoing).toEqual([]);
    expect(log).toEqual(["reconnecting 1 0 sdk/socket", "cam off", "reconnected"]);
  });

  test("whose place another socket took does not fight for it", async () => {
    const { platform, room, log } = await setUp();
    platform.socket.drop(4409);
    expect(log.at(-1)).toBe("disconnected client/replaced");
    await platform.clock.advance(60_000);
    expect(platform.sockets).toHaveLength(1);
    expect(room.phase).toBe("disconnected");
  });

  test("what was said last is said again: mutes, ends, wishes and views", async () => {
    const { platform, room, log } = await setUp();
    const publication = room.remoteParticipants.get("ann")?.publication("camera");
    if (publication === undefined) throw new Error("Ann publishes");
    room.setView(publication, { pinned: true });
    await platform.clock.advance(GATHER_MS);
    room.setView(publication, { pinned: false });
    await platform.clock.advance(GATHER_MS);
    room.setSubscribed(publication, false);
    room.setSubscribed(publication, true);
    void room.localParticipant.publishTrack(fakeTrack("video"), "screen");
    await settle();
    await answer(platform);
    const screen = room.localParticipant.publications.get("screen")?.id ?? "";
    platform.socket.drop();
    await room.localParticipant.setMicrophoneEnabled(false);
    await room.localParticipant.setScreenShareEnabled(false);
    await comeBack(platform);
    await platform.clock.advance(GATHER_MS);
    const { socket } = platform;
    expect(socket.of("mute")).toEqual([{ type: "mute", track: "t0", muted: true }]);
    expect(socket.of("unpublish")).toEqual([{ type: "unpublish", tracks: [screen] }]);
    expect(socket.of("subscribe")).toEqual([
      { type: "subscribe", changes: [{ track: "cam", wanted: true }] },
    ]);
    expect(socket.of("view")).toEqual([
      { type: "view", changes: [{ track: "cam", visible: true, pinned: false }] },
    ]);
    // What the room's events confirm is not said a third time.
    socket.receive(event(11, { type: "muted", track: "t0", member: "me", muted: true }));
    socket.receive(event(12, { type: "unpublished", track: screen, member: "me" }));
    socket.receive({ type: "error", code: "track/unknown", message: "gone already", fatal: false });
    socket.drop();
    await platform.clock.advance(300);
    platform.socket.open();
    platform.socket.receive(resumed());
    expect([...platform.socket.of("mute"), ...platform.socket.of("unpublish")]).toEqual([]);
    expect(log.filter((line) => line.startsWith("warning"))).toEqual([]);
  });

  test("nothing is said over a socket before the server has answered the hello", async () => {
    const { platform, room } = await setUp();
    platform.socket.drop();
    await platform.clock.advance(0);
    platform.socket.open();
    await room.localParticipant.setMicrophoneEnabled(false);
    platform.changeNetwork("visible");
    expect(platform.socket.sent.map((message) => message.type)).toEqual(["hello"]);
  });

  test("chat by the socket that is not acknowledged goes on by the channel, with its numbers and in order", async () => {
    const platform = new FakePlatform();
    const room = new Room({ platform });
    void room.connect("ws://test", { name: "Me" });
    await enter(platform, welcome({ resume: ticket }));
    const nonces = ["one", "two"].map((text) => room.sendChatMessage(text));
    expect(platform.socket.of("chat").map((m) => m.nonce)).toEqual(nonces);
    const channel = at(platform.connection.channels, 0);
    channel.open();
    // Somebody else's message may have the same number.
    channel.receive(chat(1, "hers", "ann", nonces[0]));
    platform.socket.drop();
    nonces.push(room.sendChatMessage("three"));
    expect(channel.sent.map((m) => (m.type === "chat" ? m.nonce : 0))).toEqual(nonces);
    await comeBack(platform);
    platform.socket.receive(chat(2, "one", "me", nonces[0]));
    expect(room.chat.outgoing.map((entry) => entry.text)).toEqual(["two", "three"]);
    channel.receive({ ...chat(2, "one", "me", nonces[0]), nonce: nonces[0] } as ServerMessage);
    channel.receive({ ...chat(3, "two", "me", nonces[1]), nonce: nonces[1] } as ServerMessage);
    channel.receive({ ...chat(4, "three", "me", nonces[2]), nonce: nonces[2] } as ServerMessage);
    expect(room.chat.messages.map((m) => m.text)).toEqual(["hers", "one", "two", "three"]);
    expect(room.chat.outgoing).toEqual([]);
  });

  test("a network that is back, and eyes that are, shorten the wait; a live socket is probed", async () => {
    const { platform } = await setUp();
    await platform.clock.advance(100);
    platform.changeNetwork("offline");
    expect(platform.socket.of("ping")).toHaveLength(1);
    await platform.clock.advance(PROBE_TIMEOUT_MS);
    expect(platform.sockets).toHaveLength(2);
    for (const n of [3, 4, 5]) {
      platform.socket.drop();
      await platform.clock.advance(2_500);
      expect(platform.sockets).toHaveLength(n);
    }
    platform.socket.drop();
    await settle();
    platform.changeNetwork("visible");
    expect(platform.sockets).toHaveLength(6);
    // What is under way over a network that is gone is given up for the new one, but not for a look.
    platform.changeNetwork("visible");
    expect(platform.sockets).toHaveLength(6);
    platform.changeNetwork("online");
    expect(platform.sockets).toHaveLength(7);
    expect(at(platform.sockets, 5).closedWith).toBe(CLOSE_TO_RETURN);
    await comeBack(platform);
    // The media looks for the new path too, once it can say so.
    expect(at(platform.connection.offers, -1)).toEqual({ iceRestart: true });
    await answer(platform);
  });

  test("media that stops makes the socket suspect: a dead network is noticed in seconds", async () => {
    const { platform, log } = await setUp();
    await platform.clock.advance(100);
    platform.connection.become("disconnected");
    await platform.clock.advance(PROBE_TIMEOUT_MS);
    expect(log).toEqual(["reconnecting 1 0 sdk/socket"]);
    // The media comes back by itself, while the socket does over another.
    platform.connection.become("connected");
    await comeBack(platform);
    await answer(platform);
    expect(log.at(-1)).toBe("reconnected");
    expect(platform.connections).toHaveLength(1);
  });

  test("a connection that breaks at once again and again is not tried at once again and again", async () => {
    const { platform, log } = await setUp();
    for (const delay of [0, 300, 600]) {
      platform.socket.drop();
      await platform.clock.advance(delay);
      await comeBack(platform);
    }
    await platform.clock.advance(STEADY_MS);
    platform.socket.drop();
    expect(log.filter((line) => line.startsWith("reconnecting"))).toEqual([
      "reconnecting 1 0 sdk/socket",
      "reconnecting 2 300 sdk/socket",
      "reconnecting 3 600 sdk/socket",
      "reconnecting 1 0 sdk/socket",
    ]);
  });

  test("leaving while the socket is gone ends everything", async () => {
    const { platform, room } = await setUp();
    platform.socket.drop();
    room.sendChatMessage("never sent");
    room.disconnect();
    expect(platform.connection.closed).toBe(true);
    await platform.clock.advance(60_000);
    expect(platform.sockets).toHaveLength(1);
    expect(platform.clock.pending).toBe(0);
  });
});
