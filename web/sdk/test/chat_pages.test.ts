import { describe, expect, it } from "vitest";
import { Chat } from "../src/chat.ts";
import { ChatPages } from "../src/chat_pages.ts";
import { MAX_KEPT_CHAT } from "../src/limits.ts";
import type { ChatEntry, ClientMessage } from "../src/protocol.ts";
import { FakeClock } from "./fakes.ts";

function message(seq: number, epoch = 7): ChatEntry {
  return { id: `m${epoch}-${seq}`, seq, epoch, at: 1, member: "ann", name: "Ann", text: `${seq}` };
}

function range(from: number, to: number): ChatEntry[] {
  return Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
}

function make() {
  let id = 0;
  const chat = new Chat(new FakeClock(), () => 0, { isOwn: () => false, nameOf: () => null });
  chat.handleEpoch(7);
  const pages = new ChatPages(chat, () => ++id);
  const sent: ClientMessage[] = [];
  const load = (limit?: number) =>
    pages.load((said) => {
      sent.push(said);
      return true;
    }, limit);
  const seqs = () => chat.messages.map(({ seq }) => seq);
  return { chat, pages, sent, load, seqs };
}

describe("earlier chat", () => {
  it("is asked for before the oldest message that is known, and then on, until there is none", async () => {
    const { chat, pages, sent, load, seqs } = make();
    chat.handleHistory(range(101, 150));
    const first = load();
    expect(sent).toEqual([{ type: "getChat", id: 1, before: "7-101", limit: 50 }]);
    pages.handlePage({ type: "chatPage", id: 1, messages: range(51, 100), before: "7-51" });
    expect(await first).toBe(true);
    const second = load(1_000);
    expect(sent[1]).toEqual({ type: "getChat", id: 2, before: "7-51", limit: 100 });
    pages.handlePage({ type: "chatPage", id: 2, messages: range(1, 50), before: null });
    expect(await second).toBe(false);
    expect(seqs()).toEqual(range(1, 150).map(({ seq }) => seq));
    expect(await load()).toBe(false);
    expect(sent).toHaveLength(2);
  });

  it("is the end of the room's chat where nothing is known yet", () => {
    const { sent, load } = make();
    void load();
    expect(sent).toEqual([{ type: "getChat", id: 1, limit: 50 }]);
  });

  it("is asked for once at a time", async () => {
    const { pages, sent, load } = make();
    const both = [load(), load()];
    pages.handlePage({ type: "chatPage", id: 9, messages: range(1, 5), before: null });
    pages.handlePage({ type: "chatPage", id: 1, messages: range(1, 5), before: null });
    expect(await Promise.all(both)).toEqual([false, false]);
    expect(sent).toHaveLength(1);
  });

  it("stays although newer messages push others out", () => {
    const { chat, pages, load, seqs } = make();
    chat.handleHistory(range(101, 150));
    void load();
    pages.handlePage({ type: "chatPage", id: 1, messages: range(51, 100), before: "7-51" });
    chat.handleHistory(range(151, 150 + MAX_KEPT_CHAT));
    expect(seqs()).toHaveLength(MAX_KEPT_CHAT + 50);
    expect(seqs()[0]).toBe(101);
  });

  it("says why there is none: refused, or the connection lost, or never there", async () => {
    const { pages, load } = make();
    const refused = load();
    expect(pages.handleError(2, "chat/page-rate", "too many")).toBe(false);
    expect(pages.handleError(1, "chat/page-rate", "too many")).toBe(true);
    await expect(refused).rejects.toMatchObject({ code: "chat/page-rate" });
    const lost = load();
    pages.handleLost();
    await expect(lost).rejects.toMatchObject({ code: "sdk/closed" });
    await expect(pages.load(() => false)).rejects.toMatchObject({ code: "sdk/closed" });
  });

  it("of another room is not that of the room before", async () => {
    const { chat, pages, sent, load, seqs } = make();
    chat.handleHistory(range(101, 150));
    chat.send("on its way");
    const lost = load();
    pages.handleMoved();
    chat.handleMoved();
    await expect(lost).rejects.toMatchObject({ code: "sdk/closed" });
    expect(seqs()).toEqual([]);
    expect(chat.outgoing.map(({ state }) => state)).toEqual(["failed"]);
    void load();
    expect(sent[1]).toEqual({ type: "getChat", id: 2, limit: 50 });
  });
});
