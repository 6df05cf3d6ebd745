// Browsers: one Chromium with many tabs, one Firefox; each page wrapped as a guest that knows the application.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import { Guest } from "./guest.mjs";

const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
const FIREFOX = process.env.FIREFOX_BIN ?? "/usr/bin/firefox-esr";

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--allow-loopback-in-peer-connection",
  "--autoplay-policy=no-user-gesture-required",
];

export const FAKE_DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/**
 * Starts Chromium with a fresh profile.
 * @param {string[]} [flags] @param {{ bypassCSP?: boolean }} [options]
 */
export async function launchChromium(flags = FAKE_DEVICES, options = {}) {
  const profile = await mkdtemp(join(tmpdir(), "roundtable-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [...CHROMIUM_FLAGS, ...flags],
    viewport: { width: 900, height: 600 },
    ...options,
  });
  return {
    context,
    /** Opens a tab. @param {string} name @param {string} [initScript] */
    async guest(name, initScript) {
      const page = await context.newPage();
      const guest = new Guest(name, {
        goto: async (url) => void (await page.goto(url)),
        evaluate: (fn, argument) => page.evaluate(/** @type {never} */ (fn), argument),
        close: () => page.close(),
      });
      page.on("console", (message) => {
        if (message.type() === "error") guest.faults.push(message.text());
      });
      page.on("pageerror", (error) => guest.faults.push(String(error)));
      if (initScript !== undefined) await page.addInitScript({ content: initScript });
      return guest;
    },
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Starts Firefox with a fresh profile. */
export async function launchFirefox() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.autoplay.default": 0,
      "app.update.enabled": false,
      "datareporting.policy.dataSubmissionEnabled": false,
    },
  });
  return {
    /** Opens a tab. @param {string} name @param {string} [initScript] */
    async guest(name, initScript) {
      const page = await browser.newPage();
      if (initScript !== undefined) await page.evaluateOnNewDocument(initScript);
      return new Guest(name, {
        goto: async (url) => void (await page.goto(url)),
        evaluate: (fn, argument) => page.evaluate(/** @type {never} */ (fn), argument),
        close: () => page.close(),
      });
    },
    close: () => browser.close(),
  };
}
