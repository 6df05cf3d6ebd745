import { describe, expect, test } from "vitest";
import {
  CLOSE_TO_RETURN,
  FAREWELL_MS,
  PING_INTERVAL_MS,
  PROBE_TIMEOUT_MS,
  WELCOME_TIMEOUT_MS,
} from "../src/signal.ts";
import { FakePlatform, openSignal, settle, welcome } from "./fakes.ts";

function setUp() {
  return openSignal(new FakePlatform(), { name: "Ann", maxSeats: 8 });
}

describe("signal", () => {
  test("says hello first and passes welcome on", () => {
    const { socket, messages } = setUp();
    socket.open();
    expect(socket.sent).toEqual([{ type: "hello", version: 1, name: "Ann", maxSeats: 8, accept: ["batch"] }]);
    socket.receive(welcome());
    expect(messages.map((m) => m.type)).toEqual(["welcome"]);
  });

  test("a leaver closes with 1000, whoever means to come back with another code", () => {
    const { signal, socket } = setUp();
    socket.open();
    socket.receive(welcome());
    signal.close(true);
    expect(socket.of("leave")).toHaveLength(1);
    expect(socket.closedWith).toBe(1000);

    const other = setUp();
    other.socket.open();
    other.signal.close(false);
    expect(other.socket.of("leave")).toEqual([]);
    expect(other.socket.closedWith).toBe(CLOSE_TO_RETURN);
  });

  test("gives up a server that does not answer", async () => {
    const { platform, closed, socket } = setUp();
    await platform.clock.advance(WELCOME_TIMEOUT_MS);
    expect(closed).toEqual(["sdk/timeout"]);
    expect(socket.readyState).toBe(3);
    expect(platform.clock.pending).toBe(0);
  });

  test("waits in a lobby for as long as the server gives signs of life", async () => {
    const { platform, closed, messages, socket } = setUp();
    socket.open();
    socket.receive({ type: "waiting" });
    for (let n = 0; n < 30; n += 1) {
      await platform.clock.advance(PING_INTERVAL_MS);
      socket.receive({ type: "pong", nonce: n });
    }
    expect(closed).toEqual([]);
    expect(socket.of("ping")).toHaveLength(30);
    socket.receive(welcome());
    expect(messages.map((m) => m.type)).toEqual(["waiting", "welcome"]);
  });

  test("pings, and notices silence", async () => {
    const { platform, closed, socket } = setUp();
    socket.open();
    socket.receive(welcome());
    await platform.clock.advance(PING_INTERVAL_MS);
    expect(socket.of("ping")).toHaveLength(1);
    socket.receive({ type: "pong", nonce: 1 });
    await platform.clock.advance(2 * PING_INTERVAL_MS);
    expect(closed).toEqual([]);
    await platform.clock.advance(PING_INTERVAL_MS);
    expect(closed).toEqual(["sdk/socket"]);
  });

  test("matches answers and errors with their offers", async () => {
    const { signal, socket, messages } = setUp();
    socket.open();
    socket.receive(welcome());
    const first = signal.offer("one", []);
    const second = signal.offer("two", []);
    const [one, two] = socket.of("offer");
    socket.receive({ type: "error", id: two?.id ?? 0, code: "sdp/malformed", message: "no", fatal: false });
    socket.receive({ type: "answer", id: one?.id ?? 0, sdp: "yes", tracks: [] });
    await expect(first).resolves.toMatchObject({ sdp: "yes" });
    await expect(second).rejects.toMatchObject({ code: "sdp/malformed" });
    expect(messages).toHaveLength(1);
  });

  test("ends with the code of the last word, or of the close frame", async () => {
    const fatal = setUp();
    fatal.socket.open();
    fatal.socket.receive({ type: "error", code: "room/full", message: "full", fatal: true });
    fatal.socket.drop(4403);
    expect(fatal.closed).toEqual(["room/full"]);

    const silent = setUp();
    silent.socket.open();
    silent.socket.receive({
      type: "goodbye",
      code: "server/stopping",
      message: "bye",
      reconnectAfterMs: 500,
    });
    await silent.platform.clock.advance(FAREWELL_MS);
    expect(silent.closed).toEqual(["server/stopping"]);

    const abrupt = setUp();
    abrupt.socket.open();
    abrupt.socket.drop(4413);
    expect(abrupt.closed).toEqual(["client/slow"]);

    const replaced = setUp();
    replaced.socket.open();
    replaced.socket.drop(4409);
    expect(replaced.closed).toEqual(["client/replaced"]);
  });

  test("a refused name ends it, though the server would go on", () => {
    const { socket, closed } = setUp();
    socket.open();
    socket.receive({ type: "error", code: "hello/name", message: "no", fatal: false });
    expect(closed).toEqual(["hello/name"]);
  });

  test("an open offer ends with the socket", async () => {
    const { signal, socket, platform } = setUp();
    socket.open();
    const offer = signal.offer("one", []);
    socket.drop();
    await expect(offer).rejects.toMatchObject({ code: "sdk/socket" });
    await settle();
    expect(platform.clock.pending).toBe(0);
  });

  test("probes a changed network", async () => {
    const { signal, socket, platform, closed } = setUp();
    socket.open();
    socket.receive(welcome());
    await platform.clock.advance(100);
    signal.probe();
    socket.receive({ type: "pong", nonce: 1 });
    await platform.clock.advance(PROBE_TIMEOUT_MS);
    expect(closed).toEqual([]);
    signal.probe();
    await platform.clock.advance(PROBE_TIMEOUT_MS);
    expect(closed).toEqual(["sdk/socket"]);
  });

  test("survives garbage", () => {
    const { socket, closed } = setUp();
    socket.open();
    socket.onmessage?.({ data: "{" } as MessageEvent);
    socket.onmessage?.({ data: new ArrayBuffer(2) } as MessageEvent);
    expect(closed).toEqual([]);
  });
});
