// Everything a scenario plays with: the server, the links, the browsers, who publishes and who watches.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launchChromium, launchFirefox } from "../../lib/browsers.mjs";
import { machineAddress, startServer } from "../../lib/server.mjs";
import { sleep, until } from "../../lib/wait.mjs";
import { startEmulator } from "./emulator.mjs";
import { between, longestWait, picturesPerSecond, rungs } from "./figures.mjs";
import { awaitFirstFrame, prepared, watch } from "./page.mjs";

/**
 * What a page's getStats said of the one camera it sends, and what the meter counted.
 * @typedef {object} Sent
 * @property {number} at
 * @property {{ rid: string, ssrc: number, height: number, frames: number, keyFrames: number, bytes: number, qpSum: number, limitation: string }[]} encodings
 * @property {import("./figures.mjs").Layer[]} layers
 *
 * @typedef {import("../../lib/guest.mjs").Guest} Guest
 * @typedef {"chromium" | "firefox"} Browser
 */

/** Where rows, raw figures and traces go. */
export const RESULTS =
  process.env.SCENARIO_RESULTS ??
  fileURLToPath(new URL("../../../../test-results/scenarios/", import.meta.url));
/** The camera of a scenario: what Chromium's fake one is asked for. */
export const CAMERA = { width: 1280, height: 720, fps: Number(process.env.SCENARIO_FPS ?? 30) };
/** An encoder slower than this share of the camera says nothing about the server. */
const VOID_BELOW = 0.8;
/** Pages that are kept from running for longer say nothing either. */
const VOID_ABOVE_MS = 150;
/** How much of a simulcast layer each of its rungs is, in libvpx and OpenH264, where nobody counts. */
const TEMPORAL_SHARES = [
  { bits: 0.4, frames: 0.25 },
  { bits: 0.6, frames: 0.5 },
  { bits: 1, frames: 1 },
];
/** How long the top layer may take to come, at the publisher and then at a watcher. */
const TOP_MS = 40_000;

/** The machine was too slow for the run to mean anything. */
export class Void extends Error {}

/** @typedef {Awaited<ReturnType<typeof openStage>>} Stage */

/**
 * Opens a stage, plays on it, and clears it whatever happens. What the server was told is recorded as `ID.trace`.
 * @template T
 * @param {import("./figures.mjs").Verdict} verdict
 * @param {{ links?: number, seed?: number, firefox?: boolean }} options
 * @param {(stage: Stage) => Promise<T>} play
 */
export async function withStage(verdict, options, play) {
  /** @type {(() => Promise<unknown>)[]} */
  const clearing = [];
  try {
    return await play(await openStage(verdict.id, options, clearing));
  } finally {
    for (const clear of clearing.reverse()) await clear().catch(() => {});
  }
}

/** @param {string} id @param {{ links?: number, seed?: number, firefox?: boolean }} options @param {(() => Promise<unknown>)[]} clearing */
async function openStage(id, { links = 1, seed = 1, firefox = false }, clearing) {
  await mkdir(RESULTS, { recursive: true });
  const server = await startServer(["--record-trace", join(RESULTS, `${id}.trace`)]);
  clearing.push(() => server.stop());
  // Firefox does not speak from its own address to one that is loopback.
  const listen = firefox ? machineAddress() : "127.0.0.1";
  const emulator = await startEmulator({ port: Number(server.match[2]), links, seed, listen });
  clearing.push(() => emulator.stop());
  const fake = [`--use-fake-device-for-media-stream=fps=${CAMERA.fps}`, "--use-fake-ui-for-media-stream"];
  const chromium = await launchChromium(fake, { bypassCSP: true });
  clearing.push(() => chromium.close());
  const fox = firefox ? await launchFirefox() : null;
  if (fox !== null) clearing.push(() => fox.close());
  const room = new URL(`r/scenario?w=${CAMERA.width}&fps=${CAMERA.fps}`, server.url).href;
  /** @param {string} name @param {Browser} browser @param {import("./page.mjs").Preparation} preparation */
  const guest = (name, browser, preparation) => {
    if (browser === "chromium") return chromium.guest(name, prepared(preparation));
    if (fox === null) throw new Error("this stage has no Firefox");
    return fox.guest(name, prepared(preparation));
  };
  return {
    server,
    emulator,
    guest,
    /** The room's address. */
    room,
    /**
     * Somebody with a camera. Its top layer may come only when somebody watches.
     * @param {Omit<import("./page.mjs").Preparation, "watches">} [preparation] @param {Browser} [browser]
     */
    async publisher(preparation = {}, browser = "chromium") {
      // Firefox has no way around the page's policy for workers, and no layers to count.
      const publisher = await guest("Publisher", browser, { meter: browser === "chromium", ...preparation });
      await publisher.enter(room);
      await publisher.evaluate(watch);
      return publisher;
    },
    /**
     * Somebody who only watches, in the call.
     * @param {string} name @param {Omit<import("./page.mjs").Preparation, "watches">} [preparation] @param {Browser} [browser]
     */
    async watcher(name, preparation = {}, browser = "chromium") {
      const watcher = await guest(name, browser, { watches: true, ...preparation });
      await watcher.open(room);
      await watcher.evaluate(awaitFirstFrame);
      await watcher.pressJoin();
      await until(`${name} is in the call`, () => watcher.isInCall());
      await watcher.evaluate(watch);
      return watcher;
    },
  };
}

/** What a page received so far. @param {Guest} guest */
export function received(guest) {
  return guest.evaluate(() => window.scenario.samples);
}

