// Somebody calls: it rings on the start page and in other rooms, and each end is another one, for both sides.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launchChromium, launchFirefox } from "./lib/browsers.mjs";
import { COUNT_DEVICES, devicesAsked } from "./lib/devices.mjs";
import { expectMediaFlows } from "./lib/guest.mjs";
import { BINARY, startProxy, startServer } from "./lib/server.mjs";
import { sleep, until } from "./lib/wait.mjs";

/** @typedef {import("./lib/guest.mjs").Guest} Guest */

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** Another profile, for what is kept in a browser. @type {Awaited<ReturnType<typeof launchChromium>>} */
let other;
/** @type {Awaited<ReturnType<typeof launchFirefox>>} */
let firefox;
/** Who calls. @type {Guest} */
let ann;
/** Who is called, in Firefox. @type {Guest} */
let bob;
/** Who is called, at his other device. @type {Guest} */
let desk;
/** What the server tells Bob by events. @type {Awaited<ReturnType<typeof listen>>} */
let reader;

const PATIENT = { timeout: 40_000 };
/** A machine that does nothing else takes a fiftieth of that. */
const RINGS_WITHIN_MS = 5_000;

/** Counts what is played; a script for a page. */
const COUNT_TONES = `{
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...given) {
    window.tones += 1;
    return start.apply(this, given);
  };
}`;

before(async () => {
  server = await startServer();
  [chromium, other, firefox] = await Promise.all([launchChromium(), launchChromium(), launchFirefox()]);
  ann = await chromium.guest("Ann");
  bob = await firefox.guest("Bob");
  desk = await other.guest("Bob", COUNT_TONES);
  reader = await listen(new URL("api/v1/users/Bob/events", server.url));
});

after(async () => {
  reader?.stop();
  await firefox?.close();
  await other?.close();
  await chromium?.close();
  await server?.stop();
});

/** Reads a stream of events: their names, without anything of ours in between. @param {URL} url @param {string} [token] */
async function listen(url, token) {
  const abort = new AbortController();
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers, signal: abort.signal });
  assert.equal(response.status, 200);
  /** @type {string[]} */
  const names = [];
  const read = async () => {
    let rest = "";
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("event: ")) names.push(line.slice("event: ".length));
    }
  };
  read().catch(() => {});
  return { names, stop: () => abort.abort() };
}

/** Writes into a field as people do. @param {Guest} guest @param {string} field @param {string} words */
function write(guest, field, words) {
  return guest.evaluate(
    ({ name, value }) => {
      const input = /** @type {HTMLInputElement | null} */ (document.querySelector(`input[name=${name}]`));
      if (input === null) throw new Error(`there is no field ${name}`);
      input.value = value;
      for (const type of ["input", "change"]) input.dispatchEvent(new Event(type, { bubbles: true }));
    },
    { name: field, value: words },
  );
}

/** Opens the start page and lets it ring there. @param {Guest} guest @param {URL} [base] */
async function waitForCalls(guest, base = server.url) {
  await guest.open(new URL("?w=320&fps=10", base).href);
  await write(guest, "name", guest.name);
  await guest.evaluate(() =>
    /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=reachable]"))?.click(),
  );
  await becomesReachable(guest);
}

/** @param {Guest} guest */
function becomesReachable(guest) {
  return until(`${guest.name} can be called`, async () =>
    (await guest.text()).includes(`You can be called as ${guest.name}`),
  );
}

/** Notes when it rings next. @param {Guest} guest */
function noteRinging(guest) {
  return guest.evaluate(() => {
    window.rangAt = 0;
    const look = new MutationObserver(() => {
      if (document.querySelector("dialog[open]") === null) return;
      window.rangAt = Date.now();
      look.disconnect();
    });
    look.observe(document.body, { childList: true, subtree: true, attributes: true });
  });
}

/** Calls by the list of people, which is open; when, by `Date.now()`. @param {Guest} guest @param {string} to */
async function dial(guest, to) {
  await write(guest, "callee", to);
  return guest.evaluate(() => {
    const at = Date.now();
    /** @type {HTMLButtonElement | null} */ (
      document.querySelector(".call-somebody button[type=submit]")
    )?.click();
    return at;
  });
}

