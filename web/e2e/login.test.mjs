// A server with users: who knows a password is in, and who does not reads why not, by keyboard too.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { BINARY, startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {string} */
let folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "roundtable-login-"));
  const file = join(folder, "users.toml");
  const add = [
    "users",
    "add",
    "--users-file",
    file,
    "ann",
    "--display-name",
    "Ann Example",
    "--role",
    "host",
  ];
  execFileSync(BINARY, add, { input: "correct horse\n" });
  const key = ["--api-key", "k", "--api-secret", "a secret of thirty-two bytes or so"];
  server = await startServer([...key, "--users-file", file]);
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Types into the page as a person does, with nothing but a keyboard. @param {string} field @param {string} text */
async function type(field, text) {
  const [page] = chromium.context.pages().slice(-1);
  await page?.getByLabel(field, { exact: true }).focus();
  await page?.keyboard.press("Control+A");
  await page?.keyboard.type(text);
}

test("a name and a password lead into the room, also after a reload, and a wrong one does not", async () => {
  const ann = await chromium.guest("Ann");
  await ann.open(server.room("daily"));
  await until("the form is there", async () => /User name/.test(await ann.text()));
  const page = /** @type {import("playwright-core").Page} */ (chromium.context.pages().at(-1));
  await type("Your name", "Ann");
  await page.keyboard.press("Enter");
  await until("she is told to sign in", async () => /Sign in to enter this room/.test(await ann.text()));

  await type("User name", "ann");
  await type("Password", "wrong horse");
  await page.keyboard.press("Enter");
  await until("it is wrong", async () => /name or the password is wrong/.test(await ann.text()));
  const alert = page.getByRole("alert").filter({ hasText: "is wrong" });
  assert.equal(await alert.count(), 1, "it is read aloud");
  await type("Password", "correct horse");
  await page.keyboard.press("Enter");
  await until("she is signed in", async () => /Signed in as Ann Example/.test(await ann.text()));
  const focused = () => ann.evaluate(() => document.activeElement?.id);
  await until("the focus is where one goes on", async () => (await focused()) === "join");
  await page.keyboard.press("Enter");
  await until("she is in", () => ann.isInCall());
  await until("by her name", async () => (await ann.tiles())[0]?.name.includes("Ann Example") === true);

  await ann.open(server.room("daily"));
  await until("she still is signed in", async () => /Signed in as Ann Example/.test(await ann.text()));
  await ann.press("Sign out");
  await until("the form is back", async () => /User name/.test(await ann.text()));
});

test("who guesses too often reads how long to wait", async () => {
  const eve = await chromium.guest("Eve");
  await eve.open(server.room("daily"));
  await until("the form is there", async () => /User name/.test(await eve.text()));
  const page = /** @type {import("playwright-core").Page} */ (chromium.context.pages().at(-1));
  await type("User name", "somebody");
  for (let guess = 0; guess < 6; guess += 1) {
    await type("Password", `guess ${guess}`);
    await page.keyboard.press("Enter");
    await until("the answer is there", () =>
      eve.evaluate(
        () =>
          /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=password]"))?.value ===
          "",
      ),
    );
  }
  await until("she is told", async () =>
    /Too many wrong passwords. Try again in \d+ s/.test(await eve.text()),
  );
});

test("a server without users shows no form", async () => {
  const open = await startServer();
  try {
    const bob = await chromium.guest("Bob");
    await bob.enter(open.room("daily"));
    assert.doesNotMatch(await bob.text(), /Sign in/);
  } finally {
    await open.stop();
  }
});
