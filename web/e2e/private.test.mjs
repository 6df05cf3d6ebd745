// What is said to one person alone: they read it, marked as what it is, and nobody else gets any of it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium, launchFirefox } from "./lib/browsers.mjs";
import { startDatagramProxy, startProxy, startServer } from "./lib/server.mjs";
import { sleep, until } from "./lib/wait.mjs";

/** @typedef {import("./lib/guest.mjs").Guest} Guest */

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof startProxy>>} */
let proxy;
/** @type {Awaited<ReturnType<typeof startDatagramProxy>>} */
let datagrams;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {Guest} */
let ann;
/** Behind the proxies. @type {Guest} */
let bob;
/** Who is to know nothing. @type {Guest} */
let cy;

const PATIENT = { timeout: 40_000 };
const ROOM = "private";

/** Notes everything that a page is told: each message over the socket and the channels is read as JSON. */
const NOTE_TOLD = `{
  const parse = JSON.parse;
  window.told = [];
  JSON.parse = (text, ...rest) => {
    window.told.push(String(text));
    return parse(text, ...rest);
  };
}`;

before(async () => {
  server = await startServer();
  proxy = await startProxy(server.url);
  datagrams = await startDatagramProxy(server.mediaPort);
  chromium = await launchChromium();
  ann = await chromium.guest("Ann");
  bob = await chromium.guest("Bob", datagrams.script);
  cy = await chromium.guest("Cy", NOTE_TOLD);
  await ann.enter(server.room(ROOM));
  await bob.enter(new URL(`r/${ROOM}?w=320&fps=10`, proxy.url).href);
  await cy.enter(server.room(ROOM));
  await cy.press("Chat");
});

after(async () => {
  await chromium?.close();
  datagrams?.stop();
  proxy?.stop();
  await server?.stop();
});

/** The page of Ann, to press keys on; the first page is the empty one that the browser begins with. */
function keyboard() {
  const page = chromium.context.pages().at(1);
  assert.ok(page);
  return page.keyboard;
}

/** How Ann's composer stands: to whom by the list and by the field, with what in it, and what it complains of. */
function composer() {
  return ann.evaluate(() => {
    const [list, field] = [
      /** @type {HTMLSelectElement | null} */ (document.querySelector(".composer select")),
      /** @type {HTMLTextAreaElement | null} */ (document.querySelector(".composer textarea")),
    ];
    return {
      to: list?.selectedOptions[0]?.text,
      label: field?.getAttribute("aria-label"),
      draft: field?.value,
      isFocused: field !== null && document.activeElement === field,
      problem: document.querySelector(".composer [role=alert]")?.textContent ?? "",
    };
  });
}

/** Cy neither sees nor was told a word, for a while and after something later that Cy did get. @param {string} word */
async function expectCyKnowsNothing(word, seconds = 3) {
  const marker = `For everybody ${Math.random()}`;
  await ann.evaluate((text) => void window.roundtable.room.sendChatMessage(text), marker);
  await until("Cy reads what is for everybody", async () => (await cy.readChat()).includes(marker), PATIENT);
  const end = Date.now() + seconds * 1000;
  do {
    const { told, messages } = await cy.evaluate(() => ({
      told: window.told,
      messages: window.roundtable.room.chat.messages.map(({ text }) => text),
    }));
    assert.ok(
      told.some((text) => text.includes(marker)),
      "all that Cy is told is seen",
    );
    assert.deepEqual(
      told.filter((text) => text.includes(word) || text.includes("privateChat")),
      [],
    );
    assert.ok(!messages.some((text) => text.includes(word)));
    assert.ok(!(await cy.text()).includes(word));
    await sleep(250);
  } while (Date.now() < end);
}

test("the list of people leads to a private word, which one reads and nobody else", async () => {
  await ann.press("People");
  await ann.press("Write privately to Bob");
  const chosen = await until("the composer is for Bob", async () => {
    const now = await composer();
    return now.isFocused && now.to === "Bob" ? now : null;
  });
  assert.equal(chosen.label, "Write privately to Bob");
  await keyboard().type("Pssst, Bob");
  await keyboard().press("Enter");
  await until("Bob's button says that there is something", () =>
    bob.evaluate(() => document.querySelector('[aria-label="Chat, 1 unread"]') !== null),
  );
  await bob.press("Chat");
  assert.deepEqual(await bob.readPrivate(), ["Ann, privately to you: Pssst, Bob"]);
  await until("Ann sees that it was taken", async () => (await ann.readPrivate()).length === 1, PATIENT);
  assert.deepEqual(await ann.readPrivate(), ["Privately to Bob: Pssst, Bob"]);
  for (const guest of [ann, bob]) {
    const buttons = await guest.evaluate(() => document.querySelectorAll(".message.private button").length);
    assert.equal(buttons, 0, "nobody edits, deletes or answers it by a sign");
  }
  await expectCyKnowsNothing("Pssst");
  const typing = await cy.evaluate(() => window.told.filter((text) => text.includes('"typing"')));
  assert.deepEqual(typing, [], "nobody was told that something was written");
  assert.ok((await bob.readChat()).every((line) => line.startsWith("For everybody")));
});

