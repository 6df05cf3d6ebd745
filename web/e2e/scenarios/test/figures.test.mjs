// The figures of scenarios from samples and rows that are written down.
import { expect, test } from "vitest";
import {
  bestRung,
  carriedBps,
  change,
  fitting,
  heightChanges,
  longestWait,
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
  const bitsOf = (/** @type {import("../lib/figures.mjs").Layer[]} */ layers, keyMode = false) =>
    rungs(layers, 1, keyMode, ({ spatial }) => 90 << spatial).map(({ bps }) => bps);
  const simulcast = [layer("a", 0, 0), layer("a", 0, 1), layer("b", 0, 0), layer("b", 0, 1)];
  expect(bitsOf(simulcast)).toEqual([8_000, 16_000, 8_000, 16_000]);
  const scalable = [layer("a", 0, 0), layer("a", 1, 0), layer("a", 1, 1)];
  expect(bitsOf(scalable)).toEqual([8_000, 24_000, 40_000]);
  expect(bitsOf(scalable, true)).toEqual([8_000, 16_000, 32_000]);
  const sizes = rungs(scalable, 1, false, ({ spatial }) => 90 << spatial);
  expect(sizes.map(({ height, fps }) => [height, fps])).toEqual([
    [90, 10],
    [180, 10],
    [180, 20],
  ]);
});

test("a stream that was off half of the time costs as if it had gone on", () => {
  const on = { stream: "a", spatial: 0, temporal: 0, frames: 60, bytes: 6000 };
  const off = { stream: "b", spatial: 0, temporal: 0, frames: 30, bytes: 6000 };
  const [whole, half] = rungs([on, off], 2, false, () => 180);
  expect(whole).toEqual({ bps: 24_000, fps: 30, height: 180 });
  expect(half).toEqual({ bps: 48_000, fps: 30, height: 180 });
});

test("a picture of several spatial layers is one picture", () => {
  const layer = (/** @type {number} */ spatial, /** @type {number} */ temporal) => ({
    ...{ stream: "a", spatial, temporal, frames: 30, bytes: 0 },
  });
  const layers = [layer(0, 0), layer(0, 1), layer(1, 0), layer(1, 1), { ...layer(0, 0), stream: "b" }];
  expect(picturesPerSecond(layers, 2)).toBe(30);
  expect(picturesPerSecond([], 2)).toBe(0);
});

test("what fits beside the sound is a choice, and of those motion is worth more than size", () => {
  const rung = (/** @type {number} */ kbps, /** @type {number} */ height, /** @type {number} */ fps) => ({
    ...{ bps: kbps * 1000, height, fps },
  });
  const small = rung(150, 180, 30);
  const slow = rung(220, 360, 5);
  const large = rung(230, 360, 15);
  expect(fitting([small, slow, large], 300_000)).toEqual([small, slow]);
  expect(bestRung([small, slow])).toBe(small);
  expect(bestRung([small, slow, large])).toBe(large);
  expect(bestRung([]).bps).toBeNaN();
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
  const verdict = new Verdict("x");
  verdict.atMost("down s", 1.5, 2);
  verdict.atLeast("share", Number.NaN, 0.9);
  verdict.atMost("back s", Number.POSITIVE_INFINITY, 8);
  verdict.note("fps", 30);
  expect(verdict.failures).toEqual(["share: NaN, not ≥ 0.9", "back s: never, not ≤ 8"]);
  expect(String(verdict)).toBe("down s 1.50 (≤ 2) ✓; share NaN (≥ 0.9) ✗; back s never (≤ 8) ✗; fps 30");
});

test("a guard is broken by what is far from the demand", () => {
  const verdict = new Verdict("x");
  verdict.atMost("frozen s", 1.5, 1, 4);
  verdict.atMost("back s", Number.POSITIVE_INFINITY, 8, 20);
  verdict.atLeast("share", 0.7, 0.9, 0.4);
  verdict.atMost("queue ms", 900, 150);
  expect(verdict.failures).toHaveLength(4);
  expect(verdict.broken).toEqual(["back s: never, not ≤ 8"]);
});

test("a page that looks late was kept from running", () => {
  expect(longestWait([{ at: 0 }, { at: 250 }, { at: 900 }, { at: 1150 }])).toBe(400);
  expect(longestWait([])).toBe(0);
});
