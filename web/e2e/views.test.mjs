// What a page tells of how it shows others, and what it sends when it is told what is wanted.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** Keeps what the page says by its sockets, and the sockets. */
const LISTEN = `
  window.said = [];
  window.sockets = [];
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (text) {
    if (!window.sockets.includes(this)) window.sockets.push(this);
    // What is long comes compressed, and is nothing to these tests.
    if (typeof text === "string") window.said.push(JSON.parse(text));
    send.call(this, text);
  };
`;

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {import("./lib/guest.mjs").Guest} */
let ann;
/** @type {import("./lib/guest.mjs").Guest} */
let ben;

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
  ann = await chromium.guest("Ann", LISTEN);
  ben = await chromium.guest("Ben", LISTEN);
  await ann.enter(server.room("views").replace("w=320", "w=480"));
  await ben.enter(server.room("views"));
  await expectMediaFlows([ann, ben], { seconds: 1 });
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** What Ben's page last said of Ann's camera. */
function bensView() {
  return ben.evaluate(() => {
    const changes = window.said.flatMap((message) => (message.type === "view" ? message.changes : []));
    return changes.at(-1) ?? null;
  });
}

/** Frames encoded by Ann, by encoding. @returns {Promise<Record<string, number>>} */
async function annsFrames() {
  const sent = (await ann.stats())?.sent.filter(({ kind }) => kind === "video") ?? [];
  return Object.fromEntries(sent.map(({ rid, framesEncoded }) => [rid, framesEncoded]));
}

test("a tile tells its size, and when it is out of sight", async () => {
  const size = await ben.evaluate(() => {
    const video = document.querySelector(".tile video:not(.mirrored)");
    const { width, height } = video?.getBoundingClientRect() ?? { width: 0, height: 0 };
    return { width: Math.round(width * devicePixelRatio), height: Math.round(height * devicePixelRatio) };
  });
  assert.ok(size.height > 50, JSON.stringify(size));
  await until("the size is told", async () => {
    const view = await bensView();
    return view?.visible === true && view.width === size.width && view.height === size.height;
  });
  const show = (/** @type {string} */ display) =>
    ben.evaluate((value) => {
      const grid = /** @type {HTMLElement | null} */ (document.querySelector(".grid"));
      if (grid !== null) grid.style.display = value;
    }, display);
  await show("none");
  await until("it is told to be hidden", async () => (await bensView())?.visible === false);
  await show("");
  await until("it is told to be seen", async () => (await bensView())?.visible === true);
  await expectMediaFlows([ann, ben], { seconds: 1 });
});

test("an encoding that nobody wants is not sent until somebody does", async () => {
  await until("both layers are sent", async () =>
    Object.values(await annsFrames()).every((frames) => frames > 5),
  );
  const tell = (/** @type {boolean} */ active) =>
    ann.evaluate((wanted) => {
      const { id } = window.roundtable.room.localParticipant.publications.get("camera") ?? {};
      const encodings = [
        { rid: "h", active: true },
        { rid: "f", active: wanted },
      ];
      const data = JSON.stringify({ type: "layers", track: id, encodings });
      window.sockets.at(-1)?.onmessage?.(new MessageEvent("message", { data }));
    }, active);
  await tell(false);
  await until("the large one stands still while the small one goes on", async () => {
    const was = await annsFrames();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const is = await annsFrames();
    return is.f === was.f && (is.h ?? 0) > (was.h ?? 0);
  });
  const { f } = await annsFrames();
  await tell(true);
  await until("the large one goes on", async () => ((await annsFrames()).f ?? 0) > (f ?? 0) + 5);
});

test("the server gives figures", async () => {
  const id = await ben.memberId();
  const own = await ben.evaluate(() => window.roundtable.room.serverStats());
  assert.equal(own.member, id);
  assert.ok(own.slots.some(({ track, packets }) => track !== null && packets > 0));
  const { members } = await server.json("api/v1/rooms/views/stats");
  assert.equal(members.length, 2);
  const anns = members.find((/** @type {{ member: string }} */ m) => m.member !== id);
  const camera = anns.tracks.find((/** @type {{ encodings: unknown[] }} */ t) => t.encodings.length === 2);
  assert.deepEqual(
    camera.encodings.map((/** @type {{ rid: string }} */ e) => e.rid),
    ["h", "f"],
  );
});

test("no page complained", () => {
  assert.deepEqual([...ann.faults, ...ben.faults], []);
});