test("the keyboard chooses to whom one writes", async () => {
  await ann.evaluate(() => /** @type {HTMLElement} */ (document.querySelector(".composer select")).focus());
  await keyboard().press("Home");
  await until("it is everybody", async () => (await composer()).to === "everybody");
  assert.equal((await composer()).label, "Write to everybody");
  await keyboard().type("Bob");
  await until("it is Bob again", async () => (await composer()).label === "Write privately to Bob");
  await keyboard().press("Tab");
  assert.equal((await composer()).isFocused, true);
});

test("who was away for some seconds gets each private word once, and the words of theirs arrive", async () => {
  const member = await bob.memberId();
  proxy.cut();
  datagrams.freeze();
  await until("Bob is away", () =>
    bob.evaluate(() => document.querySelector(".banner.reconnecting") !== null),
  );
  await ann.say("Whisper one");
  await bob.evaluate(
    (id) => {
      window.roundtable.room.sendChatMessage("Whisper back", { to: [id] });
    },
    await ann.memberId(),
  );
  await sleep(4_000);
  await ann.say("Whisper two");
  await until("Ann's are taken", async () => (await ann.readPrivate()).length === 3, PATIENT);
  assert.equal((await bob.readPrivate()).length, 1);
  datagrams.thaw();
  proxy.restore();
  await until(
    "Bob is back",
    () => bob.evaluate(() => document.querySelector(".banner.reconnecting") === null),
    { timeout: 60_000 },
  );
  await until("Bob has both", async () => (await bob.readPrivate()).length >= 4, PATIENT);
  await until("Ann has Bob's", async () => (await ann.readPrivate()).length >= 4, PATIENT);
  // Whatever would come twice has come by then.
  await expectCyKnowsNothing("Whisper");
  assert.equal(await bob.memberId(), member);
  assert.deepEqual((await bob.readPrivate()).sort(), [
    "Ann, privately to you: Pssst, Bob",
    "Ann, privately to you: Whisper one",
    "Ann, privately to you: Whisper two",
    "Privately to Ann: Whisper back",
  ]);
  assert.deepEqual(
    (await bob.readPrivate()).filter((line) => line.includes("Ann, ")),
    ["Pssst, Bob", "Whisper one", "Whisper two"].map((words) => `Ann, privately to you: ${words}`),
  );
  assert.deepEqual(
    (await ann.readPrivate()).filter((line) => line.includes("Whisper back")),
    ["Bob, privately to you: Whisper back"],
  );
});

test("Firefox shows it too", async () => {
  const firefox = await launchFirefox();
  try {
    const dan = await firefox.guest("Dan");
    await dan.enter(server.room(ROOM));
    await dan.press("Chat");
    await until("Ann knows Dan", async () => (await ann.tiles()).some(({ name }) => name === "Dan"), PATIENT);
    await ann.press("People");
    await ann.press("Write privately to Dan");
    await until("the composer is for Dan", async () => (await composer()).to === "Dan");
    await ann.say("Fiery fox");
    await until("Dan reads it", async () => (await dan.readPrivate()).length === 1, PATIENT);
    assert.deepEqual(await dan.readPrivate(), ["Ann, privately to you: Fiery fox"]);
    await dan.press("People");
    await dan.press("Write privately to Ann");
    await until("Dan's composer is for Ann", () =>
      dan.evaluate(() => document.activeElement?.getAttribute("aria-label") === "Write privately to Ann"),
    );
    await dan.say("Foxy answer");
    await until("Ann reads it", async () =>
      (await ann.readPrivate()).includes("Dan, privately to you: Foxy answer"),
    );
    await expectCyKnowsNothing("Fox", 1);
  } finally {
    await firefox.close();
  }
});

test("what was for somebody who leaves just then goes to nobody until one says so", async () => {
  await ann.press("People");
  await ann.press("Write privately to Bob");
  await until("the composer is for Bob", async () => (await composer()).isFocused);
  await keyboard().type("Only Bob shall know");
  const id = await bob.memberId();
  await bob.press("Leave");
  const lost = await until("Ann reads that Bob left", async () => {
    const now = await composer();
    return now.problem.includes("Bob is not here any more") ? now : null;
  });
  assert.deepEqual([lost.to, lost.draft], ["everybody", "Only Bob shall know"]);
  await keyboard().press("Enter");
  await keyboard().press("Enter");
  await until("it says why", async () => (await composer()).problem.startsWith("Not sent: Bob is not here"));
  assert.equal((await composer()).draft, "Only Bob shall know");
  // Had it been sent before Ann's page knew, the server would have said so.
  await ann.evaluate((to) => {
    window.roundtable.room.sendChatMessage("Bob alone, too late", { to: [to] });
  }, id);
  await until("it was refused", async () =>
    (await ann.text()).includes("Not sent: they are not here any more, and nobody else got it."),
  );
  await expectCyKnowsNothing("Bob alone");
  await expectCyKnowsNothing("Only Bob");
  await ann.press("To everybody");
  await until("the field is ready", async () => (await composer()).isFocused);
  assert.equal((await composer()).problem, "");
  await keyboard().press("Enter");
  await until("Cy reads it", async () => (await cy.readChat()).includes("Only Bob shall know"), PATIENT);
});

test("no page complained", () => {
  assert.deepEqual([...ann.faults, ...cy.faults], []);
});
