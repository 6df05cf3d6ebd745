// Somebody is sent to another room and back, and the connection under the call stays the same all the while.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { COUNT_DEVICES, devicesAsked } from "./lib/devices.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startServer } from "./lib/server.mjs";
import { COUNT_CONNECTIONS, encodingsOf, trafficOf, transportOf } from "./lib/transport.mjs";
import { until } from "./lib/wait.mjs";

/** @typedef {import("./lib/guest.mjs").Guest} Guest */

/** Large enough for two encodings. */
const CAMERA = "?w=640&fps=10";
const PATIENT = { timeout: 40_000 };
/** Rooms through which one is sent. Closed channels count for a second, and the server takes 16, three in each room. */
const HOPS = 3;
const CHAT = "roundtable.chat";
/** The tiles are so small that the lower encoding does. */
const SMALL = { width: 300, height: 210 };
const LARGE = { width: 1200, height: 800 };

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** Who is sent about. @type {Guest} */
let mover;
/** Who stays in the room that is left. @type {Guest} */
let stayer;
/** Who waits in the other. @type {Guest} */
let watcher;
/** How often the mover asked for devices. @type {number} */
let asked;
/** What the mover had at first. @type {Awaited<ReturnType<typeof transportOf>>} */
let first;

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
  mover = await enter("Mover", "home", LARGE);
  stayer = await enter("Stayer", "home", SMALL);
  watcher = await enter("Watcher", "away", LARGE);
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** @param {string} name @param {string} room @param {{ width: number, height: number }} size */
async function enter(name, room, size) {
  const guest = await chromium.guest(name, COUNT_CONNECTIONS + COUNT_DEVICES);
  await chromium.context.pages().at(-1)?.setViewportSize(size);
  await guest.enter(new URL(`r/${room}${CAMERA}`, server.url).href);
  await guest.press("Chat");
  return guest;
}

/** Sends the mover on, and waits until it is there. @param {string} from @param {string} to */
async function send(from, to) {
  const member = await mover.memberId();
  const response = await fetch(new URL(`api/v1/rooms/${from}/moderate`, server.url), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type: "move", member, room: to }),
  });
  assert.equal(response.status, 200, await response.text());
  await until(
    `the mover is in ${to}`,
    () =>
      mover.evaluate(
        ({ before, to }) =>
          window.roundtable.room.phase === "connected" &&
          window.roundtable.room.localParticipant.id !== before &&
          location.pathname.endsWith(`/r/${to}`),
        { before: member, to },
      ),
    PATIENT,
  );
}

/** What each says the other reads, and it goes over the channels of now. @param {Guest} other @param {string} room */
async function expectChat(other, room) {
  for (const [writer, reader] of /** @type {const} */ ([
    [mover, other],
    [other, mover],
  ])) {
    const line = `${writer.name} in ${room} at ${Date.now()}`;
    for (const guest of [writer, reader]) {
      await until(
        `a channel of ${guest.name}`,
        async () => (await trafficOf(guest, CHAT)).open === 1,
        PATIENT,
      );
    }
    const earlier = [await trafficOf(writer, CHAT), await trafficOf(reader, CHAT)];
    await writer.say(line);
    await until(`${reader.name} reads it`, async () => (await reader.readChat()).includes(line), PATIENT);
    // Browsers keep such figures for a moment.
    await until(
      `it went over the channel of ${writer.name}, and came over that of ${reader.name}`,
      async () => {
        const [said, heard] = [await trafficOf(writer, CHAT), await trafficOf(reader, CHAT)];
        return said.sent > (earlier[0]?.sent ?? 0) && heard.received > (earlier[1]?.received ?? 0);
      },
    );
  }
}

