// S9: hardly more than the sound needs. The server must leave out what does not fit: video, and redundancy.
import { between, carriedBps, change, heightChanges, percentile } from "./lib/figures.mjs";
import { scenario } from "./lib/scenario.mjs";
import { received, requireAttention, requireSpeed, sent, sleepUntil, withStage } from "./lib/stage.mjs";

const RATES = ["120k", "100k", "80k"];
const STEP_MS = 30_000;
/** The first seconds are the server's to find out. */
const SETTLED_MS = 5_000;

scenario("s9", "120, 100 and 80 kbit/s", (verdict) =>
  withStage(verdict, {}, async (stage) => {
    const { emulator } = stage;
    await emulator.set(0, "up", "delay=20ms");
    await emulator.set(0, "down", "rate=1M delay=20ms queue=300ms");
    const publisher = await stage.publisher();
    const watcher = await stage.watcher("Watcher", { detour: emulator.fronts[0] ?? "" });
    const began = Date.now();
    await sleepUntil(began + SETTLED_MS);
    let changes = 0;
    const steps = [];
    for (const rate of RATES) {
      const from = await emulator.set(0, "down", `rate=${rate}`);
      await sleepUntil(from + STEP_MS);
      const samples = await received(watcher);
      const step = change(samples, from + SETTLED_MS, from + STEP_MS);
      const rows = between(await emulator.rows(0, "down"), from + SETTLED_MS, from + STEP_MS);
      changes += heightChanges(between(samples, from + SETTLED_MS, from + STEP_MS));
      const queue = percentile(
        rows.map(({ queueMs }) => queueMs),
        0.95,
      );
      steps.push({ rate, queue, carriedBps: carriedBps(rows, from + SETTLED_MS, from + STEP_MS), ...step });
      verdict.atMost(`sound concealed at ${rate}`, step.concealedShare, 0.02);
      verdict.note(`fps at ${rate}`, step.fps);
    }
    const minutes = (RATES.length * (STEP_MS - SETTLED_MS)) / 60_000;
    verdict.atMost("changes of size a minute", changes / minutes, 4);
    verdict.raw = { steps };
    // Later nobody has room for its pictures, and it may stop.
    requireSpeed(await sent(publisher), began, began + SETTLED_MS);
    requireAttention(await received(watcher), began, Date.now());
  }),
);