/** What a page sent so far. @param {Guest} guest @returns {Promise<Sent[]>} */
export function sent(guest) {
  return guest.evaluate(() => window.scenario.sent);
}

/** Waits until somebody sees the camera in full; void if the machine is too slow to send it. @param {Guest} watcher @param {Guest} publisher */
export async function untilTop(watcher, publisher) {
  const began = Date.now();
  await untilTopSent(publisher);
  await until(
    `${watcher.name} sees ${CAMERA.height} rows`,
    async () => ((await received(watcher)).at(-1)?.height ?? 0) >= CAMERA.height,
    { timeout: TOP_MS, interval: 250 },
  ).catch(async (error) => {
    const list = await sent(publisher);
    requireSpeed(list, began, Date.now());
    requireAttention(list, began, Date.now());
    throw error;
  });
}

/** Waits until the camera is sent in full to those who watch; void if it never is. @param {Guest} publisher */
export async function untilTopSent(publisher) {
  const last = async () => (await sent(publisher)).at(-1)?.encodings ?? [];
  await until(
    "the publisher sends its top layer",
    async () => (await last()).some(({ height }) => height >= CAMERA.height),
    { timeout: TOP_MS, interval: 500 },
  ).catch(async (error) => {
    throw new Void(`${error.message}; ${JSON.stringify(await last())}`);
  });
}

/** Milliseconds from pressing join to the first picture. @param {Guest} watcher */
export async function firstFrameMs(watcher) {
  return until(
    `${watcher.name} sees a picture`,
    async () => {
      const { joinedAt, firstFrameAt } = await watcher.evaluate(() => window.scenario);
      return firstFrameAt > 0 ? firstFrameAt - joinedAt : null;
    },
    { timeout: 30_000 },
  );
}

/** Waits until a time of `Date.now()`. @param {number} at */
export function sleepUntil(at) {
  return sleep(Math.max(0, at - Date.now()));
}

/**
 * What the encoder did between two times; too slow a machine makes the run void.
 * @param {readonly Sent[]} list @param {number} from @param {number} to
 */
export function encoded(list, from, to) {
  const window = between(list, from, to);
  const [first, last] = [window[0], window.at(-1)];
  if (first === undefined || last === undefined) throw new Void("the publisher measured nothing");
  const seconds = Math.max((last.at - first.at) / 1000, 0.001);
  const encodings = last.encodings.map((now) => {
    const before = first.encodings.find(({ ssrc }) => ssrc === now.ssrc) ?? {
      ...now,
      frames: 0,
      keyFrames: 0,
      bytes: 0,
      qpSum: 0,
    };
    const frames = now.frames - before.frames;
    return {
      rid: now.rid,
      ssrc: now.ssrc,
      // One that is off has no height now.
      height: Math.max(...window.map(({ encodings }) => heightIn(encodings, now.ssrc))),
      fps: frames / seconds,
      bps: ((now.bytes - before.bytes) * 8) / seconds,
      keyFrames: now.keyFrames - before.keyFrames,
      qp: (now.qpSum - before.qpSum) / Math.max(1, frames),
    };
  });
  const layers = last.layers.map((now) => {
    const before = first.layers.find(
      (l) => l.stream === now.stream && l.spatial === now.spatial && l.temporal === now.temporal,
    );
    return { ...now, frames: now.frames - (before?.frames ?? 0), bytes: now.bytes - (before?.bytes ?? 0) };
  });
  return { seconds, encodings, layers };
}

/** @param {Sent["encodings"]} encodings @param {number} ssrc */
function heightIn(encodings, ssrc) {
  return encodings.find((encoding) => encoding.ssrc === ssrc)?.height ?? 0;
}

/** Voids a run whose encoder could not keep up. @param {readonly Sent[]} list @param {number} from @param {number} to */
export function requireSpeed(list, from, to) {
  const { seconds, encodings, layers } = encoded(list, from, to);
  // getStats counts a frame of VP9 once per spatial layer.
  const fps =
    layers.length > 0
      ? picturesPerSecond(layers, seconds)
      : Math.max(0, ...encodings.map((encoding) => encoding.fps));
  if (fps < VOID_BELOW * CAMERA.fps) {
    throw new Void(`the encoder made ${fps.toFixed(1)} of ${CAMERA.fps} frames a second`);
  }
  return fps;
}

/** Voids a run in which a page had to wait for the machine. @param {readonly { at: number }[]} samples @param {number} from @param {number} to */
export function requireAttention(samples, from, to) {
  const waited = longestWait(between(samples, from, to));
  if (waited > VOID_ABOVE_MS) throw new Void(`a page was kept from running for ${waited} ms`);
}

/**
 * What a server could choose from.
 * @param {ReturnType<typeof encoded>} made @param {string | undefined} mode @returns {import("./figures.mjs").Rung[]}
 */
export function choices({ seconds, encodings, layers }, mode) {
  const highest = Math.max(0, ...layers.map(({ spatial }) => spatial));
  const heightOf = (/** @type {import("./figures.mjs").Layer} */ { stream, spatial }) =>
    (encodings.find(({ ssrc }) => String(ssrc) === stream)?.height ?? 0) / 2 ** (highest - spatial);
  if (layers.length > 0) return rungs(layers, seconds, mode?.endsWith("_KEY") ?? false, heightOf);
  return encodings.flatMap(({ bps, fps, height }) =>
    TEMPORAL_SHARES.map(({ bits, frames }) => ({ bps: bps * bits, fps: fps * frames, height })),
  );
}
