import { describe, expect, test } from "vitest";
import { LATE_MS, RETOLD_WITHIN_MS } from "../src/calls/call_log.ts";
import type { Call, CallState, MemberInfo, ServerMessage } from "../src/protocol.ts";
import { Room } from "../src/room.ts";
import { enter, FakePlatform, GRANTS, settle, welcome } from "./fakes.ts";

const TICKET = { token: "back", withinS: 60 };

function call(patch: Partial<Call> = {}): Call {
  return { id: "c1", from: "ann", to: "bob", room: "daily", at: 1, timeoutS: 30, ...patch };
}

function told(seq: number, state: CallState, patch: Partial<Call> = {}): ServerMessage {
  return { type: "callEvent", event: { seq, at: seq, state, call: call(patch) } };
}

async function setUp(member: MemberInfo = { id: "m1", name: "bob" }) {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const log: string[] = [];
  room.on("call", ({ state, call: { id } }, direction) => log.push(`${direction} ${id} ${state}`));
  room.on("callLost", ({ id }, direction) => log.push(`${direction} ${id} lost`));
  const connected = room.connect("ws://test/ws?room=r", { name: member.name });
  await enter(platform, welcome({ member, resume: TICKET }));
  await connected;
  return { platform, room, log };
}

async function comeBack(platform: FakePlatform): Promise<void> {
  platform.socket.drop();
  await platform.clock.advance(1_000);
  platform.socket.open();
  const [hello] = platform.socket.of("hello");
  expect(hello?.resume?.token).toBe("back");
  platform.socket.receive({
    type: "resumed",
    member: { id: "m1", name: "bob" },
    grants: GRANTS,
    iceServers: [],
    media: true,
    slots: [],
  });
  await settle();
}

describe("calling", () => {
  test("a call resolves when it rings, and what becomes of it is told", async () => {
    const { platform, room, log } = await setUp({ id: "m1", name: "ann" });
    const made = room.call("bob", { timeoutS: 5 });
    const [asked] = platform.socket.of("call");
    expect(asked).toMatchObject({ to: "bob", timeoutS: 5 });
    // The ringing may overtake the answer.
    platform.socket.receive(told(1, "ringing", { timeoutS: 5 }));
    platform.socket.receive({ type: "called", id: asked?.id ?? 0, call: call({ timeoutS: 5 }) });
    await expect(made).resolves.toMatchObject({ id: "c1", room: "daily" });
    expect([...room.calls.values()]).toEqual([{ call: call({ timeoutS: 5 }), direction: "outgoing" }]);
    platform.socket.receive(told(2, "declined"));
    expect(log).toEqual(["outgoing c1 ringing", "outgoing c1 declined"]);
    expect(room.calls.size).toBe(0);
    void room.call("cid");
    expect(platform.socket.of("call")[1]).not.toHaveProperty("timeoutS");
  });

  test("who is called answers, and a refusal has the server's word", async () => {
    const { platform, room, log } = await setUp();
    platform.socket.receive(told(1, "ringing"));
    const accepted = room.answerCall("c1", "accept");
    const again = room.answerCall("c1", "decline");
    const [first, second] = platform.socket.of("answerCall");
    expect([first?.call, first?.answer, second?.answer]).toEqual(["c1", "accept", "decline"]);
    platform.socket.receive({ type: "called", id: first?.id ?? 0, call: call() });
    const refusal = { code: "call/unknown", message: "it has ended", fatal: false } as const;
    platform.socket.receive({ type: "error", id: second?.id ?? 0, ...refusal });
    await expect(accepted).resolves.toMatchObject({ room: "daily" });
    await expect(again).rejects.toMatchObject({ code: "call/unknown" });
    platform.socket.receive(told(2, "accepted"));
    expect(log).toEqual(["incoming c1 ringing", "incoming c1 accepted"]);
    room.disconnect();
    await expect(room.call("ann")).rejects.toMatchObject({ code: "sdk/closed" });
    await expect(room.answerCall("c1", "accept")).rejects.toMatchObject({ code: "sdk/closed" });
  });

  test("who comes back is told anew what rings, and hears each step once", async () => {
    const { platform, room, log } = await setUp();
    platform.socket.receive(told(1, "ringing"));
    platform.socket.receive(told(2, "ringing", { id: "c2" }));
    await comeBack(platform);
    // Both with the number of the last event there was, whatever that was about.
    platform.socket.receive(told(3, "ringing"));
    platform.socket.receive(told(3, "ringing", { id: "c3" }));
    await platform.clock.advance(RETOLD_WITHIN_MS);
    expect(log).toEqual([
      "incoming c1 ringing",
      "incoming c2 ringing",
      "incoming c3 ringing",
      "incoming c2 lost",
    ]);
    expect([...room.calls.keys()]).toEqual(["c1", "c3"]);
    platform.socket.receive(told(4, "timedOut"));
    platform.socket.receive(told(4, "timedOut"));
    platform.socket.receive(told(4, "ringing"));
    expect(log.slice(4)).toEqual(["incoming c1 timedOut"]);
  });

  test("a call whose end is never told does not ring for ever", async () => {
    const { platform, log } = await setUp();
    platform.socket.receive(told(1, "ringing", { timeoutS: 2 }));
    await platform.clock.advance(2_000 + LATE_MS - 1);
    expect(log).toEqual(["incoming c1 ringing"]);
    await platform.clock.advance(1);
    expect(log).toEqual(["incoming c1 ringing", "incoming c1 lost"]);
  });

  test("whose call it is goes by who one has proven to be, and only without a proof by the name", async () => {
    for (const { member, from, to, expected } of [
      { member: { id: "m1", name: "bob" }, from: "ann", to: "bob", expected: "incoming" },
      { member: { id: "m1", name: "ann" }, from: "ann", to: "bob", expected: "outgoing" },
      { member: { id: "m1", name: "Bob", identity: "bob" }, from: "Bob", to: "bob", expected: "incoming" },
      { member: { id: "m1", name: "bob", identity: "b-7" }, from: "b-7", to: "bob", expected: "outgoing" },
      { member: { id: "m1", name: "bob" }, from: "m1", to: "bob", expected: "outgoing" },
      { member: { id: "m1", name: "Bob" }, from: "ann", to: "m1", expected: "incoming" },
    ]) {
      const { platform, log } = await setUp(member);
      platform.socket.receive(told(1, "ringing", { from, to }));
      expect(log, JSON.stringify({ member, from, to })).toEqual([`${expected} c1 ringing`]);
    }
  });
});
