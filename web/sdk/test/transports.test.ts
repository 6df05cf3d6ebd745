import { describe, expect, test } from "vitest";
import type { ClientMessage, ServerMessage } from "../src/protocol.ts";
import { STREAM_FIRST_MS, STREAM_SILENCE_MS } from "../src/signal/inbox.ts";
import { ATTEMPTS } from "../src/signal/requests.ts";
import { SOCKET_AGAIN_WITHIN_MS, SOCKET_WITHIN_MS, Transports } from "../src/signal/transports.ts";
import { Signal } from "../src/signal.ts";
import { at, FakePlatform, settle, welcome } from "./fakes.ts";

const URL_OF_SOCKET = "wss://host/meet/ws?room=r";
const SESSION = "https://host/meet/signal/s1";

/** The server as requests see it. */
class FakeExchange {
  readonly platform = new FakePlatform();
  /** Everything said, by its number. */
  readonly said: ClientMessage[] = [];
  readonly left: string[] = [];
  begun = 0;
  /** How many further requests to say something get no answer, though they arrive. */
  lostAnswers = 0;
  #poll: ((response: Response) => void) | null = null;

  constructor() {
    this.platform.fetch = (url, init) => {
      const aborted = new Promise<Response>((_, reject) =>
        init?.signal?.addEventListener("abort", () => reject(new Error("aborted"))),
      );
      return Promise.race([aborted, this.#answer(new URL(url), init ?? {})]);
    };
  }

  /** What the client is waiting for, by polling. */
  say(...messages: [number, ServerMessage][]): void {
    const body = { messages: messages.map(([number, message]) => ({ number, message })) };
    this.#poll?.(new Response(JSON.stringify(body)));
  }

  get isPolled(): boolean {
    return this.#poll !== null;
  }

  end(code: number, reason: string): void {
    this.#poll?.(new Response(JSON.stringify({ messages: [], closed: { code, reason } })));
  }

  async #answer(url: URL, init: RequestInit): Promise<Response> {
    if (init.method === "DELETE") {
      this.left.push(url.href);
      return new Response(null, { status: 204 });
    }
    if (url.pathname === "/meet/signal") {
      this.begun += 1;
      expect(url.searchParams.get("room")).toBe("r");
      return new Response(JSON.stringify({ session: "s1" }), { status: 201 });
    }
    if (url.pathname.endsWith("/messages")) {
      return new Promise((resolve) => {
        this.#poll = (response) => {
          this.#poll = null;
          resolve(response);
        };
      });
    }
    expect(`${url.origin}${url.pathname}`).toBe(SESSION);
    const first = Number(url.searchParams.get("first"));
    const messages = JSON.parse(String(init.body)) as ClientMessage[];
    if (first > this.said.length + 1) return new Response("", { status: 409 });
    for (const [index, message] of messages.entries()) this.said[first - 1 + index] = message;
    if (this.lostAnswers > 0) {
      this.lostAnswers -= 1;
      throw new TypeError("network");
    }
    return new Response(null, { status: 204 });
  }
}

function open(server = new FakeExchange(), transports = new Transports(server.platform)) {
  let id = 0;
  const { platform } = server;
  const signal = new Signal(
    platform,
    () => {
      id += 1;
      return id;
    },
    (url) => transports.open(url),
  );
  const messages: string[] = [];
  const closed: string[] = [];
  signal.on("message", ({ type }) => messages.push(type));
  signal.on("closed", ({ code }) => closed.push(code));
  signal.open(URL_OF_SOCKET, { name: "Ann", maxSeats: 8 });
  return { server, platform, transports, signal, messages, closed };
}

function types(said: readonly ClientMessage[]): string[] {
  return said.map(({ type }) => type);
}