/** What the dialog says; null while nobody calls. @param {Guest} guest */
function ringing(guest) {
  return guest.evaluate(() => {
    const dialog = document.querySelector("dialog[open]");
    return (
      dialog && {
        role: dialog.getAttribute("role"),
        label: document.getElementById(dialog.getAttribute("aria-labelledby") ?? "")?.textContent ?? "",
        hint: document.getElementById(dialog.getAttribute("aria-describedby") ?? "")?.textContent ?? "",
        hasFocus: document.activeElement === dialog,
        title: document.title,
      }
    );
  });
}

/** @param {Guest} guest */
const rings = (guest) => until(`it rings for ${guest.name}`, () => ringing(guest), PATIENT);
/** @param {Guest} guest */
const ringsNoMore = (guest) =>
  until(`it rings for ${guest.name} no more`, async () => (await ringing(guest)) === null, PATIENT);

/** What Ann sees of her last call. @param {string} state */
function outcome(state) {
  return until(
    `Ann's last call is ${state}`,
    () =>
      ann.evaluate((wanted) => {
        const line = [...document.querySelectorAll(".dialled li")].at(-1);
        const isSo = line?.getAttribute("data-state") === wanted;
        return isSo ? line?.querySelector(".name")?.textContent : null;
      }, state),
    PATIENT,
  );
}

/** @param {Guest} guest */
function missed(guest) {
  return guest.evaluate(() => [...document.querySelectorAll(".missed li")].map((line) => line.textContent));
}

/** What the stream told of the calls after so many words. @param {string[]} names @param {number} from @param {string[]} expected */
async function told(names, from, expected) {
  await until(`the stream told ${expected}`, () => names.length >= from + expected.length, PATIENT);
  await sleep(300);
  assert.deepEqual(names.slice(from), expected);
}

/** The last page of a browser, to press keys on. @param {typeof chromium} browser */
function keyboard(browser) {
  const page = browser.context.pages().at(-1);
  assert.ok(page);
  return page.keyboard;
}

test("it rings on the start page wherever one waits, and who accepts is in the room", async (t) => {
  await ann.enter(server.room("daily"));
  await ann.press("People");
  await ann.evaluate(() => {
    window.steps = [];
    window.roundtable.room.on("call", ({ state }, direction) => window.steps.push(`${direction} ${state}`));
  });
  await waitForCalls(bob);
  await waitForCalls(desk);
  for (const guest of [bob, desk]) await noteRinging(guest);
  const calledAt = await dial(ann, "Bob");
  for (const [guest, browser] of /** @type {const} */ ([
    [bob, "Firefox"],
    [desk, "Chromium"],
  ])) {
    const rangAt = await until(`it rings in ${browser}`, () => guest.evaluate(() => window.rangAt), PATIENT);
    t.diagnostic(`${browser} rings ${rangAt - calledAt} ms after the click`);
    assert.ok(rangAt - calledAt < RINGS_WITHIN_MS, `${rangAt - calledAt} ms`);
    const seen = await rings(guest);
    assert.deepEqual(seen, {
      role: "alertdialog",
      label: "Ann calls",
      hint: "Into the room daily.",
      hasFocus: true,
      title: "☎ Ann calls · Roundtable",
    });
  }
  await outcome("ringing");
  for (const key of ["Enter", "Space", "Escape", "Escape"]) await keyboard(other).press(key);
  await sleep(300);
  assert.ok(await ringing(desk), "what one typed anyway is no answer");
  const tones = () => desk.evaluate(() => window.tones);
  await until("there is something to hear", async () => (await tones()) > 0);
  await desk.press("Ring tone");
  const heard = await tones();
  await sleep(3_000);
  assert.equal(await tones(), heard, "and nothing more when that was turned off");

  await bob.press("Accept");
  await until("Bob is in the call", () => bob.isInCall(), PATIENT);
  assert.equal(await outcome("accepted"), "Bob comes");
  await ringsNoMore(desk);
  assert.deepEqual(await missed(desk), []);
  assert.equal(new URL(await bob.evaluate(() => location.href)).pathname, "/r/daily");
  await told(reader.names, 0, ["ringing", "accepted"]);
  await expectMediaFlows([ann, bob], { seconds: 3 });
  assert.deepEqual(await ann.evaluate(() => window.steps), ["outgoing ringing", "outgoing accepted"]);
});

