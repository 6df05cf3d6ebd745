// The figures of scenarios from samples and rows that are written down.
import { expect, test } from "vitest";
import {
  bestRung,
  carriedBps,
  change,
  heightChanges,
  moves,
  percentile,
  picturesPerSecond,
  rungs,
  secondsUntil,
  secondsUntilFits,
  standstills,
  Verdict,
} from "../lib/figures.mjs";

/** @param {number} at @param {Partial<import("../lib/figures.mjs").Sample>} [more] */
const sample = (at, more = {}) => ({
  ...{
    at,
    height: 720,
    frames: at / 50,
    keyFrames: 0,
    freezes: 0,
    frozenS: 0,
    videoBytes: at * 100,
    nacks: 0,
  },
  ...{ plis: 0, concealed: 0, samples: at * 48, otherFrames: 0, otherFreezes: 0 },
  ...more,
});
const times = (/** @type {number} */ to) => Array.from({ length: to / 250 + 1 }, (_, index) => index * 250);
/** Rows of so many bytes in and out each 100 ms. @param {number[]} bytes */
const rows = (bytes) =>
  bytes.map((size, index) => ({
    ...{ at: index * 100, bytesIn: size, bytesOut: size, dropped: 0, lost: 0, queueMs: index },
  }));

test("what happened between two times is the difference of their samples", () => {
  const list = times(4000).map((at) =>
    sample(at, { concealed: at >= 2000 ? 960 : 0, freezes: at > 3000 ? 1 : 0 }),
  );
  const { seconds, fps, videoBps, freezes, concealedShare } = change(list, 1000, 3000);
  expect({ seconds, fps, videoBps, freezes }).toEqual({ seconds: 2, fps: 20, videoBps: 800_000, freezes: 0 });
  expect(concealedShare).toBeCloseTo(0.01);
});

test("a stand-still counts though the browser forgot it, also one that lasts to the end", () => {
  const stops = (/** @type {number} */ at) =>
    Math.min(Math.max(at, 0), 2000) + Math.max(0, Math.min(at, 8000) - 5000);
  const list = times(10_000).map((at) => sample(at, { frames: stops(at) / 50 }));
  expect(standstills(list)).toEqual([3, 1.75]);
  expect(change(list, 0, 10_000).stoodS).toBe(4.75);
  expect(standstills(times(4000).map((at) => sample(at)))).toEqual([]);
});

test("a frozen picture is not back because its height is", () => {
  const list = times(6000).map((at) => sample(at, { frames: at < 3000 ? 0 : (at - 3000) / 50 }));
  expect(secondsUntil(list, 1000, 6000, moves(list, 720))).toBe(2.25);
  expect(secondsUntil(list, 1000, 6000, moves(list, 1080))).toBe(Number.POSITIVE_INFINITY);
});

test("what holds for a moment only does not hold", () => {
  const list = times(6000).map((at) => sample(at, { height: at === 1000 || at >= 3000 ? 360 : 720 }));
  const isSmall = (/** @type {{ height: number }} */ { height }) => height < 720;
  expect(secondsUntil(list, 500, 6000, isSmall)).toBe(0.5);
  expect(secondsUntil(list, 500, 6000, isSmall, 1000)).toBe(2.5);
});

test("a link's load fits once it is below the rate for a second", () => {
  // 800 kbit/s for three seconds, then 240 kbit/s.
  const load = rows([...Array(30).fill(10_000), ...Array(40).fill(3_000)]);
  const seconds = secondsUntilFits(load, 1000, 7000, 300_000);
  expect(seconds).toBeGreaterThanOrEqual(1.9);
  expect(seconds).toBeLessThanOrEqual(2.1);
  expect(secondsUntilFits(load, 1000, 7000, 200_000)).toBe(Number.POSITIVE_INFINITY);
  expect(secondsUntilFits(load, 3000, 7000, 300_000)).toBe(0);
  expect(carriedBps(load, 0, 1000)).toBe(800_000);
});

test("rungs are layers with those they stand on", () => {
  const layer = (
    /** @type {string} */ stream,
    /** @type {number} */ spatial,
    /** @type {number} */ temporal,
  ) => ({
    ...{ stream, spatial, temporal, frames: 10, bytes: 1000 * (spatial + 1) },
  });
  const simulcast = [layer("a", 0, 0), layer("a", 0, 1), layer("b", 0, 0)];
  expect(rungs(simulcast, 1, false)).toEqual([8_000, 16_000, 8_000]);
  const scalable = [layer("a", 0, 0), layer("a", 1, 0), layer("a", 1, 1)];
  expect(rungs(scalable, 1, false)).toEqual([8_000, 24_000, 40_000]);
  expect(rungs(scalable, 1, true)).toEqual([8_000, 16_000, 32_000]);
});

test("a picture of several spatial layers is one picture", () => {
  const layer = (/** @type {number} */ spatial, /** @type {number} */ temporal) => ({
    ...{ stream: "a", spatial, temporal, frames: 30, bytes: 0 },
  });
  const layers = [layer(0, 0), layer(0, 1), layer(1, 0), layer(1, 1), { ...layer(0, 0), stream: "b" }];
  expect(picturesPerSecond(layers, 2)).toBe(30);
  expect(picturesPerSecond([], 2)).toBe(0);
});

test("the best rung is the largest that fits beside the sound", () => {
  expect(bestRung([150_000, 220_000, 500_000], 300_000)).toBe(220_000);
  expect(bestRung([150_000, 230_000], 300_000)).toBe(150_000);
  expect(bestRung([500_000], 300_000)).toBe(0);
});

test("changes of size are counted from the first picture on", () => {
  expect(heightChanges([0, 180, 180, 360, 180].map((height, at) => sample(at, { height })))).toBe(2);
});

test("a percentile is one of the values", () => {
  expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
  expect(percentile([1, 2, 3], 0.95)).toBe(3);
  expect(percentile([], 0.5)).toBeNaN();
});

test("a verdict fails for what does not hold and for what could not be measured", () => {
  const verdict = new Verdict();
  verdict.atMost("down s", 1.5, 2);
  verdict.atLeast("share", Number.NaN, 0.9);
  verdict.atMost("back s", Number.POSITIVE_INFINITY, 8);
  verdict.note("fps", 30);
  expect(verdict.failures).toEqual(["share: NaN, not ≥ 0.9", "back s: never, not ≤ 8"]);
  expect(String(verdict)).toBe("down s 1.50 (≤ 2) ✓; share NaN (≥ 0.9) ✗; back s never (≤ 8) ✗; fps 30");
});
