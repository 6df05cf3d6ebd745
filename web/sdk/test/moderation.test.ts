import { describe, expect, test } from "vitest";
import type { EventBody, RoomSettings, ServerMessage } from "../src/protocol.ts";
import { Room } from "../src/room.ts";
import { at, enter, FakePlatform, fakeTrack, GRANTS, roomState, settle, welcome } from "./fakes.ts";

const me = { id: "me", name: "Me" };
const HOST = { ...GRANTS, admin: true };

function event(seq: number, body: EventBody): ServerMessage {
  return { type: "event", event: { seq, at: seq, ...body } };
}

async function setUp(message: ServerMessage = welcome()) {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const log: string[] = [];
  room.on("knock", ({ name }) => log.push(`${name} knocks`));
  room.on("knockEnded", ({ name }) => log.push(`${name} knocks no more`));
  room.on("notice", ({ from, text }) => log.push(`${from}: ${text}`));
  room.on("roomUpdated", ({ locked }) => log.push(`locked ${locked}`));
  room.on("publishingEnded", (sources) => log.push(`ended ${sources}`));
  room.on("roleChanged", (member, role) => log.push(`${member} is ${role}`));
  room.on("moved", (to) => log.push(`moved to ${to}`));
  room.on("reconnected", () => log.push("reconnected"));
  room.on("disconnected", (code) => log.push(`disconnected ${code}`));
  const microphone = fakeTrack("audio", "m");
  const camera = fakeTrack("video", "c");
  await room.localParticipant.publishTrack(microphone, "microphone");
  await room.localParticipant.publishTrack(camera, "camera");
  const connected = room.connect("ws://test/ws?room=r", { name: "Me", token: "mine" });
  await enter(platform, message);
  await connected;
  return { platform, room, log, microphone, camera };
}

