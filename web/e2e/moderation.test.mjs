// A host lets somebody in, silences them, makes them a listener, and puts them out: by the buttons, and by the keyboard.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {import("./lib/guest.mjs").Guest} */
let host;
/** @type {import("./lib/guest.mjs").Guest} */
let bob;

const SECRET = "a secret of thirty-two bytes or so";
const PATIENT = { timeout: 40_000 };

before(async () => {
  server = await startServer(["--api-key", "k", "--api-secret", SECRET]);
  chromium = await launchChromium();
  host = await chromium.guest("Hanna");
  bob = await chromium.guest("Bob");
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** The link of an invitation. @param {"host" | "speaker"} role */
async function invite(role) {
  /** @param {unknown} part */
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const claims = { exp: Math.floor(Date.now() / 1000) + 600, video: { room: "daily", roomAdmin: true } };
  const message = `${encode({ alg: "HS256", kid: "k" })}.${encode(claims)}`;
  const token = `${message}.${createHmac("sha256", SECRET).update(message).digest("base64url")}`;
  const response = await fetch(new URL("api/v1/rooms/daily/invites", server.url), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ role }),
  });
  assert.equal(response.status, 201, await response.clone().text());
  const { url } = /** @type {{ url: string }} */ (await response.json());
  return new URL(`${url}&w=320&fps=10`, server.url).href;
}

/** What is said to those who listen. */
function announced() {
  return host.evaluate(() => document.querySelector("main > p[role=status]")?.textContent ?? "");
}

/** Focuses a button and presses Enter. @param {string} label */
async function pressByKeyboard(label) {
  await until(`the button ${label}`, () =>
    host.evaluate((wanted) => {
      const button = /** @type {HTMLElement | null} */ (
        document.querySelector(`button[aria-label="${wanted}"]`)
      );
      const details = button?.closest("details");
      if (details) details.open = true;
      button?.focus();
      return button !== null && document.activeElement === button;
    }, label),
  );
  // The first page is the empty one that the browser begins with.
  await chromium.context.pages().at(1)?.keyboard.press("Enter");
}

test("who knocks waits until the host lets them in", async () => {
  await host.enter(await invite("host"));
  await host.press("People");
  await host.press("Lobby");
  await until("the lobby is on", async () => (await announced()) === "Newcomers wait to be let in", PATIENT);
  await bob.open(await invite("speaker"));
  await bob.pressJoin();
  await until("Bob waits", async () => (await bob.text()).includes("Waiting for daily"), PATIENT);
  await until("it is said", async () => (await announced()) === "Bob asks to be let in", PATIENT);
  assert.equal(await bob.isInCall(), false);
  await pressByKeyboard("Let in Bob");
  await until("Bob is in", () => bob.isInCall(), PATIENT);
  await until("nobody waits any more", async () => !(await host.text()).includes("1 waits"), PATIENT);
});

test("the host mutes somebody, who sees it and can unmute again", async () => {
  await until("Bob's microphone is on", () =>
    bob.evaluate(() => window.roundtable.room.localParticipant.isMicrophoneEnabled),
  );
  await pressByKeyboard("Mute Bob");
  const isOn = () => bob.evaluate(() => window.roundtable.room.localParticipant.isMicrophoneEnabled);
  await until("Bob is silent", async () => !(await isOn()), PATIENT);
  await bob.press("Unmute microphone");
  await until("Bob speaks again", isOn, PATIENT);
});

test("everybody reads a notice", async () => {
  await host.evaluate(() => {
    const field = /** @type {HTMLInputElement} */ (document.querySelector("input[name=notice]"));
    field.value = "Five minutes left";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await until(
    "it is sent",
    async () => {
      await host.evaluate(() => {
        const form = document.querySelector("input[name=notice]")?.closest("form");
        form?.requestSubmit();
      });
      return (await bob.text()).includes("Hanna: Five minutes left");
    },
    PATIENT,
  );
});

test("the host takes another name by the keyboard, and Bob, who may not, sees it", async () => {
  const page = chromium.context.pages().at(1);
  const isBegun = () => host.evaluate(() => document.activeElement?.getAttribute("name") === "own-name");
  const isOnButton = () => host.evaluate(() => document.activeElement?.classList.contains("rename") === true);
  await until("the button has the focus", async () => {
    await host.evaluate(() =>
      /** @type {HTMLElement | null} */ (document.querySelector("button.rename"))?.focus(),
    );
    return isOnButton();
  });
  await page?.keyboard.press("Enter");
  await until("the field has the focus", isBegun);
  await page?.keyboard.press("Escape");
  await until("the button has it again", isOnButton);
  await page?.keyboard.press("Enter");
  await until("the field has the focus", isBegun);
  // It takes the place of the old one, which is selected.
  await page?.keyboard.type("Dr Hanna");
  await page?.keyboard.press("Enter");
  await until("it is said", async () => (await announced()) === "You are Dr Hanna now", PATIENT);
  await until("the button has the focus again", isOnButton);
  await until(
    "Bob sees it",
    async () => (await bob.tiles()).some(({ name }) => name === "Dr Hanna"),
    PATIENT,
  );
  await bob.press("People");
  await until("Bob's list has it", async () => (await bob.text()).includes("Bob (you)"));
  assert.equal(await bob.evaluate(() => document.querySelector("button.rename")), null, "he may not");
  await bob.press("People");
});

test("a listener's devices stop, and who may speak again can turn them on", async () => {
  await pressByKeyboard("Make listener: Bob");
  await until(
    "Bob's devices are off",
    () => bob.evaluate(() => window.roundtable.room.localParticipant.publications.size === 0),
    PATIENT,
  );
  await until("Bob is told", async () => (await bob.text()).includes("what you may do: listener"), PATIENT);
  await pressByKeyboard("Make speaker: Bob");
  await until("Bob may", () => bob.evaluate(() => window.roundtable.room.grants?.publish === true), PATIENT);
  await bob.press("Unmute microphone");
  await until(
    "the host hears of Bob's microphone",
    () =>
      host.evaluate(() =>
        [...window.roundtable.room.remoteParticipants.values()].some(
          (person) => person.publication("microphone")?.muted === false,
        ),
      ),
    PATIENT,
  );
});

test("a locked room refuses newcomers, and who is put out reads it", async () => {
  await host.press("Lock room");
  await until(
    "it is locked",
    () => host.evaluate(() => window.roundtable.room.settings?.locked === true),
    PATIENT,
  );
  await pressByKeyboard("Put out Bob");
  await until(
    "Bob is out",
    async () => (await bob.text()).includes("You were taken out of the room."),
    PATIENT,
  );
  await until("Bob's tile is gone", async () => (await host.tiles()).length === 1, PATIENT);
});
