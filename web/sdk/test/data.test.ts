import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { readFrame, writeFrame } from "../src/data/frame.ts";
import { type DataMessage, MAX_QUEUED_DATA } from "../src/data/hub.ts";
import { Sha256 } from "../src/data/sha256.ts";
import { topicMatches } from "../src/data/topic.ts";
import { FakeDataServer, noise } from "./data_fakes.ts";
import { FakeClock, settle } from "./fakes.ts";

function setUp() {
  const clock = new FakeClock();
  const server = new FakeDataServer(clock);
  return { clock, server, ann: server.join("ann"), bob: server.join("bob") };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (content: string) => new TextEncoder().encode(content);

/** How a promise ended: its value, or the code of its error. */
function outcome(promise: Promise<unknown>): { value: unknown } {
  const result = { value: undefined as unknown };
  promise.then(
    (value) => {
      result.value = value;
    },
    (error) => {
      result.value = error.code;
    },
  );
  return result;
}

/** Lets time pass in small steps until something holds. */
async function until(clock: FakeClock, holds: () => boolean, ms = 120_000): Promise<void> {
  for (let passed = 0; !holds() && passed < ms; passed += 10) await clock.advance(10);
  expect(holds()).toBe(true);
}

test("a frame is written as the server reads it, and the other way round", () => {
  const frame = writeFrame({ topic: "board/1", id: 7 }, bytes("payload"));
  expect([...frame.subarray(0, 3)]).toEqual([1, 0, 26]);
  expect(text(frame.subarray(3, 29))).toBe('{"topic":"board/1","id":7}');
  expect(readFrame(frame)?.payload).toEqual(bytes("payload"));
  expect(readFrame(new Uint8Array([2, 0, 0]))).toBeNull();
  expect(readFrame(new Uint8Array([1, 0, 9, 1]))).toBeNull();
  expect(readFrame(new Uint8Array([1, 0, 1, 1]))).toBeNull();
});

test("patterns name what they say", () => {
  for (const [pattern, topic, named] of [
    ["cursor", "cursor", true],
    ["board/*", "board/1", true],
    ["board/*", "board", false],
    ["board/*", "board/1/2", false],
    ["*/ink", "board/ink", true],
    ["board/**", "board/1/2", true],
    ["board/**", "board", false],
    ["**", "anything/at/all", true],
    ["**/x", "a/x", false],
  ] as const) {
    expect(topicMatches(pattern, topic), `${pattern} and ${topic}`).toBe(named);
  }
});

test("the hash is that of everybody else, however it is cut", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 1000, 70_000]) {
    const data = noise(length);
    const hash = new Sha256();
    for (let at = 0; at < length; at += 37) hash.update(data.subarray(at, at + 37));
    const known = createHash("sha256").update(data).digest("hex");
    expect(Buffer.from(hash.digest()).toString("hex"), String(length)).toBe(known);
  }
});

describe("messages", () => {
  test("reach the handlers of their topics, and the room", async () => {
    const { ann, bob } = setUp();
    const got: string[] = [];
    const note = (name: string) => (message: DataMessage) =>
      got.push(`${name} ${message.topic} ${message.from} ${text(message.payload)} ${message.lossy}`);
    const off = bob.hub.subscribe("board/*", note("board"));
    bob.hub.on("data", note("all"));
    await ann.hub.publish("board/1", bytes("x"));
    await ann.hub.publish("chess", bytes("e4"), { reliable: false });
    await settle();
    expect(got).toEqual(["board board/1 ann x false", "all board/1 ann x false", "all chess ann e4 true"]);
    off();
    await ann.hub.publish("board/1", bytes("y"), { to: ["bob"] });
    await settle();
    expect(got.at(-1)).toBe("all board/1 ann y false");
    expect(got).toHaveLength(4);
  });

  test("wait in order for a full channel, and only so many", async () => {
    const { clock, server, ann, bob } = setUp();
    const got: string[] = [];
    bob.hub.on("data", ({ payload }) => got.push(text(payload)));
    server.isFull = true;
    const first = outcome(ann.hub.publish("t", bytes("0")).then(() => "sent"));
    for (let n = 1; n < MAX_QUEUED_DATA; n += 1) void ann.hub.publish("t", bytes(String(n)));
    const surplus = outcome(ann.hub.publish("t", bytes("too many")));
    await settle();
    expect([first.value, surplus.value]).toEqual([undefined, "sdk/data-queue-full"]);
    server.isFull = false;
    await clock.advance(300);
    expect(first.value).toBe("sent");
    expect(got).toEqual(Array.from({ length: MAX_QUEUED_DATA }, (_, n) => String(n)));
    await expect(ann.hub.publish("t", new Uint8Array(16_001))).rejects.toMatchObject({
      code: "data/too-large",
    });
  });

  test("are followed by patterns, which are said again after coming back", async () => {
    const { server, bob } = setUp();
    bob.hub.follow(["board/*"]);
    bob.hub.handleLost();
    bob.hub.handleReady("bob");
    const off = bob.hub.subscribe("chess", () => {});
    off();
    bob.hub.follow(null);
    await settle();
    expect(server.said.filter(({ type }) => type === "topics")).toEqual([
      { type: "topics", unsubscribe: ["**"], subscribe: ["rt/**", "board/*"] },
      { type: "topics", unsubscribe: ["**"], subscribe: ["rt/**", "board/*"] },
      { type: "topics", unsubscribe: ["**"], subscribe: ["rt/**", "board/*", "chess"] },
      { type: "topics", unsubscribe: ["**", "chess"], subscribe: ["rt/**", "board/*"] },
      { type: "topics", unsubscribe: ["rt/**", "board/*"], subscribe: ["**"] },
    ]);
  });
});

