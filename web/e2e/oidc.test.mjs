// A server with an identity provider: one goes there, comes back signed in, and nothing of it stays in the address.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launchChromium } from "./lib/browsers.mjs";
import { freePort, startServer } from "./lib/server.mjs";
import { until } from "./lib/wait.mjs";

/** @type {Awaited<ReturnType<typeof startServer>>} */
let server;
/** @type {Awaited<ReturnType<typeof launchChromium>>} */
let chromium;
/** @type {Awaited<ReturnType<typeof startProvider>>} */
let provider;

before(async () => {
  provider = await startProvider();
  const port = await freePort();
  const key = ["--api-key", "k", "--api-secret", "a secret of thirty-two bytes or so"];
  const oidc = [
    ["--oidc-issuer", provider.issuer],
    ["--oidc-client-id", "roundtable"],
    ["--oidc-redirect-url", `http://127.0.0.1:${port}/login/oidc/callback`],
    ["--oidc-name", "Example"],
  ];
  server = await startServer([...key, ...oidc.flat()], { http: `${port}`, udp: 0 });
  chromium = await launchChromium();
});

after(async () => {
  await chromium?.close();
  await server?.stop();
  await provider?.stop();
});

/** A provider for which everybody is Ann, until she is nobody. */
async function startProvider() {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keys = [{ ...publicKey.export({ format: "jwk" }), kid: "one", use: "sig" }];
  const state = { issuer: "", isAnn: true, nonce: "", stop: async () => {} };
  /** @param {unknown} part */
  const text = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const idToken = () => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: state.issuer,
      aud: "roundtable",
      sub: "u1",
      nonce: state.nonce,
      iat: now,
      exp: now + 60,
    };
    const message = `${text({ alg: "ES256", kid: "one" })}.${text({ ...claims, name: "Ann Example" })}`;
    const signature = sign("sha256", Buffer.from(message), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${message}.${signature.toString("base64url")}`;
  };
  const http = createServer((request, response) => {
    const url = new URL(request.url ?? "/", state.issuer);
    /** @param {unknown} document */
    const answer = (document) => response.end(JSON.stringify(document));
    switch (url.pathname) {
      case "/.well-known/openid-configuration":
        return answer({
          issuer: state.issuer,
          authorization_endpoint: `${state.issuer}/authorize`,
          token_endpoint: `${state.issuer}/token`,
          jwks_uri: `${state.issuer}/keys`,
        });
      case "/keys":
        return answer({ keys });
      case "/token":
        return answer({ token_type: "Bearer", id_token: idToken() });
      default: {
        state.nonce = url.searchParams.get("nonce") ?? "";
        const back = new URL(url.searchParams.get("redirect_uri") ?? "");
        back.searchParams.set("state", url.searchParams.get("state") ?? "");
        back.searchParams.set(state.isAnn ? "code" : "error", "x");
        return response.writeHead(302, { location: back.href }).end();
      }
    }
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = http.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  state.issuer = `http://127.0.0.1:${address.port}`;
  state.stop = async () => void http.close();
  return state;
}

/** Presses the link to the provider. */
async function signIn() {
  const page = /** @type {import("playwright-core").Page} */ (chromium.context.pages().at(-1));
  await page.getByRole("link", { name: "Sign in with Example" }).click();
  return page;
}

test("whom the provider vouches for is in, and the address keeps nothing of it", async () => {
  const ann = await chromium.guest("Ann");
  await ann.open(server.room("daily"));
  await until("the link is there", async () => /Sign in with Example/.test(await ann.text()));
  const page = await signIn();
  await until("she is signed in", async () => /Signed in as Ann Example/.test(await ann.text()));
  assert.equal(new URL(page.url()).pathname, "/r/daily");
  assert.equal(new URL(page.url()).hash, "", "no ticket is left");
  await ann.press("Join");
  await until("she is in", () => ann.isInCall());
  await until("by her name", async () => (await ann.tiles())[0]?.name.includes("Ann Example") === true);
});

test("whom the provider sends back without a word reads that", async () => {
  provider.isAnn = false;
  const bob = await chromium.guest("Bob");
  await bob.open(server.room("daily"));
  await until("the link is there", async () => /Sign in with Example/.test(await bob.text()));
  const page = await signIn();
  await until("he reads it", async () => /did not let you in/.test(await bob.text()));
  assert.equal(new URL(page.url()).hash, "");
});
