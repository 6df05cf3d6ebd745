import { expect, test } from "vitest";
import { Heard, MAX_BEYOND } from "../src/heard.ts";

test("what counts is the last event before the first gap, whatever came by which way", () => {
  const heard = new Heard(5);
  expect([heard.note(8), heard.note(6), heard.note(6), heard.note(3), heard.note(8)]).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  expect(heard.allTo).toBe(6);
  heard.note(7);
  expect(heard.allTo).toBe(8);
});

test("a gap that stays costs no more memory than the server's", () => {
  const heard = new Heard(0);
  for (let seq = 2; seq < 3 * MAX_BEYOND; seq += 1) heard.note(seq);
  expect(heard.allTo).toBe(0);
  expect(heard.note(2)).toBe(true);
  expect(heard.note(3 * MAX_BEYOND - 1)).toBe(false);
});