describe("questions", () => {
  test("are answered", async () => {
    const { ann, bob } = setUp();
    bob.rpc.register("double", ({ from, payload }) => `${from}: ${Number(payload) * 2}`);
    const answers = [1, 2].map((n) =>
      outcome(ann.rpc.perform({ to: "bob", method: "double", payload: String(n) })),
    );
    await settle();
    expect(answers.map(({ value }) => value)).toEqual(["ann: 2", "ann: 4"]);
  });

  test("that fail say how", async () => {
    const { clock, server, ann, bob } = setUp();
    bob.rpc.register("fails", () => Promise.reject(new Error("no")));
    bob.rpc.register("long", () => "x".repeat(15_000));
    bob.rpc.register("never", () => new Promise(() => {}));
    const ask = (method: string, payload = "", to = "bob") =>
      outcome(ann.rpc.perform({ to, method, payload, timeoutMs: 500 }));
    const [unknown, fails, long, large, nobody, late] = [
      ask("none"),
      ask("fails"),
      ask("long"),
      ask("fails", "x".repeat(15_000)),
      ask("fails", "", "nobody"),
      ask("never"),
    ];
    await settle();
    expect([unknown, fails, long, large, nobody, late].map((open) => open?.value)).toEqual([
      "rpc/unknown-method",
      "rpc/failed",
      "rpc/too-large",
      "rpc/too-large",
      "rpc/gone",
      undefined,
    ]);
    await clock.advance(500);
    expect(late?.value).toBe("rpc/timeout");
    const left = ask("never");
    await settle();
    server.leave("bob");
    await settle();
    expect(left.value).toBe("rpc/gone");
  });

  test("are answered by nobody but who was asked", async () => {
    const { server, ann, bob } = setUp();
    const eve = server.join("eve");
    bob.rpc.register("never", () => new Promise(() => {}));
    const asked = outcome(ann.rpc.perform({ to: "bob", method: "never" }));
    await settle();
    for (let id = 0; id < 20; id += 1) {
      void eve.hub.publish("rt/rpc", bytes(JSON.stringify({ k: "answer", id, p: "forged" })), {
        to: ["ann"],
      });
    }
    await settle();
    expect(asked.value).toBeUndefined();
  });
});

