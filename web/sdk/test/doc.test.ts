import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { DocProvider, SNAPSHOT_EVERY } from "../src/data/doc.ts";
import type { RoomData } from "../src/data/room_data.ts";
import { FakeDataServer } from "./data_fakes.ts";
import { FakeClock, settle } from "./fakes.ts";

/** Ties a Yjs document to the room, as an application does. */
function tie(data: RoomData) {
  const doc = new Y.Doc();
  const applied: number[] = [];
  const provider = new DocProvider(data.hub, "plan", {
    apply: (update) => {
      applied.push(update.length);
      Y.applyUpdate(doc, update, provider);
    },
    snapshot: () => Y.encodeStateAsUpdate(doc),
  });
  doc.on("update", (update: Uint8Array, origin: unknown) => {
    if (origin !== provider) provider.push(update);
  });
  return { doc, provider, applied, text: doc.getText("text") };
}

function setUp() {
  const clock = new FakeClock();
  const server = new FakeDataServer(clock);
  const [annData, bobData] = [server.join("ann"), server.join("bob")];
  return { clock, server, annData, bobData, ann: tie(annData), bob: tie(bobData) };
}

async function rest(clock: FakeClock): Promise<void> {
  for (let n = 0; n < 20; n += 1) await clock.advance(200);
}

describe("a document of Yjs", () => {
  test("is the same for two who write at once", async () => {
    const { clock, ann, bob } = setUp();
    await settle();
    for (let n = 0; n < 50; n += 1) {
      ann.text.insert(0, `a${n} `);
      bob.text.insert(bob.text.length, `b${n} `);
      if (n % 7 === 0) await settle();
    }
    await rest(clock);
    expect(ann.text.toString()).toBe(bob.text.toString());
    for (let n = 0; n < 50; n += 1) expect(ann.text.toString()).toContain(`b${n} `);
    expect([ann.provider.last, bob.provider.last]).toEqual([100, 100]);
    expect([ann.applied.length, bob.applied.length], "nothing is applied twice").toEqual([50, 50]);
  });

  test("is whole for who comes late, from the snapshot and what is behind it", async () => {
    const { clock, server, ann, bob } = setUp();
    await settle();
    for (let n = 0; n < SNAPSHOT_EVERY + 30; n += 1) {
      ann.text.insert(ann.text.length, `${n} `);
      await settle();
    }
    await rest(clock);
    expect(server.snapshot?.upTo).toBe(SNAPSHOT_EVERY);
    expect(server.updates).toHaveLength(30);
    const late = tie(server.join("late"));
    bob.text.insert(0, "while it comes ");
    await rest(clock);
    expect(late.text.toString()).toBe(ann.text.toString());
    expect(late.text.toString()).toBe(bob.text.toString());
    expect(late.applied, "the snapshot, and each update behind it once").toHaveLength(1 + 31);
  });

  test("misses nothing that was lost on the way to somebody", async () => {
    const { clock, server, bobData, ann, bob } = setUp();
    await settle();
    bobData.hub.handleLost();
    server.members.delete("bob");
    for (let n = 0; n < 5; n += 1) ann.text.insert(0, `${n}`);
    bob.text.insert(0, "offline ");
    await rest(clock);
    expect(bob.text.toString()).toBe("offline ");
    server.members.set("bob", bobData);
    bobData.hub.handleReady("bob");
    await rest(clock);
    expect(bob.text.toString()).toBe(ann.text.toString());
    expect(ann.text.toString()).toContain("offline ");
    expect(bob.provider.last).toBe(6);
  });

  test("sends again what did not get to the server, and what did not, not twice", async () => {
    const { clock, server, annData, ann, bob } = setUp();
    await settle();
    server.loses = (from, { topic }) => from === "ann" && topic === "doc/plan";
    ann.text.insert(0, "lost? ");
    await settle();
    server.loses = () => false;
    // The server takes this one, and its number does not come back.
    server.members.delete("ann");
    ann.text.insert(0, "taken ");
    await settle();
    server.members.set("ann", annData);
    annData.hub.handleLost();
    annData.hub.handleReady("ann");
    await rest(clock);
    expect(bob.text.toString()).toBe("taken lost? ");
    expect(server.updates.map(({ n }) => n)).toEqual([1, 2]);
    expect([ann.provider.last, bob.provider.last]).toEqual([2, 2]);
  });
});
