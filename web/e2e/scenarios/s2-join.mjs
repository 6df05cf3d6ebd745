// S2: joining over links of 600 kbit/s, 1.5 and 5 Mbit/s.
import { change, percentile } from "./lib/figures.mjs";
import { scenario } from "./lib/scenario.mjs";
import { firstFrameMs, received, requireSpeed, sent, sleepUntil, untilTop, withStage } from "./lib/stage.mjs";

const RATES = ["600k", "1.5M", "5M"];
const JOINS = 3;
const PATH = "delay=20ms queue=300ms";
/** After that no freeze is judged, and the picture has its size. */
const LOOK_MS = 10_000;

/** Seconds from joining to the last change of the picture's height. @param {import("./lib/figures.mjs").Sample[]} samples @param {number} joinedAt */
function settledS(samples, joinedAt) {
  const last = samples.findLast((sample, index) => sample.height !== samples[index - 1]?.height);
  return ((last?.at ?? Number.POSITIVE_INFINITY) - joinedAt) / 1000;
}

scenario("s2", "a join over 600 kbit/s, 1.5 Mbit/s and 5 Mbit/s", (verdict) =>
  withStage(verdict, { links: RATES.length }, async (stage) => {
    const publisher = await stage.publisher();
    // They come to a call that is going on.
    await untilTop(await stage.watcher("Watcher", { dense: true }), publisher);
    const began = Date.now();
    /** @type {{ rate: string, firstMs: number, settled: number, freezes: number, longestStoodS: number, height: number }[]} */
    const joins = [];
    for (const [link, rate] of RATES.entries()) {
      await stage.emulator.set(link, "up", PATH);
      await stage.emulator.set(link, "down", `rate=${rate} ${PATH}`);
      for (let round = 0; round < JOINS; round += 1) {
        const watcher = await stage.watcher(`Joiner ${rate} ${round}`, {
          dense: true,
          detour: stage.emulator.fronts[link] ?? "",
        });
        const firstMs = await firstFrameMs(watcher);
        const { joinedAt } = await watcher.evaluate(() => window.scenario);
        await sleepUntil(joinedAt + LOOK_MS);
        const samples = await received(watcher);
        const { freezes, longestStoodS } = change(samples, joinedAt + firstMs, joinedAt + LOOK_MS);
        const height = samples.at(-1)?.height ?? 0;
        joins.push({ rate, firstMs, settled: settledS(samples, joinedAt), freezes, longestStoodS, height });
        await watcher.driver.close();
      }
    }
    verdict.atMost(
      "first frame p95 ms",
      percentile(
        joins.map(({ firstMs }) => firstMs),
        0.95,
      ),
      700,
    );
    verdict.atMost("last change of size s", Math.max(...joins.map(({ settled }) => settled)), 3);
    verdict.atMost(
      "freezes in 10 s",
      joins.reduce((sum, { freezes }) => sum + freezes, 0),
      0,
    );
    verdict.atMost("longest stand-still s", Math.max(...joins.map((join) => join.longestStoodS)), 0);
    for (const rate of RATES) {
      verdict.note(
        `rows at ${rate}`,
        Math.max(...joins.filter((join) => join.rate === rate).map(({ height }) => height)),
      );
    }
    verdict.raw = { joins };
    requireSpeed(await sent(publisher), began, Date.now());
  }),
);
