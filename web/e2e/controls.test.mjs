// What the buttons do, as the others see and hear it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FAKE_DEVICES, launchChromium } from "./lib/browsers.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { startServer } from "./lib/server.mjs";
import { sleep, until } from "./lib/wait.mjs";

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
  chromium = await launchChromium([...FAKE_DEVICES, "--auto-select-desktop-capture-source=Entire screen"]);
  ann = await chromium.guest("Ann");
  ben = await chromium.guest("Ben");
  await ann.enter(server.room("controls").replace("w=320", "w=480"));
  await ben.enter(server.room("controls"));
  await expectMediaFlows([ann, ben], { seconds: 2 });
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

async function bensView() {
  const id = await ann.memberId();
  return ben.evaluate((member) => {
    const tile = document.querySelector(`.tile[data-member="${member}"]`);
    return {
      muted: tile?.textContent?.includes("muted") ?? false,
      video: tile?.querySelector("video:not(.waiting)") !== null,
      screens: document.querySelectorAll("figure.screen video:not(.waiting)").length,
    };
  }, id);
}

async function bensSumOfAnn() {
  const sum = (await ben.received()).get(await ann.memberId());
  return sum ?? { frames: 0, energy: 0 };
}

test("of a simulcast camera the best layer arrives", async () => {
  await until("both layers are sent", async () => {
    const sent = (await ann.stats())?.sent.filter(({ kind }) => kind === "video") ?? [];
    return sent.length === 2 && sent.every(({ framesEncoded }) => framesEncoded > 5);
  });
  await until("Ben gets 480 columns", async () => {
    const id = await ann.memberId();
    const received = (await ben.stats())?.received ?? [];
    return received.some(({ member, width, height }) => member === id && width === 480 && height === 270);
  });
});

test("a muted microphone is shown and silent, and comes back", async () => {
  await ann.press("Mute microphone");
  await until("Ben sees it", async () => (await bensView()).muted);
  const packets = async () => {
    const id = await ann.memberId();
    const audio = (await ben.stats())?.received.filter((r) => r.member === id && r.kind === "audio") ?? [];
    return audio.reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
  };
  await until("nothing more comes", async () => {
    const was = await packets();
    await sleep(500);
    return (await packets()) === was;
  });
  await ann.press("Unmute microphone");
  await until("Ben sees that too", async () => !(await bensView()).muted);
  const { energy } = await bensSumOfAnn();
  await until("Ben hears Ann", async () => (await bensSumOfAnn()).energy > energy);
});

test("a camera goes off and on again", async () => {
  await ann.press("Turn camera off");
  await until("Ben sees an initial", async () => !(await bensView()).video);
  await ann.press("Turn camera on");
  await until("Ben sees Ann", async () => (await bensView()).video);
  const { frames } = await bensSumOfAnn();
  await until("the picture moves", async () => (await bensSumOfAnn()).frames > frames + 5);
});

test("a shared screen is shown large, twice on the same m-line", async () => {
  const lines = () =>
    ann.evaluate(() => window.roundtable.room.peerConnection?.getTransceivers().length ?? 0);
  /** @type {number[]} */
  const counts = [];
  for (let round = 0; round < 2; round += 1) {
    await ann.press("Share screen");
    await until("Ben sees the screen", async () => (await bensView()).screens === 1);
    counts.push(await lines());
    await ann.press("Stop sharing");
    await until("the screen is gone", async () => (await bensView()).screens === 0);
  }
  assert.equal(counts[0], counts[1]);
  await expectMediaFlows([ann, ben], { seconds: 2 });
});

test("the list of people names everybody", async () => {
  await ben.press("People");
  const text = await ben.text();
  assert.match(text, /People, 2 here/);
  assert.match(text, /Ann/);
  assert.match(text, /Ben \(you\)/);
});

test("a changed network restarts ICE and nothing is missed", async () => {
  const ufrag = () =>
    ann.evaluate(() => {
      const sdp = window.roundtable.room.peerConnection?.currentLocalDescription?.sdp ?? "";
      return /a=ice-ufrag:(\S+)/.exec(sdp)?.[1] ?? "";
    });
  const [was, member] = [await ufrag(), await ann.memberId()];
  await ann.evaluate(() => void dispatchEvent(new Event("online")));
  await until("there are new credentials", async () => (await ufrag()) !== was);
  await expectMediaFlows([ann, ben], { seconds: 4 });
  assert.equal(await ann.memberId(), member);
});

test("no page complained", () => {
  assert.deepEqual([...ann.faults, ...ben.faults], []);
});
