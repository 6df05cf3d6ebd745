// A document of Yjs in two tabs, and in a third that comes late.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
let script = "";

before(async () => {
  const entry = fileURLToPath(new URL("lib/yjs_page.mjs", import.meta.url));
  const options = { lib: { entry, formats: ["iife"], name: "yjsPage" }, write: false };
  const built = await build({ configFile: false, logLevel: "error", build: /** @type {never} */ (options) });
  script =
    /** @type {{ output: { code: string }[] }[]} */ (/** @type {unknown} */ (built))[0]?.output[0]?.code ??
    "";
  server = await startServer();
  chromium = await launchChromium(undefined, { bypassCSP: true });
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** @param {string} name */
async function enter(name) {
  const guest = await chromium.guest(name);
  await guest.enter(server.room("plan"));
  await guest.evaluate((code) => {
    const element = document.createElement("script");
    element.textContent = code;
    document.head.append(element);
    window.tieDoc("plan");
  }, script);
  return guest;
}

test("two write at once, a third comes late, and all have the same", async () => {
  const [ann, ben] = [await enter("Ann"), await enter("Ben")];
  await Promise.all(
    [ann, ben].map((guest) =>
      guest.evaluate(async (name) => {
        for (let n = 0; n < 150; n += 1) {
          window.doc.write(n * 3, `${name}${n} `);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      }, guest.name),
    ),
  );
  const read = (/** @type {typeof ann} */ guest) => guest.evaluate(() => window.doc.read());
  await until("both have all of it", async () => {
    const [one, other] = [await read(ann), await read(ben)];
    return one.last === 300 && other.last === 300 && one.text === other.text;
  });
  const { text } = await read(ann);
  // Words are written into each other, but no letter is lost.
  const letters = Array.from({ length: 150 }, (_, n) => `Ann${n} Ben${n} `).join("");
  assert.equal([...text].sort().join(""), [...letters].sort().join(""));

  const late = await enter("Cleo");
  await ben.evaluate(() => window.doc.write(0, "while Cleo came "));
  await until("who came late has all of it", async () => {
    const [one, other] = [await read(late), await read(ann)];
    return one.last === 301 && one.text === other.text;
  });
  assert.ok((await read(late)).text.startsWith("while Cleo came "));
  for (const guest of [ann, ben, late]) assert.deepEqual(guest.faults, []);
});