describe("transports", () => {
  test("a WebSocket is taken where one gets through", async () => {
    const { server, platform, transports, messages } = open();
    platform.socket.open();
    platform.socket.receive(welcome());
    await platform.clock.advance(SOCKET_WITHIN_MS);
    expect([transports.current, messages, server.begun]).toEqual(["websocket", ["welcome"], 0]);
  });

  test("where it is refused, requests and a stream carry the same conversation", async () => {
    const { server, platform, transports, signal, messages } = open();
    platform.socket.drop();
    await settle();
    expect(types(server.said)).toEqual(["hello"]);
    const stream = at(platform.streams, -1);
    expect(stream.url).toBe(`${SESSION}/events?after=0`);
    stream.receive(1, welcome());
    stream.receive(1, welcome());
    expect([transports.current, messages]).toEqual(["sse", ["welcome"]]);
    const answer = signal.offer("v=0", []);
    await settle();
    expect(types(server.said)).toEqual(["hello", "offer"]);
    stream.receive(2, { type: "answer", id: 1, sdp: "yes", tracks: [] });
    await expect(answer).resolves.toMatchObject({ sdp: "yes" });
  });

  test("a WebSocket that neither opens nor fails gets a rival, and the first that opens is it", async () => {
    const { server, platform, transports } = open();
    await platform.clock.advance(SOCKET_WITHIN_MS - 1);
    expect(server.begun).toBe(0);
    const { socket } = platform;
    await platform.clock.advance(1);
    expect([server.begun, transports.current, socket.readyState]).toEqual([1, "sse", 3]);

    const late = new FakeExchange();
    const { fetch } = late.platform;
    late.platform.fetch = async (url, init) => {
      await new Promise((resolve) => late.platform.clock.set(() => resolve(null), 2_000));
      return fetch(url, init);
    };
    const other = open(late);
    await late.platform.clock.advance(SOCKET_WITHIN_MS);
    late.platform.socket.open();
    await late.platform.clock.advance(5_000);
    expect([other.transports.current, late.platform.streams.length]).toEqual(["websocket", 0]);
    expect(late.platform.socket.of("hello")).toHaveLength(1);
  });

  test("a stream that brings nothing is given up for polling, and not tried again in this room", async () => {
    const { server, platform, transports, signal, messages, closed } = open();
    platform.socket.drop();
    await platform.clock.advance(STREAM_FIRST_MS);
    expect(at(platform.streams, -1).isClosed).toBe(true);
    server.say([1, welcome()], [2, { type: "waiting" }]);
    await settle();
    expect([transports.current, messages]).toEqual(["poll", ["welcome", "waiting"]]);
    server.end(4413, "client/slow");
    await settle();
    expect(closed).toEqual(["client/slow"]);
    signal.close(false);

    const next = open(server, transports);
    await platform.clock.advance(SOCKET_AGAIN_WITHIN_MS);
    expect([platform.sockets.length, platform.streams.length, server.isPolled]).toEqual([2, 1, true]);
    next.signal.close(false);
  });

  test("a stream that is refused is given up at once; one that broke goes on behind what it brought", async () => {
    const refused = open();
    refused.platform.socket.drop();
    await settle();
    at(refused.platform.streams, 0).onerror?.({} as Event);
    await settle();
    expect([refused.transports.current, refused.server.isPolled]).toEqual(["poll", true]);

    const { platform, messages, closed } = open();
    platform.socket.drop();
    await settle();
    at(platform.streams, 0).receive(1, welcome());
    at(platform.streams, 0).onerror?.({} as Event);
    await platform.clock.advance(1_000);
    const second = at(platform.streams, 1);
    expect(second.url).toBe(`${SESSION}/events?after=1`);
    second.receive(2, { type: "waiting" });
    expect(messages).toEqual(["welcome", "waiting"]);
    second.end(4410, "room/kicked");
    expect(closed).toEqual(["room/kicked"]);
  });

  test("a stream that falls silent is replaced by polling in the same conversation", async () => {
    const { server, platform, transports, messages, closed } = open();
    platform.socket.drop();
    await settle();
    at(platform.streams, 0).receive(1, welcome());
    await platform.clock.advance(STREAM_SILENCE_MS);
    expect(server.begun).toBe(1);
    server.say([1, welcome()], [2, { type: "waiting" }]);
    await settle();
    expect([transports.current, messages, closed]).toEqual(["poll", ["welcome", "waiting"], []]);
  });

  test("what is said is numbered, and said again when no answer came", async () => {
    const { server, platform, signal, closed } = open();
    platform.socket.drop();
    await settle();
    at(platform.streams, 0).receive(1, welcome());
    server.lostAnswers = 2;
    for (const nonce of [1, 2, 3]) signal.send({ type: "ping", nonce });
    await settle();
    signal.send({ type: "ping", nonce: 4 });
    await platform.clock.advance(2_000);
    expect(types(server.said)).toEqual(["hello", "ping", "ping", "ping", "ping"]);
    expect(closed).toEqual([]);

    server.lostAnswers = ATTEMPTS;
    signal.send({ type: "ping", nonce: 5 });
    await platform.clock.advance(10_000);
    expect(closed).toEqual(["sdk/socket"]);
    expect(platform.clock.pending).toBe(0);
  });

  test("who leaves says so with what was not said yet; a page that goes leaves too", async () => {
    const { server, platform, signal } = open();
    platform.socket.drop();
    await settle();
    signal.send({ type: "ping", nonce: 1 });
    signal.close(true);
    await settle();
    expect(types(server.said)).toEqual(["hello", "ping", "leave"]);
    expect(at(platform.streams, 0).isClosed).toBe(true);

    const other = open();
    other.platform.socket.drop();
    await settle();
    other.platform.endPage();
    expect(other.server.left).toEqual([SESSION]);
  });

  test("the server's own word on a refusal is told, another's is not", async () => {
    const refuse = async (response: () => Response) => {
      const server = new FakeExchange();
      server.platform.fetch = async () => response();
      const { closed } = open(server);
      server.platform.socket.drop();
      await settle();
      await server.platform.clock.advance(5_000);
      return closed;
    };
    const problem = JSON.stringify({ code: "hello/rate", detail: "too many" });
    expect(await refuse(() => new Response(problem, { status: 429 }))).toEqual(["hello/rate"]);
    expect(await refuse(() => new Response("<h1>No</h1>", { status: 403 }))).toEqual(["sdk/socket"]);
  });
});