/** Data of the mover reaches the other, and of the other the mover. @param {Guest} other */
async function expectData(other) {
  for (const guest of [mover, other]) {
    await guest.evaluate(() => {
      window.seen = [];
      window.roundtable.room.on("data", ({ topic }) => window.seen.push(topic));
    });
  }
  for (const [from, to] of /** @type {const} */ ([
    [mover, other],
    [other, mover],
  ])) {
    await from.evaluate((name) => window.roundtable.room.publishData(name, new Uint8Array([1])), from.name);
    await until(`data of ${from.name}`, async () =>
      (await to.evaluate(() => window.seen)).includes(from.name),
    );
  }
}

test("a camera of two encodings is seen in a room, where the larger one is switched off", async () => {
  await expectMediaFlows([mover, stayer], { seconds: 2 });
  await until(
    "only the smaller encoding is sent",
    async () => isOn(await encodingsOf(mover), [true, false]),
    PATIENT,
  );
  await expectChat(stayer, "home");
  first = await transportOf(mover);
  asked = await devicesAsked(mover);
  assert.deepEqual([first.made, first.isLast, first.dtlsState], [1, true, "connected"]);
  assert.ok(first.pair !== "" && first.local !== "" && first.remote !== "", JSON.stringify(first));
  assert.ok(first.ssrcs.length >= 3, "sound and two encodings");
});

/** @param {readonly (boolean | undefined)[]} encodings @param {readonly boolean[]} wanted */
function isOn(encodings, wanted) {
  return encodings.length === wanted.length && encodings.every((active, index) => active === wanted[index]);
}

test("sent to another room, it sees and is seen there over the same connection", async (t) => {
  const began = Date.now();
  await send("home", "away");
  t.diagnostic(`in the other room after ${Date.now() - began} ms`);
  await expectMediaFlows([mover, watcher], { seconds: 4 });
  assert.deepEqual(await transportOf(mover), first);
  await until(
    "the watcher gets the larger pictures",
    async () => {
      const received = (await watcher.stats())?.received ?? [];
      return received.some(
        ({ kind, height, framesDecoded }) => kind === "video" && height === 360 && framesDecoded > 0,
      );
    },
    PATIENT,
  );
});

test("the room that was left shows it no more", async () => {
  await until("its tile is gone", async () => (await stayer.tiles()).length === 1, PATIENT);
  const seen = await mover.tiles();
  assert.deepEqual(seen.map(({ name }) => name.replace(/ .*/, "")).sort(), ["Mover", "Watcher"]);
});

test("chat and data go both ways over the new channels of the same connection", async () => {
  await expectChat(watcher, "away");
  await expectData(watcher);
  const lines = await mover.readChat();
  assert.ok(
    lines.every((line) => line.includes("in away")),
    `of this room alone: ${lines.join("; ")}`,
  );
});

test("sent back with a silent microphone, it is silent there, and heard when it speaks", async () => {
  await mover.press("Mute microphone");
  await send("away", "home");
  const isMuted = () =>
    stayer.evaluate(() =>
      [...window.roundtable.room.remoteParticipants.values()].map(
        (person) => person.publication("microphone")?.muted ?? null,
      ),
    );
  await until("it is there, and silent", async () => (await isMuted())[0] === true, PATIENT);
  await mover.press("Unmute microphone");
  await until("it speaks", async () => (await isMuted())[0] === false, PATIENT);
  await expectMediaFlows([mover, stayer], { seconds: 4 });
  await expectChat(stayer, "home");
  assert.deepEqual(await transportOf(mover), first);
  await until("the other room is empty of it", async () => (await watcher.tiles()).length === 1, PATIENT);
});

test("sent through many rooms in quick succession, it has the same connection and the same devices in the last", async () => {
  const rooms = ["home", ...Array.from({ length: HOPS }, (_, index) => `hop-${index}`), "away"];
  for (const [index, to] of rooms.slice(1).entries()) await send(rooms[index] ?? "", to);
  await expectMediaFlows([mover, watcher], { seconds: 4 });
  await expectChat(watcher, "away");
  assert.deepEqual(await transportOf(mover), first);
  assert.equal(await devicesAsked(mover), asked);
  for (const guest of [mover, stayer, watcher]) assert.deepEqual(guest.faults, []);
});
