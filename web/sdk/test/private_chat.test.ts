// Messages to a few: where they stand, that each goes and comes once, and that none of them goes to anybody else.
import { describe, expect, test } from "vitest";
import { Chat } from "../src/chat.ts";
import { MAX_KEPT_CHAT, MAX_PRIVATE_TO } from "../src/limits.ts";
import type { ChatMessage, ClientMessage, PrivateMessage, Resumed, ServerMessage } from "../src/protocol.ts";
import { Room } from "../src/room.ts";
import { at, enter, FakeClock, FakePlatform, GRANTS, roomState, settle, welcome } from "./fakes.ts";

type Sent = Extract<ClientMessage, { type: "chat" }>;

const me = { id: "me", name: "Me" };
const bob = { id: "bob", name: "Bob" };

function message(seq: number, text = `${seq}`, at = seq): ChatMessage {
  return { id: `m${seq}`, seq, at, member: "ann", name: "Ann", text };
}

function whisper(id: string, at: number, patch: Partial<PrivateMessage> = {}): PrivateMessage {
  return { id, at, member: "bob", name: "Bob", to: ["me"], text: id, ...patch };
}

function setUp() {
  let nonce = 0;
  const clock = new FakeClock();
  const names = new Map([
    ["me", "Me"],
    ["bob", "Bob"],
    ["cy", "Cy"],
  ]);
  const chat = new Chat(
    clock,
    () => {
      nonce += 1;
      return nonce;
    },
    { isOwn: (member) => member === "me", nameOf: (member) => names.get(member) ?? null },
  );
  chat.handleWelcome(1);
  const sent: Sent[] = [];
  const heard: string[] = [];
  chat.on("message", ({ text }) => heard.push(text));
  chat.on("privateMessage", ({ text }) => heard.push(`(${text})`));
  const open = () => chat.setTransmit((m) => sent.push(m) > 0);
  const texts = () => chat.messages.map(({ text, to }) => (to === undefined ? text : `(${text})`));
  return { chat, clock, names, sent, heard, open, texts };
}

