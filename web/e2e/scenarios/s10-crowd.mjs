// S10: thirty join within five seconds. Most are clients in Rust (crates/client); three pages among them judge.
import { fileURLToPath } from "node:url";
import { startProcess } from "../lib/process.mjs";
import { until } from "../lib/wait.mjs";
import { percentile } from "./lib/figures.mjs";
import { scenario } from "./lib/scenario.mjs";
import {
  encoded,
  firstFrameMs,
  requireAttention,
  requireSpeed,
  sent,
  sleepUntil,
  untilTopSent,
  withStage,
} from "./lib/stage.mjs";

const CROWD =
  process.env.CROWD_BIN ?? fileURLToPath(new URL("../../../target/debug/examples/crowd", import.meta.url));
const JUDGES = 3;
const COUNT = Number(process.env.SCENARIO_CROWD ?? 30) - JUDGES;
const JOIN_MS = 5_000;
/** Key frames are counted over this time from the first join on. */
const COUNTED_MS = 10_000;
const BEFORE_MS = 10_000;
/** Of 127: what is coded as finely shows no difference, though it may be a multiple of next to nothing. */
const FINE_QP = 30;
/** The first one has what it will have. */
const SETTLE_MS = 5_000;
/** Longer than it takes. */
const STAY_S = 90;

scenario("s10", `${COUNT + JUDGES} join in five seconds`, (verdict) =>
  withStage(verdict, {}, async (stage) => {
    const publisher = await stage.publisher();
    const url = new URL("ws", stage.server.url).href.replace("http", "ws");
    const come = (/** @type {number} */ count, /** @type {number} */ joinMs, /** @type {RegExp} */ until) =>
      startProcess(CROWD, [url, "scenario", ...[count, joinMs, STAY_S].map(String)], until);
    // Somebody who was there: a camera at which nobody looks sends nothing.
    const first = await come(1, 1, /crowd is in: 1 of 1/);
    await untilTopSent(publisher);
    await sleepUntil(Date.now() + SETTLE_MS + BEFORE_MS);
    const crowd = await come(COUNT, JOIN_MS, /crowd begins/);
    try {
      const began = Date.now();
      const judges = [];
      for (let index = 0; index < JUDGES; index += 1) {
        await sleepUntil(began + (JOIN_MS / JUDGES) * index);
        judges.push(await stage.watcher(`Judge ${index}`, { dense: true }));
      }
      const firsts = await Promise.all(judges.map(firstFrameMs));
      const line = await until(
        "the crowd is in",
        () => crowd.output.find((l) => l.startsWith("crowd is in")),
        {
          timeout: 60_000,
        },
      );
      await sleepUntil(began + COUNTED_MS);
      const list = await sent(publisher);
      const quiet = encoded(list, began - BEFORE_MS, began);
      const busy = encoded(list, began, began + COUNTED_MS);
      const keyFrames = Math.max(...busy.encodings.map((encoding) => encoding.keyFrames));
      const qpRise = Math.max(
        ...busy.encodings.map(({ rid, qp }) => {
          const before = quiet.encodings.find((encoding) => encoding.rid === rid)?.qp ?? 0;
          return before > 0 ? (qp - before) / Math.max(before, FINE_QP) : 0;
        }),
      );
      verdict.atMost("key frames in 10 s", keyFrames, 3, 6);
      verdict.atMost("QP rise", qpRise, 0.1, 0.4);
      verdict.atMost("first frame p95 ms", percentile(firsts, 0.95), 800, 3000);
      verdict.atLeast("in the room", Number(/(\d+) of/.exec(line)?.[1]), COUNT, COUNT);
      verdict.raw = { quiet, busy, firsts };
      requireSpeed(list, began - BEFORE_MS, began + COUNTED_MS);
      requireAttention(list, began, began + COUNTED_MS);
    } finally {
      await Promise.all([crowd.stop(), first.stop()]);
    }
  }),
);
