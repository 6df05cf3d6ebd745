// Cameras in spatial layers: what is taken apart at the server is put together by browsers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";
import { prepared } from "./scenarios/lib/page.mjs";

/** Few pictures, as three layers of them are made and shown by one machine. */
const CAMERA = "?w=1280&fps=10";
/** Pictures after which a layer is taken to play. */
const PLAYS = 8;
const LARGE = { width: 1200, height: 800 };
const SMALL = { width: 300, height: 210 };

/** Takes the wish for other header extensions away, as browsers do that do not know it. */
const PLAIN = "delete RTCRtpTransceiver.prototype.setHeaderExtensionsToNegotiate;";

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

/** @param {string} name @param {string} room @param {import("./scenarios/lib/page.mjs").Preparation} preparation */
async function enter(name, room, preparation, more = "") {
  const guest = await chromium.guest(name, more + prepared(preparation));
  const page = chromium.context.pages().at(-1);
  assert(page);
  await page.setViewportSize(LARGE);
  await guest.enter(new URL(`r/${room}${CAMERA}`, server.url).href);
  return { guest, page };
}

/** Waits until pictures of so many rows play. @param {import("./lib/guest.mjs").Guest} guest @param {number} rows */
async function seen(guest, rows) {
  const read = async () => {
    const received = (await guest.stats())?.received ?? [];
    return received.find(({ kind, framesDecoded }) => kind === "video" && framesDecoded > 0);
  };
  /** @type {number | undefined} */
  let first;
  await until(`${guest.name} sees ${rows} rows`, async () => {
    const video = await read();
    if (video?.height !== rows) return false;
    first ??= video.framesDecoded;
    return video.framesDecoded - first >= PLAYS;
  }).catch(async (error) => {
    throw new Error(`${error.message}; ${JSON.stringify(await read())}`);
  });
}

/** The camera captures pictures of so many rows. @param {import("./lib/guest.mjs").Guest} guest @param {number} rows */
function capture(guest, rows) {
  return guest.evaluate(async (height) => {
    const camera = window.roundtable.room.localParticipant.publications.get("camera");
    await camera?.track?.applyConstraints({ width: (height * 16) / 9, height });
  }, rows);
}

test("AV1 in three spatial layers plays in each of them, and when they become two", async () => {
  const camera = await enter("Camera", "av1", { codec: "AV1", mode: "L3T3" });
  const { guest, page } = await enter("Watcher", "av1", { watches: true });
  await seen(guest, 720);
  await page.setViewportSize(SMALL);
  await seen(guest, 180);
  await page.setViewportSize(LARGE);
  await seen(guest, 720);
  await capture(camera.guest, 360);
  await seen(guest, 360);
  await camera.page.close();
});

test("who takes no dependency descriptors sees the lowest layer of AV1", async () => {
  const camera = await enter("Camera", "plain", { codec: "AV1", mode: "L3T3" });
  const { guest } = await enter("Plain", "plain", { watches: true }, PLAIN);
  await seen(guest, 180);
  await camera.page.close();
});

test("VP9 in three spatial layers plays", async () => {
  const camera = await enter("Camera", "vp9", { codec: "VP9", mode: "L3T3" });
  const { guest, page } = await enter("Watcher", "vp9", { watches: true });
  await seen(guest, 720);
  await page.setViewportSize(SMALL);
  await seen(guest, 180);
  await camera.page.close();
});
