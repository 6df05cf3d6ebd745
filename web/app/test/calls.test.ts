import type { Call, CallDirection, CallState, RingingCall, RoomEvents } from "@roundtable/sdk";
import { beforeEach, describe, expect, test } from "vitest";
import { Emitter } from "../../sdk/src/emitter.ts";
import { identityOf } from "../src/login.ts";
import {
  dialled,
  dismissMissed,
  followCalls,
  forgetDialled,
  handleCall,
  handleLost,
  incoming,
  missed,
  noteDialled,
} from "../src/ring/calls.ts";

class FakeRoom extends Emitter<RoomEvents> {
  readonly calls = new Map<string, RingingCall>();
  tell = this.emit.bind(this);
}

function call(id: string): Call {
  return { id, from: "Ann", to: "Bob", room: "daily", at: 7, timeoutS: 30 };
}

function step(id: string, state: CallState, direction: CallDirection): void {
  handleCall({ seq: 1, at: 8, state, call: call(id) }, direction);
}

const ringing = () => incoming.value.map(({ id }) => id);
const made = () => dialled.value.map(({ call, state }) => `${call.id} ${state}`);

beforeEach(() => {
  incoming.value = [];
  dialled.value = [];
  dismissMissed();
});

describe("calls to oneself", () => {
  test("one that is told by two ways rings once, until it ended", () => {
    step("1", "ringing", "incoming");
    step("1", "ringing", "incoming");
    step("2", "ringing", "incoming");
    expect(ringing()).toEqual(["1", "2"]);
    step("1", "accepted", "incoming");
    step("2", "declined", "incoming");
    expect([ringing(), missed.value]).toEqual([[], []]);
  });

  test("what one did not take is missed, the latest first, until one says that one knows", () => {
    for (const id of ["1", "2", "3"]) step(id, "ringing", "incoming");
    step("1", "timedOut", "incoming");
    step("1", "timedOut", "incoming");
    step("2", "cancelled", "incoming");
    handleLost(call("3"), "incoming");
    expect(missed.value).toEqual(["3", "2", "1"].map((id) => ({ id, from: "Ann", at: 7 })));
    expect(ringing()).toEqual([]);
    dismissMissed();
    expect(missed.value).toEqual([]);
  });

  test("missed calls are bounded", () => {
    for (let n = 0; n < 80; n += 1) step(`${n}`, "timedOut", "incoming");
    expect([missed.value.length, missed.value[0]?.id]).toEqual([50, "79"]);
  });

  test("in a room it rings as the room says, and no more when one has left", () => {
    const room = new FakeRoom();
    step("before", "ringing", "incoming");
    step("still", "ringing", "incoming");
    followCalls(room, () => {});
    room.calls.set("still", { call: call("still"), direction: "incoming" });
    room.calls.set("own", { call: call("own"), direction: "outgoing" });
    room.tell("connected");
    expect(ringing()).toEqual(["still"]);
    room.tell("disconnected", undefined);
    expect(ringing()).toEqual([]);
  });

  test("whoever was not let in is still called outside", () => {
    const room = new FakeRoom();
    followCalls(room, () => {});
    step("1", "ringing", "incoming");
    room.tell("disconnected", "lobby/denied");
    expect(ringing()).toEqual(["1"]);
  });
});

describe("calls that one makes", () => {
  test("what becomes of them is shown and said once, whichever word comes first", () => {
    const room = new FakeRoom();
    const said: string[] = [];
    followCalls(room, (sentence) => said.push(sentence));
    room.tell("call", { seq: 1, at: 8, state: "declined", call: call("1") }, "outgoing");
    noteDialled(call("1"), "ringing");
    room.tell("call", { seq: 2, at: 8, state: "ringing", call: call("2") }, "outgoing");
    room.tell("callLost", call("2"), "outgoing");
    expect(made()).toEqual(["1 declined", "2 lost"]);
    expect(said).toEqual(["Bob declined", "The call to Bob ended while the connection was lost"]);
    forgetDialled("1");
    expect(made()).toEqual(["2 lost"]);
  });

  test("only so many are shown", () => {
    for (let n = 0; n < 20; n += 1) step(`${n}`, "timedOut", "outgoing");
    expect([made().length, made()[0]]).toEqual([10, "10 timedOut"]);
  });
});

describe("as whom one is called", () => {
  test("it is the subject of the token", () => {
    const token = (claims: unknown) =>
      `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.signature`;
    expect(identityOf({ token: token({ sub: "oidc:Jürgen?>" }) })).toBe("oidc:Jürgen?>");
    expect(identityOf({ token: token({ name: "Ann" }) })).toBeNull();
    expect(identityOf({ token: "nonsense" })).toBeNull();
  });
});
