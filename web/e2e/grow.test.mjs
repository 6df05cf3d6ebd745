// More people than there are seats: seats grow, and everybody is seen.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

const CROWD = 10;

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

test("eleven others are seen, more than there were seats", async () => {
  const viewer = await chromium.guest("Viewer");
  const crowd = await chromium.guest("Host");
  await viewer.enter(server.room("grow"));
  await crowd.enter(server.room("grow"));
  const seats = await viewer.evaluate(
    () => (window.roundtable.room.peerConnection?.getTransceivers().length ?? 0) - 2,
  );
  // Small members that live in one tab: each publishes a tiny canvas.
  await crowd.evaluate(async (count) => {
    const Room = /** @type {typeof import("@roundtable/sdk").Room} */ (window.roundtable.room.constructor);
    const url = new URL("ws?room=grow", document.baseURI);
    url.protocol = "ws:";
    for (let index = 0; index < count; index += 1) {
      const canvas = document.createElement("canvas");
      canvas.width = 64;
      canvas.height = 36;
      const context = canvas.getContext("2d");
      setInterval(() => {
        if (context === null) return;
        context.fillStyle = `hsl(${Date.now() % 360} 80% 50%)`;
        context.fillRect(0, 0, 64, 36);
      }, 250);
      const [track] = canvas.captureStream(4).getVideoTracks();
      const room = new Room({ maxSeats: 1 });
      if (track !== undefined) await room.localParticipant.publishTrack(track, "camera");
      await room.connect(url.href, { name: `Small ${index}` });
    }
  }, CROWD);
  await until(
    "the viewer gets pictures of everybody",
    async () => {
      const received = await viewer.received();
      return [...received.values()].filter(({ frames }) => frames > 0).length === CROWD + 1;
    },
    { timeout: 60_000, interval: 500 },
  );
  const grown = await viewer.evaluate(
    () => (window.roundtable.room.peerConnection?.getTransceivers().length ?? 0) - 2,
  );
  assert(grown > seats, `${grown} receiving m-lines after ${seats}`);
  const tiles = await viewer.tiles();
  assert.equal(tiles.length, CROWD + 2);
  assert.deepEqual(viewer.faults, []);
});
