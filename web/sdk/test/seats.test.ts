import { describe, expect, test } from "vitest";
import { MAX_SDP_BYTES, MAX_SEATS, MAX_VOICE_SLOTS } from "../src/limits.ts";
import { Seats } from "../src/seats.ts";
import { FakeConnection, FakePlatform } from "./fakes.ts";

function setUp() {
  const connection = new FakeConnection({});
  const seats = new Seats(connection as unknown as RTCPeerConnection, new FakePlatform());
  return { connection, seats };
}

describe("seats", () => {
  test("come in pairs of receiving audio and video, appended only", () => {
    const { connection, seats } = setUp();
    expect(seats.want(2)).toBe(true);
    seats.grow();
    const before = [...connection.transceivers];
    expect(seats.want(4)).toBe(true);
    seats.grow();
    expect(connection.transceivers.slice(0, 4)).toEqual(before);
    expect(connection.transceivers.map((t) => t.kind).join()).toBe(Array(4).fill("audio,video").join());
    expect(connection.transceivers.every((t) => t.init.direction === "recvonly")).toBe(true);
  });

  test("list only codecs that the server forwards, VP8 first", () => {
    const { connection, seats } = setUp();
    seats.want(1);
    seats.grow();
    expect(
      connection.transceivers[1]?.preferred.map((c) => `${c.mimeType} ${c.sdpFmtpLine ?? ""}`.trim()),
    ).toEqual([
      "video/VP8",
      "video/VP9 profile-id=0",
      "video/H264 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
      "video/AV1 level-idx=5;profile=0;tier=0",
      "video/rtx",
    ]);
  });

  test("offer the dependency descriptor, and nothing else that the browser leaves out", () => {
    const { connection, seats } = setUp();
    seats.want(1);
    seats.grow();
    expect(connection.transceivers[1]?.extensions.map((e) => e.direction)).toEqual([
      "sendrecv",
      "stopped",
      "sendrecv",
    ]);
  });

  test("never shrink, and wish for no more than the bound", () => {
    const { seats } = setUp();
    seats.want(4);
    seats.grow();
    expect(seats.want(2)).toBe(false);
    expect(seats.want(1000)).toBe(true);
    seats.grow();
    expect(seats.count).toBe(MAX_SEATS);
    expect(seats.want(1000)).toBe(false);
  });

  test("stop where the offer would become too large to send", () => {
    const { seats } = setUp();
    seats.want(4);
    seats.grow();
    const padding = "x".repeat(1_800);
    const seat = `m=audio 9 x 1\r\na=recvonly\r\na=${padding}\r\nm=video 9 x 1\r\na=recvonly\r\na=${padding}\r\n`;
    seats.measure(`v=0\r\n${seat.repeat(4)}`);
    seats.want(MAX_SEATS);
    seats.grow();
    expect(seats.count).toBeLessThan(MAX_SEATS);
    expect(seats.count).toBeGreaterThanOrEqual(8);
    expect(seats.count * seat.length).toBeLessThan(MAX_SDP_BYTES);
  });

  test("are followed by voice slots, which stay when seats are added", async () => {
    const { connection, seats } = setUp();
    seats.want(2);
    seats.wantVoices(99);
    seats.grow();
    const first = Array(2).fill("audio,video").concat(Array(MAX_VOICE_SLOTS).fill("audio")).join();
    expect(connection.transceivers.map((t) => t.kind).join()).toBe(first);
    expect(seats.count).toBe(2);
    seats.want(3);
    seats.grow();
    expect(connection.transceivers.map((t) => t.kind).join()).toBe(`${first},audio,video`);
    await connection.setLocalDescription(await connection.createOffer({}));
    expect(seats.track("4")).toBe(connection.transceivers[4]?.receiver.track);
  });

  test("give the receiving track of an m-line", async () => {
    const { connection, seats } = setUp();
    seats.want(2);
    seats.grow();
    await connection.setLocalDescription(await connection.createOffer({}));
    expect(seats.track("3")).toBe(connection.transceivers[3]?.receiver.track);
    expect(seats.track("9")).toBeUndefined();
  });
});
