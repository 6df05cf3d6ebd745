// What can be missing before a call: each says so, and what to do.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;

before(async () => {
  server = await startServer(["--max-members", "2"]);
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/**
 * @param {import("./lib/guest.mjs").Guest} guest
 * @param {RegExp} sentence
 */
async function expectSentence(guest, sentence) {
  await until(`${guest.name} reads ${sentence}`, async () => sentence.test(await guest.text())).catch(
    async (error) => {
      throw new Error(`${error.message}; page says: ${await guest.text()}`);
    },
  );
}

test("without any device one is told so, and can join", async () => {
  const bare = await launchChromium(["--use-fake-ui-for-media-stream"]);
  try {
    const guest = await bare.guest("Nora");
    await guest.open(server.room("bare"));
    await expectSentence(guest, /No camera was found\. Plug one in/);
    await expectSentence(guest, /No microphone was found/);
    await expectSentence(guest, /Join without camera and microphone/);
    await guest.pressJoin();
    await until("she is in", () => guest.isInCall());
  } finally {
    await bare.close();
  }
});

test("a refused permission is told apart", async () => {
  const refusing = await launchChromium(["--use-fake-device-for-media-stream", "--deny-permission-prompts"]);
  try {
    const guest = await refusing.guest("Rita");
    await guest.open(server.room("refused"));
    await expectSentence(guest, /Access to camera and microphone was refused\. Allow it/);
  } finally {
    await refusing.close();
  }
});

test("a busy device is told apart", async () => {
  const guest = await chromium.guest(
    "Bob",
    `navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("in use", "NotReadableError"));`,
  );
  await guest.open(server.room("busy"));
  await expectSentence(guest, /The camera is in use by another program\. Close it/);
});

test("an insecure page is told apart, and can join", async () => {
  const guest = await chromium.guest(
    "Ida",
    `Object.defineProperty(Navigator.prototype, "mediaDevices", { get: () => undefined });`,
  );
  await guest.open(server.room("insecure"));
  await expectSentence(guest, /This page is not secure.*https:\/\//);
  await guest.pressJoin();
  await until("she is in", () => guest.isInCall());
});

test("a browser without WebRTC is told apart", async () => {
  const guest = await chromium.guest("Otto", "delete window.RTCPeerConnection;");
  await guest.open(server.room("old"));
  await guest.pressJoin();
  await expectSentence(guest, /This browser lacks WebRTC/);
});

test("a full room says so, and lets one in when somebody left", async () => {
  const [one, two, three] = await Promise.all(["One", "Two", "Three"].map((name) => chromium.guest(name)));
  assert(one && two && three);
  await one.enter(server.room("full"));
  await two.enter(server.room("full"));
  await three.open(server.room("full"));
  await three.pressJoin();
  await expectSentence(three, /This room is full\. Try again when somebody has left/);
  await two.press("Leave");
  await until("there is a place", async () => {
    await three.pressJoin();
    return until("she is in", () => three.isInCall(), { timeout: 2_000 });
  });
});

test("a link that names no room says so", async () => {
  const guest = await chromium.guest("Lou");
  await guest.driver.goto(new URL("r/no%20room", server.url).href);
  const text = await guest.text();
  assert.match(text, /The link names no valid room|bad|not found/i);
});
