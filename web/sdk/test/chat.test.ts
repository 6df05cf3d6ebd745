import { describe, expect, test } from "vitest";
import { CHAT_REST_MS, Chat } from "../src/chat.ts";
import { CHAT_PER_SECOND, MAX_QUEUED_CHAT, MAX_UNACKNOWLEDGED_CHAT } from "../src/limits.ts";
import type { ChatMessage, ClientMessage, EventBody } from "../src/protocol.ts";
import { FakeClock } from "./fakes.ts";

type Sent = Extract<ClientMessage, { type: "chat" }>;

function setUp() {
  let nonce = 0;
  const clock = new FakeClock();
  const chat = new Chat(
    clock,
    () => {
      nonce += 1;
      return nonce;
    },
    { isOwn: (member) => member.startsWith("me"), nameOf: () => null },
  );
  const sent: Sent[] = [];
  const open = () => chat.setTransmit((message) => sent.push(message) > 0);
  return { chat, sent, open, clock };
}

function message(seq: number, text: string, member = "ann"): ChatMessage {
  return { id: `m${seq}`, seq, at: seq, member, name: member, text };
}

const texts = (chat: Chat) => chat.messages.map((m) => m.text);

describe("chat", () => {
  test("history and live messages are one list without doubles, in the room's order", () => {
    const { chat } = setUp();
    const heard: string[] = [];
    chat.on("message", (m) => heard.push(m.text));
    chat.handleMessage(message(5, "five"));
    chat.handleHistory([message(2, "two"), message(5, "five")]);
    chat.handleMessage(message(9, "nine"));
    chat.handleMessage(message(7, "seven"));
    chat.handleMessage(message(9, "nine"));
    expect(texts(chat)).toEqual(["two", "five", "seven", "nine"]);
    expect(heard).toEqual(["five", "nine", "seven"]);
  });

  test("a new life of the room comes after the former, whatever its numbers", () => {
    const { chat } = setUp();
    chat.handleEpoch(1);
    chat.handleMessage(message(90, "before"));
    chat.handleEpoch(2);
    chat.handleMessage(message(1, "after"));
    chat.handleMessage({ ...message(90, "same id, another message") });
    expect(texts(chat)).toEqual(["before", "after", "same id, another message"]);
  });

  test("an own message is queued, sent, and gone from the outgoing once acknowledged", () => {
    const { chat, sent, open } = setUp();
    const nonce = chat.send("hi");
    expect(chat.outgoing[0]?.state).toBe("queued");
    open();
    expect(sent).toEqual([{ type: "chat", nonce, text: "hi" }]);
    expect(chat.outgoing[0]?.state).toBe("sent");
    chat.handleMessage(message(3, "hi", "me"), nonce);
    expect(chat.outgoing).toEqual([]);
    expect(texts(chat)).toEqual(["hi"]);
  });

  test("keeps order while the channel is full", () => {
    const { chat, sent } = setUp();
    let free = 1;
    const transmit = (m: Sent) => {
      if (free === 0) return false;
      free -= 1;
      sent.push(m);
      return true;
    };
    chat.setTransmit(transmit);
    for (const text of ["a", "b", "c"]) chat.send(text);
    expect(sent.map((m) => m.text)).toEqual(["a"]);
    free = 5;
    chat.flush();
    expect(sent.map((m) => m.text)).toEqual(["a", "b", "c"]);
  });

  test("what was not acknowledged is sent again with its number, unless the history shows that it arrived", () => {
    const { chat, sent, open } = setUp();
    open();
    const arrived = chat.send("arrived, but its acknowledgement was lost");
    const lost = chat.send("lost");
    chat.setTransmit(null);
    sent.length = 0;
    chat.handleHistory([
      { ...message(4, "arrived, but its acknowledgement was lost", "me-before"), nonce: arrived },
      { ...message(5, "somebody else's with the same number"), nonce: lost },
    ]);
    open();
    expect(sent).toEqual([{ type: "chat", nonce: lost, text: "lost" }]);
  });

  test("an own message that comes once more is an acknowledgement, and is shown once", () => {
    const { chat, sent, open } = setUp();
    const heard: string[] = [];
    chat.on("message", (m) => heard.push(m.text));
    open();
    const nonce = chat.send("hi");
    chat.handleLost();
    expect(sent.map((m) => m.nonce)).toEqual([nonce, nonce]);
    chat.handleMessage({ ...message(3, "hi", "me"), nonce });
    chat.handleMessage({ ...message(3, "hi", "me"), nonce }, nonce);
    expect(chat.outgoing).toEqual([]);
    expect(heard).toEqual(["hi"]);
  });

  test("sends no faster than the server takes, all of it in order", async () => {
    const { chat, clock, sent, open } = setUp();
    const nonces = Array.from({ length: 60 }, (_, index) => chat.send(`${index}`));
    open();
    expect(sent).toHaveLength(MAX_UNACKNOWLEDGED_CHAT);
    await clock.advance(60_000);
    expect(sent).toHaveLength(MAX_UNACKNOWLEDGED_CHAT);
    // The server acknowledges each after a while.
    let taken = 0;
    const counts: number[] = [];
    while (chat.outgoing.length > 0) {
      for (; taken < sent.length; taken += 1) {
        const { nonce, text } = sent[taken] ?? { nonce: 0, text: "" };
        chat.handleMessage(message(taken + 1, text, "me"), nonce);
      }
      counts.push(sent.length);
      await clock.advance(1_000);
    }
    expect(sent.map((m) => m.nonce)).toEqual(nonces);
    const added = counts.map((count, index) => count - (counts[index - 1] ?? 0));
    expect(Math.max(...added.slice(1))).toBeLessThanOrEqual(CHAT_PER_SECOND + 1);
    expect(clock.pending).toBe(0);
  });

  test("what came too fast is sent again after a rest, before all that follows", async () => {
    const { chat, clock, sent, open } = setUp();
    open();
    const [a, b] = ["a", "b"].map((text) => chat.send(text));
    expect(chat.handleError(a ?? 0, "chat/rate")).toBe(true);
    chat.handleError(b ?? 0, "server/overloaded");
    chat.send("c");
    expect(chat.outgoing.map((entry) => entry.state)).toEqual(["queued", "queued", "queued"]);
    expect(sent).toHaveLength(2);
    await clock.advance(CHAT_REST_MS);
    expect(sent.map((m) => m.text)).toEqual(["a", "b", "a", "b", "c"]);
  });

  test("a refused message is failed, and can be sent again or forgotten", () => {
    const { chat, sent, open } = setUp();
    open();
    const nonce = chat.send("not for everybody");
    expect(chat.handleError(nonce, "chat/forbidden")).toBe(true);
    expect(chat.handleError(999, "chat/forbidden")).toBe(false);
    expect(chat.outgoing[0]).toMatchObject({ state: "failed", code: "chat/forbidden" });
    chat.retry(nonce);
    expect(sent).toHaveLength(2);
    const again = chat.outgoing[0]?.nonce ?? 0;
    chat.handleError(again, "chat/forbidden");
    chat.discard(again);
    expect(chat.outgoing).toEqual([]);
  });

  test("refuses what cannot be sent", () => {
    const { chat } = setUp();
    expect(() => chat.send("  ")).toThrow(expect.objectContaining({ code: "chat/empty" }));
    expect(() => chat.send("é".repeat(8193))).toThrow(expect.objectContaining({ code: "chat/too-long" }));
    for (let i = 0; i < MAX_QUEUED_CHAT; i += 1) chat.send(`message ${i}`);
    expect(() => chat.send("one more")).toThrow(expect.objectContaining({ code: "sdk/chat-queue-full" }));
  });

  test("edits, deletions and reactions change what is shown, also when they come before the message", () => {
    const { chat } = setUp();
    let seq = 10;
    const event = (body: EventBody) => {
      seq += 1;
      chat.handleEvent({ seq, at: seq, ...body });
    };
    const react = (member: string, on: boolean) =>
      event({ type: "reaction", message: "m1", member, reaction: "👍", on });
    event({ type: "chatEdited", message: "m2", member: "ann", text: "two, better" });
    chat.handleHistory([message(1, "one"), message(2, "two"), message(3, "three")]);
    expect(texts(chat)).toEqual(["one", "two, better", "three"]);
    expect(chat.messages[1]?.editedAt).toBe(11);
    for (const [member, on] of [
      ["ann", true],
      ["bob", true],
      ["bob", true],
      ["ann", false],
    ] as const) {
      react(member, on);
    }
    expect(chat.messages[0]?.reactions).toEqual([{ reaction: "👍", members: ["bob"] }]);
    react("bob", false);
    expect(chat.messages[0]?.reactions).toEqual([]);
    event({ type: "chatDeleted", message: "m3", member: "ann" });
    expect(chat.messages[2]).toMatchObject({ text: "", deleted: true });
  });

  test("what was deleted during a long absence is gone afterwards", () => {
    const { chat } = setUp();
    chat.handleMessage(message(1, "a secret"));
    chat.handleHistory([{ ...message(1, ""), name: "", deleted: true, epoch: 0 }]);
    expect(chat.messages).toMatchObject([{ text: "", deleted: true }]);
  });
});
