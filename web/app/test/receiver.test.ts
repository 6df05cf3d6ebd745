import { RemoteParticipant, type RoomEvents } from "@roundtable/sdk";
import { describe, expect, test } from "vitest";
import { Emitter } from "../../sdk/src/emitter.ts";
import { draft, followReceiver, lostReceiver, receiver, writeTo } from "../src/receiver.ts";

class FakeRoom extends Emitter<RoomEvents> {
  tell = this.emit.bind(this);
}

const bob = { id: "bob", name: "Bob" };

function setUp() {
  const room = new FakeRoom();
  followReceiver(room);
  writeTo(bob);
  draft.value = "between us";
  return room;
}

describe("to whom one writes", () => {
  test("who leaves while chosen leaves the draft, and nobody in their place until one chooses", () => {
    const room = setUp();
    room.tell("participantLeft", new RemoteParticipant({ id: "cy", name: "Cy" }));
    expect([receiver.value, lostReceiver.value]).toEqual([bob, null]);
    room.tell("participantLeft", new RemoteParticipant(bob));
    expect([receiver.value, lostReceiver.value, draft.value]).toEqual([null, "Bob", "between us"]);
    room.tell("participantLeft", new RemoteParticipant({ id: "cy", name: "Cy" }));
    expect(lostReceiver.value).toBe("Bob");
    writeTo(null);
    expect([receiver.value, lostReceiver.value]).toEqual([null, null]);
  });

  test("who is moved leaves everybody behind, also whom they wrote to", () => {
    const room = setUp();
    room.tell("moved", "next");
    expect([receiver.value, lostReceiver.value, draft.value]).toEqual([null, "Bob", "between us"]);
  });

  test("who is not listed any more is still there, and goes by their name of now", () => {
    const room = setUp();
    room.tell("participantUpdated", new RemoteParticipant({ id: "bob", name: "Dr Bob" }));
    room.tell("participantUnlisted", new RemoteParticipant({ id: "bob", name: "Dr Bob" }));
    expect([receiver.value?.name, lostReceiver.value]).toEqual(["Dr Bob", null]);
  });

  test("another room begins with an empty page", () => {
    setUp();
    followReceiver(new FakeRoom());
    expect([receiver.value, lostReceiver.value, draft.value]).toEqual([null, null, ""]);
  });
});
