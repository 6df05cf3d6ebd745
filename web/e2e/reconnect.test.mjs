// The cable is pulled: a banner, and then everything goes on as if nothing had been.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { COUNT_DEVICES, devicesAsked } from "./lib/devices.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startDatagramProxy, startProxy, startServer } from "./lib/server.mjs";
import { sleep, until } from "./lib/wait.mjs";

/** @typedef {import("./lib/guest.mjs").Guest} Guest */

/** What the server keeps. @type {string} */
let data;
/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {Awaited<ReturnType<typeof startDatagramProxy>>} */
let datagrams;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;

before(async () => {
  data = await mkdtemp(join(tmpdir(), "roundtable-data-"));
  server = await startServer(["--data-dir", data]);
  proxy = await startProxy(server.url);
  datagrams = await startDatagramProxy(server.mediaPort);
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  datagrams?.stop();
  proxy?.stop();
  await server?.stop();
  await rm(data, { recursive: true, force: true });
});

/** Two people in a call with open chats, the second behind the proxies. @param {string} id */
async function meet(id) {
  proxy.restore();
  const steady = await chromium.guest("Steady", COUNT_DEVICES);
  const shaky = await chromium.guest("Shaky", datagrams.script + COUNT_DEVICES);
  await steady.enter(server.room(id));
  await shaky.enter(new URL(`r/${id}?w=320&fps=10`, proxy.url).href);
  await expectMediaFlows([steady, shaky], { seconds: 2 });
  for (const guest of [steady, shaky]) {
    await guest.press("Chat");
    await guest.evaluate(() => {
      window.seen = [];
      const { room } = window.roundtable;
      room.on("participantJoined", ({ name }) => window.seen.push(`${name} joined`));
      room.on("participantLeft", ({ name }) => window.seen.push(`${name} left`));
      room.on("trackUnpublished", ({ source }) => window.seen.push(`${source} ended`));
      room.on("reconnecting", () => window.seen.push("reconnecting"));
      room.on("reconnected", () => window.seen.push("reconnected"));
    });
  }
  return { steady, shaky, member: await shaky.memberId(), asked: await devicesAsked(shaky) };
}

/** @param {Guest} guest */
function seen(guest) {
  return guest.evaluate(() => window.seen);
}

/** @param {Guest} guest @param {string} member */
async function framesOf(guest, member) {
  return (await guest.received()).get(member)?.frames ?? 0;
}

/** @param {Guest} guest */
function isAway(guest) {
  return guest.evaluate(() => document.querySelector(".banner.reconnecting") !== null);
}

/** Both show all of it, once, and in the same order. @param {Guest[]} guests @param {string[]} lines */
async function expectChat(guests, lines) {
  for (const guest of guests) {
    await until(
      `${guest.name} has all messages`,
      async () => (await guest.readChat()).length >= lines.length,
      {
        timeout: 40_000,
      },
    );
  }
  const [first, second] = await Promise.all(guests.map((guest) => guest.readChat()));
  assert.deepEqual(first, second);
  assert.deepEqual([...(first ?? [])].sort(), [...lines].sort());
  // What one person wrote is in the order in which it was written.
  for (const writer of ["Steady", "Shaky"]) {
    const own = (/** @type {string[]} */ all) => all.filter((line) => line.startsWith(writer));
    assert.deepEqual(own(first ?? []), own(lines));
  }
}

