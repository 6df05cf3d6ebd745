import { describe, expect, test } from "vitest";
import { Backoff } from "../src/reconnect.ts";

describe("backoff", () => {
  const policy = new Backoff();

  test("is at once, then grows from 0.3 s to 10 s, half of it chance", () => {
    const most = Array.from({ length: 8 }, (_, i) => policy.delay(i + 1, "sdk/socket", 1));
    expect(most).toEqual([0, 300, 600, 1200, 2400, 4800, 9600, 10_000]);
    expect(policy.delay(2, "sdk/socket", 0)).toBe(150);
    expect(policy.delay(10_000, "sdk/socket", 1)).toBe(10_000);
  });

  test("does not come back at once to who is busy or was pressed too hard", () => {
    for (const code of ["server/overloaded", "server/internal", "room/full", "message/rate"] as const) {
      expect(policy.delay(1, code, 1)).toBe(300);
    }
  });

  test("who was put out, or not let in, does not come back by itself", () => {
    for (const code of ["room/kicked", "room/banned", "room/moved", "room/closed", "lobby/denied"] as const) {
      expect(policy.delay(1, code, 1)).toBeNull();
    }
  });

  test("gives up only where trying again is of no use", () => {
    for (const code of [
      "hello/forbidden",
      "hello/version",
      "room/bad-id",
      "sdp/unsupported",
      "client/replaced",
    ] as const) {
      expect(policy.delay(1, code, 1)).toBeNull();
    }
    for (const code of [
      "room/full",
      "server/stopping",
      "ice/consent",
      "sdk/media-failed",
      "client/slow",
    ] as const) {
      expect(policy.delay(1, code, 1)).not.toBeNull();
    }
  });
});
