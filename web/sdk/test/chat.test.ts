import { describe, expect, test } from "vitest";
import { Chat } from "../src/chat.ts";
import { MAX_QUEUED_CHAT } from "../src/limits.ts";
import type { ChatMessage, ClientMessage } from "../src/protocol.ts";

type Sent = Extract<ClientMessage, { type: "chat" }>;

function setUp() {
  let nonce = 0;
  const chat = new Chat(
    () => {
      nonce += 1;
      return nonce;
    },
    (member) => member.startsWith("me"),
  );
  const sent: Sent[] = [];
  const open = () => chat.setTransmit((message) => sent.push(message) > 0);
  return { chat, sent, open };
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

  test("what was not acknowledged is sent again, unless the history shows that it arrived", () => {
    const { chat, sent, open } = setUp();
    open();
    chat.send("arrived, but its acknowledgement was lost");
    chat.send("lost");
    chat.setTransmit(null);
    sent.length = 0;
    chat.handleHistory([message(4, "arrived, but its acknowledgement was lost", "me-before")]);
    open();
    expect(sent.map((m) => m.text)).toEqual(["lost"]);
  });

  test("a refused message is failed, and can be sent again or forgotten", () => {
    const { chat, sent, open } = setUp();
    open();
    const nonce = chat.send("too much");
    expect(chat.handleError(nonce, "chat/rate")).toBe(true);
    expect(chat.handleError(999, "chat/rate")).toBe(false);
    expect(chat.outgoing[0]).toMatchObject({ state: "failed", code: "chat/rate" });
    chat.retry(nonce);
    expect(sent).toHaveLength(2);
    const again = chat.outgoing[0]?.nonce ?? 0;
    chat.handleError(again, "chat/rate");
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
});
