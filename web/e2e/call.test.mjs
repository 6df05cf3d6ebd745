// A call of three Chromium tabs and one Firefox, with a reader of the room's events beside it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium, launchFirefox } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

const ROOM = "call";
const EVENTS = [
  "joined",
  "left",
  "published",
  "unpublished",
  "muted",
  "speaking",
  "dominantSpeaker",
  "chat",
  "roomClosed",
  "reset",
];

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {Awaited<ReturnType<typeof launchFirefox>>} */
let firefox;
/** @type {import("./lib/guest.mjs").Guest[]} */
const guests = [];
/** @type {import("./lib/guest.mjs").Guest} */
let reader;

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
  firefox = await launchFirefox();
  for (const name of ["Ann", "Ben", "Cleo"]) guests.push(await chromium.guest(name));
  guests.push(await firefox.guest("Dan"));
  reader = await chromium.guest("reader");
});

after(async () => {
  await firefox?.close();
  await chromium?.close();
  await server?.stop();
});

test("four people enter by the link, beside a reader of events", async () => {
  const [first, ...rest] = guests;
  await first?.enter(server.room(ROOM));
  await reader.driver.goto(server.url.href);
  await reader.evaluate(
    ({ url, names }) => {
      window.heard = [];
      const source = new EventSource(url);
      for (const name of names) {
        source.addEventListener(name, (event) => {
          window.heard.push({ type: name, id: event.lastEventId, data: event.data });
        });
      }
    },
    { url: `/api/v1/rooms/${ROOM}/events`, names: EVENTS },
  );
  for (const guest of rest) await guest.enter(server.room(ROOM));
  for (const guest of guests) {
    const names = await until(`${guest.name} sees four tiles`, async () => {
      const tiles = await guest.tiles();
      return tiles.length === 4 && tiles.every((tile) => tile.showsVideo) ? tiles.map((t) => t.name) : null;
    });
    for (const { name } of guests) assert(names.includes(name === guest.name ? `${name} (you)` : name));
  }
});

test("everybody sees and hears three others for ten seconds", async () => {
  await expectMediaFlows(guests);
});

test("Chromium's media is sealed with AEAD_AES_128_GCM", async () => {
  for (const guest of guests.slice(0, 3)) {
    const stats = await guest.stats();
    assert.match(stats?.srtpCipher ?? "", /^(SRTP_)?AEAD_AES_128_GCM$/);
    assert.equal(stats?.dtlsState, "connected");
  }
});

test("chat reaches everybody in one order", async () => {
  for (const guest of guests) await guest.press("Chat");
  const sent = [];
  for (let round = 0; round < 3; round += 1) {
    for (const guest of guests) {
      const text = `${guest.name} says ${round}`;
      sent.push(text);
      await guest.say(text);
    }
  }
  const lists = await Promise.all(
    guests.map((guest) =>
      until(`${guest.name} reads all`, async () => {
        const lines = await guest.readChat();
        return lines.length === sent.length ? lines : null;
      }),
    ),
  );
  for (const list of lists) assert.deepEqual(list, lists[0]);
  assert.deepEqual([...(lists[0] ?? [])].sort(), [...sent].sort());
  for (const { name } of guests) {
    const own = (lists[0] ?? []).filter((line) => line.startsWith(name));
    assert.deepEqual(
      own,
      [0, 1, 2].map((round) => `${name} says ${round}`),
    );
  }
});

test("who leaves is gone from every page within a second, and from the server", async () => {
  const leaver = guests[1];
  const stay = guests.filter((guest) => guest !== leaver);
  assert(leaver);
  const id = await leaver.memberId();
  const peers = (await server.json("api/v1/stats")).shard.peers;
  assert.equal(peers, 4);
  for (const guest of stay) {
    await guest.evaluate((member) => {
      window.tilesGone = {};
      new MutationObserver(() => {
        if (document.querySelector(`.tile[data-member="${member}"]`) === null)
          window.tilesGone[member] ??= Date.now();
      }).observe(document.body, { childList: true, subtree: true });
    }, id);
  }
  const leftAt = Date.now();
  await leaver.press("Leave");
  for (const guest of stay) {
    const goneAt = await until(`the tile is gone for ${guest.name}`, () =>
      guest.evaluate((member) => window.tilesGone[member] ?? 0, id),
    );
    assert(goneAt - leftAt <= 1000, `${guest.name} saw it go after ${goneAt - leftAt} ms`);
  }
  await until(
    "the server has three peers",
    async () => (await server.json("api/v1/stats")).shard.peers === 3,
  );
  assert.match(await leaver.text(), /You left the room/);
  await expectMediaFlows(stay, { seconds: 2 });
});

test("the reader heard every event, in order", async () => {
  const events = await until("the reader heard that somebody left", async () => {
    const heard = await reader.evaluate(() => window.heard);
    return heard.some(({ type }) => type === "left") ? heard : null;
  });
  assert(!events.some(({ type }, index) => type === "reset" && index > 0), "nothing was missed");
  const numbered = events.filter(({ type }) => type !== "reset").map(({ data }) => JSON.parse(data));
  const first = numbered[0]?.seq;
  assert.deepEqual(
    numbered.map(({ seq }) => seq),
    numbered.map((_, index) => first + index),
  );
  const count = (/** @type {string} */ type) => numbered.filter((event) => event.type === type).length;
  assert(count("joined") >= 3);
  assert.equal(count("chat"), 12);
  assert.equal(count("left"), 1);
  assert(count("published") >= 6, "camera and microphone of those who came later");
});

test("no page complained", () => {
  for (const guest of [...guests, reader]) assert.deepEqual(guest.faults, [], guest.name);
});