describe("private messages", () => {
  test("stand between the others as they came, and have no part in the room's numbers", () => {
    const { chat, texts, heard } = setUp();
    chat.handlePrivate(whisper("first", 5));
    expect(chat.oldest).toBe(null);
    chat.handleMessage(message(10));
    chat.handlePrivate(whisper("second", 11));
    chat.handleMessage(message(14));
    expect(heard).toEqual(["(first)", "10", "(second)", "14"]);
    // A slow one of the room, and a page of what was before.
    chat.handleMessage(message(12));
    chat.handlePage([2, 7].map((seq) => ({ ...message(seq), epoch: 1 })));
    expect(texts()).toEqual(["2", "(first)", "7", "10", "(second)", "12", "14"]);
    expect(chat.oldest).toBe("1-2");
  });

  test("the room's order holds even where the server's clock went back", () => {
    const { chat, texts } = setUp();
    chat.handleMessage(message(5, "5", 100));
    chat.handlePrivate(whisper("private", 50));
    chat.handleMessage(message(8, "8", 51));
    chat.handleMessage(message(4, "4", 99));
    expect(texts().filter((text) => !text.startsWith("("))).toEqual(["4", "5", "8"]);
  });

  test("what comes again after an absence is shown once, and told once, also if it is too old to be kept", () => {
    const { chat, heard, texts } = setUp();
    chat.handlePrivate(whisper("hello", 1));
    chat.handlePrivate(whisper("hello", 1));
    expect([texts(), heard]).toEqual([["(hello)"], ["(hello)"]]);
    for (let seq = 1; seq <= MAX_KEPT_CHAT; seq += 1) chat.handleMessage(message(seq, `${seq}`, 1 + seq));
    chat.handlePrivate(whisper("hello", 1));
    expect(heard.filter((text) => text === "(hello)")).toHaveLength(1);
    expect(texts()).toHaveLength(MAX_KEPT_CHAT);
    expect(texts()[0]).toBe("1");
  });

  test("say from whom and to whom, by the names of when they were written", () => {
    const { chat, names, open } = setUp();
    open();
    const nonce = chat.send("between us", { to: ["cy", "bob", "cy", "gone"] });
    expect(chat.outgoing).toMatchObject([{ to: ["cy", "bob", "gone"], toNames: ["Cy", "Bob", null] }]);
    names.clear();
    chat.handlePrivate(whisper("own", 1, { member: "me", to: ["bob", "cy", "gone"] }), nonce);
    expect(chat.messages).toMatchObject([{ member: "me", toNames: ["Bob", "Cy", null] }]);
  });

  test("wait, are sent in order with the others, and again with their number until they are acknowledged", () => {
    const { chat, sent, open, texts } = setUp();
    const secret = chat.send("secret", { to: ["bob"] });
    const loud = chat.send("loud");
    expect(chat.outgoing.map(({ state }) => state)).toEqual(["queued", "queued"]);
    open();
    const expected = [
      { type: "chat", nonce: secret, text: "secret", to: ["bob"] },
      { type: "chat", nonce: loud, text: "loud" },
    ];
    expect(sent).toEqual(expected);
    chat.handleLost();
    expect(sent).toEqual([...expected, ...expected]);
    chat.handlePrivate(whisper("secret", 1, { member: "me", to: ["bob"] }), secret);
    chat.handlePrivate(whisper("secret", 1, { member: "me", to: ["bob"] }), secret);
    expect(chat.outgoing.map(({ text }) => text)).toEqual(["loud"]);
    expect(texts()).toEqual(["(secret)"]);
  });

  test("another's message with the same number acknowledges nothing", () => {
    const { chat, open } = setUp();
    open();
    const nonce = chat.send("secret", { to: ["bob"] });
    chat.handlePrivate(whisper("theirs", 1));
    chat.handleMessage({ ...message(1), nonce });
    expect(chat.outgoing).toMatchObject([{ nonce, state: "sent" }]);
  });

  test("one that is refused is failed with the server's word, and goes to the same people if it is sent again", () => {
    const { chat, sent, open } = setUp();
    open();
    const nonce = chat.send("secret", { to: ["bob", "cy"] });
    expect(chat.handleError(nonce, "member/unknown")).toBe(true);
    expect(chat.outgoing).toMatchObject([{ state: "failed", code: "member/unknown", to: ["bob", "cy"] }]);
    chat.retry(nonce);
    expect(sent.map(({ to }) => to)).toEqual([
      ["bob", "cy"],
      ["bob", "cy"],
    ]);
  });

  test("a list of people that is none is refused, and never means everybody", () => {
    const { chat, sent, open } = setUp();
    open();
    const crowd = Array.from({ length: MAX_PRIVATE_TO + 1 }, (_, index) => `m${index}`);
    const nobody = undefined as unknown as string[];
    for (const to of [[], crowd, ["no id"], [""], nobody]) {
      expect(() => chat.send("secret", { to })).toThrow(
        expect.objectContaining({ code: "chat/bad-recipients" }),
      );
    }
    expect(() => chat.send("é".repeat(8193), { to: ["bob"] })).toThrow(
      expect.objectContaining({ code: "chat/too-long" }),
    );
    expect([sent, chat.outgoing]).toEqual([[], []]);
    chat.send("to as many as may be", { to: crowd.slice(1) });
    expect(sent).toHaveLength(1);
  });

  test("in another life of the room the same ids may be others', who get nothing", () => {
    const { chat, sent, open } = setUp();
    const nonce = chat.send("secret", { to: ["bob"] });
    chat.handleWelcome(2);
    open();
    expect(chat.outgoing).toMatchObject([{ nonce, state: "failed", code: "member/unknown" }]);
    chat.retry(nonce);
    expect([sent, chat.outgoing.length]).toEqual([[], 1]);
    chat.discard(nonce);
    expect(chat.outgoing).toEqual([]);
  });

  test("who is somebody new decides whether what may have arrived is sent again", () => {
    const { chat, sent, open } = setUp();
    open();
    const tried = chat.send("perhaps there", { to: ["bob"] });
    chat.setTransmit(null);
    chat.send("not there", { to: ["bob"] });
    chat.handleWelcome(1);
    open();
    expect(sent.map(({ text }) => text)).toEqual(["perhaps there", "not there"]);
    expect(chat.outgoing.map(({ state, code }) => code ?? state)).toEqual(["sdk/chat-unconfirmed", "sent"]);
    chat.retry(tried);
    expect(sent.at(-1)).toMatchObject({ text: "perhaps there", to: ["bob"] });
  });

  test("are gone when one leaves, and in another room, sent or not", () => {
    for (const end of ["handleLeft", "handleMoved"] as const) {
      const { chat, sent, open, texts } = setUp();
      chat.handleMessage(message(1));
      chat.handlePrivate(whisper("secret", 2));
      chat.send("never sent", { to: ["bob"] });
      chat.send("to everybody");
      chat[end]();
      expect(texts()).toEqual(end === "handleLeft" ? ["1"] : []);
      expect(chat.outgoing.map(({ text }) => text)).toEqual(["to everybody"]);
      chat.handleWelcome(2);
      open();
      expect(sent.filter(({ to }) => to !== undefined)).toEqual([]);
    }
  });
});

