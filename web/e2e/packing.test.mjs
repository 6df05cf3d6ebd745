// Signalling in few and small frames: what a page's socket carries while people come in a burst.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium, launchFirefox } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** Those who come in one burst. */
const CROWD = 40;
const PATIENT = { timeout: 40_000 };

/** Counts frames by their kind, in both directions. */
const COUNT = `
  window.packing = { text: 0, binary: 0, arrays: 0, sentText: 0, sentBinary: 0 };
  const { send } = WebSocket.prototype;
  const heard = new WeakSet();
  WebSocket.prototype.send = function (data) {
    if (!heard.has(this)) {
      heard.add(this);
      this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") window.packing.binary += 1;
        else window.packing.text += 1;
        if (typeof data === "string" && data.startsWith("[")) window.packing.arrays += 1;
      });
    }
    window.packing[typeof data === "string" ? "sentText" : "sentBinary"] += 1;
    send.call(this, data);
  };
`;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {Awaited<ReturnType<typeof launchFirefox>>} */
let firefox;

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
  firefox = await launchFirefox();
});

after(async () => {
  await firefox?.close();
  await chromium?.close();
  await server?.stop();
});

/** @param {import("./lib/guest.mjs").Guest} guest */
function frames(guest) {
  return guest.evaluate(() => ({ ...window.packing }));
}

test("offers and answers are compressed, and a burst of people comes in few frames", async () => {
  const ann = await chromium.guest("Ann", COUNT);
  const dan = await firefox.guest("Dan", COUNT);
  for (const guest of [ann, dan]) await guest.enter(server.room("packed"));
  await expectMediaFlows([ann, dan], { seconds: 1 });
  for (const guest of [ann, dan]) {
    const seen = await frames(guest);
    assert.ok(seen.binary >= 1, `${guest.name} got the answer compressed: ${JSON.stringify(seen)}`);
    assert.ok(seen.sentBinary >= 1, `${guest.name} sent the offer compressed: ${JSON.stringify(seen)}`);
    assert.ok(seen.text >= 1, `what is short came as text: ${JSON.stringify(seen)}`);
  }

  const before = await Promise.all([ann, dan].map(frames));
  const helper = await chromium.guest("Helper");
  await helper.driver.goto(server.url.href);
  await helper.evaluate(async (count) => {
    const url = new URL("ws?room=packed", document.baseURI);
    url.protocol = "ws:";
    const crowd = Array.from({ length: count }, () => new WebSocket(url));
    await Promise.all(
      crowd.map(
        (socket) =>
          new Promise((resolve) => {
            socket.onopen = resolve;
          }),
      ),
    );
    for (const [index, socket] of crowd.entries()) {
      socket.send(JSON.stringify({ type: "hello", version: 1, name: `Face ${index}` }));
    }
    Object.assign(window, { crowd });
  }, CROWD);
  const guests = [ann, dan];
  for (const [index, guest] of guests.entries()) {
    await until(
      `${guest.name} knows all of them`,
      () => guest.evaluate((count) => window.roundtable.room.participantCount === count, CROWD + 2),
      PATIENT,
    );
    const [old, now] = [before[index], await frames(guest)];
    assert.ok(old !== undefined);
    const came = now.text + now.binary - old.text - old.binary;
    assert.ok(came < CROWD / 2, `${guest.name} got ${came} frames for ${CROWD} joins`);
    assert.ok(now.arrays + now.binary > old.arrays + old.binary, "several came together");
  }

  // Order holds across all kinds of frames: the room is whole, and talk goes on.
  for (const guest of guests) await guest.press("Chat");
  await ann.say("All here?");
  await dan.say("All here.");
  for (const guest of guests) {
    await until(`${guest.name} reads both`, async () => (await guest.readChat()).length === 2, PATIENT);
  }
  await ann.driver.close();
  await dan.driver.close();
});
