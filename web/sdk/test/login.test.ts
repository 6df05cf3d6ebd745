import { expect, test } from "vitest";
import { logIn, loginWays, providerUrl, redeemLogin } from "../src/login.ts";

/** A server that answers once, and what it was asked. */
function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  const asked: { url: string; init: RequestInit }[] = [];
  const fetch = (url: string, init: RequestInit) => {
    asked.push({ url, init });
    return Promise.resolve(new Response(JSON.stringify(body), { status, headers }));
  };
  return { asked, fetch };
}

test("a name and a password are exchanged for a token", async () => {
  const login = { room: "daily", token: "a.b.c", name: "Ann", expiresAt: 1_800_000_000 };
  const { asked, fetch } = answering(200, login);
  const credentials = { user: "ann", password: "correct horse", room: "daily" };
  expect(await logIn("https://h/meet/", credentials, fetch)).toEqual(login);
  expect(asked[0]?.url).toBe("https://h/meet/api/v1/login");
  expect(asked[0]?.init.method).toBe("POST");
  expect(JSON.parse(String(asked[0]?.init.body))).toEqual(credentials);
});

test("a refusal has the server's code, and says when to come back", async () => {
  const { fetch } = answering(429, { code: "login/rate", detail: "later" }, { "retry-after": "8" });
  const refused = logIn("https://h/", { user: "ann", password: "x", room: "daily" }, fetch);
  await expect(refused).rejects.toMatchObject({ code: "login/rate", reconnectAfterMs: 8_000 });
  const broken = loginWays("https://h/", () => Promise.reject(new TypeError("no network")));
  await expect(broken).rejects.toMatchObject({ code: "sdk/socket" });
  const odd = loginWays("https://h/", answering(502, "nonsense").fetch);
  await expect(odd).rejects.toMatchObject({ code: "sdk/socket", reconnectAfterMs: undefined });
});

test("one goes to the provider and comes back with a ticket", async () => {
  expect(providerUrl("https://h/meet/", "a~b")).toBe("https://h/meet/login/oidc?room=a~b");
  const { asked, fetch } = answering(200, {});
  await redeemLogin("https://h/", "k3J", fetch);
  expect(asked[0]?.url).toBe("https://h/api/v1/login/oidc");
  expect(asked[0]?.init.body).toBe('{"ticket":"k3J"}');
  const ways = answering(200, { password: true, oidc: "Example" });
  expect(await loginWays("https://h/", ways.fetch)).toEqual({ password: true, oidc: "Example" });
  expect(ways.asked[0]?.init).toEqual({});
});