test("who has left rings again, and who declines is not missed", async () => {
  await bob.press("Leave");
  await until("Bob has left", async () => /You left the room/.test(await bob.text()));
  await dial(ann, "Bob");
  await rings(bob);
  await rings(desk);
  await desk.press("Decline");
  assert.equal(await outcome("declined"), "Bob declined");
  for (const guest of [bob, desk]) {
    await ringsNoMore(guest);
    assert.deepEqual(await missed(guest), []);
  }
  await told(reader.names, 2, ["ringing", "declined"]);
  assert.deepEqual((await ann.evaluate(() => window.steps)).slice(2), [
    "outgoing ringing",
    "outgoing declined",
  ]);
});

test("what nobody answers is missed, also after a reload, until one says that one knows", async () => {
  await ann.evaluate(() => void window.roundtable.room.call("Bob", { timeoutS: 2 }));
  await rings(desk);
  assert.equal(await outcome("timedOut"), "Bob did not answer");
  for (const guest of [bob, desk]) {
    await ringsNoMore(guest);
    const [line, ...more] = await missed(guest);
    assert.match(line ?? "", /^Ann called, /);
    assert.deepEqual(more, []);
  }
  await told(reader.names, 4, ["ringing", "timedOut"]);
  assert.deepEqual((await ann.evaluate(() => window.steps)).slice(4), [
    "outgoing ringing",
    "outgoing timedOut",
  ]);
  await desk.open(new URL("?w=320&fps=10", server.url).href);
  await becomesReachable(desk);
  assert.equal((await missed(desk)).length, 1, "it is kept");
  await desk.press("Dismiss missed calls");
  await until("it is gone", async () => (await missed(desk)).length === 0);
});

test("who calls can give up, and it is missed", async () => {
  await dial(ann, "Bob");
  await rings(desk);
  await ann.press("Cancel the call to Bob");
  assert.equal(await outcome("cancelled"), "The call to Bob was cancelled");
  await ringsNoMore(desk);
  assert.equal((await missed(desk)).length, 1);
  await told(reader.names, 6, ["ringing", "cancelled"]);
});

test("whoever lost the connection is told what still rings, and not twice", async () => {
  const proxy = await startProxy(server.url);
  try {
    const eve = await other.guest("Eve");
    await waitForCalls(eve, proxy.url);
    await ann.evaluate(() => void window.roundtable.room.call("Eve", { timeoutS: 20 }));
    await rings(eve);
    proxy.cut();
    await until("she knows", async () => /nobody can call you now/.test(await eve.text()), PATIENT);
    await ann.evaluate(() => void window.roundtable.room.call("Eve", { timeoutS: 60 }));
    await ann.press("Cancel the call to Eve");
    proxy.restore();
    // The first has ended meanwhile, which nobody told: it counts as missed.
    await until("one is missed", async () => (await missed(eve)).length === 1, PATIENT);
    assert.equal((await rings(eve)).hint, "Into the room daily.");
    await eve.press("Decline");
    await ringsNoMore(eve);
    assert.equal(await outcome("declined"), "Eve declined");
    await eve.driver.close();
  } finally {
    proxy.stop();
  }
});

