// Names and messages are text, whatever they look like.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

const NAME = `<img src=x onerror="window.hacked=true">`;
const MESSAGES = [
  `<script>window.hacked=true</script>`,
  `<b>bold</b> & <a href="javascript:window.hacked=true">link</a>`,
  `\u202ereversed and \u0000 nothing`,
];

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("markup in names and chat is shown, not run", async () => {
  const mallory = await chromium.guest(NAME);
  const ann = await chromium.guest("Ann");
  await ann.enter(server.room("markup"));
  await mallory.enter(server.room("markup"));
  await ann.press("Chat");
  await mallory.press("Chat");
  for (const message of MESSAGES) await mallory.say(message);
  for (const guest of [ann, mallory]) {
    const lines = await until("the messages", async () => {
      const read = await guest.readChat();
      return read.length === MESSAGES.length ? read : null;
    });
    assert.deepEqual(lines, MESSAGES);
    const names = (await guest.tiles()).map(({ name }) => name);
    assert(
      names.some((name) => name.startsWith(NAME)),
      names.join(),
    );
    const injected = await guest.evaluate(
      () => document.querySelectorAll(".tile img, .message b, .message a").length,
    );
    assert.equal(injected, 0);
    assert.equal(await guest.evaluate(() => window.hacked ?? false), false);
    assert(!guest.faults.some((fault) => fault.includes("Content Security Policy")), guest.faults.join());
  }
});
