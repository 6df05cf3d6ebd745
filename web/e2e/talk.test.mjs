// What becomes of messages that are written: others see who writes, edits, deletes and reacts.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {import("./lib/guest.mjs").Guest} */
let ann;
/** @type {import("./lib/guest.mjs").Guest} */
let ben;

const PATIENT = { timeout: 40_000 };

before(async () => {
  server = await startServer();
  chromium = await launchChromium();
  ann = await chromium.guest("Ann");
  ben = await chromium.guest("Ben");
  for (const guest of [ann, ben]) {
    await guest.enter(server.room("talk"));
    await guest.press("Chat");
  }
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** Writes into a field as people do. @param {string} selector @param {string} value */
function type(selector, value) {
  return ann.evaluate(
    ({ selector, value }) => {
      const field = /** @type {HTMLTextAreaElement} */ (document.querySelector(selector));
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    },
    { selector, value },
  );
}

test("who writes is seen while they do", async () => {
  await type(".composer textarea", "Half a tho");
  await until("Ben sees it", async () => (await ben.text()).includes("Ann is writing"), PATIENT);
  await ann.say("Half a thought");
  await until("it is over", async () => !(await ben.text()).includes("Ann is writing"), PATIENT);
});

test("a message is edited, reacted to, and deleted", async () => {
  await until("Ben has it", async () => (await ben.readChat()).includes("Half a thought"), PATIENT);
  await ann.press("Edit: Half a thought");
  await until("there is a field", () =>
    ann.evaluate(() => document.querySelector(".editor textarea") !== null),
  );
  await type(".editor textarea", "A whole thought");
  await ann.press("Save");
  await until("Ben reads it anew", async () => (await ben.readChat()).includes("A whole thought"), PATIENT);
  assert.match(await ben.text(), /edited/);
  await ben.press("👍 0: A whole thought");
  await until("Ann sees that", async () => (await ann.text()).includes("👍 1"), PATIENT);
  await ann.press("Delete: A whole thought");
  await until("it is gone", async () => (await ben.readChat()).length === 0, PATIENT);
  assert.match(await ben.text(), /This message was deleted/);
});

test("who comes late has the last messages at once, and those before when they ask", async () => {
  const count = 70;
  await ann.evaluate((count) => {
    for (let n = 1; n <= count; n += 1) window.roundtable.room.sendChatMessage(`Number ${n}`);
  }, count);
  await until("all are written", async () => (await ben.readChat()).includes(`Number ${count}`), PATIENT);
  const eve = await chromium.guest("Eve");
  await eve.enter(server.room("talk"));
  await eve.press("Chat");
  const numbers = async () => (await eve.readChat()).filter((said) => said.startsWith("Number "));
  await until("the last fifty are there", async () => (await numbers()).length === 50, PATIENT);
  await eve.press("Show earlier messages");
  await until("all are there", async () => (await numbers()).length === count, PATIENT);
  const expected = Array.from({ length: count }, (_, n) => `Number ${n + 1}`);
  assert.deepEqual(await numbers(), expected, "each once, in order");
  await until("there is nothing more", async () => !(await eve.text()).includes("Show earlier"), PATIENT);
  assert.deepEqual(eve.faults, []);
});
