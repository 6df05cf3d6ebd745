// `npm run scenarios [-- NAME...]`: plays the scenarios whose ids begin with a NAME, or all, one after the other.
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { RESULTS } from "./lib/stage.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const HEAD = "| scenario | outcome | figures | load |\n|---|---|---|---|";

const names = process.argv.slice(2);
const files = (await readdir(HERE)).filter((file) => file.endsWith(".mjs") && file !== "run.mjs").sort();
await rm(RESULTS, { recursive: true, force: true });

/** @param {string} text */
const say = (text) => process.stdout.write(`${text}\n`);
const escaped = names.map((name) => new RegExp(`^${name.replace(/[^\w-]/g, "\\$&")}`));
const tests = run({
  files: files.map((file) => join(HERE, file)),
  concurrency: 1,
  ...(escaped.length > 0 ? { testNamePatterns: escaped } : {}),
});
let failed = 0;
tests.on("test:fail", () => {
  failed += 1;
});
tests.compose(new spec()).pipe(process.stdout);
await new Promise((resolve) => tests.once("end", resolve));

const rows = (await readdir(RESULTS).catch(() => [])).filter((file) => file.endsWith(".md")).sort();
say(`\n${HEAD}`);
for (const row of rows) say((await readFile(join(RESULTS, row), "utf8")).trimEnd());
if (rows.length === 0) say(`no scenario is called ${names.join(" or ")}`);
process.exitCode = failed > 0 || rows.length === 0 ? 1 : 0;
