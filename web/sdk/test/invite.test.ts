import { expect, test } from "vitest";
import { followInvite } from "../src/invite.ts";

test("a code is exchanged for a token beside the page, whatever the prefix", async () => {
  const asked: [string, RequestInit][] = [];
  const invitation = { room: "daily", token: "a.b.c", name: "Gus", expiresAt: 7 };
  const fetch = async (url: string, init: RequestInit) => {
    asked.push([url, init]);
    return Response.json(invitation);
  };
  expect(await followInvite("https://host/meet/", "k3/J", "Gus", fetch)).toEqual(invitation);
  await followInvite("https://host/", "k3J", "", fetch);
  expect(asked.map(([url, { method, body }]) => [url, method, body])).toEqual([
    ["https://host/meet/api/v1/invites/k3%2FJ", "POST", '{"name":"Gus"}'],
    ["https://host/api/v1/invites/k3J", "POST", "{}"],
  ]);
});

test("a refusal has the server's code", async () => {
  const follow = (answer: () => Promise<Response>) => followInvite("https://host/", "c", "", answer);
  const used = async () => Response.json({ code: "invite/used", detail: "used up" }, { status: 410 });
  await expect(follow(used)).rejects.toMatchObject({ code: "invite/used", message: "used up" });
  const proxy = async () => new Response("<html>", { status: 502 });
  await expect(follow(proxy)).rejects.toMatchObject({ code: "sdk/socket" });
  await expect(follow(() => Promise.reject(new TypeError("no network")))).rejects.toMatchObject({
    code: "sdk/socket",
  });
});
