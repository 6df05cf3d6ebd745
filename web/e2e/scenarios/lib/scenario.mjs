// A scenario as a test: void, passed or failed, and in each case written down.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Verdict } from "./figures.mjs";
import { Void } from "./stage.mjs";

/** Where rows and raw figures go. */
export const RESULTS =
  process.env.SCENARIO_RESULTS ??
  fileURLToPath(new URL("../../../../test-results/scenarios/", import.meta.url));
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
    const verdict = new Verdict();
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
    const state = why !== "" ? "VOID" : verdict.failures.length > 0 ? "FAIL" : "PASS";
    await write(state, why);
    if (state === "VOID") t.skip(`VOID: ${why}`);
    else assert.deepEqual(verdict.failures, []);

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
      await writeFile(new URL(`${id}.json`, `file://${RESULTS}/`), `${text}\n`);
      await writeFile(new URL(`${id}.md`, `file://${RESULTS}/`), `${row}\n`);
      t.diagnostic(row);
    }
  });
}
