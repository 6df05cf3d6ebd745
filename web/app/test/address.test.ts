import { describe, expect, test } from "vitest";
import { locate, randomRoomId, readOptions, roomLink, suggestRoomId } from "../src/address.ts";

describe("the page's address", () => {
  test.each([
    ["http://h/", null, "http://h/", null],
    ["http://h/r/team", null, "http://h/", "team"],
    ["http://h/r/team/?w=320#x", "http://h/", "http://h/", "team"],
    ["https://h/meet/", "https://h/meet/", "https://h/meet/", null],
    ["https://h/meet/r/a~b", "https://h/meet/", "https://h/meet/", "a~b"],
    ["https://h/meet/r/a~b", null, "https://h/meet/", "a~b"],
    ["https://h/r/r/x", "https://h/r/", "https://h/r/", "x"],
    ["https://h/r/%E0%A4%A", null, "https://h/", null],
    ["https://h/r/no%20room", null, "https://h/", null],
  ])("%s with base %s", (page, base, home, room) => {
    const place = locate(page, base);
    expect(place.home.href).toBe(home);
    expect(place.room).toBe(room);
  });

  test("a link leads back to its room", () => {
    const home = new URL("https://h/meet/");
    expect(locate(roomLink(home, "a-b.c"), home.href).room).toBe("a-b.c");
  });

  test("what is typed becomes an id", () => {
    expect(suggestRoomId("  Café of Zoë & Ann! ")).toBe("Cafe-of-Zoe-Ann");
    expect(suggestRoomId("...")).toBe("");
    expect(suggestRoomId("x".repeat(99))).toHaveLength(64);
    expect(suggestRoomId(randomRoomId())).toMatch(/^[a-z]+-[a-z]+-[0-9a-z]+$/);
  });

  test("options come from the query", () => {
    expect(readOptions("")).toEqual({ relay: false, invite: null, capture: {} });
    expect(readOptions("?relay=1&w=320&fps=10&invite=k3J")).toEqual({
      relay: true,
      invite: "k3J",
      capture: { width: 320, height: 180, frameRate: 10 },
    });
    expect(readOptions("?w=x&fps=-1")).toEqual({ relay: false, invite: null, capture: {} });
  });
});