describe("moderation", () => {
  test("what a moderator does resolves with its outcome, or rejects with the server's word", async () => {
    const { platform, room } = await setUp(welcome({ grants: HOST }));
    const muted = room.moderate({ type: "muteAll", source: "microphone", muted: true, hold: true });
    const kicked = room.moderate({ type: "kick", member: "gone" });
    const [first, second] = platform.socket.of("moderate");
    platform.socket.receive({
      type: "error",
      id: second?.id ?? 0,
      code: "member/unknown",
      message: "no",
      fatal: false,
    });
    platform.socket.receive({ type: "moderated", id: first?.id ?? 0, outcome: { count: 3 } });
    await expect(muted).resolves.toEqual({ count: 3 });
    await expect(kicked).rejects.toMatchObject({ code: "member/unknown" });
    const lost = room.moderate({ type: "admitAll" });
    platform.socket.drop();
    await expect(lost).rejects.toMatchObject({ code: "sdk/socket" });
  });

  test("who may not publish any more stops its devices, and later offers name none of it", async () => {
    const { platform, room, log, microphone, camera } = await setUp();
    platform.socket.receive({ type: "grants", grants: { ...GRANTS, sources: ["microphone"] } });
    platform.socket.receive(event(1, { type: "unpublished", track: "t1", member: "me" }));
    await settle();
    expect(log).toEqual(["ended camera"]);
    expect([microphone.readyState, camera.readyState]).toEqual(["live", "ended"]);
    expect([...room.localParticipant.publications.keys()]).toEqual(["microphone"]);
    await expect(
      room.localParticipant.publishTrack(fakeTrack("video", "again"), "camera"),
    ).rejects.toMatchObject({ code: "track/forbidden" });
    platform.socket.receive({ type: "growSeats", seats: 4 });
    await settle();
    expect(at(platform.socket.of("offer"), -1).tracks.map(({ source }) => source)).toEqual(["microphone"]);
    expect(room.grants?.sources).toEqual(["microphone"]);
  });

  test("who is muted by a moderator cannot unmute, and stays silent by choice when that is lifted", async () => {
    const { platform, room, microphone } = await setUp();
    const local = room.localParticipant;
    const mute = (seq: number, muted: boolean, code?: "track/muted-by-host") =>
      platform.socket.receive(
        event(seq, {
          type: "muted",
          track: "t0",
          member: "me",
          muted,
          ...(code === undefined ? {} : { code }),
        }),
      );
    mute(1, true, "track/muted-by-host");
    expect([local.isMicrophoneEnabled, microphone.enabled]).toEqual([false, false]);
    await expect(local.setMicrophoneEnabled(true)).rejects.toMatchObject({ code: "track/muted-by-host" });
    expect(platform.socket.of("mute")).toEqual([]);
    mute(2, false);
    expect([local.isMicrophoneEnabled, microphone.enabled]).toEqual([false, false]);
    expect(platform.socket.of("mute")).toEqual([{ type: "mute", track: "t0", muted: true }]);
    await local.setMicrophoneEnabled(true);
    expect(local.isMicrophoneEnabled).toBe(true);
  });

  test("a moderator's request mutes, and the echo of what one took back does not", async () => {
    const { platform, room } = await setUp();
    const local = room.localParticipant;
    const muted = (seq: number, muted: boolean) =>
      platform.socket.receive(event(seq, { type: "muted", track: "t0", member: "me", muted }));
    await local.setMicrophoneEnabled(false);
    await local.setMicrophoneEnabled(true);
    muted(1, true);
    expect(local.isMicrophoneEnabled).toBe(true);
    muted(2, false);
    expect(local.isMicrophoneEnabled).toBe(true);
    muted(3, true);
    expect(local.isMicrophoneEnabled).toBe(false);
    await local.setMicrophoneEnabled(true);
    expect(local.isMicrophoneEnabled).toBe(true);
  });

  test("an unmute that the server refuses is taken back", async () => {
    const { platform, room, microphone } = await setUp();
    await room.localParticipant.setMicrophoneEnabled(false);
    await room.localParticipant.setMicrophoneEnabled(true);
    platform.socket.receive({ type: "error", code: "track/muted-by-host", message: "no", fatal: false });
    expect([room.localParticipant.isMicrophoneEnabled, microphone.enabled]).toEqual([false, false]);
  });

  test("moderators know who waits, also after an absence", async () => {
    const resume = { token: "ticket", withinS: 30 };
    const { platform, room, log } = await setUp(welcome({ grants: HOST, resume }));
    const knock = (id: string, name: string) => ({ id, name, at: 1 });
    platform.socket.receive({ type: "knock", knock: knock("1", "Bob") });
    platform.socket.receive({ type: "knock", knock: knock("1", "Bob") });
    platform.socket.receive({ type: "knock", knock: knock("2", "Cleo") });
    platform.socket.receive({ type: "knockEnded", knock: "1", end: "admitted" });
    expect([...room.knocks.values()].map(({ name }) => name)).toEqual(["Cleo"]);
    platform.socket.drop();
    await platform.clock.advance(10);
    platform.socket.open();
    platform.socket.receive({
      type: "resumed",
      member: me,
      media: true,
      grants: HOST,
      iceServers: [],
      slots: [],
    } as never);
    const [asked] = platform.socket.of("moderate");
    platform.socket.receive({
      type: "moderated",
      id: asked?.id ?? 0,
      outcome: { knocks: [knock("3", "Dan")] },
    });
    await settle();
    expect(log.filter((line) => line.includes("knocks"))).toEqual([
      "Bob knocks",
      "Cleo knocks",
      "Bob knocks no more",
      "Cleo knocks no more",
      "Dan knocks",
    ]);
  });

  test("settings, roles and notices are told", async () => {
    const settings: RoomSettings = { version: 1, locked: true };
    const { platform, room, log } = await setUp(welcome({ state: roomState({ members: [me], settings }) }));
    expect([room.settings, log]).toEqual([settings, ["locked true"]]);
    platform.socket.receive(event(1, { type: "roomUpdated", settings: { version: 2, locked: false } }));
    platform.socket.receive(event(2, { type: "permissionsChanged", member: "ann", role: "listener" }));
    platform.socket.receive({ type: "notice", from: "ann", text: "Five minutes" });
    expect(log.slice(1)).toEqual(["locked false", "ann is listener", "ann: Five minutes"]);
    expect(room.roles.get("ann")).toBe("listener");
  });

  test("who is sent to another room enters it with the ticket and the same tracks", async () => {
    const { platform, room, log, microphone } = await setUp();
    const former = platform.connection;
    platform.socket.receive({ type: "move", room: "next", ticket: "move_1", expiresInS: 30 });
    platform.socket.receive({ type: "goodbye", code: "room/moved", message: "on" });
    platform.socket.drop(4410);
    expect([room.phase, former.closed]).toEqual(["reconnecting", true]);
    const { socket } = platform;
    expect(socket.url).toBe("ws://test/ws?room=next");
    await enter(platform, welcome({ room: "next", state: roomState({ epoch: 2, members: [me] }) }));
    expect(socket.of("hello")).toEqual([
      {
        type: "hello",
        version: 1,
        name: "Me",
        token: "move_1",
        maxSeats: expect.any(Number),
        accept: ["batch"],
      },
    ]);
    expect(at(socket.of("offer"), 0).tracks.map(({ source }) => source)).toEqual(["microphone", "camera"]);
    expect([log, microphone.readyState]).toEqual([["moved to next", "reconnected"], "live"]);
  });
});
