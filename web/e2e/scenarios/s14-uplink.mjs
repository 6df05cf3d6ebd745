// S14: a publisher's own uplink dips; who watches follows, and another publisher is not affected.
import { between, change, percentile } from "./lib/figures.mjs";
import { scenario } from "./lib/scenario.mjs";
import {
  received,
  requireAttention,
  requireSpeed,
  sent,
  sleepUntil,
  untilTop,
  withStage,
} from "./lib/stage.mjs";

const BEFORE_MS = 10_000;
const DIP_MS = 20_000;
const AFTER_MS = 30_000;
/** A camera small enough for the machine to carry beside the large one. */
const SMALL = { width: 320, fps: 10 };

scenario("s14", "a publisher's uplink dips", (verdict) =>
  withStage(verdict, {}, async (stage) => {
    const { emulator } = stage;
    await emulator.set(0, "up", "rate=3M delay=20ms queue=300ms");
    await emulator.set(0, "down", "delay=20ms");
    // The large camera first: Chromium opens its one fake device as the first page wants it.
    const publisher = await stage.publisher({ detour: emulator.fronts[0] ?? "" });
    const neighbour = await stage.guest("Neighbour", "chromium", {});
    const place = new URL(stage.room);
    place.searchParams.set("w", String(SMALL.width));
    place.searchParams.set("fps", String(SMALL.fps));
    await neighbour.enter(place.href);
    const watcher = await stage.watcher("Watcher", { dense: true });
    await untilTop(watcher, publisher);
    await sleepUntil(Date.now() + BEFORE_MS);
    const fell = await emulator.set(0, "up", "rate=300k");
    await sleepUntil(fell + DIP_MS);
    const rose = await emulator.set(0, "up", "rate=3M");
    await sleepUntil(rose + AFTER_MS);
    const samples = await received(watcher);
    const list = await sent(publisher);
    const dip = change(samples, fell, rose);
    const before = change(samples, fell - BEFORE_MS, fell);
    const rows = between(await emulator.rows(0, "up"), fell, rose);
    verdict.atMost("longest stand-still s", dip.longestStoodS, 2);
    verdict.note("frozen s", dip.frozenS);
    verdict.note("fps in the dip", change(samples, fell + 5000, rose).fps);
    verdict.atMost("neighbour: freezes", dip.otherFreezes, 0);
    verdict.atLeast("neighbour: share of frames", dip.otherFps / before.otherFps, 0.9);
    verdict.note(
      "queue p95 ms",
      percentile(
        rows.map(({ queueMs }) => queueMs),
        0.95,
      ),
    );
    verdict.raw = { fell, rose, samples, list };
    requireSpeed(list, fell - BEFORE_MS, fell);
    requireAttention(samples, fell, rose + AFTER_MS);
  }),
);
