// S1 of docs: one watcher's link dips from 3 Mbit/s to 300 kbit/s and comes back; another watches beside it.
import {
  bestRung,
  between,
  carriedBps,
  change,
  fitting,
  moves,
  percentile,
  secondsUntil,
  secondsUntilFits,
} from "./figures.mjs";
import {
  CAMERA,
  choices,
  encoded,
  received,
  requireAttention,
  requireSpeed,
  sent,
  sleepUntil,
  untilTop,
  withStage,
} from "./stage.mjs";

const WIDE = { settings: "rate=3M", bps: 3_000_000 };
const NARROW = { settings: "rate=300k", bps: 300_000 };
/** Each way, as a queue of 300 ms. */
const PATH = "delay=20ms queue=300ms";
const BEFORE_MS = 20_000;
const DIP_MS = 20_000;
const AFTER_MS = 35_000;
/** After that the new rate should be made use of. */
const SETTLED_MS = 5_000;

/**
 * @typedef {object} Dip
 * @property {string} [codec] of the publisher; VP8 unless given
 * @property {string} [mode] scalability mode in place of simulcast
 * @property {boolean} [seal] with frames encrypted between the pages
 * @property {import("./stage.mjs").Browser} [publishes]
 * @property {import("./stage.mjs").Browser} [watches] the one behind the link
 */

/** Plays it. @param {import("./figures.mjs").Verdict} verdict @param {Dip} dip */
export function playDip(
  verdict,
  { codec, mode, seal = false, publishes = "chromium", watches = "chromium" },
) {
  const firefox = publishes === "firefox" || watches === "firefox";
  return withStage(verdict, { firefox }, async (stage) => {
    const { emulator } = stage;
    await emulator.set(0, "up", PATH);
    await emulator.set(0, "down", `${WIDE.settings} ${PATH}`);
    const camera = {
      seal,
      ...(codec === undefined ? {} : { codec }),
      ...(mode === undefined ? {} : { mode }),
    };
    const publisher = await stage.publisher(camera, publishes);
    const other = await stage.watcher("Other", { dense: true, seal });
    const watcher = await stage.watcher(
      "Watcher",
      { dense: true, seal, detour: emulator.fronts[0] ?? "" },
      watches,
    );
    await Promise.all([untilTop(watcher, publisher), untilTop(other, publisher)]);
    await sleepUntil(Date.now() + BEFORE_MS);
    const fell = await emulator.set(0, "down", NARROW.settings);
    await sleepUntil(fell + DIP_MS);
    const rose = await emulator.set(0, "down", WIDE.settings);
    const end = rose + AFTER_MS;
    await sleepUntil(end);

    const [samples, beside, made] = [await received(watcher), await received(other), await sent(publisher)];
    const rows = await emulator.rows(0, "down");
    const times = { fell, rose, end };
    judge(verdict, { samples, rows, times, rungs: choices(encoded(made, fell + SETTLED_MS, rose), mode) });
    const others = change(beside, fell, end);
    verdict.atMost("other: freezes", others.freezes, 0, 1);
    verdict.atMost("other: key frames", others.keyFrames, 1, 10);
    verdict.raw = {
      rungs: choices(encoded(made, fell + SETTLED_MS, rose), mode),
      ...{ times, samples, beside, rows: between(rows, fell - BEFORE_MS, end) },
      made: encoded(made, fell, end),
    };
    verdict.note("encoder fps", requireSpeed(made, fell - BEFORE_MS / 2, end));
    for (const seen of [samples, beside, made]) requireAttention(seen, fell, end);
  });
}

/**
 * @param {import("./figures.mjs").Verdict} verdict
 * @param {{ samples: import("./figures.mjs").Sample[], rows: import("./figures.mjs").LinkRow[], times: { fell: number, rose: number, end: number }, rungs: import("./figures.mjs").Rung[] }} run
 */
function judge(verdict, { samples, rows, times: { fell, rose, end }, rungs }) {
  const before = change(samples, fell - BEFORE_MS / 2, fell);
  const whole = change(samples, fell, end);
  const settled = change(samples, fell + SETTLED_MS, rose);
  const fit = fitting(rungs, NARROW.bps);
  const best = bestRung(fit);
  const queue = percentile(
    between(rows, fell, rose).map(({ queueMs }) => queueMs),
    0.95,
  );
  const isTop = moves(samples, CAMERA.height);
  const atFullRate = (/** @type {import("./figures.mjs").Sample} */ sample) =>
    isTop(sample) && change(samples, sample.at - 1000, sample.at).fps >= 0.9 * before.fps;
  verdict.atMost("down s", secondsUntilFits(rows, fell, rose, NARROW.bps), 2, 4);
  verdict.note(
    "smaller picture s",
    secondsUntil(samples, fell, rose, ({ height }) => height < CAMERA.height),
  );
  verdict.atMost("frozen s", Math.max(whole.frozenS, whole.stoodS), 1, 4);
  verdict.note("freezes", whole.freezes);
  verdict.note("fps in the dip", settled.fps);
  // What comes while the picture stands still is of no use to anybody.
  const usefulBps = settled.videoBps * (1 - Math.min(1, settled.stoodS / settled.seconds));
  verdict.atLeast("of best that fits", usefulBps / best.bps, 0.9, 0.4);
  verdict.note("rows that fit", best.height);
  verdict.note("of most bits that fit", usefulBps / Math.max(0, ...fit.map(({ bps }) => bps)));
  verdict.note("of the link", carriedBps(rows, fell + SETTLED_MS, rose) / NARROW.bps);
  verdict.atMost("queue p95 ms", queue, 150, 280);
  verdict.note(
    "drops",
    between(rows, fell, rose).reduce((sum, row) => sum + row.dropped, 0),
  );
  verdict.atMost("top back s", secondsUntil(samples, rose, end, isTop, 1000), 8, 20);
  verdict.atMost("full rate back s", secondsUntil(samples, rose, end, atFullRate, 1000), 8);
}
