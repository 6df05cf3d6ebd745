import { expect, test } from "vitest";
import { HIGH_WATER_BYTES, MessageChannel } from "../src/channel.ts";
import type { ServerMessage } from "../src/protocol.ts";
import { FakeChannel } from "./fakes.ts";

const chat = { type: "chat", nonce: 1, text: "hi" } as const;

function setUp() {
  const fake = new FakeChannel("roundtable.chat");
  const heard: ServerMessage[] = [];
  let writable = 0;
  const channel = new MessageChannel(fake as unknown as RTCDataChannel, {
    onMessage: (message) => heard.push(message),
    onWritable: () => {
      writable += 1;
    },
  });
  return { fake, channel, heard, writable: () => writable };
}

test("a channel takes nothing before it is open, nor more than it can hold", () => {
  const { fake, channel, writable } = setUp();
  expect(channel.send(chat)).toBe(false);
  fake.open();
  expect(writable()).toBe(1);
  expect(channel.send(chat)).toBe(true);
  fake.bufferedAmount = HIGH_WATER_BYTES + 1;
  expect(channel.send(chat)).toBe(false);
  fake.bufferedAmount = fake.bufferedAmountLowThreshold;
  fake.onbufferedamountlow?.();
  expect(writable()).toBe(2);
  expect(channel.send(chat)).toBe(true);
  expect(fake.sent).toHaveLength(2);
});

test("a channel passes messages on and drops garbage", () => {
  const { fake, heard, channel } = setUp();
  fake.open();
  fake.onmessage?.({ data: "{" });
  fake.onmessage?.({ data: new ArrayBuffer(1) });
  fake.receive({ type: "pong", nonce: 3 });
  expect(heard).toEqual([{ type: "pong", nonce: 3 }]);
  channel.close();
  expect(channel.send(chat)).toBe(false);
});