describe("streams", { timeout: 60_000 }, () => {
  test("bring a file, with progress, to two receivers", async () => {
    const { clock, server, ann, bob } = setUp();
    const cid = server.join("cid");
    const file = noise(1_500_000);
    const got: Uint8Array[] = [];
    for (const receiver of [bob, cid]) {
      receiver.streams.onStream("files/*", async (stream) => {
        expect(stream.info).toEqual({ topic: "files/1", name: "a.bin", mime: "image/x", size: 1_500_000 });
        got.push(await stream.bytes());
      });
    }
    const progress: number[] = [];
    const blob = Object.assign(new Blob([file.slice()], { type: "image/x" }), { name: "a.bin" });
    const stream = ann.streams.sendFile(blob, {
      to: ["bob", "cid"],
      topic: "files/1",
      onProgress: (sent) => progress.push(sent),
    });
    const done = outcome(stream.done.then(() => "done"));
    for (let round = 0; done.value === undefined && round < 3_000; round += 1) {
      await clock.advance(10);
      // The file is read by the platform, not by the clock.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(done.value).toBe("done");
    expect(got).toHaveLength(2);
    for (const copy of got) expect(Buffer.compare(copy, file)).toBe(0);
    expect(progress.at(-1)).toBe(1_500_000);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
  });

  test("wait for who reads slowly", async () => {
    const { clock, server, ann, bob } = setUp();
    const read: (() => void)[] = [];
    let count = 0;
    bob.streams.onStream("**", async (stream) => {
      for await (const _ of stream) {
        count += 1;
        await new Promise<void>((resolve) => read.push(resolve));
      }
    });
    ann.streams.send(noise(100 * 15_360), { to: ["bob"], topic: "t" });
    const pass = async () => {
      for (let n = 0; n < 100; n += 1) await clock.advance(20);
    };
    await pass();
    const chunks = () => server.sent.filter(({ bytes: size }) => size > 10_000).length;
    expect([count, chunks()]).toEqual([1, 32]);
    for (let n = 0; n < 8; n += 1) {
      read.pop()?.();
      await settle();
    }
    await pass();
    expect([count, chunks()]).toEqual([9, 40]);
  });

  test("send again what was lost", async () => {
    const { clock, server, ann, bob } = setUp();
    let n = 0;
    server.loses = (_, { topic }) => {
      n += 1;
      return topic === "rt/stream" && n % 7 === 0;
    };
    const file = noise(1_000_000);
    let got: Uint8Array | null = null;
    bob.streams.onStream("**", async (stream) => {
      got = await stream.bytes();
    });
    const sent = outcome(ann.streams.send(file, { to: ["bob"], topic: "t" }).done.then(() => "done"));
    await until(clock, () => sent.value !== undefined);
    expect(sent.value).toBe("done");
    expect(Buffer.compare(got ?? new Uint8Array(), file)).toBe(0);
  });

  test("that were changed on the way are found out", async () => {
    const { clock, server, ann, bob } = setUp();
    server.loses = (_, __, payload) => {
      if (payload.length === 1_010) payload[500] = (payload[500] ?? 0) ^ 1;
      return false;
    };
    const ends: { value: unknown }[] = [];
    bob.streams.onStream("**", (stream) => ends.push(outcome(stream.bytes())));
    ends.push(outcome(ann.streams.send(noise(1_000), { to: ["bob"], topic: "t" }).done));
    await clock.advance(100);
    expect(ends.map(({ value }) => value)).toEqual(["stream/corrupt", "stream/corrupt"]);
  });

  test("end for a reason: refused, cancelled by either end, left, silent", async () => {
    const { clock, server, ann, bob } = setUp();
    const file = noise(800_000);
    const send = (topic: string, to = "bob") => ann.streams.send(file, { to: [to], topic });
    const ends: Record<string, { value: unknown }> = {};
    ends["nobody takes it"] = outcome(send("other").done);
    bob.streams.onStream("stop", (stream) => queueMicrotask(() => stream.cancel()));
    bob.streams.onStream("go", (stream) => {
      ends["the receiver of what the sender gave up"] ??= outcome(stream.text());
    });
    ends["the receiver gave it up"] = outcome(send("stop").done);
    await clock.advance(50);
    const given = send("go");
    ends["the sender gave it up"] = outcome(given.done);
    await clock.advance(50);
    given.cancel();
    await clock.advance(50);
    ends["nobody is there"] = outcome(send("go", "nobody").done);
    ends["the receiver left"] = outcome(send("go").done);
    await clock.advance(50);
    server.leave("bob");
    await settle();
    expect(Object.fromEntries(Object.entries(ends).map(([name, { value }]) => [name, value]))).toEqual({
      "nobody takes it": "stream/refused",
      "the receiver of what the sender gave up": "stream/cancelled",
      "the receiver gave it up": "stream/cancelled",
      "the sender gave it up": "stream/cancelled",
      "nobody is there": "stream/gone",
      "the receiver left": "stream/gone",
    });
    const late = server.join("bob");
    late.streams.onStream("**", () => {});
    server.loses = () => true;
    const silent = outcome(send("go").done);
    await clock.advance(60_000);
    expect(silent.value).toBe("stream/timeout");
  });
});

describe("presence", () => {
  test("is sent ten times a second at most, and the last value counts", async () => {
    const { clock, server, ann, bob } = setUp();
    const seen: unknown[] = [];
    bob.presence.on("changed", (_, value) => seen.push(value));
    for (let n = 0; n < 100; n += 1) {
      ann.presence.set({ n });
      await clock.advance(10);
    }
    await clock.advance(5_000);
    const sent = server.sent.filter(({ header }) => header.topic === "rt/presence");
    expect(sent.every(({ lossy }) => lossy)).toBe(true);
    // Ten in the second, one more behind it, and two in case that was lost.
    expect(sent.length).toBeLessThanOrEqual(14);
    expect(sent.length).toBeGreaterThanOrEqual(10);
    expect(seen.at(-1)).toEqual({ n: 99 });
    expect(bob.presence.values.get("ann")).toEqual({ n: 99 });
  });

  test("survives the loss of a message, is shown to who comes, and ends with its member", async () => {
    const { clock, server, ann, bob } = setUp();
    server.loses = () => true;
    ann.presence.set("here");
    await clock.advance(200);
    server.loses = () => false;
    await clock.advance(5_000);
    expect(bob.presence.values.get("ann")).toBe("here");
    const cid = server.join("cid");
    await clock.advance(200);
    expect(cid.presence.values.get("ann")).toBe("here");
    server.leave("ann");
    expect([bob.presence.values.size, cid.presence.values.size]).toEqual([0, 0]);
    expect(() => bob.presence.set("x".repeat(5_000))).toThrow(RangeError);
  });
});
