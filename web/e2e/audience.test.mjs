// A room of more people than are listed: they are counted, and named on demand.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** Above the 200 up to whom everybody is listed; below the 255 sockets that a browser opens to one host. */
const CROWD = 220;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;

before(async () => {
  server = await startServer(["--max-members", "300"]);
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

test("a crowd is counted, and its names are shown page by page", async () => {
  const ann = await chromium.guest("Ann");
  await ann.enter(server.room("crowd"));
  await ann.press("People");
  const faces = () =>
    ann.evaluate(() => [...document.querySelectorAll(".people .name")].map(({ textContent }) => textContent));
  await ann.evaluate((count) => {
    const url = new URL("ws?room=crowd", document.baseURI);
    url.protocol = "ws:";
    const crowd = Array.from({ length: count }, (_, index) => {
      const socket = new WebSocket(url);
      socket.onopen = () => socket.send(JSON.stringify({ type: "hello", version: 1, name: `Face ${index}` }));
      return socket;
    });
    Object.assign(window, { crowd });
  }, CROWD);
  await until("all are counted", async () => (await ann.text()).includes(`${CROWD} more watch.`));
  assert.deepEqual(await faces(), ["Ann (you)"], "and nobody of them is listed any more");
  assert.ok((await ann.text()).includes(`People, ${CROWD + 1} here`));
  assert.equal(await ann.evaluate(() => document.querySelectorAll(".tile").length), 1);
  const late = await ann.evaluate(() => window.roundtable.room.participantCount);
  assert.equal(late, CROWD + 1);

  await ann.press("Show everybody");
  await until("the first page", async () => (await faces()).length === 100);
  await ann.press("Show more");
  await until("the second page", async () => (await faces()).length === 200);
  await ann.press("Show more");
  await until("everybody", async () => (await faces()).length === CROWD + 1);
  assert.equal(new Set(await faces()).size, CROWD + 1);
  assert.equal((await ann.text()).includes("Show more"), false);

  await ann.evaluate(() => {
    const { crowd } = /** @type {{ crowd: WebSocket[] }} */ (/** @type {unknown} */ (window));
    for (const socket of crowd.slice(3)) socket.send(JSON.stringify({ type: "leave" }));
  });
  await until("who remains is listed again", async () => {
    const names = await faces();
    return names.length === 4 && !(await ann.text()).includes("more watch");
  });
  assert.deepEqual(ann.faults, []);
});