/** In a room with Bob, the chat channel open. */
async function enterRoom() {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  const heard: string[] = [];
  room.on("chatMessage", ({ text }) => heard.push(text));
  room.on("privateChatMessage", ({ name, text, toNames }) => heard.push(`${name} to ${toNames}: ${text}`));
  void room.connect("ws://test/ws?room=r", { name: "Me" });
  const state = roomState({ seq: 10, members: [me, bob] });
  await enter(platform, welcome({ state, resume: { token: "secret", withinS: 60 } }));
  const channel = at(platform.connection.channels, 0);
  return { platform, room, heard, channel };
}

function privately(message: PrivateMessage, nonce?: number): ServerMessage {
  return { type: "privateChat", message, ...(nonce === undefined ? {} : { nonce }) };
}

const RESUMED: Resumed = { member: me, grants: GRANTS, iceServers: [], media: true, slots: [] };

describe("private messages in a room", () => {
  test("one that went by the socket holds back the channel until it is acknowledged", async () => {
    const { platform, room, channel, heard } = await enterRoom();
    const first = room.sendChatMessage("by socket", { to: ["bob"] });
    channel.open();
    const second = room.sendChatMessage("by socket too");
    expect(platform.socket.of("chat").map(({ nonce }) => nonce)).toEqual([first, second]);
    platform.socket.receive(privately(whisper("p1", 1, { member: "me", name: "Me", to: ["bob"] }), first));
    platform.socket.receive({
      type: "error",
      id: second,
      code: "chat/forbidden",
      message: "no",
      fatal: false,
    });
    const third = room.sendChatMessage("by channel", { to: ["bob"] });
    expect(channel.sent).toEqual([{ type: "chat", nonce: third, text: "by channel", to: ["bob"] }]);
    expect(heard).toEqual(["Me to Bob: p1"]);
  });

  test("after an absence what was written arrives, and what came meanwhile and before is there once", async () => {
    const { platform, room, heard, channel } = await enterRoom();
    channel.open();
    channel.receive(privately(whisper("just before", 11)));
    platform.socket.drop();
    const nonce = room.sendChatMessage("is it you?", { to: ["bob"] });
    await platform.clock.advance(0);
    platform.socket.open();
    expect(at(platform.socket.of("hello"), 0).resume?.seq, "it is no event").toBe(10);
    platform.socket.receive({ type: "resumed", ...RESUMED });
    platform.socket.receive(privately(whisper("just before", 11)));
    platform.socket.receive(privately(whisper("meanwhile", 12)));
    await settle();
    // The channel had it from the beginning; as nothing came back it would go again.
    expect(channel.sent.at(-1)).toEqual({ type: "chat", nonce, text: "is it you?", to: ["bob"] });
    channel.receive(privately(whisper("mine", 13, { member: "me", name: "Me", to: ["bob"] }), nonce));
    expect(heard).toEqual(["Bob to Me: just before", "Bob to Me: meanwhile", "Me to Bob: mine"]);
    expect(room.chat.outgoing).toEqual([]);
  });

  test("a refusal over the socket is shown at the message, and is no warning", async () => {
    const { platform, room } = await enterRoom();
    const warnings: string[] = [];
    room.on("warning", ({ code }) => warnings.push(code));
    const id = room.sendChatMessage("too late", { to: ["bob"] });
    platform.socket.receive({ type: "error", id, code: "member/unknown", message: "gone", fatal: false });
    expect(room.chat.outgoing).toMatchObject([{ state: "failed", code: "member/unknown", toNames: ["Bob"] }]);
    expect(warnings).toEqual([]);
  });

  test("who has left keeps none, and who is moved takes none along", async () => {
    for (const end of ["leave", "move"]) {
      const { platform, room, channel } = await enterRoom();
      channel.open();
      channel.receive(privately(whisper("secret", 11)));
      room.sendChatMessage("another", { to: ["bob"] });
      if (end === "leave") room.disconnect();
      else {
        platform.socket.receive({ type: "move", room: "next", ticket: "move_1", expiresInS: 30 });
        platform.socket.receive({ type: "goodbye", code: "room/moved", message: "on" });
        platform.socket.drop(4410);
        const state = roomState({ room: "next", epoch: 2, members: [me, bob] });
        await enter(platform, welcome({ room: "next", state }));
        expect(platform.socket.of("chat")).toEqual([]);
      }
      expect([room.chat.messages, room.chat.outgoing]).toEqual([[], []]);
    }
  });
});
