// The cable is pulled: a banner, then everything is back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startProxy, startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;

before(async () => {
  server = await startServer();
  proxy = await startProxy(server.url);
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  proxy?.stop();
  await server?.stop();
});

test("a dropped socket shows a banner; then one is back with pictures, sound and chat", async () => {
  const steady = await chromium.guest("Steady");
  const shaky = await chromium.guest("Shaky");
  await steady.enter(server.room("drop"));
  await shaky.enter(new URL("r/drop?w=320&fps=10", proxy.url).href);
  await expectMediaFlows([steady, shaky], { seconds: 2 });
  await shaky.press("Chat");
  await steady.press("Chat");
  const before = await shaky.memberId();

  proxy.cut();
  await until("the banner", () =>
    shaky.evaluate(() => document.querySelector(".banner.reconnecting") !== null),
  );
  assert.match(await shaky.text(), /Connection lost\. Trying again/);
  await shaky.say("written while away");
  await until("the other sees an empty chair", async () => (await steady.tiles()).length === 1);

  proxy.restore();
  await until("the banner is gone", () =>
    shaky.evaluate(() => document.querySelector(".banner.reconnecting") === null),
  );
  assert.notEqual(await shaky.memberId(), before);
  await expectMediaFlows([steady, shaky], { seconds: 2 });
  await until("the queued message arrived once", async () => {
    const lines = await steady.readChat();
    return lines.length === 1 && lines[0] === "written while away";
  });
  assert.deepEqual(await shaky.readChat(), ["written while away"]);
  assert.equal((await steady.tiles()).length, 2);
});
