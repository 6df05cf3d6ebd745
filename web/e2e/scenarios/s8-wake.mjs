// S8: a minute of a small picture, then a large one, on 3 Mbit/s.
import { carriedBps, change, moves, secondsUntil } from "./lib/figures.mjs";
import { scenario } from "./lib/scenario.mjs";
import {
  CAMERA,
  received,
  requireAttention,
  requireSpeed,
  sent,
  sleepUntil,
  withStage,
} from "./lib/stage.mjs";

const IDLE_MS = 60_000;
const AFTER_MS = 15_000;
/** What a small picture may cost, with sound. */
const IDLE_BPS = 300_000;

scenario("s8", "small for a minute, then large", (verdict) =>
  withStage(verdict, {}, async (stage) => {
    const { emulator } = stage;
    await emulator.set(0, "up", "delay=20ms");
    await emulator.set(0, "down", "rate=3M delay=20ms queue=300ms");
    const publisher = await stage.publisher();
    const watcher = await stage.watcher("Watcher", { detour: emulator.fronts[0] ?? "" });
    await watcher.evaluate(() => {
      const style = document.createElement("style");
      style.id = "small";
      style.textContent =
        ".stage { width: 240px !important; height: 135px !important; flex: none !important; }";
      document.head.append(style);
    });
    const began = Date.now();
    await sleepUntil(began + IDLE_MS);
    const grew = await watcher.evaluate(() => {
      document.querySelector("#small")?.remove();
      return Date.now();
    });
    await sleepUntil(grew + AFTER_MS);
    const samples = await received(watcher);
    const rows = await emulator.rows(0, "down");
    const isTop = moves(samples, CAMERA.height);
    verdict.atMost("small: kbit/s", carriedBps(rows, grew - IDLE_MS / 2, grew) / 1000, IDLE_BPS / 1000);
    verdict.atMost("top s", secondsUntil(samples, grew, grew + AFTER_MS, isTop), 2.5);
    verdict.note("frozen s", change(samples, grew, grew + AFTER_MS).frozenS);
    verdict.raw = { samples, began, grew };
    requireSpeed(await sent(publisher), began, Date.now());
    requireAttention(samples, began, Date.now());
  }),
);