test("who is in another room is taken along with the same devices, and muted if muted", async () => {
  const cy = await other.guest("Cy", COUNT_DEVICES);
  await cy.enter(server.room("lounge"));
  await cy.press("Chat");
  await cy.evaluate(() => document.querySelector("textarea")?.focus());
  await dial(ann, "Cy");
  const seen = await rings(cy);
  assert.equal(seen.hint, "Into the room daily. To accept takes you there.");
  await keyboard(other).press("Tab");
  await keyboard(other).press("Enter");
  const arrived = () =>
    cy.evaluate(() => location.pathname === "/r/daily" && document.title.startsWith("daily"));
  await until("Cy is in Ann's room", arrived, PATIENT);
  await until("they see each other", async () => (await cy.tiles()).length === 2, PATIENT);
  assert.equal(await outcome("accepted"), "Cy comes");
  await expectMediaFlows([ann, cy], { seconds: 3 });
  assert.equal(await devicesAsked(cy), 1, "the devices stay open");

  await cy.press("Mute microphone");
  await desk.evaluate(() =>
    /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=reachable]"))?.click(),
  );
  await write(desk, "room", "office");
  await desk.pressJoin();
  await until("Bob is in his office", () => desk.isInCall(), PATIENT);
  await desk.press("People");
  await dial(desk, "Cy");
  await rings(cy);
  await cy.press("Accept");
  await until("Cy is with Bob", async () => (await desk.tiles()).length === 2, PATIENT);
  const publications = await cy.evaluate(() =>
    [...window.roundtable.room.localParticipant.publications.values()].map(({ source }) => source),
  );
  assert.deepEqual(publications, ["camera"]);
  assert.equal(await cy.evaluate(() => window.roundtable.room.localParticipant.isMicrophoneEnabled), false);
  await until("Cy is not with Ann", async () => (await ann.tiles()).length === 1, PATIENT);
  for (const guest of [ann, bob, desk, cy]) assert.deepEqual(guest.faults, [], guest.name);
});

test("who leaves calls nobody any more", async () => {
  await dial(ann, "Cy");
  const cys = await listen(new URL("api/v1/users/Cy/events", server.url));
  try {
    await until("it rings", () => cys.names.length > 0);
    await ann.press("Leave");
    await told(cys.names, 0, ["ringing", "cancelled"]);
  } finally {
    cys.stop();
  }
});

test("where people sign in only they can be called, and who may answer in a room only does so there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "roundtable-ring-"));
  const secret = "a secret of thirty-two bytes or so";
  const file = join(folder, "users.toml");
  const add = ["users", "add", "--users-file", file, "dee", "--display-name", "Dee Example"];
  execFileSync(BINARY, add, { input: "correct horse\n" });
  const closed = await startServer(["--api-key", "k", "--api-secret", secret, "--users-file", file]);
  /** @type {Awaited<ReturnType<typeof listen>> | undefined} */
  let dees;
  try {
    const dee = await chromium.guest("Dee");
    await dee.open(closed.room("daily"));
    await write(dee, "name", "Dee");
    const choose = () =>
      dee.evaluate(() =>
        /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=reachable]"))?.click(),
      );
    await choose();
    await until("she reads why not", async () => /only those can be called who/.test(await dee.text()));
    await write(dee, "user", "dee");
    await write(dee, "password", "correct horse");
    await dee.evaluate(() => document.querySelector("form")?.requestSubmit());
    await until("she is signed in", async () => /Signed in as Dee Example/.test(await dee.text()));
    await choose();
    await until("she can be called", async () => /You can be called as dee/.test(await dee.text()));

    /** @param {unknown} part */
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const claims = { exp: Math.floor(Date.now() / 1000) + 600, video: { roomAdmin: true } };
    const message = `${encode({ alg: "HS256", kid: "k" })}.${encode(claims)}`;
    const token = `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
    const ring = async () => {
      const answer = await fetch(new URL("api/v1/calls", closed.url), {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ from: "ann", to: "dee", room: "daily" }),
      });
      assert.equal(answer.status, 201);
    };
    dees = await listen(new URL("api/v1/users/dee/events", closed.url), token);
    await ring();
    assert.equal((await rings(dee)).label, "ann calls");
    await dee.press("Accept");
    await until("she is in the call", () => dee.isInCall(), PATIENT);
    await told(dees.names, 0, ["ringing", "accepted"]);
  } finally {
    dees?.stop();
    await closed.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
