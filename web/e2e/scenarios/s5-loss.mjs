// S5: random loss of 2, 5 and 10 % on 5 Mbit/s.
import { change } from "./lib/figures.mjs";
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

const LOSSLESS_MS = 15_000;
const STEP_MS = 45_000;
/** Losses in a thousand, and the share of the lossless rate that is to be left. */
const STEPS = [
  { loss: 20, share: 0.9 },
  { loss: 50, share: 0.8 },
  { loss: 100, share: 0.6 },
];

scenario("s5", "2, 5 and 10 % of the packets lost", (verdict) =>
  withStage(verdict, {}, async (stage) => {
    const { emulator } = stage;
    await emulator.set(0, "up", "delay=20ms");
    await emulator.set(0, "down", "rate=5M delay=20ms queue=300ms");
    const publisher = await stage.publisher();
    const watcher = await stage.watcher("Watcher", { dense: true, detour: emulator.fronts[0] ?? "" });
    await untilTop(watcher, publisher);
    const began = Date.now();
    await sleepUntil(began + LOSSLESS_MS);
    const lossless = change(await received(watcher), began, began + LOSSLESS_MS);
    const steps = [];
    for (const { loss, share } of STEPS) {
      const from = await emulator.set(0, "down", `loss=${loss}`);
      await sleepUntil(from + STEP_MS);
      const step = change(await received(watcher), from, from + STEP_MS);
      steps.push({ loss, ...step });
      const percent = loss / 10;
      verdict.atLeast(`rate at ${percent} %`, step.videoBps / lossless.videoBps, share);
      verdict.note(`frozen s at ${percent} %`, step.frozenS);
      if (loss === 50) {
        verdict.atMost("freezes at 5 % a minute", (step.freezes * 60) / step.seconds, 0.2);
        verdict.atMost("sound concealed at 5 %", step.concealedShare, 0.01);
      }
    }
    verdict.raw = { lossless, steps };
    requireSpeed(await sent(publisher), began, Date.now());
    requireAttention(await received(watcher), began, Date.now());
  }),
);