test("a lost socket costs nothing: the same member, pictures all the while, every message once", async () => {
  const { steady, shaky, member, asked } = await meet("socket");
  const other = await steady.memberId();
  proxy.cut();
  await until("the banner", () => isAway(shaky));
  await until("its words", async () => /Connection lost\. Trying again/.test(await shaky.text()));
  const before = [await framesOf(steady, member), await framesOf(shaky, other)];
  /** @type {string[]} */
  const lines = [];
  for (let n = 0; n < 3; n += 1) {
    for (const guest of [steady, shaky]) {
      const line = `${guest.name} writes ${n}`;
      lines.push(line);
      await guest.say(line);
    }
    await sleep(1_000);
  }
  assert.equal(await isAway(shaky), true);
  const meanwhile = [await framesOf(steady, member), await framesOf(shaky, other)];
  for (const [index, count] of meanwhile.entries()) {
    assert.ok(count > (before[index] ?? 0), `pictures go on: ${before} → ${meanwhile}`);
  }
  proxy.restore();
  await until("the banner is gone", async () => !(await isAway(shaky)), { timeout: 40_000 });
  await until("it says so", async () => (await shaky.text()).includes("You are back."));
  await expectChat([steady, shaky], lines);
  assert.equal(await shaky.memberId(), member);
  assert.equal(await devicesAsked(shaky), asked);
  assert.deepEqual(await seen(steady), []);
  const told = await seen(shaky);
  assert.equal(told.at(-1), "reconnected");
  assert.ok(
    told.every((line) => line.startsWith("reconnect")),
    told.join(),
  );
  await expectMediaFlows([steady, shaky], { seconds: 2 });
  await Promise.all([steady.driver.close(), shaky.driver.close()]);
});

test("after 35 s without any network one is the same member, with the same devices and all messages", async () => {
  const { steady, shaky, member, asked } = await meet("network");
  proxy.freeze();
  datagrams.freeze();
  /** @type {string[]} */
  const lines = [];
  const begun = Date.now();
  for (let n = 0; Date.now() - begun < 35_000; n += 1) {
    for (const guest of [steady, shaky]) {
      const line = `${guest.name} writes ${n}`;
      lines.push(line);
      await guest.say(line);
    }
    await sleep(3_000);
  }
  assert.equal(await isAway(shaky), true);
  datagrams.thaw();
  proxy.thaw();
  await until("the banner is gone", async () => !(await isAway(shaky)), { timeout: 60_000 });
  await expectChat([steady, shaky], lines);
  assert.equal(await shaky.memberId(), member);
  assert.equal(await devicesAsked(shaky), asked);
  assert.deepEqual(await seen(steady), []);
  await expectMediaFlows([steady, shaky], { seconds: 2 });
});

test("after the server was killed and started again the same people go on, devices not asked again", async (t) => {
  const { steady, shaky, member, asked } = await meet("killed");
  const other = await steady.memberId();
  const lines = ["Steady writes 0", "Shaky writes 0"];
  await steady.say("Steady writes 0");
  await shaky.say("Shaky writes 0");
  await expectChat([steady, shaky], lines);

  await server.kill();
  for (const guest of [steady, shaky]) {
    await until(`${guest.name} misses it`, () => isAway(guest));
    for (const n of [1, 2, 3]) {
      lines.push(`${guest.name} writes ${n}`);
      await guest.say(`${guest.name} writes ${n}`);
    }
  }
  const { port } = server.url;
  server = await startServer(["--data-dir", data], { http: port, udp: server.mediaPort });
  const began = Date.now();
  for (const guest of [steady, shaky]) {
    await until(`${guest.name} is back`, async () => !(await isAway(guest)), { timeout: 40_000 });
  }
  const tookMs = Date.now() - began;
  t.diagnostic(`both are back ${tookMs} ms after the server`);
  assert.ok(tookMs < 10_000, `${tookMs} ms`);
  await expectMediaFlows([steady, shaky], { seconds: 2 });
  await expectChat([steady, shaky], lines);
  assert.deepEqual([await shaky.memberId(), await steady.memberId()], [member, other]);
  assert.deepEqual([await devicesAsked(shaky), await devicesAsked(steady)], [asked, asked]);
  for (const guest of [steady, shaky]) {
    const told = await seen(guest);
    assert.ok(
      told.every((line) => line.startsWith("reconnect")),
      told.join(),
    );
  }
});
