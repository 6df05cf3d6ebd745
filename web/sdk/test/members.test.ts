import { expect, test } from "vitest";
import { membersUrl } from "../src/members.ts";
import { Room } from "../src/room.ts";
import { FakePlatform } from "./fakes.ts";

test("pages are asked for beside the signalling socket, whatever the prefix", () => {
  expect(membersUrl("wss://host/meet/ws?room=big.room", { after: 40, limit: 20 })).toBe(
    "https://host/meet/api/v1/rooms/big.room/members?after=40&limit=20",
  );
  expect(membersUrl("ws://host:8080/ws?room=r", {})).toBe("http://host:8080/api/v1/rooms/r/members");
});

test("a page comes as the server tells it, and a refusal with its code", async () => {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  await expect(room.listMembers()).rejects.toMatchObject({ code: "sdk/closed" });
  void room.connect("ws://host/ws?room=r", { name: "Me" });

  const page = { room: "r", epoch: 1, total: 2, members: [{ id: "ann", name: "Ann" }], next: 7 };
  platform.answer = async () => Response.json(page);
  expect(await room.listMembers({ after: 3 })).toEqual(page);
  expect(platform.asked).toEqual(["http://host/api/v1/rooms/r/members?after=3"]);

  platform.answer = async () => Response.json({ code: "room/unknown", detail: "gone" }, { status: 404 });
  await expect(room.listMembers()).rejects.toMatchObject({ code: "room/unknown", message: "gone" });
  platform.answer = async () => new Response("<html>", { status: 502 });
  await expect(room.listMembers()).rejects.toMatchObject({ code: "sdk/socket" });
  platform.answer = () => Promise.reject(new TypeError("no network"));
  await expect(room.listMembers()).rejects.toMatchObject({ code: "sdk/socket" });
});

test("whoever entered with a token asks with it", async () => {
  const platform = new FakePlatform();
  const room = new Room({ platform });
  void room.connect("ws://host/ws?room=r", { name: "Me", token: "a.b.c" });
  platform.answer = async () => Response.json({ room: "r", epoch: 1, total: 0, members: [], next: null });
  await room.listMembers();
  expect(platform.lastRequest?.headers).toEqual({ authorization: "Bearer a.b.c" });
});
