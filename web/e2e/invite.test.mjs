// A server with keys: who follows an invitation is in, and everybody else reads why not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;

const SECRET = "a secret of thirty-two bytes or so";

before(async () => {
  server = await startServer(["--api-key", "k", "--api-secret", SECRET]);
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

/** @param {object} claims */
async function sign(claims) {
  /** @param {unknown} part */
  const text = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const message = `${text({ alg: "HS256", kid: "k" })}.${text({ exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
  const { createHmac } = await import("node:crypto");
  return `${message}.${createHmac("sha256", SECRET).update(message).digest("base64url")}`;
}

/** @param {object} wish */
async function invite(wish) {
  const token = await sign({ video: { room: "daily", roomAdmin: true } });
  const response = await fetch(new URL("api/v1/rooms/daily/invites", server.url), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(wish),
  });
  assert.equal(response.status, 201);
  const { url } = /** @type {{ url: string }} */ (await response.json());
  return new URL(`${url}&w=320&fps=10`, server.url).href;
}

test("the link of an invitation leads into the room, again after a reload, and no further than it says", async () => {
  const link = await invite({ role: "speaker", maxUses: 1 });
  const ann = await chromium.guest("Ann");
  await ann.open(link);
  await ann.pressJoin();
  await until("Ann is in", () => ann.isInCall());
  await ann.open(link);
  await ann.pressJoin();
  await until("Ann is in again, with the token of before", () => ann.isInCall());

  const bob = await chromium.guest("Bob");
  await bob.open(link);
  await bob.pressJoin();
  await until("Bob reads that it was used", async () => /used as often as it may be/.test(await bob.text()));
  assert.equal(await bob.isInCall(), false);
});

test("without an invitation one is told that it takes one", async () => {
  const guest = await chromium.guest("Gus");
  await guest.open(server.room("daily"));
  await guest.pressJoin();
  await until("he reads it", async () => /by invitation/.test(await guest.text()));
});
