// Networks that let no WebSocket through: requests carry the signalling, with a stream of events or without.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startRequestProxy, startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

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

/** @param {import("./lib/guest.mjs").Guest} guest */
function transport(guest) {
  return guest.evaluate(() => window.roundtable.room.transport);
}

for (const [expected, lets] of /** @type {const} */ ([
  ["sse", { streams: true }],
  ["poll", { streams: false }],
])) {
  test(`a call behind a proxy without upgrades goes by ${expected}`, async () => {
    const proxy = await startRequestProxy(server.url, lets);
    const guests = [await chromium.guest("Ann"), await chromium.guest("Ben")];
    const [ann, ben] = /** @type {[typeof guests[0], typeof guests[0]]} */ (guests);
    const url = new URL(`r/by-${expected}?w=320&fps=10`, proxy.url).href;
    for (const guest of guests) await guest.enter(url);
    assert.deepEqual(await Promise.all(guests.map(transport)), [expected, expected]);
    assert.ok(proxy.refused() >= 2, "upgrades were tried");
    await expectMediaFlows(guests, { seconds: 2 });
    for (const guest of guests) await guest.press("Chat");
    await ann.say("Over requests?");
    await ben.say("Over requests.");
    for (const guest of guests) {
      await until(`${guest.name} reads both`, async () => (await guest.readChat()).length === 2, {
        timeout: 40_000,
      });
    }
    // Others hear of it at once, though no socket breaks.
    await ben.evaluate(() => window.roundtable.room.disconnect());
    await until("Ben is gone", async () => (await ann.tiles()).length === 1, { timeout: 15_000 });
    await ann.driver.close();
    await ben.driver.close();
    proxy.stop();
  });
}
