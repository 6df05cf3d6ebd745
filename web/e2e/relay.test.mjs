// The same call when every packet must go through a TURN server with time-limited credentials.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium, launchFirefox } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startServer, startTurn } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startTurn>>} */
let turn;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {Awaited<ReturnType<typeof launchFirefox>>} */
let firefox;
/** @type {import("./lib/guest.mjs").Guest[]} */
const guests = [];

before(async () => {
  turn = await startTurn();
  server = await startServer(["--turn", turn.url, "--turn-secret", turn.secret]);
  chromium = await launchChromium();
  firefox = await launchFirefox();
  for (const name of ["Ann", "Ben", "Cleo"]) guests.push(await chromium.guest(name));
  guests.push(await firefox.guest("Dan"));
});

after(async () => {
  await firefox?.close();
  await chromium?.close();
  await server?.stop();
  await turn?.stop();
});

test("everybody sees and hears three others through the relay", async () => {
  for (const guest of guests) await guest.enter(`${server.room("relay")}&relay=1`);
  await expectMediaFlows(guests);
  for (const guest of guests) {
    assert.equal((await guest.stats())?.localCandidateType, "relay", guest.name);
  }
});

test("chat goes through the relay", async () => {
  for (const guest of guests) await guest.press("Chat");
  await guests[0]?.say("from a Chromium");
  await until("it arrived", async () => (await guests[3]?.readChat())?.includes("from a Chromium"));
  await guests[3]?.say("from a Firefox");
  for (const guest of guests) {
    const lines = await until(`${guest.name} read both`, async () => {
      const read = await guest.readChat();
      return read.length === 2 ? read : null;
    });
    assert.deepEqual(lines, ["from a Chromium", "from a Firefox"]);
  }
});
