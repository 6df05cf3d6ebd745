import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { isRoomId, MAX_CHAT_BYTES, MAX_NAME_CHARS, MAX_SDP_BYTES, MAX_SEATS } from "../src/limits.ts";

const source = readFileSync(new URL("../../../crates/protocol/src/limit.rs", import.meta.url), "utf8");

/** A constant of the protocol crate, such as `64 * 1024`. */
function limit(name: string): number {
  const factors = new RegExp(`const ${name}: \\w+ = ([0-9_ *]+);`).exec(source)?.[1] ?? "";
  return factors.split("*").reduce((product, factor) => product * Number(factor.replaceAll("_", "")), 1);
}

test("the bounds are the server's", () => {
  expect(limit("MAX_SDP_BYTES")).toBe(MAX_SDP_BYTES);
  expect(limit("MAX_CHAT_BYTES")).toBe(MAX_CHAT_BYTES);
  expect(limit("MAX_NAME_CHARS")).toBe(MAX_NAME_CHARS);
  expect(MAX_SEATS).toBeLessThanOrEqual(limit("MAX_SEATS"));
  expect(isRoomId("r".repeat(limit("MAX_ROOM_ID_BYTES")))).toBe(true);
  expect(isRoomId("r".repeat(limit("MAX_ROOM_ID_BYTES") + 1))).toBe(false);
});

test.each(["a", "A-z_0.9~", "..a"])("%s is a room id", (id) => {
  expect(isRoomId(id)).toBe(true);
});

test.each(["", ".", "..", "a b", "a/b", "é", "a\n"])("%j is no room id", (id) => {
  expect(isRoomId(id)).toBe(false);
});
