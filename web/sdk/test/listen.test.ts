import { describe, expect, test } from "vitest";
import { EventStream, MAX_LINE_CHARS } from "../src/calls/event_stream.ts";
import { answerCall, listenForCalls, type Reachable, STREAM_SILENCE_MS } from "../src/calls/listen.ts";
import type { CallState } from "../src/protocol.ts";
import { FakePlatform } from "./fakes.ts";

/** Streams of bytes need more turns than promises do. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

function piece(seq: number, state: CallState, id = "c1"): string {
  const call = { id, from: "ann", to: "bob", room: "daily", at: 1, timeoutS: 30 };
  return `id: ${seq}\nevent: ${state}\ndata: ${JSON.stringify({ seq, at: seq, state, call })}\n\n`;
}

/** A server whose streams are written by hand. */
async function setUp(who: Reachable = { identity: "bob" }) {
  const platform = new FakePlatform();
  const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  const stream = () =>
    Promise.resolve(
      new Response(new ReadableStream({ start: (controller) => void streams.push(controller) }), {
        status: 200,
      }),
    );
  platform.answer = stream;
  const log: string[] = [];
  const stop = listenForCalls(
    "https://h/meet/",
    who,
    {
      onCall: ({ state, call }, direction) => log.push(`${direction} ${call.id} ${state}`),
      onLost: ({ id }) => log.push(`${id} lost`),
      onListening: () => log.push("listening"),
      onInterrupted: (code) => log.push(`interrupted ${code}`),
      onRefused: ({ code }) => log.push(`refused ${code}`),
    },
    platform,
  );
  await turn();
  const write = async (text: string) => {
    streams.at(-1)?.enqueue(new TextEncoder().encode(text));
    await turn();
  };
  return { platform, streams, stream, log, stop, write };
}

function refusing(status: number, code: string, headers: Record<string, string> = {}) {
  return () => Promise.resolve(new Response(JSON.stringify({ code, detail: "no" }), { status, headers }));
}

describe("listening for calls", () => {
  test("each step is told, by a stream with the token", async () => {
    const { platform, log, stop, write, streams } = await setUp({ identity: "b/o b", token: "a.b.c" });
    expect(platform.asked).toEqual(["https://h/meet/api/v1/users/b%2Fo%20b/events"]);
    expect(platform.lastRequest?.headers).toMatchObject({ authorization: "Bearer a.b.c" });
    await write(": listening\n\n");
    const text = piece(1, "ringing");
    await write(text.slice(0, 20));
    await write(text.slice(20) + piece(2, "accepted"));
    expect(log).toEqual(["listening", "outgoing c1 ringing", "outgoing c1 accepted"]);
    stop();
    expect(platform.lastRequest?.signal?.aborted).toBe(true);
    expect(platform.clock.pending).toBe(0);
    expect(() => streams[0]?.enqueue(new TextEncoder().encode(piece(3, "ringing", "c2")))).not.toThrow();
    await turn();
    expect(log).toHaveLength(3);
  });

  test("it comes back by itself, and what rings is not told twice", async () => {
    const { platform, log, write, streams } = await setUp();
    await write(piece(1, "ringing") + piece(2, "ringing", "c2"));
    streams[0]?.close();
    await turn();
    await platform.clock.advance(0);
    await turn();
    expect(platform.asked).toHaveLength(2);
    await write(piece(2, "ringing"));
    await platform.clock.advance(3_000);
    const rang = ["incoming c1 ringing", "incoming c2 ringing"];
    expect(log).toEqual(["listening", ...rang, "interrupted sdk/socket", "listening", "c2 lost"]);
  });

  test("a stream that fell silent is replaced, and one over another network at once", async () => {
    const { platform, log, write } = await setUp();
    await platform.clock.advance(STREAM_SILENCE_MS - 1);
    await write(": heartbeat\n\n");
    await platform.clock.advance(STREAM_SILENCE_MS - 1);
    expect(platform.asked).toHaveLength(1);
    await platform.clock.advance(1);
    await turn();
    expect(log).toEqual(["listening", "interrupted sdk/timeout", "listening"]);
    platform.changeNetwork("changed");
    await turn();
    expect(platform.asked).toHaveLength(3);
    platform.changeNetwork("visible");
    await turn();
    expect(platform.asked, "it stands").toHaveLength(3);
  });

  test("a server in trouble is asked again, later and later; one that says no is not", async () => {
    const { platform, log, stream, streams } = await setUp();
    platform.answer = refusing(503, "server/overloaded", { "retry-after": "20" });
    streams[0]?.close();
    await turn();
    await platform.clock.advance(0);
    await turn();
    expect(log.at(-1)).toBe("interrupted server/overloaded");
    platform.answer = stream;
    await platform.clock.advance(19_999);
    expect(platform.asked).toHaveLength(2);
    await platform.clock.advance(1);
    await turn();
    expect(log.at(-1)).toBe("listening");
    platform.answer = refusing(401, "token/expired");
    streams[1]?.close();
    await turn();
    await platform.clock.advance(20_000);
    await turn();
    expect(log.at(-1)).toBe("refused token/expired");
    await platform.clock.advance(600_000);
    platform.changeNetwork("online");
    expect(platform.asked).toHaveLength(4);
  });

  test("an answer by request has who gives it, and a refusal the server's code", async () => {
    const asked: { url: string; init: RequestInit }[] = [];
    const fetch = (url: string, init: RequestInit) => {
      asked.push({ url, init });
      const refuse = asked.length > 1;
      return Promise.resolve(
        Response.json(refuse ? { code: "call/unknown" } : { id: "c/1" }, { status: refuse ? 404 : 200 }),
      );
    };
    const bob = { identity: "bob", token: "a.b.c" };
    expect(await answerCall("https://h/meet/", "c/1", "decline", bob, fetch)).toEqual({ id: "c/1" });
    expect(asked[0]?.url).toBe("https://h/meet/api/v1/calls/c%2F1/answer");
    expect(asked[0]?.init).toEqual({
      method: "POST",
      body: '{"answer":"decline","by":"bob"}',
      headers: { "content-type": "application/json", authorization: "Bearer a.b.c" },
    });
    const late = answerCall("https://h/", "c1", "accept", { identity: "bob" }, fetch);
    await expect(late).rejects.toMatchObject({ code: "call/unknown" });
  });
});

describe("streams of events", () => {
  test("pieces may end anywhere, within a letter too", () => {
    const heard: string[] = [];
    const stream = new EventStream((data) => heard.push(data));
    const bytes = new TextEncoder().encode(
      ": hello\n\nevent: x\r\ndata: ü1\r\n\r\ndata: a\ndata: b\nid: 7\n\n",
    );
    for (const byte of bytes) expect(stream.push(Uint8Array.of(byte))).toBe(true);
    expect(heard).toEqual(["ü1", "a\nb"]);
  });

  test("a line without an end is not kept without end", () => {
    const stream = new EventStream(() => {});
    const half = new Uint8Array(MAX_LINE_CHARS / 2).fill(97);
    expect([stream.push(half), stream.push(half), stream.push(half)]).toEqual([true, true, false]);
  });
});
