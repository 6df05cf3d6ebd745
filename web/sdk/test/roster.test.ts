import { expect, test } from "vitest";
import type { Event } from "../src/protocol.ts";
import { Roster } from "../src/roster.ts";
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
