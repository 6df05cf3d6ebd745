import { describe, expect, test } from "vitest";
import type { EventBody, ServerMessage } from "../src/protocol.ts";
import { Room } from "../src/room.ts";
import { at, enter, FakePlatform, GRANTS, roomState, settle, welcome } from "./fakes.ts";

const me = { id: "me", name: "Me" };
const ann = { id: "ann", name: "Ann", identity: "ann@example", metadata: "{}" };
const MAY = { ...GRANTS, updateOwnMetadata: true };

function event(seq: number, body: EventBody): ServerMessage {
  return { type: "event", event: { seq, at: seq, ...body } };
}

async function setUp(patch: Parameters<typeof welcome>[0] = {}) {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const log: string[] = [];
  room.on("participantUpdated", ({ id, name, metadata, attributes }) =>
    log.push(`${id} is ${name}, ${metadata}, ${JSON.stringify(attributes)}`),
  );
  const connected = room.connect("ws://test/ws?room=r", { name: "Me" });
  await enter(platform, welcome({ grants: MAY, state: roomState({ members: [ann, me] }), ...patch }));
  await connected;
  return { platform, room, log };
}

describe("what members show of themselves", () => {
  test("others are followed, by events and by a state, and nobody twice", async () => {
    const { platform, room, log } = await setUp();
    const other = room.remoteParticipants.get("ann");
    expect([other?.name, other?.identity, other?.metadata, other?.attributes]).toEqual([
      "Ann",
      "ann@example",
      "{}",
      {},
    ]);
    const updated = { type: "memberUpdated", member: "ann", name: "Dr Ann" } as const;
    platform.socket.receive(event(1, { ...updated, attributes: { hand: "up" }, version: 1 }));
    platform.socket.receive(event(1, { ...updated, name: "Again", attributes: {}, version: 1 }));
    expect(room.remoteParticipants.get("ann")).toBe(other);
    expect([other?.name, other?.identity]).toEqual(["Dr Ann", "ann@example"]);
    platform.socket.receive(
      event(2, { type: "restarted", members: [{ ...ann, version: 2 }, me], viewers: 0, tracks: [] }),
    );
    platform.socket.receive(event(3, { ...updated, member: "nobody", attributes: {}, version: 1 }));
    expect(log).toEqual([`ann is Dr Ann, undefined, {"hand":"up"}`, "ann is Ann, {}, {}"]);
  });

  test("oneself changes when the server says so, and a refusal rejects with its word", async () => {
    const { platform, room, log } = await setUp();
    const local = room.localParticipant;
    const renamed = local.setName("Dr Me");
    const hidden = local.setAttributes({ hand: "up", away: null });
    const [first, second] = platform.socket.of("updateMember");
    expect([first?.name, second?.attributes]).toEqual(["Dr Me", { hand: "up", away: null }]);
    expect(local.name).toBe("Me");
    platform.socket.receive({
      type: "updated",
      id: first?.id ?? 0,
      member: { ...me, name: "Dr Me", version: 1 },
    });
    platform.socket.receive({
      type: "error",
      id: second?.id ?? 0,
      code: "member/rate",
      message: "no",
      fatal: false,
    });
    await expect(renamed).resolves.toBeUndefined();
    await expect(hidden).rejects.toMatchObject({ code: "member/rate" });
    expect(local.name).toBe("Dr Me");
    // The operator changed it; of before nothing counts any more.
    platform.socket.receive({ type: "updated", member: { ...me, name: "Guest", metadata: "x", version: 2 } });
    platform.socket.receive({ type: "updated", member: { ...me, name: "Dr Me", version: 1 } });
    expect(log).toEqual(["me is Dr Me, undefined, {}", "me is Guest, x, {}"]);
    const lost = local.setMetadata("");
    platform.socket.drop();
    await expect(lost).rejects.toMatchObject({ code: "sdk/socket" });
  });

  test("who comes back does so under the name of then, as the same member or as another", async () => {
    const resume = { token: "ticket", withinS: 30 };
    const { platform, room, log } = await setUp({ resume });
    platform.socket.receive({ type: "updated", member: { ...me, name: "Dr Me", version: 1 } });
    platform.socket.drop();
    await platform.clock.advance(10);
    platform.socket.open();
    expect(at(platform.socket.of("hello"), -1).name).toBe("Dr Me");
    platform.socket.receive({
      type: "resumed",
      member: { ...me, name: "Prof Me", version: 2 },
      media: true,
      grants: MAY,
      iceServers: [],
      slots: [],
    });
    await settle();
    expect(room.localParticipant.name).toBe("Prof Me");
    expect(log).toEqual(["me is Dr Me, undefined, {}", "me is Prof Me, undefined, {}"]);
  });

  test("who is moved goes under the name that others see", async () => {
    const { platform } = await setUp({ member: { ...me, name: "By Token" } });
    platform.socket.receive({ type: "move", room: "s", ticket: "move_1", expiresInS: 30 });
    platform.socket.receive({ type: "goodbye", code: "room/moved", message: "on you go" });
    platform.socket.drop(4410);
    await settle();
    platform.socket.open();
    const hello = at(platform.socket.of("hello"), -1);
    expect([hello.name, hello.token]).toEqual(["By Token", "move_1"]);
  });

  test("without a connection nothing can be changed", async () => {
    const room = new Room({ platform: new FakePlatform() });
    await expect(room.localParticipant.setName("x")).rejects.toMatchObject({ code: "sdk/closed" });
  });
});
