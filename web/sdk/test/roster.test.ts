import { expect, test } from "vitest";
import type { Event } from "../src/protocol.ts";
import { Roster, type RosterChange } from "../src/roster.ts";
import { FakePlatform, roomState } from "./fakes.ts";

test("the dominant speaker follows the state and the events, and leaves with the member", () => {
  const roster = new Roster(new FakePlatform().clock);
  const members = [
    { id: "ann", name: "Ann" },
    { id: "bob", name: "Bob" },
  ];
  const begun = roster.handleState("me", roomState({ members, dominantSpeaker: "ann" }));
  expect(begun).toContainEqual({ type: "dominant", member: "ann" });
  const event = (seq: number, body: object) => roster.handleEvent({ seq, at: 0, ...body } as Event);
  expect(event(1, { type: "dominantSpeaker", member: "bob" })).toEqual([{ type: "dominant", member: "bob" }]);
  expect(event(2, { type: "dominantSpeaker", member: "bob" })).toEqual([]);
  expect(event(3, { type: "left", member: "bob", reason: "left" })).toContainEqual({
    type: "dominant",
    member: null,
  });
  expect(roster.dominant).toBeNull();
});

test("in a large room viewers are counted, and who does something is listed without having joined", () => {
  const roster = new Roster(new FakePlatform().clock);
  const person = (id: string) => ({ id, name: id });
  const members = [person("ann"), person("bob"), person("me")];
  const event = (seq: number, body: object) => roster.handleEvent({ seq, at: 0, ...body } as Event);
  const told = (changes: RosterChange[]) =>
    changes.map((change) => {
      if (change.type === "audience") return `${change.viewers} viewers`;
      return "participant" in change ? `${change.type} ${change.participant.id}` : change.type;
    });
  roster.handleState("me", roomState({ members }));
  expect(roster.viewers).toBe(0);

  // One too many came: all but Ann are counted, oneself too, who is no viewer of oneself.
  const counting = event(1, { type: "audience", viewers: 200, counted: ["bob", "me"] });
  expect(told(counting)).toEqual(["unlisted bob", "199 viewers"]);
  expect([...roster.participants.keys()]).toEqual(["ann"]);
  expect(told(event(2, { type: "audience", viewers: 250 }))).toEqual(["249 viewers"]);
  expect(told(event(3, { type: "audience", viewers: 249, listed: [person("me")] }))).toEqual([]);
  expect(told(event(4, { type: "audience", viewers: 248, listed: [person("cid")] }))).toEqual([
    "listed cid",
    "248 viewers",
  ]);
  expect(told(event(5, { type: "left", member: "cid", reason: "left" }))).toEqual(["left cid"]);
  expect(told(event(5, { type: "audience", viewers: 1 }))).toEqual([]);

  // Coming back, nobody can say whether Ann left; everybody is listed again in the end.
  const back = roster.handleState("me2", roomState({ seq: 9, members: [person("bob")], viewers: 180 }));
  expect(told(back)).toEqual(["unlisted ann", "listed bob", "179 viewers"]);
  const again = event(10, { type: "audience", viewers: 0, listed: [person("ann"), person("me2")] });
  expect(told(again)).toEqual(["listed ann", "0 viewers"]);
});

test("after a restart of the server nobody speaks, and who and what is there is the same", () => {
  const roster = new Roster(new FakePlatform().clock);
  const track = {
    id: "cam",
    member: "ann",
    source: "camera",
    muted: false,
    codec: "VP8",
    layers: 1,
  } as const;
  const [ann, bob] = [
    { id: "ann", name: "Ann" },
    { id: "bob", name: "Bob" },
  ];
  const state = roomState({ members: [ann, bob], tracks: [track] });
  roster.handleState("me", { ...state, speaking: ["ann"], dominantSpeaker: "ann" });
  const [participant, publication] = [roster.participants.get("ann"), roster.publication("cam")];
  const restarted = {
    seq: 4,
    at: 0,
    type: "restarted",
    members: [ann],
    viewers: 0,
    tracks: [track],
  } as const;
  const changes = roster.handleEvent({ ...restarted, members: [ann], tracks: [track] });
  expect(changes.map((change) => change.type)).toEqual(["left", "speaking", "dominant"]);
  expect([...roster.participants.values()]).toEqual([participant]);
  // Ann publishes again what she did, with another encoder.
  const again = roster.handleEvent({ seq: 5, at: 0, type: "published", track: { ...track, codec: "VP9" } });
  expect(again).toEqual([]);
  expect(roster.publication("cam")).toBe(publication);
  expect(publication?.codec).toBe("VP9");
});
