// A scenario as a test: void, passed or failed, and in each case written down.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Verdict } from "./figures.mjs";
import { RESULTS, Void } from "./stage.mjs";

/** Judges by the guards only: what holds on any machine that is fast enough, for the test command. */
const GUARDS_ONLY = process.env.SCENARIO_GUARDS === "1";
/** The longest a scenario may take. */
const TIMEOUT_MS = 240_000;

/**
 * Declares a scenario. `play` fills the verdict, and then says whether the run means anything.
 * @param {string} id the first word of its name, by which it is chosen
 * @param {string} title
 * @param {(verdict: Verdict) => Promise<void>} play
 */
export function scenario(id, title, play) {
  test(`${id}: ${title}`, { timeout: TIMEOUT_MS }, async (t) => {
    const verdict = new Verdict(id);
    const loadBefore = loadavg()[0] ?? 0;
    let why = "";
    try {
      await play(verdict);
    } catch (error) {
      if (!(error instanceof Void)) {
        await write("FAIL", String(error));
        throw error;
      }
      why = error.message;
    }
    const judged = GUARDS_ONLY ? verdict.broken : verdict.failures;
    const passed = verdict.failures.length > 0 ? "HELD" : "PASS";
    const state = why !== "" ? "VOID" : judged.length > 0 ? "FAIL" : passed;
    await write(state, why);
    if (state === "VOID") t.skip(`VOID: ${why}`);
    else assert.deepEqual(judged, []);

    /** @param {string} outcome @param {string} reason */
    async function write(outcome, reason) {
      const load = [loadBefore, loadavg()[0] ?? 0].map((value) => value.toFixed(1)).join("→");
      const row = `| ${id} | ${outcome} | ${[reason, String(verdict)].filter((text) => text !== "").join(": ")} | ${load} of ${cpus().length} |`;
      await mkdir(RESULTS, { recursive: true });
      const report = { id, title, outcome, reason, load, figures: verdict.figures, ...verdict.raw };
      // Infinity is no JSON, and null would not say which way.
      const text = JSON.stringify(
        report,
        (_, value) => (value === Number.POSITIVE_INFINITY ? "never" : value),
        1,
      );
      await writeFile(join(RESULTS, `${id}.json`), `${text}\n`);
      await writeFile(join(RESULTS, `${id}.md`), `${row}\n`);
      t.diagnostic(row);
    }
  });
}
