import { describe, expect, test } from "vitest";
import { browserCompression, type Compression, InOrder } from "../src/packing.ts";
import type { ServerMessage } from "../src/protocol.ts";
import { FakePlatform, type FakeSocket, openSignal, welcome } from "./fakes.ts";

/** Node has the same compression as browsers. */
const compression = browserCompression() as Required<Compression> & {
  deflate(text: string): Promise<ArrayBuffer>;
};

/** A decompression that ends when the test says so. */
class SlowCompression implements Compression {
  readonly deflate = undefined;
  readonly reads: ((text: string | Error) => void)[] = [];

  inflate(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.reads.push((text) => (typeof text === "string" ? resolve(text) : reject(text)));
    });
  }
}

function setUp(withCompression: Compression | undefined) {
  const platform = new FakePlatform();
  platform.compression = withCompression;
  const opened = openSignal(platform);
  platform.socket.open();
  return opened;
}

const notice = (n: number): ServerMessage => ({ type: "notice", text: `${n}` });

/** Waits for real compression. */
async function until(condition: () => boolean): Promise<void> {
  for (let n = 0; n < 400 && !condition(); n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
}

function receive(socket: FakeSocket, data: string | ArrayBuffer) {
  socket.onmessage?.({ data } as MessageEvent);
}

const texts = (messages: ServerMessage[]) => messages.map((m) => (m.type === "notice" ? m.text : m.type));

describe("packed frames", () => {
  test("compression is announced where the browser has it, batches always", () => {
    const accepts = (known: Compression | undefined) => setUp(known).socket.of("hello")[0]?.accept;
    expect(accepts(undefined)).toEqual(["batch"]);
    expect(accepts(compression)).toEqual(["batch", "deflate"]);
  });

  test("a frame may hold several messages, read in their order until the end", () => {
    const { socket, messages, closed } = setUp(undefined);
    receive(socket, JSON.stringify([welcome(), notice(1), notice(2)]));
    receive(socket, JSON.stringify(notice(3)));
    expect(texts(messages)).toEqual(["welcome", "1", "2", "3"]);
    const refusal = { type: "error", code: "hello/name", message: "no", fatal: false } as const;
    const other = setUp(undefined);
    receive(other.socket, JSON.stringify([refusal, notice(1)]));
    expect(other.closed).toEqual(["hello/name"]);
    expect(other.messages.filter((m) => m.type === "notice")).toEqual([]);
    expect(closed).toEqual([]);
  });

  test("compressed frames come in the order in which they arrived, whatever is read first", async () => {
    const slow = new SlowCompression();
    const { socket, messages, closed } = setUp(slow);
    receive(socket, new ArrayBuffer(1));
    receive(socket, JSON.stringify(notice(1)));
    receive(socket, new ArrayBuffer(1));
    receive(socket, JSON.stringify({ type: "goodbye", message: "bye" }));
    socket.drop(1000);
    slow.reads[1]?.(JSON.stringify(notice(2)));
    await Promise.resolve();
    expect(messages).toEqual([]);
    slow.reads[0]?.(JSON.stringify(welcome()));
    await until(() => closed.length > 0);
    expect(texts(messages)).toEqual(["welcome", "1", "2", "goodbye"]);
    expect(closed).toEqual(["sdk/closed"]);
  });

  test("real ones are read, and what follows them is not held up for ever", async () => {
    const { socket, messages } = setUp(compression);
    receive(socket, await compression.deflate(JSON.stringify([welcome(), notice(1)])));
    await until(() => messages.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 5));
    receive(socket, JSON.stringify(notice(2)));
    expect(texts(messages)).toEqual(["welcome", "1", "2"]);
  });

  test("one that cannot be read ends the connection, for what it said is missing", async () => {
    const { socket, closed, platform } = setUp(compression);
    receive(socket, new Uint8Array([7, 7, 7]).buffer);
    receive(socket, JSON.stringify(welcome()));
    await until(() => closed.length > 0);
    expect(closed).toEqual(["sdk/socket"]);
    expect(platform.clock.pending).toBe(0);
  });

  test("large messages are sent compressed once the server said it takes that, in their order", async () => {
    const { socket, signal } = setUp(compression);
    const text = "long ".repeat(500);
    receive(socket, JSON.stringify(welcome()));
    signal.send({ type: "chat", nonce: 1, text });
    expect(socket.packed).toEqual([]);
    expect(socket.of("chat")).toHaveLength(1);

    const other = setUp(compression);
    receive(other.socket, JSON.stringify(welcome({ accepted: ["batch", "deflate"] })));
    const order: string[] = [];
    const note = (data: string | ArrayBuffer) =>
      order.push(typeof data === "string" ? data.slice(9, 15) : "packed");
    other.socket.send = note;
    other.signal.send({ type: "chat", nonce: 1, text });
    other.signal.send({ type: "typing", typing: true });
    other.signal.close(true);
    expect(other.socket.closedWith).toBe(undefined);
    await until(() => other.socket.closedWith === 1000);
    expect(order).toEqual(["packed", "typing", 'leave"']);
  });

  test("the server reads what was compressed here", async () => {
    const { socket, signal } = setUp(compression);
    receive(socket, JSON.stringify(welcome({ accepted: ["deflate"] })));
    const text = "long ".repeat(500);
    signal.send({ type: "chat", nonce: 1, text });
    await until(() => socket.packed.length === 1);
    const [packed] = socket.packed;
    expect(packed?.byteLength).toBeLessThan(200);
    expect(JSON.parse(await compression.inflate(packed ?? new ArrayBuffer(0)))).toEqual({
      type: "chat",
      nonce: 1,
      text,
    });
  });

  test("what fails to be compressed goes as it is", async () => {
    const deflate = () => Promise.reject(new Error("no memory"));
    const { socket, signal } = setUp({ inflate: compression.inflate, deflate });
    receive(socket, JSON.stringify(welcome({ accepted: ["deflate"] })));
    signal.send({ type: "chat", nonce: 1, text: "x".repeat(2000) });
    await until(() => socket.of("chat").length === 1);
  });
});

describe("steps in order", () => {
  test("run at once while none waits, and one that fails is told in its turn", async () => {
    const done: string[] = [];
    const steps = new InOrder((error) => done.push(`${error}`));
    steps.run(() => done.push("a"));
    expect(done).toEqual(["a"]);
    let resolve = (_: string) => {};
    steps.runWith(
      new Promise<string>((r) => {
        resolve = r;
      }),
      (value) => done.push(value),
    );
    steps.runWith(Promise.reject("broken"), () => done.push("never"));
    steps.run(() => done.push("d"));
    await new Promise((r) => setTimeout(r, 1));
    expect(done).toEqual(["a"]);
    resolve("b");
    await new Promise((r) => setTimeout(r, 1));
    expect(done).toEqual(["a", "b", "broken", "d"]);
    steps.run(() => done.push("e"));
    expect(done.at(-1)).toBe("e");
  });
});
